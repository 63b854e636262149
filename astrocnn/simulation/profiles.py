"""Analytic surface-brightness profiles as galsim objects of unit flux.

The axis ratio squeezes the minor axis, so radii are along the major axis; position angles run from
north through east, with east to the left.
"""

from __future__ import annotations

from typing import Any

from astrocnn.simulation.canvas import import_galsim

__all__ = ["exponential", "sersic"]

TRUNCATION = 6.0


def sersic(n: float, r_e: float, axis_ratio: float, position_angle: float) -> Any:
    """Sersic profile, cut off at six half-light radii.

    Parameters
    ----------
    n : float
        Sersic index.
    r_e : float
        Half-light radius along the major axis [arcsec].
    axis_ratio : float
        Minor over major axis.
    position_angle : float
        Direction of the major axis [deg].

    References
    ----------
    Sersic 1963, BAAA 6, 41; Ciotti & Bertin 1999, A&A 352, 447.
    """
    profile = import_galsim().Sersic(n=n, half_light_radius=r_e, trunc=TRUNCATION * r_e)
    return _squeezed(profile, axis_ratio, position_angle)


def exponential(r_e: float, axis_ratio: float, position_angle: float) -> Any:
    """Exponential disk.

    Parameters
    ----------
    r_e : float
        Half-light radius along the major axis [arcsec]; 1.678 scale lengths.
    axis_ratio : float
        Minor over major axis.
    position_angle : float
        Direction of the major axis [deg].

    References
    ----------
    Freeman 1970, ApJ 160, 811.
    """
    profile = import_galsim().Exponential(half_light_radius=r_e)
    return _squeezed(profile, axis_ratio, position_angle)


def _squeezed(profile: Any, axis_ratio: float, position_angle: float) -> Any:
    galsim = import_galsim()
    # galsim counts angles from +x counterclockwise; north is +y.
    return (
        profile.transform(1.0, 0.0, 0.0, axis_ratio).rotate(
            (90.0 + position_angle) * galsim.degrees
        )
        / axis_ratio
    )
