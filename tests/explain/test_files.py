"""Explanations on disk: what was written comes back, whatever the identifiers and the sky."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.wcs import WCS

from astrocnn.explain import Attribution, ExplainedObjects, Explanation, MapChecks, Scalars
from astrocnn.explain.checks import DeletionInsertion
from astrocnn.explain.files import file_name, read_explanation, write_explanation
from astrocnn.explain.hdus import image_hdu, table_hdu, write_hdus

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


def attribution(rng: np.random.Generator, objects: ExplainedObjects, part: int) -> Attribution:
    n, steps = 2, 5
    curves = [rng.normal(size=(n, steps)) for _ in range(6)]
    return Attribution(
        f"number {part}",
        objects,
        name="z",
        labels=["mean of z", "mean of z"],
        scores=np.array([1.5, -2.5]),
        truths=["", "0.3"],
        predictions=["0.1", "0.2 +- 0.1"],
        maps={
            "by_band": rng.normal(size=(n, 6, 6, 2)).astype("f4"),
            "coarse": rng.normal(size=(n, 6, 6)).astype("f4"),
        },
        checks={
            "by_band": MapChecks(
                residual=np.array([0.01, -0.02]),
                randomization=np.array([[0.5, 0.25], [np.nan, np.nan]]),
                fractions=np.array([[0.25, 0.75], [0.5, 0.5]]),
            ),
            "coarse": MapChecks(
                curves=DeletionInsertion(np.linspace(0, 1, steps), *curves),
                shift=np.array([0.5, np.nan]),
            ),
        },
        stages=("head", "conv1"),
        layer="conv1" if part == 1 else "",
        along=("predicted z", np.array([0.1, 0.2])) if part == 2 else None,
    )


@pytest.fixture(params=IDS)
def written(request, tmp_path):
    rng = np.random.default_rng(0)
    ids = IDS[request.param]
    images = rng.normal(size=(2, 6, 6, 2)).astype("f4")
    images[1, 2, 2, 0] = np.nan
    objects = ExplainedObjects(
        ids, np.array([4, 9]), np.array([10.0, 10.1]), np.array([-20.0, -20.1]),
        images, [sky(), None], ("g", "r"), ("g", "r"), "nJy",
    )  # fmt: skip
    flux = [("BUNIT", "nJy", "unit of the pixels")]
    hdus = {
        "weights": [image_hdu("KERNELS", rng.normal(size=(4, 2, 3, 5)), [("BUNIT", "", "none")])],
        "feature_maps": [image_hdu("OBJECT", np.moveaxis(images[0], -1, 0), flux)],
        "embedding": [table_hdu("EMBEDDING", {"x": (rng.normal(size=3), "", "first coordinate")})],
    }
    found = Explanation(objects, [attribution(rng, objects, part) for part in (1, 2)], hdus)
    folder = tmp_path / "explanations"
    for _ in range(2 if request.param == "text" else 1):
        old = {p: p.read_bytes() for p in folder.rglob("*.fits")}
        shutil.rmtree(folder, ignore_errors=True)
        write_explanation(folder, found, [("MODELSHA", "f" * 64, "digest")])
    assert all(p.read_bytes() == text for p, text in old.items()), "no time of day in the files"
    return folder, objects, found


def test_everything_comes_back(written):
    folder, objects, wrote = written
    found = read_explanation(folder, pixel_scale=0.36)
    assert found.cards["MODELSHA"] == "f" * 64 and not found.objects.orientation
    assert found.objects.bands == found.objects.channels == ("g", "r")
    assert (found.objects.unit, found.objects.pixel_scale) == ("nJy", 0.36)
    np.testing.assert_array_equal(found.objects.images, objects.images)
    np.testing.assert_array_equal(found.objects.rows, objects.rows)
    for one, expected in zip(found.attributions, wrote.attributions, strict=True):
        assert (one.label, one.name, one.layer) == (expected.label, "z", expected.layer)
        assert one.labels == expected.labels and list(one.truths) == expected.truths
        np.testing.assert_array_equal(one.scores, expected.scores)
        for name, values in expected.maps.items():
            np.testing.assert_array_equal(one.maps[name], values)
        assert tuple(one.stages) == expected.stages
        for name in ("residual", "shift", "randomization", "fractions"):
            ours, theirs = one.check(name), expected.check(name)
            assert set(ours) == set(theirs)
            for method, values in theirs.items():
                np.testing.assert_allclose(ours[method], values)
        (curves,) = one.check("curves").values()
        for ours, theirs in zip(curves[:7], expected.checks["coarse"].curves[:7], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        assert one.captions[1].endswith("label 0.3\npredicted 0.2 \u00b1 0.1")
    assert found.attributions[0].along is None
    assert found.attributions[1].along[0] == "predicted z"
    assert set(found.inspections) == set(wrote.inspections)
    for name, hdus in wrote.inspections.items():
        for ours, theirs in zip(found.inspections[name], hdus, strict=True):
            assert ours.name == theirs.name
            if ours.name != "EMBEDDING":
                np.testing.assert_array_equal(ours.data, theirs.data)


def test_scalars_come_back(tmp_path):
    rng = np.random.default_rng(0)
    names = ("mag_r", "g - r")
    values = rng.normal(size=(2, 2)).astype("f4")
    scalars = Scalars(names, ("mag", ""), values, values - 1)
    objects = ExplainedObjects(np.array([3, 5]), np.arange(2), channels=names, scalars=scalars)
    one = Attribution(
        "mean of z", objects, name="z", labels=["mean of z"] * 2, scores=np.ones(2),
        truths=["", ""], predictions=["", ""],
        maps={"occlusion": rng.normal(size=(2, 1, 2)).astype("f4")},
        checks={"occlusion": MapChecks(fractions=np.full((2, 2), 0.5))},
    )  # fmt: skip
    write_explanation(tmp_path / "e", Explanation(objects, [one]), [])
    found = read_explanation(tmp_path / "e")
    again = found.objects.scalars
    assert again.names == found.objects.channels == names and again.units == ("mag", "")
    np.testing.assert_array_equal(again.values, values)
    np.testing.assert_array_equal(again.standardized, values - 1)
    np.testing.assert_array_equal(found.attributions[0].maps["occlusion"], one.maps["occlusion"])
    with fits.open(tmp_path / "e/objects/3.fits") as hdus:
        assert "decrease of OUTPUT" in hdus["INPUTS"].header["TCOMM5"]


def test_maps_of_both_kinds_have_a_wcs_or_a_comment_without(written):
    folder, objects, _ = written
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


def test_every_image_has_its_unit(written):
    for path in written[0].rglob("*.fits"):
        with fits.open(path) as hdus:
            for hdu in hdus[1:]:
                if not isinstance(hdu, fits.ImageHDU):
                    continue
                fluxes = ("IMAGE", "OBJECT", "PATCHES", "CLASS_IMAGES", "DREAMS")
                expected = units.nJy if hdu.name in fluxes else units.dimensionless_unscaled
                # Warnings are errors: a unit that FITS does not know would be one.
                assert units.Unit(hdu.header["BUNIT"], format="fits") == expected, hdu.name


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_fitsverify_is_clean(written):
    folder = written[0]
    paths = sorted(folder.rglob("*.fits"))
    assert len(paths) == 4
    for path in paths:
        done = subprocess.run(["fitsverify", "-q", path], capture_output=True, text=True)
        assert "verification OK" in done.stdout, done.stdout


def test_a_value_of_any_length_comes_back_with_its_comment_or_without(tmp_path):
    """Cards of 80 characters: no warning, no half a comment, the value whole."""
    comment = "the explained output"
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
