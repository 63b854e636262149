"""What goes into a model: bands, size, scale and normalization of the images, and the scalars."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import ConfigError, InputsError
from astrocnn.flags import UNUSABLE, Flag
from astrocnn.imaging.normalization import Normalization
from astrocnn.imaging.photometry import compare_units
from astrocnn.stored_files import parse_json, validate

__all__ = ["Inputs", "SCALE_TOLERANCE", "find_image_differences"]

MAX_SIZE = 16384
"""Largest side of a cutout [pixel]: a file that states more is damaged, or means harm."""


@dataclass(frozen=True)
class Inputs:
    """The images and scalars that a model takes; saved with the model.

    Parameters
    ----------
    bands : tuple of str
        Names of the bands, in the order of the last image axis.  None at all for a model that
        takes scalars only and looks at no image.
    size : int
        Height and width of the cutouts [pixel]; 0 without bands.
    pixel_scale : float, optional
        [arcsec/pixel]; None when it is not known.
    unit : str, optional
        Unit of the pixel values; None when it is not known.
    scalars : tuple of str
        Catalogue columns that enter the model beside the image.
    normalization : Normalization, optional
        None until it has been fitted on the training split.
    mask_channel : bool
        One more channel per band: 1 where there are data, 0 where there are none.  Follows
        `normalization` when that is given.
    scalar_location, scalar_scale : tuple of float
        Subtracted from, and divided into, each scalar; empty until they have been fitted on the
        training split (`with_scalar_statistics`), and then scalars enter as they are.

    Examples
    --------
    >>> inputs = Inputs(bands=(), size=0, scalars=("mag_r",))
    >>> inputs = inputs.with_scalar_statistics(np.array([[17.0], [19.0], [np.nan]]))
    >>> inputs.standardize(np.array([[20.0]])).tolist()
    [[2.0]]
    """

    bands: tuple[str, ...]
    size: int
    pixel_scale: float | None = None
    unit: str | None = None
    scalars: tuple[str, ...] = ()
    normalization: Normalization | None = None
    mask_channel: bool = False
    scalar_location: tuple[float, ...] = ()
    scalar_scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        set_ = object.__setattr__  # a frozen dataclass has no other way to clean its fields
        for name in ("bands", "scalars"):
            value = getattr(self, name)
            # "gri" would become three bands.
            if isinstance(value, str):
                raise ConfigError(f"'{name}' of the inputs is a list of names.", received=value)
            set_(self, name, tuple(str(item) for item in value))
        if len(set(self.bands)) != len(self.bands):
            raise ConfigError("Inputs need bands with different names.", received=self.bands)
        if not self.bands and not self.scalars:
            raise ConfigError(
                "Inputs without bands need at least one scalar.",
                hint='bands = ["r"] for images, or scalars = ["mag_g", "mag_r"] for a model of '
                "catalogue columns",
            )
        if len(set(self.scalars)) != len(self.scalars):
            raise ConfigError("A scalar is named twice.", received=self.scalars)
        # True is a whole number to Python.
        if isinstance(self.size, bool) or int(self.size) != self.size or self.size < 0:
            raise ConfigError(
                "The size of the cutouts is a whole number of pixels.", received=self.size
            )
        if self.size > MAX_SIZE:
            raise ConfigError(
                "The cutouts are too large.", received=self.size, allowed=f"{MAX_SIZE} pixels"
            )
        set_(self, "size", int(self.size))
        if (self.size > 0) != bool(self.bands):
            raise ConfigError(
                "The size of the cutouts is a whole number of pixels, and 0 without bands.",
                received=f"size {self.size} with the bands ({', '.join(self.bands)})",
            )
        if self.pixel_scale is not None:
            set_(self, "pixel_scale", float(self.pixel_scale))
            if not 0 < self.pixel_scale < float("inf"):
                raise ConfigError(
                    "The pixel scale is a positive number of arcsec/pixel.",
                    received=self.pixel_scale,
                )
        if self.unit is not None:
            set_(self, "unit", str(self.unit))
        if self.normalization is not None:
            if self.normalization.n_bands != len(self.bands):
                raise ConfigError(
                    "The normalization is for another number of bands.",
                    received=self.normalization.n_bands,
                    allowed=f"{len(self.bands)} ({', '.join(self.bands)})",
                )
            # The normalization makes the masks, so that it decides.
            set_(self, "mask_channel", self.normalization.mask_channel)
        self._clean_scalar_statistics()

    def _clean_scalar_statistics(self) -> None:
        for name in ("scalar_location", "scalar_scale"):
            values = tuple(float(v) for v in getattr(self, name))
            object.__setattr__(self, name, values)
            positive = name == "scalar_location" or min(values, default=1.0) > 0
            finite = bool(np.all(np.isfinite(values)))
            if not (positive and finite) or len(values) not in (0, len(self.scalars)):
                raise ConfigError(
                    f"'{name}' needs one finite number per scalar; scales are positive.",
                    received=values,
                    allowed=f"{len(self.scalars)} numbers, or none",
                )
        if len(self.scalar_location) != len(self.scalar_scale):
            raise ConfigError(
                "Location and scale of the scalars are given together or not at all.",
                received=f"{len(self.scalar_location)} and {len(self.scalar_scale)} numbers",
            )

    @classmethod
    def from_source(
        cls, source: Any, *, scalars: tuple[str, ...] = (), mask_channel: bool = False
    ) -> Inputs:
        """Build the inputs of a model for a source, before a normalization is fitted.

        Parameters
        ----------
        source : Source or Shards
            Gives bands, size, pixel scale and unit.
        scalars, mask_channel
            As for the class.

        Examples
        --------
        >>> import numpy as np
        >>> from astrocnn.imaging import ArraySource
        >>> Inputs.from_source(ArraySource(np.zeros((3, 8, 8, 2)), ("g", "r"), unit="nJy")).shape
        (8, 8, 2)
        """
        return cls(
            bands=tuple(source.bands),
            size=source.size,
            pixel_scale=source.pixel_scale,
            unit=source.unit,
            scalars=scalars,
            mask_channel=mask_channel,
        )

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return len(self.bands)

    @property
    def n_channels(self) -> int:
        """Channels of the normalized image: the bands, and their masks if `mask_channel` is set."""
        return self.n_bands * (2 if self.mask_channel else 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one normalized image: (size, size, n_channels)."""
        return self.size, self.size, self.n_channels

    def with_normalization(self, normalization: Normalization) -> Inputs:
        """Return the same inputs with a fitted normalization."""
        return replace(self, normalization=normalization)

    @property
    def refused(self) -> Flag:
        """Flags of which any one excludes a row from these inputs.

        Without bands only a missing scalar does; with mask channels some bands may lack data.
        """
        if not self.bands:
            return Flag.SCALAR_MISSING
        return UNUSABLE if self.mask_channel else UNUSABLE | Flag.BAND_MISSING

    def with_scalar_statistics(self, scalars: NDArray[np.floating]) -> Inputs:
        """Return the same inputs with the mean and standard deviation of scalars.

        Parameters
        ----------
        scalars : ndarray of shape (n, n_scalars)
            Of the training split; values that are not finite do not count.  A column without
            spread keeps the scale 1.

        Raises
        ------
        InputsError
            If a column has no finite value.
        """
        values = np.asarray(scalars, np.float64)
        finite = np.isfinite(values)
        if not finite.any(axis=0).all():
            empty = [name for name, k in zip(self.scalars, finite.T, strict=True) if not k.any()]
            raise InputsError("A scalar has no value in any row of the training.", received=empty)
        location = np.mean(values, axis=0, where=finite)
        scale = np.std(values, axis=0, where=finite)
        # What rounding alone leaves of a constant is not a spread.
        constant = scale <= 1e-6 * np.abs(location)
        scale = np.where(constant, 1.0, scale)
        return replace(
            self, scalar_location=tuple(location.tolist()), scalar_scale=tuple(scale.tolist())
        )

    def standardize(self, scalars: NDArray[np.floating]) -> NDArray[np.float32]:
        """Scalars as a model takes them: ``(value - location) / scale``, float32.

        Parameters
        ----------
        scalars : ndarray of shape (n, n_scalars)
            As in the catalogue; NaN stays NaN.
        """
        if not self.scalar_location:
            return np.asarray(scalars, np.float32)
        values = np.asarray(scalars, np.float64)
        with np.errstate(over="ignore"):
            # In double precision: single precision keeps no hours of a Julian date.
            z = (values - np.array(self.scalar_location)) / np.array(self.scalar_scale)
            return z.astype(np.float32)

    def check(self, other: Any) -> None:
        """Refuse images that are not of the kind described here.

        Parameters
        ----------
        other : Source, Shards or Inputs
            Anything with ``bands``; ``size``, ``pixel_scale``, ``unit`` and ``scalars`` are
            compared where both are known.  Inputs without bands accept any images.

        Raises
        ------
        InputsError
            Listing every difference.
        """
        differences = find_image_differences(self, other) if self.bands else []
        if isinstance(other, Inputs) and other.scalars != self.scalars:
            differences.append(
                f"scalars: got ({', '.join(other.scalars)}), expected ({', '.join(self.scalars)})"
            )
        if differences:
            raise InputsError(
                "The images are not of the kind expected:\n  - " + "\n  - ".join(differences),
                hint="use a survey with the same bands, pixel scale and unit, or train anew",
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Inputs:
        """The inverse of `to_dict`.

        Raises
        ------
        ConfigError
            If a value is unknown, absent or of another type.
        """
        inputs: Inputs = validate(mapping, cls, "The description of inputs", ConfigError)
        return inputs

    def to_json(self) -> str:
        """JSON text; every number survives the round trip exactly."""
        return json.dumps(self.to_dict(), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Inputs:
        """The inverse of `to_json`; raises as `from_dict`."""
        inputs: Inputs = parse_json(text, cls, "The description of inputs", ConfigError)
        return inputs


SCALE_TOLERANCE = 0.01
"""Largest relative difference of two pixel scales that count as the same."""


def find_image_differences(expected: Any, got: Any) -> list[str]:
    """List the differences, one sentence each; a value unknown on either side is not compared.

    Parameters
    ----------
    expected : Inputs
        Has bands.
    got : Source, Shards or Inputs
        Anything with ``bands``.
    """
    differences = _band_differences(expected.bands, tuple(got.bands))
    size = getattr(got, "size", None)
    if size is not None and int(size) != expected.size:
        differences.append(f"size: the images have {size} pixels a side, expected {expected.size}")
    scale = getattr(got, "pixel_scale", None)
    both_scales_known = scale is not None and expected.pixel_scale is not None
    # Headers round the scale, and it varies over wide fields; a percent changes no shape.
    ratio = float(scale) / expected.pixel_scale if both_scales_known else 1.0  # type: ignore[arg-type]
    if abs(ratio - 1) > SCALE_TOLERANCE:
        differences.append(
            f"pixel scale: {scale:.6g} arcsec/pixel, expected {expected.pixel_scale:.6g} "
            f"(within {100 * SCALE_TOLERANCE:.0f} %)"
        )
    unit = getattr(got, "unit", None)
    if expected.unit is not None and unit is not None and not _same_unit(expected.unit, str(unit)):
        differences.append(f"unit: the images are in '{unit}', expected '{expected.unit}'")
    return differences


def _band_differences(expected: tuple[str, ...], got: tuple[str, ...]) -> list[str]:
    if got == expected:
        return []
    # The order counts, since the first layer has weights for each channel.
    if sorted(got) == sorted(expected):
        return [f"bands: in the order {', '.join(got)}, expected {', '.join(expected)}"]
    parts = [f"bands: got {', '.join(got)}, expected {', '.join(expected)}"]
    if missing := [band for band in expected if band not in got]:
        parts.append(f"missing {', '.join(missing)}")
    if extra := [band for band in got if band not in expected]:
        parts.append(f"not expected {', '.join(extra)}")
    return ["; ".join(parts)]


def _same_unit(first: str, second: str) -> bool:
    # One unit can be written in several ways.
    return first == second or compare_units(second, first) == 1
