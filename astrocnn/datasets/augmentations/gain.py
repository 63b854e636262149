"""Errors of the zero point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.datasets.augmentations.base import check_not_negative

__all__ = ["Gain"]


@dataclass(frozen=True)
class Gain:
    """An error of the zero point, for each object and band its own.

    Parameters
    ----------
    magnitudes : float
        Standard deviation [mag]: fluxes are multiplied by 10^(-0.4 x) with x Gaussian.
    """

    magnitudes: float = 0.02
    order: ClassVar[int] = 40
    breaks: ClassVar[frozenset[str]] = frozenset({"flux", "color"})

    def __post_init__(self) -> None:
        check_not_negative("magnitudes", self.magnitudes)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        shape = (tf.shape(images)[0], 1, 1, images.shape[3])
        # One factor for all pixels of a band: a zero point is common to an image.
        error = tf.random.stateless_normal(shape, seed, stddev=self.magnitudes)
        return images * tf.pow(10.0, -0.4 * error)
