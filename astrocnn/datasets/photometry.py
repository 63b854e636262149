"""Augmentation that changes fluxes: gain, noise and missing bands.

Called like those of `astrocnn.datasets.geometry`, on linear fluxes.  Nothing is clipped: negative
fluxes stay negative, and pixels without data stay without.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.errors import ConfigError
from astrocnn.imaging import Inputs

__all__ = ["BandDropout", "Gain", "Noise"]


@dataclass(frozen=True)
class Gain:
    """An error of the zero point, for each object and band its own.

    Parameters
    ----------
    magnitudes : float
        Standard deviation [mag]: fluxes are multiplied by 10^(-0.4 x) with x Gaussian.
    """

    magnitudes: float = 0.02
    breaks: ClassVar[frozenset[str]] = frozenset({"flux", "color"})

    def __post_init__(self) -> None:
        _not_negative("The scatter of the gain", self.magnitudes)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        shape = (tf.shape(images)[0], 1, 1, images.shape[3])
        error = tf.random.stateless_normal(shape, seed, stddev=self.magnitudes)
        return images * tf.pow(10.0, -0.4 * error)


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
    breaks: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        _not_negative("The level of the noise", self.level)

    def bind(self, inputs: Inputs) -> Noise:
        """The same with the sky noise of some inputs, if none was given."""
        sky = None if inputs.normalization is None else inputs.normalization.noise
        return self if self.sky is not None or sky is None else replace(self, sky=sky)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if self.sky is None:
            raise ConfigError(
                "Nobody said how strong the sky noise is that 'noise' is a multiple of.",
                hint="fit the normalization first (it measures the noise), or give sky=(...)",
            )
        if len(self.sky) != images.shape[3]:
            raise ConfigError(
                "The sky noise is for another number of bands.",
                received=f"{len(self.sky)} numbers",
                allowed=f"{images.shape[3]} bands",
            )
        sigma = self.level * tf.constant(self.sky, tf.float32)
        return images + sigma * tf.random.stateless_normal(tf.shape(images), seed)


@dataclass(frozen=True)
class BandDropout:
    """Bands that go missing as a whole, as in a survey with uneven coverage.

    Their pixels become NaN and are then filled and masked as any missing band is.  One band, any
    of them, always stays.

    Parameters
    ----------
    probability : float
        For each band of each object.
    """

    probability: float = 0.1
    breaks: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if not 0 <= self.probability < 1:
            raise ConfigError(
                "The probability of a missing band is out of range.",
                received=self.probability,
                allowed="0 <= probability < 1",
            )

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if images.shape[3] == 1:
            raise ConfigError("Band dropout needs more than one band.", received="1 band")
        shape = (tf.shape(images)[0], images.shape[3])
        chance = tf.random.stateless_uniform(shape, seed)
        # A band without data is no company: the one that stays has to have some.
        present = tf.reduce_any(tf.math.is_finite(images), axis=(1, 2))
        best = tf.reduce_max(tf.where(present, chance, -1.0), axis=1, keepdims=True)
        keep = (chance >= self.probability) | (chance == best)
        return tf.where(keep[:, None, None, :], images, float("nan"))


def _not_negative(what: str, value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ConfigError(f"{what} is not a number from 0 on.", received=value)
