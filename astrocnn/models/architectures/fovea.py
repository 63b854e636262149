"""Two streams: the middle of the image at full resolution, and all of it at half the resolution.

The fovea is `plain8` on the middle 40 pixels (41 where the side is odd; all of a smaller image):
the central object, and what blends with it.  The context sees the whole image through a 7x7
convolution that steps by two pixels, followed by seven 3x3 convolutions with poolings as in
`plain8`: 48, 64, 128 and 256 filters in pairs.  Its last maps depend on 137 pixels a side, enough
to see a trail as a line.  The means of the maps of the fovea and the maxima of those of the
context are joined: a defect counts wherever it is, and however small it is.

Unlike in the paper, the context is not shrunk beforehand: the strided filters, 12 for each pixel
they replace, are trained, so that what is sharper than a star stays visible.

On images much larger than the fovea this costs about a third of `plain8`.  Grad-CAM and deconvnet
show the context only, the last layer with maps of the whole image.

Parameters with one band: 1,170,720 (kernels of the fovea; no biases) + 1,920 (normalization) +
1,193,520 (kernels of the context) + 1,984 (normalization) + 513 for each number of the head.

References
----------
Karpathy et al. 2014, CVPR, 1725, section 3.2 (fovea and context streams).
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["HEAD_DROPOUT", "REFERENCE", "features"]

REFERENCE = Reference("counted by hand", 150, 1, 1, 2_368_657)
HEAD_DROPOUT = 0.5

_FOVEA = 40  # pixels a side


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 512)."""
    # Of the same parity as the image, so that the middle stays the middle.
    fovea = block.crop(image, _FOVEA + int(image.shape[1]) % 2)
    fovea = _pair(fovea, 32, block)
    context = _convolve(image, 48, block, window=7, strides=2)
    context = _convolve(context, 48, block)
    for filters in (64, 128, 256):
        fovea = _pair(block.pool(fovea), filters, block)
        context = _pair(block.pool(context), filters, block)
    return block.concatenate(
        block.global_pool(fovea), block.global_pool(context, scalars, kind="max")
    )


def _pair(x: Tensor, filters: int, block: Block) -> Tensor:
    return _convolve(_convolve(x, filters, block), filters, block)


def _convolve(
    x: Tensor, filters: int, block: Block, *, window: int = 3, strides: int = 1
) -> Tensor:
    return block.conv(
        x,
        filters,
        window,
        strides=strides,
        padding="symmetric",
        normalization="batch",
        initializer="he_normal",
    )
