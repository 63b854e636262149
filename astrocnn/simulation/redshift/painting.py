"""Painting a galaxy: its parts, and the light of each part in each band."""

from __future__ import annotations

import dataclasses

import numpy as np

from astrocnn.simulation.canvas import Canvas, canvas
from astrocnn.simulation.classes import class_named
from astrocnn.simulation.population import CANVAS_SIZES, generator
from astrocnn.simulation.presets import Preset
from astrocnn.simulation.profiles import exponential, sersic
from astrocnn.simulation.redshift.forms import Forms
from astrocnn.simulation.redshift.galaxies import Galaxies
from astrocnn.simulation.redshift.photometry import RedshiftSurvey
from astrocnn.simulation.redshift.templates import templates
from astrocnn.simulation.shape import Light, Shape

__all__ = ["PaintedGalaxy", "form_name", "painted"]

SMOOTH, CLUMPY = 0.5, 2.4
"""Types up to the first are painted as ellipticals, beyond the second as irregulars."""
INDICES = (4.0, 3.0, 2.0, 1.5)
"""Sersic index of the bulge at type 0, 1, 2, 3, before it is rounded to a half."""


@dataclasses.dataclass(frozen=True)
class PaintedGalaxy:
    """A galaxy that `astrocnn.simulation.pixels.draw_objects` can draw.

    Parameters
    ----------
    seed, index : int
        Seed of the simulation and number of the galaxy.
    shape : Shape
        Form.
    lights : ndarray of shape (n_components, n_bands)
        Flux of each component in each band [nJy].
    """

    seed: int
    index: int
    shape: Shape
    lights: np.ndarray

    def fluxes(self, preset: Preset | RedshiftSurvey) -> np.ndarray:
        """Flux of each component in each band [nJy], shape (n_components, n_bands)."""
        return self.lights

    def canvas(self, pixel_scale: float, fwhm: float, oversampling: int) -> Canvas:
        """A canvas that holds nearly all of the light."""
        radius = (self.shape.extent + 3 * fwhm) / pixel_scale
        size = next((s for s in CANVAS_SIZES if s >= 2 * radius + 4), CANVAS_SIZES[-1])
        return canvas(size, pixel_scale, oversampling)

    def components(self, canvas: Canvas) -> np.ndarray:
        """Transforms of the components, each of unit flux."""
        rng = generator(self.seed, "paint", self.index)
        if self.shape.label == "irregular":
            return np.stack(_irregular(self.shape, canvas, rng))
        return np.stack(class_named(self.shape.label).paint(self.shape, canvas, rng))


def form_name(kind: np.ndarray) -> np.ndarray:
    """``elliptical``, ``spiral`` or ``irregular`` for each type, shape (n,)."""
    return np.select([kind < SMOOTH, kind > CLUMPY], ["elliptical", "irregular"], "spiral")


def painted(galaxies: Galaxies, survey: RedshiftSurvey, *, seed: int) -> list[PaintedGalaxy]:
    """Galaxies ready to be drawn.

    The bulge has the spectrum of an elliptical, the disk what then is missing, and the arms are
    bluer than the rest of the disk; the sum is the flux of the catalogue.

    Parameters
    ----------
    galaxies : Galaxies
        The first galaxies of a seed.
    survey : RedshiftSurvey
        With `morphology` off, all parts of a galaxy have one color.
    seed : int
        Seed of the simulation.
    """
    names = form_name(galaxies.forms.kind)
    bulge = galaxies.forms.b_over_t[:, None] * np.ones(len(survey.bands))
    if survey.morphology:
        spectra = templates(survey.names)
        old = spectra.pure(galaxies.z)[0].T
        bulge = bulge * old / spectra.fluxes(galaxies.z, galaxies.kind, galaxies.dust)
        bulge = np.where(names[:, None] == "elliptical", galaxies.forms.b_over_t[:, None], bulge)
    bulge = np.clip(bulge, 0.0, 0.97)
    tilt = np.linspace(1.3, 0.8, len(survey.bands)) if survey.morphology else 1.0
    result = []
    for index in range(len(galaxies)):
        shape, young = _shape(generator(seed, "form", index), galaxies.forms[index], names[index])
        share = np.clip(young * tilt, 0, 0.9) * (1 - bulge[index])
        parts = [bulge[index], 1 - bulge[index] - share]
        if young:
            parts.append(share)
        result.append(
            PaintedGalaxy(seed, index, shape, np.array(parts) * galaxies.true_flux[index])
        )
    return result


def _shape(rng: np.random.Generator, form: Forms, name: str) -> tuple[Shape, float]:
    """What the painters ask for, and the share of arms or clumps in the disk."""
    index = np.interp(form.kind, range(len(INDICES)), INDICES) + 0.5 * rng.standard_normal()
    # Rounded: galsim prepares each index once.
    common = {
        "label": str(name),
        "r_e": float(form.r_e),
        "b_over_t": float(form.b_over_t),
        "sersic_n": float(np.clip(np.round(2 * index) / 2, 1.0, 5.0)),
        "position_angle": float(form.position_angle),
        "lights": (Light(1.0, "old"), Light(1.0, "disk")),
    }
    if name == "elliptical":
        ratio = float(np.sqrt(0.3 + 0.7 * form.cosine**2))
        return Shape(**common, extent=5 * common["r_e"], axis_ratio=ratio), 0.0
    return (
        Shape(
            **common,
            extent=4.2 * common["r_e"],
            axis_ratio=float(rng.uniform(0.6, 1.0)),
            inclination=float(np.degrees(np.arccos(form.cosine))),
            n_arms=int(rng.choice([2, 3, 4], p=[0.7, 0.15, 0.15])),
            pitch=float(np.clip(8 + 8 * form.kind + 3 * rng.standard_normal(), 8, 35)),
            handedness=int(rng.choice([-1, 1])),
        ),
        float(rng.uniform(0.2, 0.5)),
    )


def _irregular(shape: Shape, canvas: Canvas, rng: np.random.Generator) -> list[np.ndarray]:
    """A faint bulge, a disk, and clumps of star formation to one side of it."""
    flattening = max(float(np.cos(np.radians(shape.inclination))), 0.35)
    angle = shape.position_angle
    n = int(rng.integers(5, 14))
    radius = 0.7 * shape.r_e * np.abs(rng.standard_normal(n))
    azimuth = rng.uniform(0, 2 * np.pi, n)
    major = radius * np.cos(azimuth) + 0.35 * shape.r_e * rng.standard_normal()
    minor = flattening * radius * np.sin(azimuth)
    sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    return [
        canvas.profile(sersic(shape.sersic_n, 0.25 * shape.r_e, flattening, angle)),
        canvas.profile(exponential(shape.r_e, flattening, angle)),
        canvas.blobs(
            -major * sine - minor * cosine,
            major * cosine - minor * sine,
            rng.uniform(0.06, 0.25, n) * shape.r_e,
            rng.exponential(1.0, n),
        ),
    ]
