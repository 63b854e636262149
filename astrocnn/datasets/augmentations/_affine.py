"""Affine moves, and one bilinear resampling for any chain of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import reduce
from typing import ClassVar, Literal, TypeAlias

from astrocnn.backend import tf
from astrocnn.errors import ConfigError

__all__ = ["Affine", "Edges", "Moves", "Placement", "chain", "resample"]

Edges = Literal["reflect", "missing"]
Placement: TypeAlias = "tuple[tf.Tensor, tf.Tensor]"
"""Matrices (n, 2, 2) and offsets (n, 2) that lead from a place (x, y) in the new image,
counted from its middle, to the place in the old image [pixel]."""


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
        # With one seed for all, a shift and a rotation would be correlated.
        placements = [move.placement(n, fold(seed, i)) for i, move in enumerate(self.moves)]
        edges: Edges = "missing" if any(m.edges == "missing" for m in self.moves) else "reflect"
        return resample(images, reduce(chain, placements), edges)


def chain(first: Placement, second: Placement) -> Placement:
    """The placement that equals `first` followed by `second`."""
    # Placements lead from new to old pixels, so the matrix of the second move acts first.
    matrix = first[0] @ second[0]
    return matrix, tf.linalg.matvec(first[0], second[1]) + first[1]


def resample(images: tf.Tensor, placement: Placement, edges: Edges = "reflect") -> tf.Tensor:
    """Bilinear interpolation that leaves out pixels without data.

    A new pixel is the weighted mean of those of its four neighbors that have data; it has none
    itself when they carry less than half of the weight.  So a hole keeps its size and does not
    spread.  Surface brightness is kept, not flux.

    Parameters
    ----------
    images : tensor of shape (n, height, width, n_bands)
        float32, NaN where there are no data.
    placement : pair of tensors
        See `Placement`.
    edges : {"reflect", "missing"}
        Beyond the border the image is mirrored, which keeps the look of the sky, or has no data.
    """
    height, width = images.shape[1], images.shape[2]
    n_bands = images.shape[3]
    # Keras' own layers clip to [0, 255] or fill with zeros: wrong for sky-subtracted fluxes.
    transforms = _eight_numbers(placement, height, width)
    valid = tf.math.is_finite(images)

    def move(stack: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=stack,
            transforms=transforms,
            output_shape=tf.constant([height, width]),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="REFLECT" if edges == "reflect" else "CONSTANT",
        )

    def with_holes() -> tf.Tensor:
        stack = [tf.where(valid, images, 0.0), tf.cast(valid, tf.float32)]
        # Normalized convolution: values and validity are interpolated equally, and divided.
        moved = move(tf.concat(stack, axis=-1))
        value, weight = moved[..., :n_bands], moved[..., n_bands:]
        # Just below one half, since the weights of four equal neighbours add up with rounding.
        nan = tf.constant(float("nan"))
        return tf.where(weight > 0.499, value / tf.maximum(weight, 0.499), nan)

    if edges == "missing":
        return with_holes()
    # Most batches have no hole, and then half the channels need not be resampled.
    return tf.cond(tf.reduce_all(valid), lambda: move(images), with_holes)


def _eight_numbers(placement: Placement, height: int, width: int) -> tf.Tensor:
    """The transforms of the TensorFlow kernel, whose places count from the first pixel."""
    matrix, offset = placement
    middle = tf.constant([(width - 1) / 2, (height - 1) / 2], tf.float32)
    offset = offset + middle - tf.linalg.matvec(matrix, middle)
    rows = tf.concat([matrix, offset[..., None]], axis=-1)
    return tf.concat([tf.reshape(rows, (-1, 6)), tf.zeros((tf.shape(matrix)[0], 2))], axis=-1)
