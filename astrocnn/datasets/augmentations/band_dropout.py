"""Missing bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.errors import ConfigError

__all__ = ["BandDropout"]


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
    order: ClassVar[int] = 60
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
        # The band that stays must have data, or the image would be empty.
        present = tf.reduce_any(tf.math.is_finite(images), axis=(1, 2))
        best = tf.reduce_max(tf.where(present, chance, -1.0), axis=1, keepdims=True)
        keep = (chance >= self.probability) | (chance == best)
        return tf.where(keep[:, None, None, :], images, float("nan"))
