"""What goes into a model: the bands in their order, the size, the scale and the normalization."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from astrocnn.errors import ConfigError, InputsError
from astrocnn.imaging.normalization import Normalization

__all__ = ["Inputs"]

SCALE_TOLERANCE = 0.01
"""Largest relative difference of two pixel scales that count as the same."""


@dataclass(frozen=True)
class Inputs:
    """Description of the images and scalars a model takes; a trained model carries it.

    Parameters
    ----------
    bands : tuple of str
        Names of the bands, in the order of the last image axis.
    size : int
        Height and width of the cutouts [pixel].
    pixel_scale : float, optional
        [arcsec/pixel]; None when it is not known.
    unit : str, optional
        Unit of the pixel values; None when it is not known.
    scalars : tuple of str
        Catalogue columns that enter the model beside the image.
    normalization : Normalization, optional
        None until it has been fitted on the training split.
    mask_channel : bool
        One more channel per band that tells data from no data.  Follows `normalization` when
        that is given.
    """

    bands: tuple[str, ...]
    size: int
    pixel_scale: float | None = None
    unit: str | None = None
    scalars: tuple[str, ...] = ()
    normalization: Normalization | None = None
    mask_channel: bool = False

    def __post_init__(self) -> None:
        set_ = object.__setattr__  # a frozen dataclass has no other way to clean its fields
        for name in ("bands", "scalars"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise ConfigError(f"'{name}' of the inputs is a list of names.", received=value)
            set_(self, name, tuple(str(item) for item in value))
        if not self.bands or len(set(self.bands)) != len(self.bands):
            raise ConfigError("Inputs need bands with different names.", received=self.bands)
        if len(set(self.scalars)) != len(self.scalars):
            raise ConfigError("A scalar is named twice.", received=self.scalars)
        if isinstance(self.size, bool) or int(self.size) != self.size or self.size < 1:
            raise ConfigError(
                "The size of the cutouts is a whole number of pixels.", received=self.size
            )
        set_(self, "size", int(self.size))
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
            set_(self, "mask_channel", self.normalization.mask_channel)

    @classmethod
    def of(
        cls, source: Any, *, scalars: tuple[str, ...] = (), mask_channel: bool = False
    ) -> Inputs:
        """The inputs of a model that takes what a source gives, before a normalization is fitted.

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
        >>> Inputs.of(ArraySource(np.zeros((3, 8, 8, 2)), ("g", "r"), unit="nJy")).shape
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
        """Channels of the normalized image: the bands, and their masks when asked for."""
        return self.n_bands * (2 if self.mask_channel else 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one normalized image: (size, size, n_channels)."""
        return self.size, self.size, self.n_channels

    def with_normalization(self, normalization: Normalization) -> Inputs:
        """The same inputs carrying a fitted normalization."""
        return replace(self, normalization=normalization)

    def check(self, other: Any) -> None:
        """Refuse images that are not of the kind described here.

        Parameters
        ----------
        other : Source, Shards or Inputs
            Anything with ``bands``; ``size``, ``pixel_scale``, ``unit`` and ``scalars`` are
            compared where both sides know them.

        Raises
        ------
        InputsError
            Listing every difference.
        """
        differences = [
            *_band_differences(self.bands, tuple(other.bands)),
            *self._size_differences(other),
            *self._scale_differences(other),
        ]
        unit = getattr(other, "unit", None)
        if self.unit is not None and unit is not None and not _same_unit(self.unit, str(unit)):
            differences.append(f"unit: the images are in '{unit}', expected '{self.unit}'")
        if isinstance(other, Inputs) and other.scalars != self.scalars:
            differences.append(
                f"scalars: got ({', '.join(other.scalars)}), expected ({', '.join(self.scalars)})"
            )
        if differences:
            raise InputsError(
                "The images are not of the kind expected:\n  - " + "\n  - ".join(differences),
                hint="use a survey with the same bands, pixel scale and unit, or train anew",
            )

    def _size_differences(self, other: Any) -> list[str]:
        size = getattr(other, "size", None)
        if size is None or int(size) == self.size:
            return []
        return [f"size: the images have {size} pixels a side, expected {self.size}"]

    def _scale_differences(self, other: Any) -> list[str]:
        scale = getattr(other, "pixel_scale", None)
        if self.pixel_scale is None or scale is None:
            return []
        if abs(float(scale) / self.pixel_scale - 1) <= SCALE_TOLERANCE:
            return []
        return [
            f"pixel scale: {float(scale):.6g} arcsec/pixel, expected {self.pixel_scale:.6g} "
            f"(within {SCALE_TOLERANCE:.0%})"
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Inputs:
        """The inverse of `to_dict`."""
        known = {field.name for field in fields(cls)}
        if unknown := set(mapping) - known:
            raise ConfigError(
                "Stored inputs have entries this version does not know.",
                received=sorted(unknown),
                allowed=sorted(known),
            )
        values = dict(mapping)
        if values.get("normalization") is not None:
            values["normalization"] = Normalization.from_dict(values["normalization"])
        return cls(**values)

    def to_json(self) -> str:
        """JSON text; every number survives the round trip exactly."""
        return json.dumps(self.to_dict(), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Inputs:
        """The inverse of `to_json`."""
        return cls.from_dict(json.loads(text))


def _band_differences(expected: tuple[str, ...], got: tuple[str, ...]) -> list[str]:
    if got == expected:
        return []
    if sorted(got) == sorted(expected):
        return [f"bands: in the order {', '.join(got)}, expected {', '.join(expected)}"]
    parts = [f"bands: got {', '.join(got)}, expected {', '.join(expected)}"]
    if missing := [band for band in expected if band not in got]:
        parts.append(f"missing {', '.join(missing)}")
    if extra := [band for band in got if band not in expected]:
        parts.append(f"not expected {', '.join(extra)}")
    return ["; ".join(parts)]


def _same_unit(first: str, second: str) -> bool:
    if first == second:
        return True
    from astropy import units

    try:
        return bool(units.Unit(first) == units.Unit(second))
    except (ValueError, TypeError):
        return False
