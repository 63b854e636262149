"""What all architectures share: types of their arguments, and the published reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from astrocnn.backend import Tensor

if TYPE_CHECKING:
    from astrocnn.models.blocks import Block
else:
    # Importing an architecture, to list it, must not import Keras.
    Block = Any

__all__ = ["Block", "Reference", "Tensor"]


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
