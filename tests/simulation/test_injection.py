"""Injection and the simulated survey: truth, seeds, shares, files."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.imaging import open_source, read_survey
from astrocnn.simulation import QualitySimulation, inject, simulate_quality
from astrocnn.simulation.artefacts import ARTEFACTS, Camera

CAMERA = Camera(sigma=1.0, fwhm=1.5, gain=5.0, full_well=4e4)
N, SIZE = 70, 64


def noise(n: int, size: int = 48) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, size, size)).astype(np.float32)


@pytest.fixture(scope="module")
def survey(tmp_path_factory) -> QualitySimulation:
    return simulate_quality(tmp_path_factory.mktemp("q"), n_objects=N, seed=4, size=SIZE)


@pytest.fixture(scope="module")
def truth(survey) -> Table:
    return Table.read(survey.catalog)


def test_images_without_artefacts_are_untouched():
    images = noise(60)
    before = images.copy()
    made = inject(images, CAMERA, seed=1)
    np.testing.assert_array_equal(images, before)
    usable = np.array(made.truth["usable"]) == 1
    np.testing.assert_array_equal(made.images[usable], images[usable])
    assert not made.masks[usable].any() and 0.25 < usable.mean() < 0.75


def test_truth_agrees_with_masks():
    made = inject(noise(80), CAMERA, seed=2, fraction=1.0)
    for bit, name in enumerate(ARTEFACTS):
        has = np.array(made.truth[f"has_{name}"]) == 1
        masked = (made.masks & (1 << bit)).any(axis=(1, 2))
        np.testing.assert_array_equal(has, masked)
        np.testing.assert_array_equal(has, np.array(made.truth[f"severity_{name}"]) > 0)
        assert has.any()
    assert (np.array(made.truth["usable"]) == 0).all()
    star, spikes = (
        np.array(made.truth[f"has_{n}"]) == 1 for n in ("saturated", "diffraction_spike")
    )
    assert spikes[star].all()
    assert not (star & (np.array(made.truth["has_defocus"]) == 1)).any()


def test_images_do_not_depend_on_their_number_or_on_portions():
    images = noise(30)
    whole = inject(images, CAMERA, seed=3)
    few = inject(images[:7], CAMERA, seed=3)
    rest = inject(images[7:], CAMERA, seed=3, first=7)
    np.testing.assert_array_equal(whole.images, np.concatenate([few.images, rest.images]))
    np.testing.assert_array_equal(whole.masks, np.concatenate([few.masks, rest.masks]))
    assert not np.array_equal(whole.masks, inject(images, CAMERA, seed=4).masks)


def test_fraction_and_kinds():
    images = noise(400, 16)
    shares = [
        1 - np.mean(inject(images, CAMERA, fraction=s, kinds=["edge", "ghost"]).truth["usable"])
        for s in (0.0, 0.3, 1.0)
    ]
    assert shares[0] == 0 and shares[2] == 1
    assert shares[1] == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 400))
    made = inject(images[:40], CAMERA, fraction=1.0, kinds=["edge"])
    assert (np.array(made.truth["has_edge"]) == 1).all()
    assert sum(int(np.sum(made.truth[f"has_{name}"])) for name in ARTEFACTS) == 40


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.zeros((20, 20)), {}, "stack of images"),
        (np.zeros((2, 8, 20)), {}, "16 pixels"),
        (np.zeros((2, 20, 20)), {"fraction": 1.5}, "between 0 and 1"),
        (np.zeros((2, 20, 20)), {"kinds": ["gost"]}, "did you mean 'ghost'"),
        (np.zeros((2, 20, 20)), {"kinds": []}, "at least one artefact"),
    ],
)
def test_invalid_input_is_refused(images, options, message):
    with pytest.raises(ConfigError, match=message):
        inject(images, CAMERA, **options)


def test_catalog(truth):
    assert len(truth) == N and len(set(truth["id"])) == N
    assert {f"has_{n}" for n in ARTEFACTS} | {f"severity_{n}" for n in ARTEFACTS} <= set(
        truth.colnames
    )
    assert truth["usable"].dtype.kind == "i" and truth["ra"].unit == "deg"
    assert 0.3 < np.mean(truth["usable"]) < 0.7
    assert (truth["snr"] > 5).all() and np.ptp(truth["mag_VIS"]) > 3
    # Brighter objects have the higher ratio.
    order = np.argsort(truth["mag_VIS"])
    assert np.mean(truth["snr"][order][: N // 4]) > 3 * np.mean(truth["snr"][order][-N // 4 :])


def test_cutouts_are_the_stamps(survey, truth):
    source = open_source(
        read_survey(survey.survey),
        ra=np.array(truth["ra"]),
        dec=np.array(truth["dec"]),
        columns={},
        size=SIZE,
    )
    cutouts = source.read(np.arange(N))
    edge = np.array(truth["has_edge"]) == 1
    missing = np.isnan(cutouts.images[..., 0]).mean(axis=(1, 2))
    np.testing.assert_allclose(missing, truth["severity_edge"], atol=1e-6)
    np.testing.assert_array_equal(missing > 0, edge)
    usable = np.array(truth["usable"]) == 1
    sky = cutouts.images[usable][:, :8, :, 0]
    # The lower half of the histogram, for neighbors only brighten pixels.
    assert np.median(sky) - np.quantile(sky, 0.158655) == pytest.approx(1.43, rel=0.06)
    # The object is in the middle: there is more light than at the border.
    middle = cutouts.images[usable][:, 29:35, 29:35, 0].sum(axis=(1, 2))
    assert (middle > 10 * 1.43).mean() > 0.9


def test_truth_masks_lie_on_the_same_pixels(survey, truth):
    mosaics = []
    for image, mask in zip(survey.tiles, survey.truth, strict=True):
        bits, header = fits.getdata(mask, "TRUTH", header=True)
        pixels = fits.getdata(image, "IMAGE")
        assert [header[f"BIT{k}"] for k in range(len(ARTEFACTS))] == list(ARTEFACTS)
        assert bits.shape == pixels.shape == (8 * SIZE, 8 * SIZE)
        mosaics.append(bits.reshape(8, SIZE, 8, SIZE).transpose(0, 2, 1, 3))
        for key in ("CRVAL1", "CRVAL2", "CRPIX1", "CDELT1"):
            assert header[key] == fits.getheader(image, "IMAGE")[key]
    stamps = np.concatenate(mosaics).reshape(-1, SIZE, SIZE)[:N]
    for bit, name in enumerate(ARTEFACTS):
        has = (stamps & (1 << bit)).any(axis=(1, 2))
        np.testing.assert_array_equal(has, np.array(truth[f"has_{name}"]) == 1)


def test_objects_do_not_depend_on_their_number(survey, truth, tmp_path):
    fewer = simulate_quality(tmp_path, n_objects=5, seed=4, size=SIZE)
    table = Table.read(fewer.catalog)
    for name in ("id", "snr", "usable", "severity_ghost"):
        np.testing.assert_array_equal(table[name], truth[name][:5])
    whole = fits.getdata(survey.tiles[0], "IMAGE")[:SIZE, : 5 * SIZE]
    part = fits.getdata(fewer.tiles[0], "IMAGE")[:SIZE, : 5 * SIZE]
    np.testing.assert_array_equal(part, whole)


def test_foreign_folder_is_not_overwritten(tmp_path):
    (tmp_path / "catalog.fits").write_text("mine")
    with pytest.raises(ConfigError, match="not simulated"):
        simulate_quality(tmp_path, n_objects=1, size=SIZE)
    with pytest.raises(ConfigError, match="Invalid simulation parameters"):
        simulate_quality(tmp_path / "new", n_objects=0)
