"""Explanations on disk: what was written comes back, whatever the identifiers and the sky."""

from __future__ import annotations

import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.wcs import WCS

from astrocnn.explain import explanation_reading
from astrocnn.explain.explained import Learned, Looked, TopFilters
from astrocnn.explain.explanation_files import (
    PIXELS,
    Diagnosed,
    Objects,
    file_name,
    write,
)
from astrocnn.explain.explanation_hdus import write_hdus
from astrocnn.explain.explanation_tables import CURVES
from astrocnn.runs.explaining.methods import map_methods

IDS = {
    "numbers": np.array([-(2**62), 7], np.int64),
    "text": np.array(["../J12:00 +3", "NGC 1 \u00e9"]),
}


def sky(size: int = 6) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TPV", "DEC--TPV"]
    wcs.wcs.crval, wcs.wcs.crpix = [10.0, -20.0], [3.5, 3.5]
    wcs.wcs.cd = [[-1e-4, 0], [0, 1e-4]]
    wcs.wcs.set_pv([(1, 1, 1.0), (2, 1, 1.0), (1, 4, 0.2), (2, 4, -0.1)])
    wcs.wcs.set()
    return wcs


def looked(rng: np.random.Generator, images: np.ndarray, part: int) -> Looked:
    n, steps = 2, 5
    fraction = np.linspace(0, 1, steps)
    curves = {name: rng.normal(size=(n, steps)) for name in CURVES}
    return Looked(
        output=f"number {part}",
        images=images,
        maps={
            "by_band": rng.normal(size=(n, 6, 6, 2)).astype("f4"),
            "coarse": rng.normal(size=(n, 6, 6)).astype("f4"),
        },
        labels=["", ""],
        curves={"coarse": SimpleNamespace(fraction=fraction, **curves)},
        stages=("head", "conv1"),
        randomization={"by_band": np.array([[0.5, 0.25], [np.nan, np.nan]])},
        shifts={"coarse": np.array([0.5, np.nan])},
        shares={"by_band": np.array([[0.25, 0.75], [0.5, 0.5]])},
        along=("predicted z", np.array([0.1, 0.2])) if part == 2 else None,
    )


@pytest.fixture(params=IDS)
def written(request, tmp_path):
    rng = np.random.default_rng(0)
    ids = IDS[request.param]
    images = rng.normal(size=(2, 6, 6, 2)).astype("f4")
    images[1, 2, 2, 0] = np.nan
    objects = Objects(
        ids, np.array([4, 9]), np.array([10.0, 10.1]), np.array([-20.0, -20.1]),
        images, [sky(), None], ("g", "r"), ("g", "r"), "nJy",
    )  # fmt: skip
    parts = [
        Diagnosed(
            looked(rng, images, part),
            "z",
            ["mean of z", "mean of z"],
            np.array([1.5, -2.5]),
            ["", "0.3"],
            ["0.1", "0.2"],
            {"by_band": np.array([0.01, -0.02])},
        )
        for part in (1, 2)
    ]
    learned = Learned(
        kernels=rng.normal(size=(3, 5, 2, 4)).astype("f4"),
        maps={"act1": rng.normal(size=(4, 4, 3)).astype("f4")},
        image=images[0],
        top=tuple(
            TopFilters(
                layer,
                [3, 8],
                list(rng.normal(size=(2, 9, 3, 5, 2)).astype("f4")),
                list(rng.normal(size=(2, 9, 3, 5, 2)).astype("f4")),
                rng.normal(size=(2, 9)).astype("f4"),
            )
            for layer in ("act1", "act2")
        ),
        class_images={"spiral": images[0], "star": images[1]},
        dreams=(images, images[::-1]),
        points=rng.normal(size=(3, 2)),
        method="PCA, 90 % of the variance",
        colors={"label of z": np.array([0.1, np.nan, 0.3]), "class": np.array(["a", "", "b"])},
    )
    folder = tmp_path / "explanations"
    for _ in range(2 if request.param == "text" else 1):
        old = {p: p.read_bytes() for p in folder.rglob("*.fits")}
        shutil.rmtree(folder, ignore_errors=True)
        write(
            folder,
            objects,
            parts,
            learned,
            [("MODELSHA", "f" * 64, "digest")],
            (ids[[0, 1, 0]], np.arange(3)),
        )
    assert all(p.read_bytes() == text for p, text in old.items()), "no time of day in the files"
    return folder, objects, parts, learned


def test_all_comes_back(written):
    folder, objects, parts, learned = written
    found, cards = explanation_reading.read(
        folder, pixel_scale=0.36, images=lambda rows: np.zeros((len(rows), 6, 6, 2))
    )
    assert cards["MODELSHA"] == "f" * 64 and found.bands == ("g", "r") and not found.orientation
    for one, part in zip(found.looked, parts, strict=True):
        told = part.looked
        assert one.output == told.output
        np.testing.assert_array_equal(one.images, objects.images)
        for name, values in told.maps.items():
            np.testing.assert_array_equal(one.maps[name], values)
        assert set(one.curves) == {"coarse"} and one.stages == ["head", "conv1"]
        for name in ("fraction", *CURVES):
            ours, theirs = (getattr(c.curves["coarse"], name) for c in (one, told))
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        np.testing.assert_allclose(one.randomization["by_band"], told.randomization["by_band"])
        np.testing.assert_allclose(one.shifts["coarse"], told.shifts["coarse"])
        np.testing.assert_allclose(one.shares["by_band"], told.shares["by_band"])
        assert set(one.shares) == {"by_band"} and set(one.shifts) == {"coarse"}
    assert found.looked[0].along is None and found.looked[1].along[0] == "predicted z"
    ours = found.learned
    np.testing.assert_array_equal(ours.kernels, learned.kernels)
    np.testing.assert_array_equal(ours.maps["act1"], learned.maps["act1"])
    for one, told in zip(ours.top, learned.top, strict=True):
        assert (one.layer, list(one.channels)) == (told.layer, told.channels)
        np.testing.assert_array_equal(one.patches, told.patches)
        np.testing.assert_array_equal(one.reconstructions, told.reconstructions)
        np.testing.assert_array_equal(one.values, told.values)
    for name in ("spiral", "star"):
        np.testing.assert_array_equal(ours.class_images[name], learned.class_images[name])
    np.testing.assert_array_equal(ours.dreams, learned.dreams)
    np.testing.assert_array_equal(ours.points, learned.points)
    for name, values in learned.colors.items():
        np.testing.assert_array_equal(ours.colors[name], values)


def test_the_sky_is_on_maps_of_both_kinds_or_said_to_be_unknown(written):
    folder, objects, _, _ = written
    first, second = (folder / "objects" / file_name(i) for i in objects.ids)
    x, y = np.array([0.0, 2.0, 5.0]), np.array([1.0, 3.0, 5.0])
    with fits.open(first, checksum=True) as hdus:
        assert len(hdus) == 6
        for hdu in hdus[1:]:
            wcs = WCS(hdu.header, naxis=2)
            np.testing.assert_allclose(
                wcs.all_pix2world(x, y, 0), sky().all_pix2world(x, y, 0), rtol=1e-12
            )
        assert (hdus["COARSE", 2].header["TARGET"], hdus["COARSE", 2].header["SCORE"]) == ("z", 1.5)
    with fits.open(second) as hdus:
        for hdu in hdus[1:]:
            assert "CTYPE1" not in hdu.header and "no WCS" in str(hdu.header["COMMENT"])


def test_every_image_says_what_its_pixels_are(written):
    for path in written[0].rglob("*.fits"):
        with fits.open(path) as hdus:
            for hdu in hdus[1:]:
                if not isinstance(hdu, fits.ImageHDU):
                    continue
                fluxes = ("IMAGE", "OBJECT", "PATCHES", "CLASS_IMAGES", "DREAMS")
                expected = units.nJy if hdu.name in fluxes else units.dimensionless_unscaled
                # Warnings are errors: a unit that FITS does not know would be one.
                assert units.Unit(hdu.header["BUNIT"], format="fits") == expected, hdu.name


def test_every_method_says_what_a_pixel_of_its_map_is():
    assert set(PIXELS) == set(map_methods())
    assert all(len(sentence) <= 72 for sentence in PIXELS.values())


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_fitsverify_has_no_complaint(written):
    folder = written[0]
    paths = sorted(folder.rglob("*.fits"))
    assert len(paths) == 4
    for path in paths:
        done = subprocess.run(["fitsverify", "-q", path], capture_output=True, text=True)
        assert "verification OK" in done.stdout, done.stdout


def test_a_value_of_any_length_comes_back_with_its_comment_or_without(tmp_path):
    """Cards of 80 characters: no warning, no half a comment, the value whole."""
    comment = "the number that is explained"
    values = {f"K{n}": "it's"[: n % 5] + "x" * (n - n % 5) for n in range(100)}
    cards = [(key, value, comment) for key, value in values.items()]
    write_hdus(tmp_path / "a.fits", cards, [])
    header = fits.getheader(tmp_path / "a.fits")
    assert {key: header[key] for key in values} == values
    assert {header.comments[key] for key in values} == {comment, ""}
    assert header.comments["K36"] == comment


def test_names_of_files_differ_where_identifiers_do():
    names = ["a b", "a_b", "a/b", "a\\b", "..", ".", "a.b", "A" * 300, "A" * 301, "-5"]
    made = [file_name(name) for name in names]
    assert len(set(made)) == len(names)
    assert file_name(np.int64(-5)) == "-5.fits"
    for name in made:
        assert "/" not in name and not name.startswith(".") and len(name) < 120
