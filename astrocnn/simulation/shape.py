"""The form of one object: what its class decides before anything is drawn."""

from __future__ import annotations

import dataclasses

import numpy as np

from astrocnn.simulation.spectra import extinction, relative_magnitude

__all__ = ["Light", "Shape"]

NAN = float("nan")


@dataclasses.dataclass(frozen=True)
class Light:
    """The light of one component.

    Parameters
    ----------
    weight : float
        Flux before dust, at 0.62 micron, in a unit common to the components of an object.
    spectrum : str or float
        Population of `astrocnn.simulation.spectra`, or temperature [K] of a black body.
    tilt : float
        Individual scatter of the color; see `relative_magnitude`.
    a_v : float
        Extinction by dust inside the object [mag].
    """

    weight: float
    spectrum: str | float
    tilt: float = 0.0
    a_v: float = 0.0

    def fluxes(self, wavelengths: np.ndarray) -> np.ndarray:
        """Relative flux density at each wavelength, shape (n,)."""
        magnitude = relative_magnitude(self.spectrum, wavelengths, self.tilt)
        magnitude = magnitude + extinction(wavelengths, self.a_v)
        return np.asarray(self.weight * 10 ** (-0.4 * magnitude))


@dataclasses.dataclass(frozen=True)
class Shape:
    """Truth about the form of an object; NaN or 0 where a quantity has no meaning.

    Parameters
    ----------
    label : str
        Class.
    lights : tuple of Light
        One for each component the class paints, in that order.
    extent : float
        Radius that holds nearly all light [arcsec].
    r_e : float
        Half-light radius along the major axis, of the larger component of a merger [arcsec].
    b_over_t : float
        Share of the bulge in the flux at 0.62 micron.
    sersic_n : float
        Sersic index of the bulge.
    axis_ratio : float
        Axis ratio of the bulge of an elliptical.
    inclination : float
        Inclination of the disk, 90 seen from the edge [deg].
    position_angle : float
        Direction of the major axis, from north through east [deg].
    n_arms : int
        Number of spiral arms.
    pitch : float
        Pitch angle of the arms [deg].
    handedness : int
        1 when an arm followed outwards turns counterclockwise on the sky (north up, east left),
        -1 when clockwise.
    bar : bool
        Whether there is a bar.
    dust_lane : bool
        Whether a dust lane crosses the disk.
    separation : float
        Distance between the two nuclei of a merger [arcsec].
    """

    label: str
    lights: tuple[Light, ...]
    extent: float
    r_e: float = NAN
    b_over_t: float = NAN
    sersic_n: float = NAN
    axis_ratio: float = NAN
    inclination: float = NAN
    position_angle: float = NAN
    n_arms: int = 0
    pitch: float = NAN
    handedness: int = 0
    bar: bool = False
    dust_lane: bool = False
    separation: float = NAN
