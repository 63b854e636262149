"""What a simulated survey looks like: bands, depth, seeing, and its mixture of objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from astrocnn.errors import ConfigError
from astrocnn.simulation.classes import CLASSES

__all__ = ["PRESETS", "Preset", "SimulatedBand", "preset_named"]

NANOJANSKY_ZERO_POINT = 31.4


@dataclasses.dataclass(frozen=True)
class SimulatedBand:
    """A filter of the simulated survey.

    Parameters
    ----------
    name : str
        Band name.
    wavelength : float
        Pivot wavelength [micron].
    fwhm : float
        Full width at half maximum of the point spread function, pixel excluded [arcsec].
    sky_sigma : float
        Standard deviation of the sky noise in one pixel [nJy].
    zero_point : float
        AB magnitude of one unit of the image.
    gain : float
        Detected electrons per nJy.
    pixel_scale : float
        Pixel size [arcsec].
    noise_correlation : float
        Sigma [pixel] of the Gaussian that correlates the noise of resampled images; 0 for none.
    """

    name: str
    wavelength: float
    fwhm: float
    sky_sigma: float
    zero_point: float
    gain: float
    pixel_scale: float
    noise_correlation: float = 0.0

    @property
    def unit(self) -> float:
        """Flux of one unit of the image [nJy]."""
        return float(10 ** (0.4 * (NANOJANSKY_ZERO_POINT - self.zero_point)))


@dataclasses.dataclass(frozen=True)
class Preset:
    """A survey to imitate.

    Parameters
    ----------
    name : str
        Name of the preset.
    bands : tuple of SimulatedBand
        Bands; magnitudes are drawn in `reference`.
    reference : str
        Band whose pixel grid is the reference grid.
    wavelength : float
        Wavelength at which magnitudes are drawn [micron].
    magnitudes : tuple of float
        Bright and faint end [mag].
    counts_slope : float
        Slope of log10 N(m); 0.6 in an empty Euclidean universe, flatter here so that the
        bright end is populated.
    radius : float
        Median half-light radius at the middle of the magnitude range [arcsec].
    radius_slope : float
        Decline of log10 radius with magnitude; 0.2 at constant surface brightness.
    radius_scatter : float
        Scatter of log10 radius.
    fractions : mapping of str to float
        Share of each class.
    oversampling : int
        Subdivision of a pixel while drawing.
    """

    name: str
    bands: tuple[SimulatedBand, ...]
    reference: str
    wavelength: float
    magnitudes: tuple[float, float]
    counts_slope: float
    radius: float
    radius_slope: float
    radius_scatter: float
    fractions: Mapping[str, float]
    oversampling: int = 2

    def band(self, name: str) -> SimulatedBand:
        """The band of that name."""
        return next(band for band in self.bands if band.name == name)

    @property
    def pixel_scale(self) -> float:
        """Pixel size of the reference band [arcsec]."""
        return self.band(self.reference).pixel_scale

    @property
    def wavelengths(self) -> np.ndarray:
        """Pivot wavelengths [micron], shape (n_bands,)."""
        return np.array([band.wavelength for band in self.bands])


_FRACTIONS = {"elliptical": 0.25, "spiral": 0.28, "edge_on": 0.16, "merger": 0.14, "star": 0.17}

PRESETS: dict[str, Preset] = {
    "ground": Preset(
        name="ground",
        bands=(
            SimulatedBand("g", 0.48, 0.95, 32.0, 29.9, 1.2, 0.3),
            SimulatedBand("r", 0.62, 0.85, 45.0, 30.1, 1.0, 0.3),
            SimulatedBand("i", 0.75, 0.80, 62.0, 30.0, 0.8, 0.3),
            SimulatedBand("z", 0.90, 0.78, 95.0, 29.6, 0.5, 0.3),
        ),
        reference="r",
        wavelength=0.62,
        magnitudes=(17.0, 20.8),
        counts_slope=0.25,
        radius=2.3,
        radius_slope=0.13,
        radius_scatter=0.13,
        fractions=_FRACTIONS,
    ),
    "euclid": Preset(
        name="euclid",
        bands=(
            SimulatedBand("VIS", 0.72, 0.13, 1.43, 24.6, 5.0, 0.1, 0.4),
            SimulatedBand("Y", 1.08, 0.42, 2.4, 29.8, 3.0, 0.1, 1.0),
            SimulatedBand("J", 1.37, 0.45, 2.0, 30.0, 3.0, 0.1, 1.0),
            SimulatedBand("H", 1.77, 0.48, 2.1, 29.9, 3.0, 0.1, 1.0),
        ),
        reference="VIS",
        wavelength=0.72,
        magnitudes=(19.5, 25.0),
        counts_slope=0.25,
        radius=0.45,
        radius_slope=0.11,
        radius_scatter=0.15,
        fractions=_FRACTIONS,
    ),
}
"""``ground``: a wide survey in g r i z with seeing of 0.8 arcsec.  ``euclid``: VIS and the three
near-infrared bands on the 0.1 arcsec grid of the Euclid mosaics, at their depth."""


def preset_named(
    preset: str | Preset,
    bands: Sequence[str] | None = None,
    coarse: Mapping[str, float] | None = None,
    fractions: Mapping[str, float] | None = None,
) -> Preset:
    """A preset by name, with a choice of its bands.

    Parameters
    ----------
    preset : str or Preset
        Name of a preset, or one of your own.
    bands : sequence of str, optional
        Names of the bands wanted; all by default.
    coarse : mapping of str to float, optional
        Bands with larger pixels, and how many times larger.
    fractions : mapping of str to float, optional
        Share of each class; classes left out do not occur.

    Raises
    ------
    ConfigError
        For a name that does not exist.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ConfigError(
                "There is no such survey to simulate.", received=preset, allowed=sorted(PRESETS)
            )
        preset = PRESETS[preset]
    names = [band.name for band in preset.bands]
    wanted = list(names if bands is None else bands)
    if not wanted or len(set(wanted)) < len(wanted):
        raise ConfigError("Name at least one band, each once.", received=wanted, allowed=names)
    _known("band of this survey", [*wanted, *(coarse or {})], names)
    chosen = []
    for name in wanted:
        band, factor = preset.band(name), (coarse or {}).get(name, 1.0)
        chosen.append(
            dataclasses.replace(
                band,
                pixel_scale=band.pixel_scale * factor,
                sky_sigma=band.sky_sigma * factor,
            )
        )
    reference = preset.reference if preset.reference in wanted else wanted[0]
    shares = dict(preset.fractions if fractions is None else fractions)
    _known("class", list(shares), list(CLASSES))
    if not all(share >= 0 for share in shares.values()) or not sum(shares.values()) > 0:
        raise ConfigError("The shares of the classes are not negative, nor all 0.", received=shares)
    return dataclasses.replace(preset, bands=tuple(chosen), reference=reference, fractions=shares)


def _known(noun: str, received: list[str], allowed: list[str]) -> None:
    for name in received:
        if name not in allowed:
            raise ConfigError(f"'{name}' is no {noun}.", received=received, allowed=allowed)
