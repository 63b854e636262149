"""EfficientNet-Lite: inverted residual blocks, for devices with little power, and few images.

A 3x3 convolution of stride 2 with 32 filters; blocks in seven stages; a 1x1 convolution to 1280
maps, and their mean.  A block widens its maps sixfold by a 1x1 convolution (not in the first
stage), convolves each map by itself, narrows them by a 1x1 convolution, and is summed with its
input where both have one shape.  Batch normalization follows each convolution, and ReLU6 all but
the narrowing ones.  It is EfficientNet without squeeze and excitation, and with ReLU6 in place of
swish; the larger sizes scale the stages, but neither the first and last convolution nor the depth
of the first and last stage.

Images of fewer than 112 pixels are not shrunk by the first convolution; ``Options(stem=...)``
overrules the choice.  Not taken: stochastic depth, which has no consistent mask.

References
----------
Tan & Le 2019, ICML (arXiv:1905.11946), table 1 (stages) and equation 3 (scaling).
Sandler et al. 2018, CVPR (arXiv:1801.04381), figure 3 (blocks).
Liu 2020, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog (the changes).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from astrocnn.models.architectures.base import Block, Published, Tensor, name_layers

__all__ = ["body", "published"]

_STYLE: dict[str, Any] = {"normalization": "batch", "initializer": "he_normal"}


class _Stage(NamedTuple):
    depth: int
    window: int
    strides: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def body(
    image: Tensor, scalars: Tensor, block: Block, width: float = 1.0, depth: float = 1.0
) -> Tensor:
    """Features of shape (batch, 1280) of a network of any size: factors on filters and blocks."""
    strides = 2 if block.large_stem(image) else 1
    x = block.conv(image, 32, 3, strides=strides, activation="relu6", **_STYLE)
    for stage in _scale(width, depth):
        for number in range(stage.depth):
            x = _inverted(x, stage, stage.strides if number == 0 else 1, block)
    x = block.conv(x, 1280, 1, activation="relu6", **_STYLE)
    return block.global_pool(x, scalars)


def published(package: str, width: float = 1.0, depth: float = 1.0) -> Published:
    """Names in the published files, by layer, and the installed package that holds one."""
    return Published(
        layouts=(name_layers(_modules(width, depth)),),
        # Pixels of 0 to 255 enter as (pixel - 127) / 128.
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        packages={"imagenet": package},
    )


def _scale(width: float, depth: float) -> Iterator[_Stage]:
    for number, stage in enumerate(_STAGES):
        blocks = stage.depth if number in (0, 6) else math.ceil(depth * stage.depth)
        # The nearest multiple of eight, unless it is more than a tenth too small.
        wanted = width * stage.filters
        filters = max(8, int(wanted + 4) // 8 * 8)
        yield stage._replace(depth=blocks, filters=filters + 8 * (filters < 0.9 * wanted))


def _inverted(x: Tensor, stage: _Stage, strides: int, block: Block) -> Tensor:
    branch = x
    if stage.expansion > 1:
        width = round(stage.expansion * int(x.shape[-1]) / block.options.width)
        branch = block.conv(branch, width, 1, activation="relu6", **_STYLE)
    branch = block.depthwise(
        branch, stage.window, strides=strides, activation="relu6", normalization="batch"
    )
    branch = block.conv(branch, stage.filters, 1, activation=None, **_STYLE)
    same = strides == 1 and tuple(branch.shape) == tuple(x.shape)
    return block.add(x, branch) if same else branch


def _modules(width: float, depth: float) -> Iterator[tuple[str, str]]:
    """Kind of layer here, and name there, in the order of computation."""
    yield from (("conv", "_conv_stem"), ("norm", "_bn0"))
    number = 0
    for stage in _scale(width, depth):
        for _ in range(stage.depth):
            place = f"_blocks.{number}"
            if stage.expansion > 1:
                yield from (("conv", f"{place}._expand_conv"), ("norm", f"{place}._bn0"))
            yield from (("conv", f"{place}._depthwise_conv"), ("norm", f"{place}._bn1"))
            yield from (("conv", f"{place}._project_conv"), ("norm", f"{place}._bn2"))
            number += 1
    yield from (("conv", "_conv_head"), ("norm", "_bn1"))
