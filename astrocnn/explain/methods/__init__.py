"""Methods that explain a network, one a file.

A file holds a function of its name for Python, and ``METHOD``, an `AttributionMethod` or an
`InspectionMethod`, which declares how the command line, FITS files and the report use it.  A
function ``method(model, images, target, *, scalars=None, batch_size=64)`` is a method as well.
Every method of attribution takes

=============  ====================================================================================
`model`        keras.Model from ``{"image": ..., "scalars": ...}`` to raw outputs by target
`images`       array_like of shape (n, height, width, n_channels), normalized
`target`       `astrocnn.explain.ExplainTarget`, the number to be explained
`scalars`      array_like of shape (n, n_scalars), standardized, where the network takes them
`batch_size`   int, images at once; without influence on the result
=============  ====================================================================================

and raises `ModelError` if the network lacks what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.explain.methods.base import AttributionMethod, InspectionMethod

__all__ = [
    "METHODS",
    "AttributionMethod",
    "InspectionMethod",
    "get_method",
    "get_title",
    "select_methods",
]

METHODS = "astrocnn.explain.methods"
"""Package whose modules are the methods."""


_outside: dict[str, AttributionMethod | InspectionMethod] = {}


def get_method(name: str, *, trusted: bool = False) -> AttributionMethod | InspectionMethod:
    """A method by name.

    Parameters
    ----------
    name : str
        Of a file of this folder or an entry point, or ``module:attribute`` or
        ``path/to/file.py:attribute``.
    trusted : bool
        Whether the name comes from the user, so that it may be imported.

    Raises
    ------
    ConfigError
        If there is no such method; the message holds the nearest name.
    """
    if name in _outside:
        return _outside[name]
    method: Any = plugins.load("explain", name, trusted=trusted)
    if isinstance(method, (AttributionMethod, InspectionMethod)):
        return method
    return AttributionMethod(method)


def get_title(name: str) -> str:
    """The title of a method in figures and tables.

    Parameters
    ----------
    name : str
        Name of the method, as for `get_method`.

    Returns
    -------
    str
        For a method that is unknown or has no title its name, with spaces in place of underscores.
    """
    try:
        method = get_method(name)
    except ConfigError:
        method = None
    return getattr(method, "title", "") or name.replace("_", " ")


def select_methods(
    named: Sequence[str] = (),
) -> tuple[dict[str, AttributionMethod], dict[str, InspectionMethod]]:
    """Methods by short name: those that are named, or those that are used by default.

    Parameters
    ----------
    named : sequence of str
        Names as for `get_method`, given by the user, so that their files and modules may be
        imported; empty for the default methods.

    Returns
    -------
    attribution : dict of str to AttributionMethod
        Methods whose results lie on the inputs of an object.
    inspection : dict of str to InspectionMethod
        Methods that look at the network as a whole.

    Raises
    ------
    ConfigError
        If there is no such method; the message holds the nearest name.
    """
    methods = {}
    for name in named or plugins.names("explain"):
        method = get_method(name, trusted=bool(named))
        if named or method.default:
            methods[_get_short_name(name)] = method
    # Later look-ups in this process, for instance by the report, use the short name.
    _outside.update(
        {_get_short_name(n): methods[_get_short_name(n)] for n in named if plugins.is_outside(n)}
    )
    return (
        {name: m for name, m in methods.items() if isinstance(m, AttributionMethod)},
        {name: m for name, m in methods.items() if isinstance(m, InspectionMethod)},
    )


def _get_short_name(name: str) -> str:
    """Name of a method in files and figures: that of its attribute, or else of its file."""
    place, _, attribute = name.rpartition(":")
    return attribute if place and attribute != "METHOD" else Path(place or name).stem
