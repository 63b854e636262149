"""Sources above the noise of one image, as a table that can be read as a catalogue."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.ndimage
from astropy.table import Table
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area

from astrocnn.errors import ConfigError, ImageError, MissingDependency
from astrocnn.imaging.background import estimate_background

__all__ = ["detect_sources"]

NO_DATA_RMS = 1e15

COLUMNS = {
    "id": (None, "running number, from the brightest to the faintest"),
    "ra": ("deg", "right ascension of the centroid"),
    "dec": ("deg", "declination of the centroid"),
    "x": ("pix", "centroid, counted from 0"),
    "y": ("pix", "centroid, counted from 0"),
    "flux": (None, "Kron flux in the unit of the image"),
    "flux_error": (None, "its standard deviation, noise of the pixels only"),
    "peak": (None, "brightest pixel, above the background"),
    "half_light_radius": ("arcsec", "radius of half the Kron flux"),
    "axis_ratio": (None, "minor over major axis, from second moments"),
    "n_pixels": (None, "pixels above the threshold"),
}


def detect_sources(
    image: npt.ArrayLike,
    wcs: WCS,
    *,
    threshold: float = 3.0,
    min_pixels: int = 5,
    rms: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    deblend: bool = True,
    smoothing: float = 3.0,
    box: int = 128,
) -> Table:
    """Find sources on an image.

    The background is subtracted, the image smoothed with a Gaussian, and connected pixels above
    `threshold` times the noise of the unsmoothed image make a source, as SExtractor does.

    Parameters
    ----------
    image : array_like of shape (height, width)
        Image in any flux unit; NaN where there is no data.
    wcs : WCS
        Its celestial coordinate system.
    threshold : float
        Height above the background [standard deviations of a pixel].
    min_pixels : int
        Smallest number of connected pixels.
    rms : array_like of shape (height, width), optional
        Standard deviation of each pixel; values not finite, not positive or above 1e15 mean no
        data.  Measured on the image when not given.
    mask : array_like of shape (height, width), optional
        Nonzero where there is no data.
    deblend : bool
        Whether to split sources with several peaks.
    smoothing : float
        Full width at half maximum of the Gaussian [pixel]; 0 for none.  Near that of the
        point spread function is best for faint stars.
    box : int
        Side of the boxes in which background and noise are measured [pixel].

    Returns
    -------
    Table
        ``id`` (int64), ``ra``, ``dec`` [deg], ``x``, ``y`` [pixel], ``flux``, ``flux_error``,
        ``peak``, ``half_light_radius`` [arcsec], ``axis_ratio``, ``n_pixels``; brightest first.
        Without any source the table has no rows.

    Raises
    ------
    ConfigError
        If a number makes no sense.
    ImageError
        If the shapes differ, the image is not two-dimensional or has no valid pixel, or the
        coordinate system is not celestial.
    MissingDependency
        Without photutils.

    References
    ----------
    Bertin & Arnouts 1996, A&AS 117, 393 (SExtractor); Kron 1980, ApJS 43, 305.
    """
    try:
        import photutils.segmentation as segmentation
    except ImportError:
        raise MissingDependency("photutils", "detect", "detect sources") from None
    if not threshold > 0 or min_pixels < 1 or not smoothing >= 0 or box < 8:
        raise ConfigError(
            "These numbers find no sources.",
            received=f"threshold={threshold}, min_pixels={min_pixels}, smoothing={smoothing}, "
            f"box={box}",
            allowed="threshold > 0, min_pixels >= 1, smoothing >= 0, box >= 8",
        )
    if not wcs.has_celestial:
        raise ImageError(
            "The image has no celestial coordinate system.", received=", ".join(wcs.axis_type_names)
        )
    data, noise, bad = _planes(image, rms, mask)
    background, measured = estimate_background(data, bad, box)
    noise = measured if noise is None else noise
    data = np.where(bad, 0.0, data - background)
    smooth = _smoothed(data, bad, smoothing)
    # By the noise of single pixels, as SExtractor does, and not by that of the smoothed image.
    height = threshold * noise
    with warnings.catch_warnings():
        # An empty table says as well that there are none.
        warnings.filterwarnings("ignore", "No sources were found")
        segments = segmentation.detect_sources(smooth, height, min_pixels, mask=bad)
    if segments is None:
        return _described({name: np.empty(0) for name in COLUMNS})
    if deblend:
        segments = segmentation.deblend_sources(
            smooth, segments, min_pixels, n_levels=32, contrast=0.005, progress_bar=False
        )
    sources = segmentation.SourceCatalog(
        data, segments, convolved_data=smooth, error=noise, mask=bad, wcs=wcs
    )
    return _table(sources, wcs)


def _planes(
    image: npt.ArrayLike, rms: npt.ArrayLike | None, mask: npt.ArrayLike | None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Image and noise as native float64, and where there is no data."""
    data = np.array(image, dtype=np.float64)
    if data.ndim != 2:
        raise ImageError("Sources are found on a two-dimensional image.", received=data.shape)
    bad = ~np.isfinite(data)
    noise = None
    for name, plane in (("rms", rms), ("mask", mask)):
        if plane is not None and np.shape(plane) != data.shape:
            raise ImageError(
                f"Image and {name} differ in shape.",
                received=f"{name} {np.shape(plane)}, image {data.shape}",
            )
    if mask is not None:
        bad |= np.asarray(mask) != 0
    if rms is not None:
        noise = np.array(rms, dtype=np.float64)
        usable = np.isfinite(noise) & (noise > 0) & (noise < NO_DATA_RMS)
        bad |= ~usable
        noise[~usable] = 0.0
    if bad.all():
        raise ImageError("The image has no pixel with data.")
    return data, noise, bad


def _smoothed(data: np.ndarray, bad: np.ndarray, fwhm: float) -> np.ndarray:
    if not fwhm:
        return data
    sigma = fwhm / np.sqrt(8 * np.log(2))
    # Divided out, so that flux beside missing pixels is not lowered by their zeros.
    good = scipy.ndimage.gaussian_filter((~bad).astype(np.float64), sigma, mode="constant")
    flux = scipy.ndimage.gaussian_filter(data, sigma, mode="constant")
    # Deep inside of a hole the weights are nearly zero, and noise would be blown up.
    return np.asarray(flux / np.maximum(good, 0.1))


def _table(sources: Any, wcs: WCS) -> Table:
    x, y = np.atleast_2d(sources.centroid).T
    with warnings.catch_warnings():
        # Sources without a Kron radius come out as NaN.
        warnings.simplefilter("ignore", RuntimeWarning)
        flux, error = np.atleast_1d(sources.kron_flux), np.atleast_1d(sources.kron_flux_err)
        radius = np.atleast_1d(sources.flux_radius(0.5))
    # In equatorial coordinates, whatever those of the image.
    sky = wcs.celestial.pixel_to_world(x, y).icrs
    scale = 3600 * np.sqrt(np.abs(proj_plane_pixel_area(wcs.celestial)))
    values = {
        "id": np.zeros(x.size),
        "ra": sky.ra.deg,
        "dec": sky.dec.deg,
        "x": x,
        "y": y,
        "flux": flux,
        "flux_error": error,
        "peak": np.atleast_1d(sources.max_value),
        "half_light_radius": _plain(radius) * scale,
        "axis_ratio": 1 / _plain(np.atleast_1d(sources.elongation)),
        "n_pixels": _plain(np.atleast_1d(sources.area)),
    }
    # Not finite last; equal fluxes by position, so that the numbers do not depend on the finder.
    order = np.lexsort((x, y, -np.nan_to_num(flux, nan=-np.inf)))
    return _described({name: np.asarray(value)[order] for name, value in values.items()})


def _plain(quantity: Any) -> np.ndarray:
    return np.asarray(getattr(quantity, "value", quantity), dtype=np.float64)


def _described(values: dict[str, np.ndarray]) -> Table:
    table = Table()
    for name, (unit, text) in COLUMNS.items():
        table[name] = values[name]
        table[name].unit, table[name].description = unit, text
    table["id"] = np.arange(1, len(table) + 1, dtype=np.int64)
    table["id"].description = COLUMNS["id"][1]
    table["n_pixels"] = table["n_pixels"].astype(np.int32)
    return table
