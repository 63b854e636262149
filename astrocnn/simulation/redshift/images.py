"""Images of galaxies with redshifts, whose noise is that of their catalogued fluxes."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from astrocnn.simulation.morphology import Shape
from astrocnn.simulation.objects import RenderedObject, make_rng, render_objects
from astrocnn.simulation.redshift.galaxies import (
    REACH,
    Galaxies,
    RedshiftSurvey,
    flux_weights,
)
from astrocnn.simulation.redshift.population import Structure
from astrocnn.simulation.redshift.templates import load_templates
from astrocnn.simulation.spectra import Component

__all__ = ["build_objects", "morphology_label", "render_field"]

SMOOTH, CLUMPY = 0.5, 2.4
"""Types up to the first are rendered as ellipticals, beyond the second as irregulars."""
SERSIC_INDICES = (4.0, 3.0, 2.0, 1.5)
"""Of the bulge at type 0, 1, 2, 3, before scatter and rounding to a half."""
COMPONENTS = (Component(1.0, "old"), Component(1.0, "disk"))
"""Renderers need their number only: the fluxes are those of the catalogue."""


def morphology_label(spectral_type: np.ndarray) -> np.ndarray:
    """``elliptical``, ``spiral`` or ``irregular`` for each type, shape (n,)."""
    smooth, clumpy = spectral_type < SMOOTH, spectral_type > CLUMPY
    return np.select([smooth, clumpy], ["elliptical", "irregular"], "spiral")


def build_objects(galaxies: Galaxies, survey: RedshiftSurvey, *, seed: int) -> list[RenderedObject]:
    """The first galaxies of a seed with the flux of each component.

    The bulge has the spectrum of an elliptical, the disk the remaining flux, and the arms are
    bluer than the rest of the disk; the sum is the flux of the catalogue.  With `morphology` off,
    all components of a galaxy have one color.
    """
    structure, n_bands = galaxies.structure, len(survey.bands)
    labels = morphology_label(structure.spectral_type)
    bulge = structure.b_over_t[:, None] * np.ones(n_bands)
    if survey.morphology:
        spectra = load_templates(survey.names)
        old = spectra.template_fluxes(galaxies.z)[0].T
        bulge = bulge * old / spectra.fluxes(galaxies.z, galaxies.spectral_type, galaxies.dust)
        bulge = np.where(labels[:, None] == "elliptical", structure.b_over_t[:, None], bulge)
    bulge = np.clip(bulge, 0.0, 0.97)
    tilt = np.linspace(1.3, 0.8, n_bands) if survey.morphology else np.ones(n_bands)
    objects = []
    for index, label in enumerate(labels):
        rng = make_rng(seed, "form", index)
        shape, young = _build_shape(rng, structure[index : index + 1], str(label))
        arms = np.clip(young * tilt, 0, 0.9) * (1 - bulge[index])
        parts = [bulge[index], 1 - bulge[index] - arms]
        if young:
            parts.append(arms)
        fluxes = np.array(parts) * galaxies.true_flux[index]
        objects.append(RenderedObject(seed, index, shape, fluxes, margin=3.0))
    return objects


def _build_shape(rng: np.random.Generator, structure: Structure, label: str) -> tuple[Shape, float]:
    """Shape of one galaxy, and the fraction of arms or clumps in the disk."""
    spectral_type, r_e = float(structure.spectral_type[0]), float(structure.r_e[0])
    cosine = float(structure.cosine[0])
    index = np.interp(spectral_type, range(4), SERSIC_INDICES) + 0.5 * rng.standard_normal()
    shape = Shape(
        label=label,
        components=COMPONENTS,
        extent=5 * r_e,
        r_e=r_e,
        b_over_t=float(structure.b_over_t[0]),
        # Rounded: galsim prepares each Sersic index once.
        sersic_n=float(np.clip(np.round(2 * index) / 2, 1.0, 5.0)),
        position_angle=float(structure.position_angle[0]),
    )
    if label == "elliptical":
        return dataclasses.replace(shape, axis_ratio=float(np.sqrt(0.3 + 0.7 * cosine**2))), 0.0
    shape = dataclasses.replace(
        shape,
        extent=4.2 * r_e,
        axis_ratio=float(rng.uniform(0.6, 1.0)),
        inclination=float(np.degrees(np.arccos(cosine))),
        n_arms=int(rng.choice([2, 3, 4], p=[0.7, 0.15, 0.15])),
        pitch=float(np.clip(8 + 8 * spectral_type + 3 * rng.standard_normal(), 8, 35)),
        handedness=int(rng.choice([-1, 1])),
    )
    return shape, float(rng.uniform(0.2, 0.5))


def render_field(
    galaxies: Galaxies,
    objects: list[RenderedObject],
    pixels: np.ndarray,
    size: int,
    survey: RedshiftSurvey,
    *,
    seed: int,
    field: int,
) -> np.ndarray:
    """A square field with noise.

    Pixel noise is white and Gaussian, under the condition that its weighted sum about each object
    is the noise of the catalogued flux: pixels and catalogue are one measurement.

    Parameters
    ----------
    galaxies : Galaxies
        Galaxies on the field.
    objects : list of RenderedObject
        The same, from `build_objects`.
    pixels : ndarray of shape (n, 2)
        Zero-based positions (x, y).
    size : int
        Side [pixel].
    survey : RedshiftSurvey
        Bands.
    seed, field : int
        Seed of the simulation and number of the field.

    Returns
    -------
    ndarray of shape (n_bands, size, size)
        Flux [nJy], float32.
    """
    image = render_objects(objects, pixels, size, survey.bands)
    rng = make_rng(seed, "pixels", field)
    noise = galaxies.flux - galaxies.true_flux
    for plane, band, sums in zip(image, survey.bands, noise.T, strict=True):
        white = band.sky_sigma * rng.standard_normal((size, size), dtype=np.float32)
        plane += _condition_noise(white, flux_weights(band), np.rint(pixels).astype(int), sums)
    return image


def _condition_noise(
    white: np.ndarray, weights: np.ndarray, centers: np.ndarray, sums: np.ndarray
) -> np.ndarray:
    """White noise n given its weighted sums: n + W^T (W W^T)^-1 (sums - W n)."""
    size = len(white)
    used = np.flatnonzero(weights)
    dy, dx = np.divmod(used, 2 * REACH + 1)
    x, y = centers[:, :1] + dx - REACH, centers[:, 1:] + dy - REACH
    inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    values = np.where(inside, weights.ravel()[used], 0.0)
    flat = np.where(inside, y * size + x, 0)
    rows = np.repeat(np.arange(len(centers)), len(used))
    matrix = scipy.sparse.csr_matrix(
        (values.ravel(), (rows, flat.ravel())), shape=(len(centers), size**2)
    )
    missing = sums - matrix @ white.ravel().astype(np.float64)
    gram = (matrix @ matrix.T).tocsc()
    solved = np.atleast_1d(scipy.sparse.linalg.spsolve(gram, missing))
    return white + (matrix.T @ solved).reshape(white.shape).astype(np.float32)
