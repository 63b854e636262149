"""Shifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.datasets.augmentations._affine import Affine, Placement

__all__ = ["Shift"]


@dataclass(frozen=True)
class Shift(Affine):
    """A shift along x and y, each uniform within plus or minus `pixels`, fractions included."""

    pixels: float = 1.0
    order: ClassVar[int] = 10

    def placement(self, n: tf.Tensor, seed: tf.Tensor) -> Placement:
        """Where each pixel of n images comes from."""
        offset = tf.random.stateless_uniform((n, 2), seed, -self.pixels, self.pixels)
        return tf.eye(2, batch_shape=[n]), offset
