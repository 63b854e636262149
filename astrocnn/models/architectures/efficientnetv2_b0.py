"""EfficientNetV2-B0: fused and inverted residual blocks, with squeeze and excitation.

A 3x3 convolution of stride 2 with 32 filters; twenty-one blocks in six stages; a 1x1 convolution
to 1280 maps, and their mean.  The blocks of the last three stages are those of EfficientNet: a 1x1
convolution widens the maps, a 3x3 one convolves each by itself, squeeze and excitation weights
them, and a 1x1 one narrows them.  In the first three, one 3x3 convolution widens and convolves.  A
block is summed with its input where both have one shape.  Batch normalization follows each
convolution, and swish all but the narrowing ones.  Dropout of 0.2 stands before the head.

With three bands and 1000 classes it has 7,139,704 trainable parameters.  Published weights are
those of ``keras.applications``.  Images of fewer than 112 pixels are not shrunk by the first
convolution; ``Options(stem=...)`` overrules the choice.  Not taken: stochastic depth, which has no
consistent mask.

References
----------
Tan & Le 2021, ICML (arXiv:2104.00298), section 3.2, figure 2 (blocks).
Hu et al. 2018, CVPR (arXiv:1709.01507), section 3 (squeeze and excitation).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from astrocnn.models.architectures.base import Block, Published, Reference, Tensor, name_layers

__all__ = ["HEAD_DROPOUT", "PUBLISHED", "REFERENCE", "features"]

REFERENCE = Reference("Tan & Le 2021, B0 of keras.applications", 224, 3, 1000, 7_139_704)
HEAD_DROPOUT = 0.2

_STYLE: dict[str, Any] = {"normalization": "batch", "initializer": "he_normal"}


class _Stage(NamedTuple):
    depth: int
    strides: int
    expansion: int
    filters: int
    fused: bool


_STAGES = (
    _Stage(1, 1, 1, 16, True),
    _Stage(2, 2, 4, 32, True),
    _Stage(2, 2, 4, 48, True),
    _Stage(3, 2, 4, 96, False),
    _Stage(5, 1, 6, 112, False),
    _Stage(8, 2, 6, 192, False),
)


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 1280)."""
    strides = 2 if block.large_stem(image) else 1
    x = block.conv(image, 32, 3, strides=strides, activation="swish", **_STYLE)
    for stage in _STAGES:
        for number in range(stage.depth):
            x = _residual(x, stage, stage.strides if number == 0 else 1, block)
    x = block.conv(x, 1280, 1, activation="swish", **_STYLE)
    return block.global_pool(x, scalars)


def _residual(x: Tensor, stage: _Stage, strides: int, block: Block) -> Tensor:
    before = round(int(x.shape[-1]) / block.options.width)
    wide = stage.expansion * before
    if stage.expansion == 1:
        y = block.conv(x, stage.filters, 3, strides=strides, activation="swish", **_STYLE)
    elif stage.fused:
        y = block.conv(x, wide, 3, strides=strides, activation="swish", **_STYLE)
        y = block.conv(y, stage.filters, 1, activation=None, **_STYLE)
    else:
        y = block.conv(x, wide, 1, activation="swish", **_STYLE)
        y = block.depthwise(y, 3, strides=strides, activation="swish", normalization="batch")
        y = block.excite(y, before // 4)
        y = block.conv(y, stage.filters, 1, activation=None, **_STYLE)
    same = strides == 1 and tuple(y.shape) == tuple(x.shape)
    return block.add(x, y) if same else y


def _modules() -> Iterator[tuple[str, str]]:
    """Kind of layer here, and name there, in the order of computation."""
    yield from (("conv", "stem_conv"), ("norm", "stem_bn"))
    for number, stage in enumerate(_STAGES, 1):
        for letter in "abcdefgh"[: stage.depth]:
            place = f"block{number}{letter}_"
            if stage.expansion > 1:
                yield from (("conv", f"{place}expand_conv"), ("norm", f"{place}expand_bn"))
            if not stage.fused:
                yield from (("conv", f"{place}dwconv2"), ("norm", f"{place}bn"))
                yield from (("conv", f"{place}se_reduce"), ("conv", f"{place}se_expand"))
            yield from (("conv", f"{place}project_conv"), ("norm", f"{place}project_bn"))
    yield from (("conv", "top_conv"), ("norm", "top_bn"))


PUBLISHED = Published(keras_layouts=(name_layers(_modules()),))
