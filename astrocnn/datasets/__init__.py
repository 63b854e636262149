"""Images on disk and on their way into a network.

Shards keep the cutouts of a catalogue, linear and with NaN where there are no data;
`build_dataset` shuffles, augments, normalizes and batches them.  TensorFlow is imported only with
the names that need it.
"""

from __future__ import annotations

from astrocnn.plugins import lazy

_HOME = {
    "D4": "augmentations.d4",
    "Rotation": "augmentations.rotation",
    "Shift": "augmentations.shift",
    "Zoom": "augmentations.zoom",
    "Background": "augmentations.background",
    "BandDropout": "augmentations.band_dropout",
    "Blur": "augmentations.blur",
    "Crop": "augmentations.crop",
    "Gain": "augmentations.gain",
    "Noise": "augmentations.noise",
    "build_step": "augmentation",
    "build_steps": "augmentation",
    "compose": "augmentation",
    "build_dataset": "pipeline",
    "get_d4_views": "symmetry",
    "fit_normalization": "pipeline",
    "read_labels": "labels",
    "Shards": "shards",
    "split_rows": "labels",
    "find_usable_rows": "labels",
    "write_shards": "writing",
}
__all__ = [
    "Background",
    "BandDropout",
    "Blur",
    "Crop",
    "D4",
    "Gain",
    "Noise",
    "Rotation",
    "Shards",
    "Shift",
    "Zoom",
    "build_step",
    "build_steps",
    "compose",
    "get_d4_views",
    "build_dataset",
    "fit_normalization",
    "find_usable_rows",
    "split_rows",
    "read_labels",
    "write_shards",
]


__getattr__ = lazy(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
