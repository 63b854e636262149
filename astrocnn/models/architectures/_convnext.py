"""Blocks of ConvNeXt: a convolutional network with the proportions of a vision transformer.

A stem of 4x4 patches, layer normalization; four stages of blocks, each with twice as many filters
as the one before, with layer normalization and a 2x2 convolution of stride 2 between them; the mean
of each map, layer normalization, and the head.  A block is a 7x7 convolution of each map by itself,
layer normalization, a dense layer in each pixel to four times as many maps, GELU, a dense layer
back, a factor for each map that begins at 1e-6, and the sum with its input.

Images of fewer than 112 pixels take patches of 2x2 instead of 4x4; ``Options(stem=...)`` overrules
the choice.

Not taken: stochastic depth, which is a dropout of whole blocks that differ from object to object
and has no consistent mask.

References
----------
Liu et al. 2022, CVPR (arXiv:2201.03545), section 2 and table 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from astrocnn.models.architectures.base import Block, Published, Tensor, name_layers

__all__ = ["body", "published"]

_EPSILON = 1e-6


def body(
    image: Tensor, scalars: Tensor, block: Block, depths: tuple[int, ...], filters: int
) -> Tensor:
    """Features of a network of any size: blocks in each stage, and filters of the first."""
    patch = 4 if block.large_stem(image) else 2
    x = _patches(image, filters, patch, block)
    x = _normalize(x, block)
    for stage, depth in enumerate(depths):
        if stage:
            x = _normalize(x, block)
            x = _patches(x, filters * 2**stage, 2, block)
        for _ in range(depth):
            x = _block(x, filters * 2**stage, block)
    x = block.global_pool(x)
    x = _normalize(x, block)
    return x if scalars is None else block.concatenate(x, scalars)


def _normalize(x: Tensor, block: Block) -> Tensor:
    return block.normalize(x, "layer", epsilon=_EPSILON)


def _patches(x: Tensor, filters: int, side: int, block: Block) -> Tensor:
    return block.conv(x, filters, side, strides=side, padding="valid", activation=None)


def _block(x: Tensor, filters: int, block: Block) -> Tensor:
    branch = block.depthwise(x, 7)
    branch = _normalize(branch, block)
    branch = block.dense(branch, 4 * filters, activation="gelu")
    branch = block.dense(branch, filters, activation=None)
    return block.add(x, block.scale(branch))


def published(depths: tuple[int, ...], keras_name: str | None = None) -> Published:
    """Names in the files of timm and of the authors, and of ``keras.applications`` if it has it."""
    pairs = product((True, False), repeat=2) if keras_name else ()
    return Published(
        layouts=(name_layers(_timm(depths)), name_layers(_authors(depths))),
        keras_layouts=tuple(
            name_layers(_keras(depths, keras_name or "", flat=flat, top=top)) for flat, top in pairs
        ),
        options={"stem": "large"},
    )


def _timm(depths: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Kind of layer here, and module there, in the order of computation."""
    parts = ("conv_dw", "norm", "mlp.fc1", "mlp.fc2", "gamma")
    return _modules(
        depths, "stem", "stages.{}.downsample", "stages.{}.blocks.{}", parts, "head.norm"
    )


def _authors(depths: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    parts = ("dwconv", "norm", "pwconv1", "pwconv2", "gamma")
    step = "downsample_layers.{}"
    return _modules(depths, step.format(0), step, "stages.{}.{}", parts, "norm")


def _modules(
    depths: tuple[int, ...], stem: str, step: str, block: str, parts: tuple[str, ...], last: str
) -> Iterator[tuple[str, str]]:
    """As `_timm`, from the names of a stem, of a step between stages, of a block and its parts."""
    yield from (("conv", f"{stem}.0"), ("norm", f"{stem}.1"))
    for stage, depth in enumerate(depths):
        if stage:
            yield from (("norm", f"{step.format(stage)}.0"), ("conv", f"{step.format(stage)}.1"))
        for number in range(depth):
            place = block.format(stage, number)
            kinds = ("conv", "norm", "dense", "dense", "scale")
            yield from ((kind, f"{place}.{part}") for kind, part in zip(kinds, parts, strict=True))
    yield "norm", last


def _keras(
    depths: tuple[int, ...], name: str, *, flat: bool, top: bool
) -> Iterator[tuple[str, str]]:
    """As `_timm`, for files of ``keras.applications``.

    In `flat` files, as they are published, the weights of a stem or a step between stages are one
    list; ``name:2`` is a layer whose own begin with the third.
    """
    stem = f"{name}_stem"
    yield "conv", stem if flat else f"{stem}_conv"
    yield "norm", f"{stem}:2" if flat else f"{stem}_layernorm"
    for stage, depth in enumerate(depths):
        if stage:
            step = f"{name}_downsampling"
            block = f"{step}_block_{stage - 1}"
            yield "norm", block if flat else f"{step}_layernorm_{stage - 1}"
            yield "conv", f"{block}:2" if flat else f"{step}_conv_{stage - 1}"
        for number in range(depth):
            place = f"{name}_stage_{stage}_block_{number}"
            yield from (("conv", f"{place}_depthwise_conv"), ("norm", f"{place}_layernorm"))
            yield from (("dense", f"{place}_pointwise_conv_{k}") for k in (1, 2))
            yield "scale", f"{place}_layer_scale"
    yield "norm", f"{name}_head_layernorm" if top else "layer_normalization"
