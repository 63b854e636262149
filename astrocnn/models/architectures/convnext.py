"""ConvNeXt: a convolutional network with the proportions of a vision transformer, in a small size.

A stem of 4x4 patches, layer normalization; four stages of 2, 2, 6 and 2 blocks with 40, 80, 160
and 320 filters, with layer normalization and a 2x2 convolution of stride 2 between them; the mean
of each map, layer normalization, and the head.  A block is a 7x7 convolution of each map by itself,
layer normalization, a dense layer in each pixel to four times as many maps, GELU, a dense layer
back, a factor for each map that begins at 1e-6, and the sum with its input.

The number of parameters with 1000 classes is 3,695,520.  The paper's smallest, Tiny, has depths of
3, 3, 9 and 3 and widths from 96 to 768, with 28.6 million; in these proportions `body` has
28,589,128.  This size, Atto, is that of Woo et al. 2023 (3.7 million) in the blocks of the first
paper: a few thousand galaxies do not feed more.

Images of fewer than 112 pixels take patches of 2x2 instead of 4x4; ``Options(stem=...)`` overrules
the choice.

Not taken: stochastic depth, which is a dropout of whole blocks that differ from object to object
and has no consistent mask.

References
----------
Liu et al. 2022, CVPR (arXiv:2201.03545), section 2 and table 9.
Woo et al. 2023, CVPR (arXiv:2301.00808), section 4 (sizes).
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["REFERENCE", "body", "features"]

REFERENCE = Reference("Liu et al. 2022, Atto of Woo et al. 2023", 224, 3, 1000, 3_695_520)


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 320)."""
    return body(image, scalars, block, (2, 2, 6, 2), 40)


def body(
    image: Tensor, scalars: Tensor, block: Block, depths: tuple[int, ...], filters: int
) -> Tensor:
    """Features of a network of any size: blocks in each stage, and filters of the first.

    Each stage has twice as many filters as the one before.
    """
    patch = 4 if block.large_stem(image) else 2
    x = _patches(image, filters, patch, block)
    x = block.normalize(x, "layer")
    for stage, depth in enumerate(depths):
        if stage:
            x = block.normalize(x, "layer")
            x = _patches(x, filters * 2**stage, 2, block)
        for _ in range(depth):
            x = _block(x, filters * 2**stage, block)
    x = block.global_pool(x)
    x = block.normalize(x, "layer")
    return x if scalars is None else block.concatenate(x, scalars)


def _patches(x: Tensor, filters: int, side: int, block: Block) -> Tensor:
    return block.conv(x, filters, side, strides=side, padding="valid", activation=None)


def _block(x: Tensor, filters: int, block: Block) -> Tensor:
    branch = block.depthwise(x, 7)
    branch = block.normalize(branch, "layer")
    branch = block.dense(branch, 4 * filters, activation="gelu")
    branch = block.dense(branch, filters, activation=None)
    return block.add(x, block.scale(branch))
