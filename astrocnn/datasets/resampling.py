"""One bilinear resampling for any chain of shifts, rotations and zooms."""

from __future__ import annotations

from typing import Literal, TypeAlias

from astrocnn.backend import tf

__all__ = ["Edges", "chain", "resample"]

Edges = Literal["reflect", "missing"]
Placement: TypeAlias = "tuple[tf.Tensor, tf.Tensor]"
"""Matrices (n, 2, 2) and offsets (n, 2) that lead from a place (x, y) in the new image,
counted from its middle, to the place in the old image [pixel]."""


def chain(first: Placement, second: Placement) -> Placement:
    """The placement that equals `first` followed by `second`."""
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
        moved = move(tf.concat(stack, axis=-1))
        value, weight = moved[..., :n_bands], moved[..., n_bands:]
        nan = tf.constant(float("nan"))
        return tf.where(weight > 0.499, value / tf.maximum(weight, 0.499), nan)

    if edges == "missing":
        return with_holes()
    return tf.cond(tf.reduce_all(valid), lambda: move(images), with_holes)


def _eight_numbers(placement: Placement, height: int, width: int) -> tf.Tensor:
    """The transforms of the TensorFlow kernel, whose places count from the first pixel."""
    matrix, offset = placement
    middle = tf.constant([(width - 1) / 2, (height - 1) / 2], tf.float32)
    offset = offset + middle - tf.linalg.matvec(matrix, middle)
    rows = tf.concat([matrix, offset[..., None]], axis=-1)
    return tf.concat([tf.reshape(rows, (-1, 6)), tf.zeros((tf.shape(matrix)[0], 2))], axis=-1)
