"""Which methods are used: those that were named, or the usual ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.explain import METHODS

__all__ = ["MAPS", "map_methods", "methods_of"]

MAPS = ("integrated_gradients", "occlusion", "grad_cam", "smooth_grad", "deconvnet")
"""Methods whose maps are made when none are named."""


def map_methods() -> tuple[str, ...]:
    """Names of the methods that lay a map on the pixels."""
    known = plugins.module_names(METHODS)
    return tuple(name for name in known if hasattr(plugins.load_module(METHODS, name), "pixel_map"))


def methods_of(
    named: Sequence[str], wholes: Mapping[str, bool]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Methods that were named, or the usual ones: with maps, and of the network as a whole.

    Parameters
    ----------
    named : sequence of str
        None for the usual ones.
    wholes : mapping of str to bool
        Methods of the network as a whole, and whether they are usual.

    Raises
    ------
    ConfigError
        If there is no such method; the message holds the nearest name.
    """
    maps = map_methods()
    if not named:
        return MAPS, tuple(name for name, usual in wholes.items() if usual)
    known = dict.fromkeys((*maps, *wholes))
    for name in named:
        if name not in known:
            raise ConfigError(
                f"There is no method '{name}'.",
                allowed=tuple(known),
                hint=plugins.nearest(name, known),
            )
    asked = tuple(dict.fromkeys(named))
    # One file may do both: a name then asks for the map.
    return (
        tuple(name for name in asked if name in maps),
        tuple(name for name in asked if name not in maps),
    )
