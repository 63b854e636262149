"""Presets of simulated surveys: bands, depth, seeing and mixture of classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from astrocnn.errors import ConfigError
from astrocnn.simulation.morphology import CLASSES
from astrocnn.simulation.spectra import SimulatedBand

__all__ = ["PRESETS", "Preset", "get_preset"]


@dataclasses.dataclass(frozen=True)
class Preset:
    """A survey to imitate.

    Parameters
    ----------
    name : str
    bands : tuple of SimulatedBand
    reference : str
        Band whose pixel grid is the reference grid.
    wavelength : float
        Wavelength at which magnitudes are sampled [micron].
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
        Fraction of each class.
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


def get_preset(
    preset: str | Preset,
    bands: Sequence[str] | None = None,
    coarse: Mapping[str, float] | None = None,
    fractions: Mapping[str, float] | None = None,
) -> Preset:
    """A preset, by name or your own, with a selection of its bands.

    `coarse` holds bands with larger pixels, and how many times larger; classes left out of
    `fractions` do not occur.

    Raises
    ------
    ConfigError
        For an unknown name, a repeated band, or fractions that are negative or all 0.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ConfigError("Unknown `preset`.", received=preset, allowed=sorted(PRESETS))
        preset = PRESETS[preset]
    names = [band.name for band in preset.bands]
    selected = list(names if bands is None else bands)
    if not selected or len(set(selected)) < len(selected):
        raise ConfigError(
            "`bands` must name at least one band, each once.", received=selected, allowed=names
        )
    factors = coarse or {}
    shares = dict(preset.fractions if fractions is None else fractions)
    for noun, received, allowed in (
        ("band", [*selected, *factors], names),
        ("class", list(shares), list(CLASSES)),
    ):
        for name in received:
            if name not in allowed:
                raise ConfigError(f"Unknown {noun} '{name}'.", received=received, allowed=allowed)
    if not all(share >= 0 for share in shares.values()) or not sum(shares.values()) > 0:
        raise ConfigError("Class fractions must be >= 0 and not all 0.", received=shares)
    chosen = tuple(
        # Larger pixels collect more sky: at constant depth the noise per pixel grows with the side.
        dataclasses.replace(
            band,
            pixel_scale=band.pixel_scale * factors.get(band.name, 1.0),
            sky_sigma=band.sky_sigma * factors.get(band.name, 1.0),
        )
        for band in map(preset.band, selected)
    )
    reference = preset.reference if preset.reference in selected else selected[0]
    return dataclasses.replace(preset, bands=chosen, reference=reference, fractions=shares)
