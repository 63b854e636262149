"""Artefacts injected into real images, and real artefacts compared with simulated ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astrocnn.simulation import inject
from astrocnn.simulation.artefacts import ARTEFACTS, Camera, get_artefact
from astrocnn.simulation.artefacts.detector import PER_PIXEL

pytestmark = pytest.mark.real_data

# Data quality of the DECam pipeline: codes, not bits.
GOOD, SATURATED, BLEED, COSMIC_RAY = 0, 3, 4, 5
DECAM = {"fwhm": 4.0, "gain": 3.9, "full_well": 4.5e4, "thickness": 250 / 15, "vanes": 4}


def decam(folder: Path, pattern: str) -> tuple[np.ndarray, np.ndarray]:
    """A DECam exposure and its quality codes."""
    path = next(iter(sorted((folder / "legacypipe_dq").glob(pattern))))
    quality = path.with_name(path.name.replace("_ooi_", "_ood_"))
    return fits.getdata(path, 1).astype(np.float64), fits.getdata(quality, 1)


@pytest.fixture(scope="module")
def euclid(real_data) -> tuple[np.ndarray, Camera]:
    """The four quarters of the Euclid tile [nJy], and their camera."""
    with fits.open(real_data / "euclid_q1" / "tile_RA63_DEC-49_VIS_YJH_300px.fits") as hdus:
        unit = 10 ** (0.4 * (31.4 - hdus["VIS_FLUX"].header["MAGZERO"]))
        tile = hdus["VIS_FLUX"].data.astype(np.float32) * np.float32(unit)
    stamps = tile.reshape(2, 150, 2, 150).transpose(0, 2, 1, 3).reshape(4, 150, 150)
    return stamps, Camera.from_images(stamps, fwhm=1.3, gain=5.0, full_well=4e4)


def test_noise_of_the_euclid_tile(euclid):
    stamps, camera = euclid
    sky = stamps[np.abs(stamps) < 5]
    assert camera.sigma == pytest.approx(1.4826 * np.median(np.abs(sky)), rel=0.1)
    assert 0.4 < camera.correlation < 0.6  # drizzled on a grid as fine as the pixels


@pytest.mark.parametrize("name", ARTEFACTS)
def test_every_artefact_in_real_euclid_background(euclid, name):
    stamps, camera = euclid
    before = stamps.copy()
    made = inject(stamps, camera, seed=11, fraction=1.0, kinds=[name])
    np.testing.assert_array_equal(stamps, before)
    assert (np.array(made.truth[f"has_{name}"]) == 1).all()
    for image, stamp, mask in zip(made.images, stamps, made.masks, strict=True):
        assert (np.isnan(image) == (name == "edge") & (mask > 0)).all()
        change = np.abs(image - stamp)[mask == 0]
        photons = np.sqrt(camera.tolerance / camera.gain)
        assert change.max(initial=0) <= camera.tolerance + 5.5 * photons


def test_blur_keeps_the_noise_of_the_real_sky(euclid):
    stamps, camera = euclid
    for seed, stamp in enumerate(stamps):
        made = get_artefact("defocus").apply(stamp, camera, np.random.default_rng(seed), 1.0)
        again = Camera.from_images(made.image, fwhm=1.3, gain=5.0, full_well=4e4)
        assert again.sigma == pytest.approx(camera.sigma, rel=0.05)
        assert again.correlation == pytest.approx(camera.correlation, abs=0.06)


def test_early_release_cutout(real_data):
    path = real_data / "euclid_q1" / "ERO_HolmbergII_lens_VIS_ID_37174.fits"
    image = fits.getdata(path).astype(np.float32)
    camera = Camera.from_images(image, fwhm=1.6, gain=98.0, full_well=2000.0)
    made = inject(np.stack([image] * 40), camera, seed=0)
    assert 0.2 < np.mean(made.truth["usable"]) < 0.8
    affected = np.array(made.truth["usable"]) == 0
    for stamp in made.images[affected]:
        assert not np.array_equal(stamp, image, equal_nan=True)


def test_bad_pixels_of_decam_stay_bad(real_data):
    image, quality = decam(real_data, "testcase6/**/*ooi*")
    stamp = np.where(quality == GOOD, image - np.median(image), np.nan).astype(np.float32)
    assert 0.1 < np.isnan(stamp).mean() < 0.3
    camera = Camera.from_images(stamp, **DECAM)
    made = inject(np.stack([stamp] * 12), camera, seed=5, fraction=1.0)
    assert np.isnan(made.images[:, np.isnan(stamp)]).all()
    more = np.isnan(made.images).mean(axis=(1, 2)) > np.isnan(stamp).mean()
    np.testing.assert_array_equal(more, np.array(made.truth["has_edge"]) == 1)


def test_saturated_stars_bleed_as_in_decam(real_data):
    for pattern in ("testcase6/**/*ooi_g*", "testcase6/**/*ooi_r*", "testcase6/**/*ooi_z*"):
        image, quality = decam(real_data, pattern)
        real = np.isin(quality, (SATURATED, BLEED))
        sky = np.zeros(image.shape, np.float32)
        camera = Camera(sigma=30.0, **DECAM)
        result = get_artefact("saturated").apply(sky, camera, np.random.default_rng(1), 4.0)
        full = result.image >= camera.full_well
        for mask in (real, full):
            heights = mask.sum(axis=0)
            # The brightest column is the longest: a lens or a needle, upright.
            assert heights.max() > 1.5 * np.count_nonzero(heights)


def test_a_cosmic_ray_frees_as_much_charge_as_a_real_one(real_data):
    image, quality = decam(real_data, "testcase4/**/*ooi*")
    hit = quality == COSMIC_RAY
    rows, columns = np.nonzero(hit)
    length = np.hypot(np.ptp(rows), np.ptp(columns))
    electrons = (image[hit] - np.median(image)).sum() * DECAM["gain"]
    per_pixel = electrons / np.hypot(length, DECAM["thickness"])
    # Pixels of 15 microns instead of 12; a track straggles by some ten percent.
    assert per_pixel == pytest.approx(PER_PIXEL * 15 / 12, rel=0.35)
