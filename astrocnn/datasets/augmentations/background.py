"""Errors of the sky background."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.datasets.augmentations.base import check_not_negative, require_sky
from astrocnn.imaging import Inputs

__all__ = ["Background"]


@dataclass(frozen=True)
class Background:
    """An error of the subtracted sky: a constant for each object and band, Gaussian.

    Parameters
    ----------
    level : float
        Standard deviation, in units of the sky noise of each band.
    sky : tuple of n_bands float, optional
        Sky noise per band [unit of the image]; by default that which the normalization was fitted
        with (see `bind`).
    """

    level: float = 0.2
    sky: tuple[float, ...] | None = None
    order: ClassVar[int] = 45
    # A constant over a whole stamp moves any flux or color that is summed over it.
    breaks: ClassVar[frozenset[str]] = frozenset({"flux", "color"})

    def __post_init__(self) -> None:
        check_not_negative("level", self.level)

    def bind(self, inputs: Inputs) -> Background:
        """The same with the sky noise of some inputs, if none was given."""
        sky = None if inputs.normalization is None else inputs.normalization.noise
        return self if self.sky is not None or sky is None else replace(self, sky=sky)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        sky = require_sky(self.sky, images)
        shape = (tf.shape(images)[0], 1, 1, images.shape[3])
        return images + self.level * sky * tf.random.stateless_normal(shape, seed)
