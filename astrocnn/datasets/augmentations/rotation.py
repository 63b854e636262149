"""Rotations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.datasets.augmentations._affine import Affine, Placement

__all__ = ["Rotation"]


@dataclass(frozen=True)
class Rotation(Affine):
    """A rotation about the middle, uniform within plus or minus `degrees`."""

    degrees: float = 180.0
    order: ClassVar[int] = 20

    def placement(self, n: tf.Tensor, seed: tf.Tensor) -> Placement:
        """Where each pixel of n images comes from."""
        most = math.radians(self.degrees)
        angle = tf.random.stateless_uniform((n,), seed, -most, most)
        cos, sin = tf.cos(angle), tf.sin(angle)
        matrix = tf.stack([tf.stack([cos, -sin], -1), tf.stack([sin, cos], -1)], -2)
        # About the middle, where the object is, so that nothing is shifted.
        return matrix, tf.zeros((n, 2))
