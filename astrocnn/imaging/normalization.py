"""Normalization of images: stretch, center, scale, whiten, fill, mask.

The order is always the same: the stretch of each band, ``(value - location) / scale``, pixels
without data replaced by ``fill`` (0, the band mean), the whitening over bands, and the mask
channels.  `Normalization` holds numbers only, so that it is stored as JSON beside a model and
applied identically in numpy, in a tf.data graph and by any Keras backend.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from astrocnn.errors import ConfigError, InputsError
from astrocnn.plugins import nearest
from astrocnn.stored_files import Stored, parse_json, validate

__all__ = ["Normalization", "STRETCHES", "Stretch", "check_limits", "compress", "expand"]

Stretch = Literal["none", "linear", "asinh", "log"]
STRETCHES: tuple[Stretch, ...] = ("none", "linear", "asinh", "log")


def compress(values: Any, stretch: str, softening: Any, xp: ModuleType = np) -> Any:
    """Apply a stretch: odd, monotonic, and linear for fluxes well below the softening.

    Parameters
    ----------
    values : array of shape (..., n_bands)
        Linear fluxes of either sign.
    stretch : {"none", "linear", "asinh", "log"}
        ``asinh`` is asinh(x/s), ``log`` is sign(x) log(1 + abs(x)/s); the others change nothing.
    softening : array of shape (n_bands,)
        The flux s at which the stretch turns from linear to logarithmic [unit of the image].

    References
    ----------
    Lupton, Gunn & Szalay 1999, AJ 118, 1406, equation 3 (asinh magnitudes).
    """
    if stretch == "asinh":
        return xp.arcsinh(values / softening)
    if stretch == "log":
        return xp.sign(values) * xp.log1p(xp.abs(values) / softening)
    return values


def expand(values: Any, stretch: str, softening: Any, xp: ModuleType = np) -> Any:
    """Undo `compress`."""
    if stretch == "asinh":
        return xp.sinh(values) * softening
    if stretch == "log":
        return xp.sign(values) * xp.expm1(xp.abs(values)) * softening
    return values


@dataclass(frozen=True)
class Normalization:
    """Numbers that turn fluxes into inputs of a network, one per band.

    Made by `astrocnn.imaging.NormalizationFitter`, by `Normalization.identity`, or read back
    with `Normalization.from_json`.

    Parameters
    ----------
    stretch : {"none", "linear", "asinh", "log"}
        See `compress`.
    location, scale : tuple of n_bands float
        Subtracted from, and divided into, the stretched pixels.
    softening : tuple of n_bands float, optional
        Softening of the stretch [unit of the image]; ones when not given.
    fill : tuple of n_bands float, optional
        Normalized value of a pixel without data; zeros when not given, which is the band mean.
    whitening : tuple of n_bands tuples of n_bands float, optional
        Matrix W applied as ``W @ z`` to the bands of each pixel.
    mask_channel : bool
        Append one channel per band with 1 where there are data and 0 where there are none.
    noise : tuple of n_bands float, optional
        Sky noise of the training images, one standard deviation [unit of the image].
    limits : tuple of n_bands pairs of float, optional
        Normalized values of black and white that `location` and `scale` were chosen for, where
        the weights of a network expect them: see `astrocnn.imaging.NormalizationFitter`.
    """

    __pydantic_config__ = Stored.model_config

    stretch: str
    location: tuple[float, ...]
    scale: tuple[float, ...]
    softening: tuple[float, ...] = ()
    fill: tuple[float, ...] = ()
    whitening: tuple[tuple[float, ...], ...] | None = None
    mask_channel: bool = False
    noise: tuple[float, ...] | None = None
    limits: tuple[tuple[float, float], ...] | None = None

    def __post_init__(self) -> None:
        if self.stretch not in STRETCHES:
            raise ConfigError(
                f"There is no stretch '{self.stretch}'.",
                allowed=STRETCHES,
                hint=nearest(str(self.stretch), STRETCHES),
            )
        n = len(self.location)
        set_ = object.__setattr__  # the only assignment that a frozen dataclass allows
        for name, default in (("softening", 1.0), ("fill", 0.0)):
            set_(self, name, tuple(getattr(self, name)) or (default,) * n)
        for name in ("location", "scale", "softening", "fill", "noise"):
            values = getattr(self, name)
            if values is None:
                continue
            # Numbers of numpy could not be written as JSON.
            set_(self, name, tuple(float(v) for v in values))
            if len(values) != n or not np.all(np.isfinite(values)):
                raise ConfigError(
                    f"A normalization needs one finite number per band in '{name}'.",
                    received=values,
                    allowed=f"{n} finite numbers",
                )
        if min((*self.scale, *self.softening), default=0.0) <= 0:
            raise ConfigError(
                "Scale and softening of a normalization must be positive.",
                received=f"scale {self.scale}, softening {self.softening}",
            )
        if self.limits is not None:
            set_(self, "limits", check_limits(self.limits, n))
        if self.whitening is not None:
            rows = tuple(tuple(float(v) for v in row) for row in self.whitening)
            set_(self, "whitening", rows)
            if np.shape(rows) != (n, n) or not np.all(np.isfinite(rows)):
                raise ConfigError(
                    "A whitening matrix needs one finite number per pair of bands.",
                    received=f"shape {np.shape(rows)}",
                    allowed=f"shape ({n}, {n})",
                )

    @classmethod
    def identity(cls, n_bands: int, *, mask_channel: bool = False) -> Normalization:
        """Pixels as they are; those without data become 0."""
        return cls("none", (0.0,) * n_bands, (1.0,) * n_bands, mask_channel=mask_channel)

    @property
    def n_bands(self) -> int:
        """Number of input bands."""
        return len(self.location)

    @property
    def n_channels(self) -> int:
        """Number of output channels: the bands, and their masks if `mask_channel` is set."""
        return self.n_bands * (2 if self.mask_channel else 1)

    def apply(self, images: Any, xp: ModuleType = np, *, complete: bool = False) -> Any:
        """Normalize images.

        Parameters
        ----------
        images : array of shape (..., n_bands)
            Linear fluxes [unit of the image]; a pixel that is not finite has no data.
        xp : module
            The array library: ``numpy``, ``keras.ops`` or ``tensorflow.experimental.numpy``.
        complete : bool
            Whether every pixel is known to have data, which saves a pass over the images.

        Returns
        -------
        array of shape (..., n_channels)
            float32, finite everywhere.  With nothing to do it may share memory with `images`.

        Raises
        ------
        InputsError
            If the number of bands is another one.
        """
        shape = tuple(images.shape)
        self._check_last_axis(shape, self.n_bands)
        # Columns and bands as one axis: along one of 5 bands arithmetic is several times slower.
        has_fixed_shape = len(shape) > 1 and None not in shape[1:]
        width = shape[-2] if has_fixed_shape else 1
        # Where the library can, without a copy: nothing below writes into its argument.
        x = getattr(xp, "asarray", xp.array)(images, dtype="float32")
        if width > 1:
            x = xp.reshape(x, (-1, width * self.n_bands))
        z = x
        with np.errstate(over="ignore"):
            if self.stretch in ("asinh", "log"):
                z = compress(z, self.stretch, self._along(self.softening, width, xp), xp)
            # A pass over all pixels is saved where it would change nothing.
            if any(self.location) or set(self.scale) != {1.0}:
                z = (z - self._along(self.location, width, xp)) / self._along(self.scale, width, xp)
        # In the result, because what overflows (an unmasked -3.4e38, say) is no data either.
        complete = (complete and z is x) or (xp is np and _all_finite(z))
        valid = None if complete else xp.isfinite(z)
        if valid is not None:
            fill = self._along(self.fill, width, xp) if any(self.fill) else xp.zeros((), "float32")
            z = xp.where(valid, z, fill)
        if self.whitening is not None:
            # Transposed, because pixels are rows here.
            matrix = xp.array(np.asarray(self.whitening, np.float32).T)
            z = xp.matmul(xp.reshape(z, (-1, self.n_bands)), matrix)
        if width > 1 or self.whitening is not None:
            z = xp.reshape(z, (-1, *shape[1:]) if has_fixed_shape else xp.shape(x))
        if self.mask_channel:
            # After the whitening, which would mix masks with fluxes.
            masks = xp.ones_like(z)
            if valid is not None:
                valid = xp.reshape(valid, (-1, *shape[1:]) if has_fixed_shape else xp.shape(x))
                masks = xp.where(valid, masks, xp.zeros_like(z))
            z = xp.concatenate([z, masks], axis=-1)
        return z

    def _along(self, values: Sequence[float], width: int, xp: ModuleType) -> Any:
        """One number per band, repeated for each column."""
        return xp.array(np.tile(np.asarray(values, np.float32), width))

    def invert(self, normalized: npt.ArrayLike) -> np.ndarray:
        """Invert `apply`: compute fluxes from normalized values.

        Parameters
        ----------
        normalized : array_like of shape (..., n_channels) or (..., n_bands)
            Output of `apply`.  Pixels without data come back as NaN with mask channels, and
            as the flux of the fill value without them.

        Returns
        -------
        ndarray of shape (..., n_bands)
            float64 [unit of the image].
        """
        z = np.asarray(normalized, np.float64)
        masks = None
        if self.mask_channel and z.shape[-1] == self.n_channels:
            z, masks = z[..., : self.n_bands], z[..., self.n_bands :]
        self._check_last_axis(z.shape, self.n_bands)
        if self.whitening is not None:
            z = z @ np.linalg.inv(np.asarray(self.whitening)).T
        stretched = z * np.asarray(self.scale) + np.asarray(self.location)
        flux = expand(stretched, self.stretch, np.asarray(self.softening))
        return flux if masks is None else np.where(masks > 0.5, flux, np.nan)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary of numbers, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Normalization:
        """The inverse of `to_dict`.

        Raises
        ------
        ConfigError
            If a value is unknown, absent or of another type.
        """
        where = "The description of a normalization"
        normalization: Normalization = validate(mapping, cls, where, ConfigError)
        return normalization

    def to_json(self) -> str:
        """JSON text; every number survives the round trip exactly."""
        return json.dumps(self.to_dict(), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Normalization:
        """The inverse of `to_json`; raises as `from_dict`."""
        where = "The description of a normalization"
        normalization: Normalization = parse_json(text, cls, where, ConfigError)
        return normalization

    def _check_last_axis(self, shape: Any, expected: int) -> None:
        if shape[-1] != expected:
            raise InputsError(
                "The images have another number of bands than the normalization.",
                received=f"{shape[-1]} (the last axis of shape {tuple(shape)})",
                allowed=f"{expected}",
            )


def check_limits(
    limits: Sequence[Sequence[float]], n_bands: int
) -> tuple[tuple[float, float], ...]:
    """Black and white of each band as plain numbers.

    Raises
    ------
    ConfigError
        If they are not one rising pair of finite numbers per band.
    """
    if np.shape(limits) != (n_bands, 2) or not np.all(np.isfinite(limits)):
        raise ConfigError(
            "Limits need a finite black and white for each band.",
            received=limits,
            allowed=f"{n_bands} pairs of numbers",
        )
    pairs = tuple((float(low), float(high)) for low, high in limits)
    if any(low >= high for low, high in pairs):
        raise ConfigError("White must be above black in the limits.", received=pairs)
    return pairs


def _all_finite(values: np.ndarray) -> bool:
    """Whether no value is NaN or infinite, in one pass and without a mask in memory.

    A sum that overflows looks like a pixel without data; that costs time and changes nothing.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.add.reduce(values, axis=None)))
