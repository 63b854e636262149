"""Artefacts put into images, simulated or real, with the truth of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.plugins import nearest
from astrocnn.simulation.artefacts import ARTEFACTS, Camera, artefact_named, in_order
from astrocnn.simulation.population import generator

__all__ = ["Injected", "inject", "truth_columns"]

COUNTS = (0.75, 0.20, 0.05)  # shares of spoilt images with one, two and three artefacts
APART = ({"defocus", "saturated"},)  # a saturated star in a defocused image would be sharp


@dataclasses.dataclass(frozen=True, eq=False)
class Injected:
    """Images with artefacts.

    Parameters
    ----------
    images : ndarray of shape (n, height, width)
        New images, float32; NaN where there is no coverage.
    masks : ndarray of uint16 of shape (n, height, width)
        Bit k is set on the pixels that artefact ``ARTEFACTS[k]`` touches.
    truth : Table
        ``usable`` and, of each artefact, ``has_<name>`` (0 or 1) and ``severity_<name>`` (0
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
    share: float = 0.5,
    kinds: Sequence[str] = ARTEFACTS,
    first: int = 0,
) -> Injected:
    """Spoil some images with one to three artefacts each.

    Strengths are spread evenly in their logarithm over the range of each artefact, from barely
    visible to ruinous.  The input is not changed.

    Parameters
    ----------
    images : array_like of shape (n, height, width)
        Sky-subtracted images of one band, at least 16 pixels a side.
    camera : Camera
        Noise, sharpness and detector of these images.
    seed : int
        Image i of seed s always gets the same artefacts, whatever the number of images.
    share : float
        Expected share of images that are spoilt.
    kinds : sequence of str
        Artefacts that may occur, equally often.
    first : int
        Number of the first image, when the images come in portions.

    Returns
    -------
    Injected

    Raises
    ------
    ConfigError
        If the images are no stack, the share is not between 0 and 1, or there is no such
        artefact.

    Examples
    --------
    >>> camera = Camera(sigma=1.0, fwhm=2.0, gain=5.0, full_well=4e4)
    >>> made = inject(np.zeros((4, 32, 32)), camera, share=1.0, kinds=["edge"])
    >>> made.truth["has_edge"].tolist(), bool(np.isnan(made.images).any())
    ([1, 1, 1, 1], True)
    """
    images = np.asarray(images)
    if images.ndim != 3 or min(images.shape[1:]) < 16:
        raise ConfigError(
            "Artefacts are put into a stack of images of one band, of 16 pixels a side or more.",
            received=f"an array of shape {images.shape}",
            allowed="(n, height, width)",
        )
    if not 0 <= share <= 1:
        raise ConfigError("The share of spoilt images lies between 0 and 1.", received=share)
    for kind in kinds:
        if kind not in ARTEFACTS:
            raise ConfigError(
                f"There is no artefact '{kind}'.",
                allowed=ARTEFACTS,
                hint=nearest(kind, ARTEFACTS),
            )
    if not kinds:
        raise ConfigError("Name at least one artefact.", allowed=ARTEFACTS)
    out = np.array(images, dtype=np.float32)
    masks = np.zeros(images.shape, np.uint16)
    severities = np.full((len(images), len(ARTEFACTS)), np.nan)
    for index, image in enumerate(out):
        rng = generator(seed, "artefacts", first + index)
        chosen = _choose(rng, tuple(kinds), share)
        for kind in in_order(chosen):
            leaf = artefact_named(kind)
            low, high = np.log(leaf.STRENGTHS)
            drawn = leaf.draw(image, camera, rng, float(np.exp(rng.uniform(low, high))))
            image[...] = drawn.image
            for name, (mask, severity) in {
                kind: (drawn.mask, drawn.severity),
                **drawn.brought,
            }.items():
                bit = ARTEFACTS.index(name)
                masks[index] |= np.where(mask, np.uint16(1 << bit), np.uint16(0))
                severities[index, bit] = np.fmax(severities[index, bit], severity)
    return Injected(out, masks, truth_columns(severities))


def truth_columns(severities: np.ndarray) -> Table:
    """Columns of the truth from severities.

    Parameters
    ----------
    severities : ndarray of shape (n, n_artefacts)
        In the order of ``ARTEFACTS``; NaN where an image does not have that artefact.

    Returns
    -------
    Table
        ``usable``, ``has_<name>``, ``severity_<name>``.
    """
    has = np.isfinite(severities)
    table = Table()
    table["usable"] = (~has.any(axis=1)).astype(np.int16)
    table["usable"].description = "1 without any artefact"
    for k, name in enumerate(ARTEFACTS):
        table[f"has_{name}"] = has[:, k].astype(np.int16)
    for k, name in enumerate(ARTEFACTS):
        table[f"severity_{name}"] = np.nan_to_num(severities[:, k]).astype(np.float32)
        table[f"severity_{name}"].description = f"{artefact_named(name).SEVERITY}, 0 for none"
    return table


def _choose(rng: np.random.Generator, kinds: tuple[str, ...], share: float) -> tuple[str, ...]:
    """Which artefacts an image gets."""
    spoilt, count = rng.random() < share, 1 + rng.choice(len(COUNTS), p=COUNTS)
    order = [kinds[i] for i in rng.permutation(len(kinds))]
    chosen: list[str] = []
    for kind in order[: count if spoilt else 0]:
        if not any(kind in pair and pair & set(chosen) for pair in APART):
            chosen.append(kind)
    return tuple(chosen)
