"""What an architecture declares beside its layers."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Reference"]


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
