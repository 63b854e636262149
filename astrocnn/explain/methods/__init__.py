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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.errors import ConfigError

__all__ = [
    "METHODS",
    "AttributionMethod",
    "InspectionMethod",
    "find_method",
    "get_method",
    "get_title",
    "select_methods",
]

METHODS = "astrocnn.explain.methods"
"""Package whose modules are the methods."""


@dataclass(frozen=True, eq=False)
class AttributionMethod:
    """A method whose result lies on the pixels of given images, or on scalars as strips of pixels.

    ``compute(model, images, target, *, scalars=None, batch_size=64, **options)`` returns an array
    of shape (n, height, width) or (n, height, width, n_channels), positive where a pixel raises the
    target, or an object with such an array as ``attribution`` and with ``residual``, of shape
    (n,): by how much the sum of the attributions misses the change of the target.
    """

    compute: Callable[..., Any]
    title: str = ""
    """Title in figures and tables; by default the name of the method with spaces."""
    meaning: str = ""
    scalars_meaning: str = ""
    """Meaning of its map of an image, and of its value of a scalar, for the report; the latter is
    empty if it does not explain scalars."""
    unit: str = ""
    scalars_unit: str = ""
    """The same for the header of a FITS file."""
    default: bool = False
    """Whether it is used when no methods are named."""
    is_gradient: bool = False
    """Whether values are per standard deviation of an input."""
    report_options: Mapping[str, Any] = field(default_factory=dict)
    report_options_scalars: Mapping[str, Any] = field(default_factory=dict)
    """Options of `compute` for a report on many objects, of images and of scalars."""
    square: str = ""
    """Name of the option that takes the side of a hidden square [pixel], if it has one."""

    def __post_init__(self) -> None:
        # `astrocnn.plugins` names a method by its module: the file of the method, not this one.
        object.__setattr__(self, "__module__", self.compute.__module__)

    def __call__(
        self, model: Any, images: Any, target: Any, **options: Any
    ) -> NDArray[np.floating]:
        """The maps alone."""
        result = self.compute(model, images, target, **options)
        return np.asarray(getattr(result, "attribution", result))


@dataclass(frozen=True, eq=False)
class InspectionMethod:
    """A method that inspects the whole network."""

    inspect: Callable[[Any], Sequence[Any]]
    """From an `astrocnn.explain.explained_network.Inspection` to extensions of a FITS file."""
    plot: Callable[[Sequence[Any], Any], Sequence[Any]]
    """From these extensions and an `astrocnn.explain.Explanation` to pictures of a report."""
    default: bool = True
    needs_objects: bool = False
    """Whether it needs objects of the test split."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "__module__", self.inspect.__module__)

    def __call__(self, inspection: Any) -> Sequence[Any]:
        """The extensions."""
        return self.inspect(inspection)


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
    declared = isinstance(method, (AttributionMethod, InspectionMethod))
    return method if declared else AttributionMethod(method)


def get_title(name: str) -> str:
    """The title of a method in figures and tables, by default its name with spaces."""
    return getattr(find_method(name), "title", "") or name.replace("_", " ")


def find_method(name: str) -> AttributionMethod | InspectionMethod | None:
    """A method by name, or None: files may come from where other methods are installed."""
    try:
        return get_method(name)
    except ConfigError:
        return None


def select_methods(
    named: Sequence[str] = (),
) -> tuple[dict[str, AttributionMethod], dict[str, InspectionMethod]]:
    """Methods of attribution and of inspection by short name: those named, or the default ones.

    Names are those of `get_method`, given by the user, so that their files and modules may be
    imported.

    Raises
    ------
    ConfigError
        If there is no such method; the message holds the nearest name.
    """
    methods = {}
    for name in named or plugins.names("explain"):
        method = get_method(name, trusted=bool(named))
        if named or method.default:
            methods[short := _get_short_name(name)] = method
            if plugins.is_outside(name):
                # Later look-ups in this process, for instance by the report, use the short name.
                _outside[short] = method
    return (
        {name: m for name, m in methods.items() if isinstance(m, AttributionMethod)},
        {name: m for name, m in methods.items() if isinstance(m, InspectionMethod)},
    )


def _get_short_name(name: str) -> str:
    """Name of a method in files and figures: that of its attribute, or else of its file."""
    place, _, attribute = name.rpartition(":")
    return attribute if place and attribute != "METHOD" else Path(place or name).stem
