"""Selecting usable Euclid VIS images: a small network for one large band.

Input of 150 x 150 pixels in one band; three unpadded 3x3 convolutions with 32, 64 and 64 filters,
each followed by 2x2 max pooling (150 to 148, 74, 72, 36, 34, 17 pixels), one dense layer of 128,
and the head, a single logit in the original.

Parameters: 320 + 18,496 + 36,928 (convolutions) + 2,367,616 (dense) + 129 (one output) = 2,423,489.

The original has no dropout, hence no uncertainty to draw: ``Options(head_dropout=0.5)`` puts one
layer before the head.
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["REFERENCE", "features"]

REFERENCE = Reference("Euclid VIS image selection", 150, 1, 1, 2_423_489)


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 128)."""
    x = block.conv(image, 32, 3, padding="valid")
    x = block.pool(x)

    x = block.conv(x, 64, 3, padding="valid")
    x = block.pool(x)

    x = block.conv(x, 64, 3, padding="valid")
    x = block.pool(x)

    x = block.flatten(x, scalars)
    return block.dense(x, 128)
