"""Images on disk and on their way into a network.

Shards keep the cutouts of a catalogue, linear and with NaN where there are no data;
`dataset` shuffles, augments, normalizes and batches them.  TensorFlow is imported only with the
names that need it.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "D4": "geometry",
    "Rotation": "geometry",
    "Shift": "geometry",
    "Zoom": "geometry",
    "BandDropout": "photometry",
    "Gain": "photometry",
    "Noise": "photometry",
    "augmentation_from": "augmentation",
    "compose": "augmentation",
    "dataset": "pipeline",
    "d4_views": "symmetry",
    "fit_normalization": "fitting",
    "labels": "labelled_rows",
    "Shards": "shards",
    "split_rows": "labelled_rows",
    "usable": "usable_rows",
    "write_shards": "writing",
}
__all__ = [
    "BandDropout",
    "D4",
    "Gain",
    "Noise",
    "Rotation",
    "Shards",
    "Shift",
    "Zoom",
    "augmentation_from",
    "compose",
    "d4_views",
    "dataset",
    "fit_normalization",
    "labels",
    "split_rows",
    "usable",
    "write_shards",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
