"""Artefacts of images, each modelled from its physics, and their injection with the truth.

To add one, write a function with the decorator `astrocnn.simulation.artefacts.base.artefact` in
the module of its kind: `stars`, `optics` or `detector`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.plugins import nearest
from astrocnn.simulation.artefacts import detector, optics, stars
from astrocnn.simulation.artefacts.base import REGISTRY, Artefact, ArtefactResult, Camera
from astrocnn.simulation.objects import make_rng

__all__ = [
    "ARTEFACTS",
    "Artefact",
    "ArtefactResult",
    "Camera",
    "Injection",
    "detector",
    "get_artefact",
    "inject",
    "optics",
    "stars",
]

ARTEFACTS: tuple[str, ...] = tuple(sorted(REGISTRY))
"""Names of all artefacts, in alphabetical order."""

# Probability of one, two and three artefacts in an image that has any.
COUNTS = (0.75, 0.20, 0.05)
EXCLUSIVE = {"defocus", "saturated"}  # a saturated star in a defocused image would be sharp


def get_artefact(name: str) -> Artefact:
    """An artefact by name, such as ``"cosmic_ray"``.

    Raises
    ------
    ConfigError
        If there is no such artefact; the message holds the nearest known name.
    """
    if name not in REGISTRY:
        raise ConfigError(
            f"Unknown artefact '{name}'.", allowed=ARTEFACTS, hint=nearest(name, ARTEFACTS)
        )
    return REGISTRY[name]


@dataclasses.dataclass(frozen=True, eq=False)
class Injection:
    """Images with artefacts.

    Parameters
    ----------
    images : ndarray of shape (n, height, width)
        New images, float32; NaN where there is no coverage.
    masks : ndarray of uint16 of shape (n, height, width)
        Bit k is set on the pixels that artefact ``ARTEFACTS[k]`` changes.
    truth : Table
        ``usable`` and, for each artefact, ``has_<name>`` (0 or 1) and ``severity_<name>`` (0
        without it).
    """

    images: np.ndarray
    masks: np.ndarray
    truth: Table


def inject(
    images: np.ndarray,
    camera: Camera,
    *,
    seed: int = 0,
    fraction: float = 0.5,
    kinds: Sequence[str] = ARTEFACTS,
    first: int = 0,
) -> Injection:
    """Add one to three artefacts to a fraction of the images.

    Strengths are log-uniform over the range of each artefact, from barely visible to dominating
    the image.  The input is not changed.

    Parameters
    ----------
    images : array_like of shape (n, height, width)
        Sky-subtracted images of one band, at least 16 pixels a side.
    camera : Camera
        Noise, point spread function and detector of these images.
    seed : int
        Image i of seed s always receives the same artefacts, whatever the number of images.
    fraction : float
        Expected fraction of images with artefacts.
    kinds : sequence of str
        Artefacts that may occur, equally often.
    first : int
        Number of the first image, when the images come in portions.

    Returns
    -------
    Injection

    Raises
    ------
    ConfigError
        If `images` is not a stack, `fraction` is not between 0 and 1, or an artefact is unknown.

    Examples
    --------
    >>> camera = Camera(sigma=1.0, fwhm=2.0, gain=5.0, full_well=4e4)
    >>> result = inject(np.zeros((4, 32, 32)), camera, fraction=1.0, kinds=["edge"])
    >>> result.truth["has_edge"].tolist(), bool(np.isnan(result.images).any())
    ([1, 1, 1, 1], True)
    """
    images = np.asarray(images)
    if images.ndim != 3 or min(images.shape[1:]) < 16:
        raise ConfigError(
            "`images` must be a stack of images of one band, at least 16 pixels a side.",
            received=f"an array of shape {images.shape}",
            allowed="(n, height, width)",
        )
    if not 0 <= fraction <= 1:
        raise ConfigError("`fraction` must be between 0 and 1.", received=fraction)
    if not kinds:
        raise ConfigError("`kinds` must name at least one artefact.", allowed=ARTEFACTS)
    for kind in kinds:
        get_artefact(kind)
    out = np.array(images, dtype=np.float32)
    masks = np.zeros(images.shape, np.uint16)
    severities = np.full((len(images), len(ARTEFACTS)), np.nan)
    for index, image in enumerate(out):
        rng = make_rng(seed, "artefacts", first + index)
        # In the order of their stages, from the sky to the readout, not in that of the sample.
        for artefact in sorted(
            map(get_artefact, _sample_kinds(rng, tuple(kinds), fraction)), key=lambda a: a.order
        ):
            low, high = np.log(artefact.strengths)
            result = artefact.apply(image, camera, rng, float(np.exp(rng.uniform(low, high))))
            image[...] = result.image
            own = {artefact.name: (result.mask, result.severity)}
            for name, (mask, severity) in {**own, **result.secondary}.items():
                bit = ARTEFACTS.index(name)
                masks[index] |= np.where(mask, np.uint16(1 << bit), np.uint16(0))
                # fmax ignores NaN, which marks an artefact that has not occurred.
                severities[index, bit] = np.fmax(severities[index, bit], severity)
    return Injection(out, masks, _truth_table(severities))


def _truth_table(severities: np.ndarray) -> Table:
    """Truth from severities of shape (n, n_artefacts); NaN where an image lacks that artefact."""
    has = np.isfinite(severities)
    table = Table()
    table["usable"] = (~has.any(axis=1)).astype(np.int16)
    table["usable"].description = "1 without any artefact"
    for k, name in enumerate(ARTEFACTS):
        table[f"has_{name}"] = has[:, k].astype(np.int16)
    for k, name in enumerate(ARTEFACTS):
        table[f"severity_{name}"] = np.nan_to_num(severities[:, k]).astype(np.float32)
        table[f"severity_{name}"].description = f"{get_artefact(name).severity}, 0 for none"
    return table


def _sample_kinds(
    rng: np.random.Generator, kinds: tuple[str, ...], fraction: float
) -> tuple[str, ...]:
    """Artefacts of one image.  The same numbers are drawn whether it has any or not."""
    affected, count = rng.random() < fraction, 1 + rng.choice(len(COUNTS), p=COUNTS)
    order = [kinds[i] for i in rng.permutation(len(kinds))]
    chosen: list[str] = []
    for kind in order[: count if affected else 0]:
        if not (kind in EXCLUSIVE and EXCLUSIVE & set(chosen)):
            chosen.append(kind)
    return tuple(chosen)
