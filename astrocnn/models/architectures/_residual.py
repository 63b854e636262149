"""Residual networks of He et al., of any depth: post-activation, option B.

A stem, then four stages with 64, 128, 256 and 512 filters; a block is summed with its input, then
ReLU.  The first block of the last three stages halves the image, and its input takes a 1x1
convolution of stride 2 (option B of the paper).  The mean of each map goes to the head.

The stem of the paper, a 7x7 convolution of stride 2 and 3x3 max pooling of stride 2, reduces the
image fourfold before the first block, which suits images of 112 pixels and more.  Smaller stamps
take one 3x3 convolution of stride 1 (as in section 4.2 of the paper for images of 32 pixels).
``Options(stem=...)`` overrules the choice.

"Same" padding puts the odd pixel of a stride on the far side, where the original puts it on both;
the shapes are the same.

References
----------
He et al. 2016, CVPR, 770 (arXiv:1512.03385), table 1, figures 2, 3 and 5, section 4.2.
"""

from __future__ import annotations

from typing import Any

from astrocnn.models.architectures.base import Block, Tensor

__all__ = ["residual"]

_STYLE: dict[str, Any] = {"normalization": "batch", "initializer": "he_normal"}


def residual(
    image: Tensor,
    scalars: Tensor,
    block: Block,
    depths: tuple[int, ...],
    *,
    bottleneck: bool = False,
) -> Tensor:
    """Features of shape (batch, 512), or (batch, 2048) with bottlenecks.

    `depths` are the blocks in each of the four stages.  A block with `bottleneck` has 1x1, 3x3 and
    1x1 convolutions, with four times as many filters in the last, instead of two of 3x3.
    """
    if block.large_stem(image):
        x = block.conv(image, 64, 7, strides=2, **_STYLE)
        x = block.pool(x, 3, strides=2, padding="same")
    else:
        x = block.conv(image, 64, 3, **_STYLE)
    for stage, depth in enumerate(depths):
        # Half the side and twice the filters: each stage costs about the same.
        filters = 64 * 2**stage
        for number in range(depth):
            strides = 2 if stage and not number else 1
            if bottleneck:
                # Projected also where only the number of maps grows.
                x = _bottleneck(x, filters, strides, block, project=not number)
            else:
                x = _basic(x, filters, strides, block, project=strides > 1)
    return block.global_pool(x, scalars)


def _basic(x: Tensor, filters: int, strides: int, block: Block, project: bool) -> Tensor:
    branch = block.conv(x, filters, 3, strides=strides, **_STYLE)
    branch = block.conv(branch, filters, 3, activation=None, **_STYLE)
    return _sum(x, branch, filters, strides, block, project)


def _bottleneck(x: Tensor, filters: int, strides: int, block: Block, project: bool) -> Tensor:
    branch = block.conv(x, filters, 1, strides=strides, **_STYLE)
    branch = block.conv(branch, filters, 3, **_STYLE)
    branch = block.conv(branch, 4 * filters, 1, activation=None, **_STYLE)
    return _sum(x, branch, 4 * filters, strides, block, project)


def _sum(
    x: Tensor, branch: Tensor, filters: int, strides: int, block: Block, project: bool
) -> Tensor:
    if project:
        x = block.conv(x, filters, 1, strides=strides, activation=None, **_STYLE)
    return block.activate(block.add(x, branch))
