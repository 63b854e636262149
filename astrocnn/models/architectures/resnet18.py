"""Residual network of 18 layers, basic blocks, activation after the sum.

A stem, then four stages of two blocks with 64, 128, 256 and 512 filters; each block is two 3x3
convolutions with batch normalization, summed with its input, then ReLU.  The first block of the
last three stages halves the image, and its input takes a 1x1 convolution of stride 2 (option B of
the paper).  The mean of each map goes to the head.

The stem of the paper, a 7x7 convolution of stride 2 and 3x3 max pooling of stride 2, reduces the
image fourfold before the first block, which suits images of 112 pixels and more.  Smaller stamps
take one 3x3 convolution of stride 1 (as in section 4.2 of the paper for images of 32 pixels).
``Options(stem=...)`` overrules the choice.

With the large stem, three bands and 1000 classes it has 11,689,512 trainable parameters.  "Same"
padding puts the odd pixel of a stride on the far side, where the original puts it on both; the
shapes are the same.

References
----------
He et al. 2016, CVPR, 770 (arXiv:1512.03385), table 1, figures 2 and 3, section 4.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astrocnn.models.architectures.base import Reference

if TYPE_CHECKING:
    from astrocnn.models.blocks import Block

__all__ = ["REFERENCE", "features"]

REFERENCE = Reference("He et al. 2016", 224, 3, 1000, 11_689_512)

_LARGE_FROM = 112
_STYLE = {"normalization": "batch", "initializer": "he_normal"}


def features(image: Any, scalars: Any, block: Block) -> Any:
    """Features of shape (batch, 512)."""
    stem = block.options.stem or ("large" if image.shape[1] >= _LARGE_FROM else "small")
    if stem == "large":
        x = block.conv(image, 64, 7, strides=2, **_STYLE)
        x = block.pool(x, 3, strides=2, padding="same")
    else:
        x = block.conv(image, 64, 3, **_STYLE)
    for filters in (64, 128, 256, 512):
        x = _basic(x, filters, 1 if filters == 64 else 2, block)
        x = _basic(x, filters, 1, block)
    return block.global_pool(x, scalars)


def _basic(x: Any, filters: int, strides: int, block: Block) -> Any:
    branch = block.conv(x, filters, 3, strides=strides, **_STYLE)
    branch = block.conv(branch, filters, 3, activation=None, **_STYLE)
    if strides > 1:
        x = block.conv(x, filters, 1, strides=strides, activation=None, **_STYLE)
    return block.activate(block.add(x, branch))
