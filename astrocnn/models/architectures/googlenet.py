"""GoogLeNet: nine inception modules, with 1x1 convolutions that make the wide ones affordable.

Input of 224 x 224 pixels in three bands; a 7x7 convolution of stride 2 with 64 filters, max
pooling, 1x1 with 64 and 3x3 with 192, max pooling; two modules, max pooling, five, max pooling,
two; the mean of each map, dropout of 0.4, and the head.  Poolings are 3x3 with stride 2.

A module has four branches side by side: 1x1; 1x1 then 3x3; 1x1 then 5x5; 3x3 max pooling then 1x1.

With 1000 classes it has 6,998,552 parameters.  The table of the paper adds up to 6,798 K, where K
is 1024 and biases are left out: 6.96 million.  Module by module it does not always follow from the
filters it lists (463 K for the third module of the second group, which has 497 K), from which the
number here is computed.

Images of fewer than 112 pixels would be one pixel wide before the last modules: for them the first
convolution steps by one pixel and the first pooling is left out, with the same parameters;
``Options(stem=...)`` overrules the choice.

``Options(auxiliary=0.3)`` trains with the two auxiliary classifiers of the paper, after the first
and the fourth module of the second group: 5x5 average pooling of stride 3, 1x1 with 128 filters, a
dense layer of 1024, dropout of 0.7 and a head.  They are left away after the training.  Ioffe &
Szegedy 2015 found ``Options(normalization="batch")`` to serve the same end.

Not taken: the normalization over neighboring maps near the input.

References
----------
Szegedy et al. 2015, CVPR (arXiv:1409.4842), section 5, table 1, figures 2b and 3.
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["AUXILIARY", "HEAD_DROPOUT", "REFERENCE", "auxiliary", "features"]

REFERENCE = Reference("Szegedy et al. 2015, without auxiliary heads", 224, 3, 1000, 6_998_552)
HEAD_DROPOUT = 0.4

AUXILIARY = ("concat3", "concat6")
"""Layers from whose maps auxiliary heads answer."""

# Filters of 1x1; of 1x1 before 3x3, and 3x3; of 1x1 before 5x5, and 5x5; after the pooling.
_MODULES = {
    "3": ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    "4": (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    "5": ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
}


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 1024)."""
    large = block.large_stem(image)
    x = block.conv(image, 64, 7, strides=2 if large else 1, initializer="he_normal")
    x = _halve(x, block) if large else x
    x = block.conv(x, 64, 1, initializer="he_normal")
    x = block.conv(x, 192, 3, initializer="he_normal")
    for modules in _MODULES.values():
        x = _halve(x, block)
        for filters in modules:
            x = _inception(x, filters, block)
    return block.global_pool(x, scalars)


def auxiliary(maps: Tensor, block: Block) -> Tensor:
    """What an auxiliary head makes of the maps in the middle; shape (batch, 1024)."""
    # Maps of small stamps may be narrower than the window of the paper.
    x = block.pool(maps, min(5, int(maps.shape[1])), strides=3, kind="average")
    x = block.conv(x, 128, 1, initializer="he_normal")
    x = block.dense(block.flatten(x), 1024, initializer="he_normal")
    return block.dropout(x, 0.7)


def _inception(x: Tensor, filters: tuple[int, ...], block: Block) -> Tensor:
    one, before_three, three, before_five, five, pooled = filters

    def conv(t: Tensor, count: int, window: int) -> Tensor:
        return block.conv(t, count, window, initializer="he_normal")

    return block.concatenate(
        conv(x, one, 1),
        conv(conv(x, before_three, 1), three, 3),
        conv(conv(x, before_five, 1), five, 5),
        conv(block.pool(x, 3, strides=1, padding="same"), pooled, 1),
    )


def _halve(x: Tensor, block: Block) -> Tensor:
    return block.pool(x, 3, strides=2, padding="same")
