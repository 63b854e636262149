"""Declarations of explanation methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AttributionMethod", "InspectionMethod"]

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class AttributionMethod:
    """A method whose result lies on the pixels of given images, or on scalars as strips of pixels.

    Parameters
    ----------
    compute : callable
        ``compute(model, images, target, *, scalars=None, batch_size=64, **options)``; see
        `astrocnn.explain.methods` for the arguments.  Returns an array of shape (n, height, width)
        or (n, height, width, n_channels), positive where a pixel raises the target, or an object
        with such an array as ``attribution`` and with ``residual``, of shape (n,): by how much the
        sum of the attributions misses the change of the target.
    title : str
        Title in figures and tables; by default the name of the method with spaces.
    meaning : str
        Meaning of its map of an image, for the report.
    scalars_meaning : str
        Meaning of its value of a scalar, for the report; empty if it does not explain scalars.
    unit, scalars_unit : str
        Meaning of the value of a pixel and of a scalar, for the header of a FITS file.

    Other Parameters
    ----------------
    default : bool
        Whether it is used when no methods are named.
    is_gradient : bool
        Whether values are per standard deviation of an input.
    report_options, report_options_scalars : mapping of str to object
        Options of `compute` for a report on many objects, of images and of scalars.
    square : str
        Name of the option that takes the side of a hidden square [pixel]; empty if it has none.
    """

    compute: Callable[..., Any]
    title: str = ""
    meaning: str = ""
    scalars_meaning: str = ""
    unit: str = ""
    scalars_unit: str = ""
    default: bool = False
    is_gradient: bool = False
    report_options: Mapping[str, Any] = field(default_factory=dict)
    report_options_scalars: Mapping[str, Any] = field(default_factory=dict)
    square: str = ""

    def __post_init__(self) -> None:
        # `astrocnn.plugins` names a method by its module: the file of the method, not this one.
        object.__setattr__(self, "__module__", self.compute.__module__)

    def __call__(self, model: Any, images: Any, target: Any, **options: Any) -> Array:
        """The maps alone."""
        result = self.compute(model, images, target, **options)
        return np.asarray(getattr(result, "attribution", result))


@dataclass(frozen=True, eq=False)
class InspectionMethod:
    """A method that inspects the whole network.

    Parameters
    ----------
    inspect : callable
        From an `astrocnn.explain.inspection.Inspection` to extensions of a FITS file.
    plot : callable
        From these extensions and an `astrocnn.explain.Explanation` to pictures of a report.
    default : bool
        Whether it is used when no methods are named.
    needs_objects : bool
        Whether it needs objects of the test split.
    """

    inspect: Callable[[Any], Sequence[Any]]
    plot: Callable[[Sequence[Any], Any], Sequence[Any]]
    default: bool = True
    needs_objects: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "__module__", self.inspect.__module__)

    def __call__(self, inspection: Any) -> Sequence[Any]:
        """The extensions."""
        return self.inspect(inspection)
