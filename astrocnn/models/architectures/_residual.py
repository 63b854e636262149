"""Residual networks of He et al., of any depth: post-activation, option B.

A stem, then four stages with 64, 128, 256 and 512 filters; a block is summed with its input, then
ReLU.  The first block of the last three stages halves the image, and its input takes a 1x1
convolution of stride 2 (option B of the paper).  The mean of each map goes to the head.

The stem of the paper, a 7x7 convolution of stride 2 and 3x3 max pooling of stride 2, reduces the
image fourfold before the first block, which suits images of 112 pixels and more.  Smaller stamps
take one 3x3 convolution of stride 1 (as in section 4.2 of the paper for images of 32 pixels).
``Options(stem=...)`` overrules the choice.

A stride of 2 is in the 3x3 convolution of a bottleneck and padding is equal on either side, as in
the published weights, which come from torchvision and timm.

References
----------
He et al. 2016, CVPR, 770 (arXiv:1512.03385), table 1, figures 2, 3 and 5, section 4.2.
"""

from __future__ import annotations

from typing import Any

from astrocnn.models.architectures.base import Block, Published, Tensor

__all__ = ["published", "residual"]

_STYLE: dict[str, Any] = {
    "normalization": "batch",
    "epsilon": 1e-5,
    "initializer": "he_normal",
    "padding": "symmetric",
}


def published(depths: tuple[int, ...], *, bottleneck: bool = False) -> Published:
    """Names in the files of torchvision and timm, by layer."""
    convolutions, norms = ["conv1"], ["bn1"]
    for stage, depth in enumerate(depths, 1):
        for number in range(depth):
            block = f"layer{stage}.{number}"
            for k in range(1, 4 if bottleneck else 3):
                convolutions.append(f"{block}.conv{k}")
                norms.append(f"{block}.bn{k}")
            if not number and (bottleneck or stage > 1):
                convolutions.append(f"{block}.downsample.0")
                norms.append(f"{block}.downsample.1")
    names = {f"conv{k}": name for k, name in enumerate(convolutions, 1)}
    names |= {f"norm{k}": name for k, name in enumerate(norms, 1)}
    return Published((names,), options={"stem": "large"})


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
        x = block.pool(x, 3, strides=2, padding="symmetric")
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
    branch = block.conv(x, filters, 1, **_STYLE)
    branch = block.conv(branch, filters, 3, strides=strides, **_STYLE)
    branch = block.conv(branch, 4 * filters, 1, activation=None, **_STYLE)
    return _sum(x, branch, 4 * filters, strides, block, project)


def _sum(
    x: Tensor, branch: Tensor, filters: int, strides: int, block: Block, project: bool
) -> Tensor:
    if project:
        x = block.conv(x, filters, 1, strides=strides, activation=None, **_STYLE)
    return block.activate(block.add(x, branch))
