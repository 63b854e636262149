"""What all architectures share: types of arguments, the published reference and weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from astrocnn.backend import Tensor

if TYPE_CHECKING:
    from astrocnn.models.blocks import Block
else:
    # Importing an architecture, to list it, must not import Keras.
    Block = Any

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "PACKAGE",
    "SUFFIXES",
    "Block",
    "Published",
    "Reference",
    "Tensor",
    "name_layers",
]

PACKAGE = "package:"
"""Before the name of an installed package that holds weights."""

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".h5", ".keras")
"""Usual endings of files that can be read."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of the pixels of ImageNet in red, green and blue, which go from 0 (black) to 1 (white)."""


class Reference(NamedTuple):
    """A published configuration and its number of trainable parameters."""

    paper: str
    size: int
    """Pixels a side."""
    n_channels: int
    units: int
    """Width of the one head."""
    parameters: int
    n_scalars: int = 0


class Published(NamedTuple):
    """Where published weights of an architecture stand in files of others."""

    layouts: tuple[Mapping[str, str], ...] = ()
    """For each naming in PyTorch files: the module by the name of the layer here."""
    keras_layouts: tuple[Mapping[str, str], ...] = ()
    """The same for files of ``keras.applications``."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    """Subtracted from, and divided into, the channels red, green, blue from 0 (black) to 1
    (white), where nothing beside the file says otherwise."""
    packages: Mapping[str, str] = {}
    """Installed packages that hold weights, by the name of the training set."""
    options: Mapping[str, Any] = {}
    """Options without which the weights have other shapes."""


def name_layers(modules: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Modules by the names that their layers get here, from kinds in the order of computation."""
    count: Counter[str] = Counter()
    names = {}
    for kind, module in modules:
        count[kind] += 1
        names[f"{kind}{count[kind]}"] = module
    return names
