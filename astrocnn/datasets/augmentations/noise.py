"""More sky noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.datasets.augmentations.base import check_not_negative
from astrocnn.errors import ConfigError
from astrocnn.imaging import Inputs

__all__ = ["Noise"]


@dataclass(frozen=True)
class Noise:
    """More sky noise: Gaussian, independent from pixel to pixel.

    Parameters
    ----------
    level : float
        Standard deviation of what is added, in units of the sky noise of each band.
    sky : tuple of n_bands float, optional
        Sky noise per band [unit of the image]; by default that which the normalization was fitted
        with (see `bind`).
    """

    level: float = 0.5
    sky: tuple[float, ...] | None = None
    order: ClassVar[int] = 50
    breaks: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        check_not_negative("level", self.level)

    def bind(self, inputs: Inputs) -> Noise:
        """The same with the sky noise of some inputs, if none was given."""
        sky = None if inputs.normalization is None else inputs.normalization.noise
        # What a user gave is kept: it may be that of another survey.
        return self if self.sky is not None or sky is None else replace(self, sky=sky)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if self.sky is None:
            raise ConfigError(
                "The sky noise, of which `level` is a multiple, is unknown.",
                hint="fit the normalization first (it measures the noise), or pass sky=(...)",
            )
        if len(self.sky) != images.shape[3]:
            raise ConfigError(
                "The sky noise is for another number of bands.",
                received=f"{len(self.sky)} numbers",
                allowed=f"{images.shape[3]} bands",
            )
        # Relative to the sky noise, so that one number suits surveys of any depth.
        sigma = self.level * tf.constant(self.sky, tf.float32)
        return images + sigma * tf.random.stateless_normal(tf.shape(images), seed)
