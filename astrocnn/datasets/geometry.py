"""Augmentation that moves pixels: the symmetries of the square, shifts, rotations and zooms.

Each is called with float32 images (n, height, width, n_bands), NaN where there are no data, and a
seed of two integers; the same seed gives the same result.  ``breaks`` names what a label may
no longer say about the augmented image.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import reduce
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.datasets.resampling import Edges, Placement, chain, resample
from astrocnn.datasets.symmetry import ELEMENTS, d4_tables
from astrocnn.errors import ConfigError, InputsError

__all__ = ["Affine", "D4", "Moves", "Rotation", "Shift", "Zoom"]


@dataclass(frozen=True)
class D4:
    """One of the eight symmetries of the square, or of its four rotations, each as often.

    Parameters
    ----------
    reflections : bool
        False leaves out the four mirror images, and with them the break of handedness.
    """

    reflections: bool = True

    @property
    def breaks(self) -> frozenset[str]:
        """Handedness, when there are reflections."""
        return frozenset({"handedness"} if self.reflections else ())

    def elements(self, n: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The symmetry each of n images gets, int32 of shape (n,)."""
        top = ELEMENTS if self.reflections else ELEMENTS // 2
        return tf.random.stateless_uniform((n,), seed, 0, top, dtype=tf.int32)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        size, n_bands = images.shape[1], images.shape[3]
        if size != images.shape[2]:
            raise InputsError("D4 needs square images.", received=f"shape {images.shape}")
        n = tf.shape(images)[0]
        places = tf.gather(tf.constant(d4_tables(size)), self.elements(n, seed))
        places += tf.range(n)[:, None] * size**2
        moved = tf.gather(tf.reshape(images, (-1, n_bands)), tf.reshape(places, (-1,)))
        return tf.reshape(moved, tf.shape(images))


@dataclass(frozen=True)
class Affine(ABC):
    """A move that resamples; moves in a row are joined and resample only once."""

    edges: Edges = field(default="reflect", kw_only=True)
    breaks: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if self.edges not in ("reflect", "missing"):
            raise ConfigError(
                "Unknown treatment of the edges.",
                received=self.edges,
                allowed=("reflect", "missing"),
            )

    @abstractmethod
    def placement(self, n: tf.Tensor, seed: tf.Tensor) -> Placement:
        """Where each pixel of n images comes from."""

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return resample(images, self.placement(tf.shape(images)[0], seed), self.edges)


@dataclass(frozen=True)
class Shift(Affine):
    """A shift along x and y, each uniform within plus or minus `pixels`, fractions included."""

    pixels: float = 1.0

    def placement(self, n: tf.Tensor, seed: tf.Tensor) -> Placement:
        """Where each pixel of n images comes from."""
        offset = tf.random.stateless_uniform((n, 2), seed, -self.pixels, self.pixels)
        return tf.eye(2, batch_shape=[n]), offset


@dataclass(frozen=True)
class Rotation(Affine):
    """A rotation about the middle, uniform within plus or minus `degrees`."""

    degrees: float = 180.0

    def placement(self, n: tf.Tensor, seed: tf.Tensor) -> Placement:
        """Where each pixel of n images comes from."""
        most = math.radians(self.degrees)
        angle = tf.random.stateless_uniform((n,), seed, -most, most)
        cos, sin = tf.cos(angle), tf.sin(angle)
        matrix = tf.stack([tf.stack([cos, -sin], -1), tf.stack([sin, cos], -1)], -2)
        return matrix, tf.zeros((n, 2))


@dataclass(frozen=True)
class Zoom(Affine):
    """A change of scale, log-uniform between 1 / (1 + amount) and 1 + amount.

    Surface brightness is kept, as for the same galaxy nearer or farther; the total flux is not.
    """

    amount: float = 0.1
    breaks: ClassVar[frozenset[str]] = frozenset({"size", "flux"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.amount >= 0:
            raise ConfigError("The amount of a zoom is not negative.", received=self.amount)

    def placement(self, n: tf.Tensor, seed: tf.Tensor) -> Placement:
        """Where each pixel of n images comes from."""
        most = math.log1p(self.amount)
        factor = tf.exp(tf.random.stateless_uniform((n,), seed, -most, most))
        matrix = tf.eye(2, batch_shape=[n]) / factor[:, None, None]
        return matrix, tf.zeros((n, 2))


@dataclass(frozen=True)
class Moves:
    """Several affine moves, one after another, with one resampling."""

    moves: tuple[Affine, ...]

    @property
    def breaks(self) -> frozenset[str]:
        """All that any of them breaks."""
        return frozenset().union(*(move.breaks for move in self.moves))

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        n = tf.shape(images)[0]
        fold = tf.random.experimental.stateless_fold_in
        placements = [move.placement(n, fold(seed, i)) for i, move in enumerate(self.moves)]
        edges: Edges = "missing" if any(m.edges == "missing" for m in self.moves) else "reflect"
        return resample(images, reduce(chain, placements), edges)
