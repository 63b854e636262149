"""More sky noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.datasets.augmentations.base import check_not_negative, require_sky
from astrocnn.errors import ConfigError
from astrocnn.imaging import Inputs

__all__ = ["Noise"]


@dataclass(frozen=True)
class Noise:
    """More sky noise: Gaussian, independent from pixel to pixel.

    Parameters
    ----------
    level : float or pair of float
        Standard deviation of what is added, in units of the sky noise of each band; of a pair,
        for each object its own, uniform between the two.
    sky : tuple of n_bands float, optional
        Sky noise per band [unit of the image]; by default that which the normalization was fitted
        with (see `bind`).
    """

    level: float | tuple[float, float] = 0.5
    sky: tuple[float, ...] | None = None
    order: ClassVar[int] = 50
    breaks: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if not isinstance(self.level, int | float):
            object.__setattr__(self, "level", tuple(self.level))
        levels = self.level if isinstance(self.level, tuple) else (self.level, self.level)
        for level in levels:
            check_not_negative("level", level)
        if len(levels) != 2 or levels[0] > levels[1]:
            raise ConfigError(
                "A range of noise levels is a pair (lowest, highest).", received=self.level
            )

    def bind(self, inputs: Inputs) -> Noise:
        """The same with the sky noise of some inputs, if none was given."""
        sky = None if inputs.normalization is None else inputs.normalization.noise
        # What a user gave is kept: it may be that of another survey.
        return self if self.sky is not None or sky is None else replace(self, sky=sky)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        sky = require_sky(self.sky, images)
        low, high = self.level if isinstance(self.level, tuple) else (self.level, self.level)
        # Relative to the sky noise, so that one number suits surveys of any depth.
        noise = sky * tf.random.stateless_normal(tf.shape(images), seed)
        if low == high:
            return images + high * noise
        fold = tf.random.experimental.stateless_fold_in
        shape = (tf.shape(images)[0], 1, 1, 1)
        return images + noise * tf.random.stateless_uniform(shape, fold(seed, 1), low, high)
