"""explain for runs without images: a table of inputs for each object, bars, spectra, chapters."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn.datasets import Shards
from astrocnn.estimators import load_estimator
from astrocnn.explain.chapters import build_chapters
from astrocnn.explain.files import read_explanation
from astrocnn.runs.verbs import explain, report

from .command import astrocnn, untrained

RUN = """
title = "two colors and a magnitude"

[catalog]
file = "objects.fits"

[inputs]
scalars = ["mag_r", "mag_g - mag_r", "size"]

[split]
fractions = [0.6, 0.2, 0.2]

[task]
name = "photoz"
column = "z"
range = [0.0, 0.5]
n_bins = 20

[model]
architecture = "ann"
options = { width = 4 }

[prediction]
draws = 0
"""
INPUTS = ("mag_r", "mag_g - mag_r", "size")


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """A run of a table alone, explained with the weights its network began with."""
    folder = tmp_path_factory.mktemp("explained")
    rng = np.random.default_rng(2)
    n = 300
    z = rng.uniform(0, 0.5, n)
    r = rng.normal(19, 1, n)
    table = Table({"id": [f"J{k:03d}" for k in range(n)], "mag_r": r, "mag_g": r + 3 * z, "z": z})
    table["size"] = rng.uniform(1, 5, n)
    for name, unit in {"mag_r": "mag", "mag_g": "mag", "size": "arcsec"}.items():
        table[name].unit = unit
    table.write(folder / "objects.fits")
    run = untrained(folder, RUN)
    methods = "integrated_gradients,occlusion,grad_cam,weights,class_image,embedding"
    said = astrocnn("explain", run, "--per-class", 5, "--methods", methods)
    return run, table, " ".join(said.split())


def files(run):
    table = Table.read(run / "explanations/diagnostics.fits", hdu=1)
    return [run / "explanations/objects" / name for name in dict.fromkeys(table["file"])]


def test_methods_that_need_an_image_are_skipped_with_a_reason(explained):
    said = explained[2]
    words = " ".join(said.split())
    # Methods without for the same reason share a sentence.
    assert re.search(r"without ([\w, ]+, )?grad_cam[\w, ]*: The network 'ann' has no convo", words)
    assert words.count("The network 'ann' has no convolution") == 1
    assert "class_image" in words and "weights" in words


def test_each_object_has_a_table_of_its_inputs(explained):
    run, catalog, _ = explained
    network = load_estimator(run / "model")
    inputs = network.inputs
    assert len(files(run)) == 25
    for path in files(run)[::6]:
        with fits.open(path, checksum=True) as hdus:
            assert [(h.name, h.ver) for h in hdus[1:]] == [("INPUTS", 1)]
            (row,) = np.flatnonzero(catalog["id"] == hdus[0].header["OBJID"])
            table, header = hdus[1].data, hdus[1].header
            assert tuple(table["input"]) == INPUTS and list(table["unit"]) == [
                "mag",
                "mag",
                "arcsec",
            ]
            r, g, size = (catalog[name][row] for name in ("mag_r", "mag_g", "size"))
            np.testing.assert_allclose(table["value"], [r, g - r, size], rtol=1e-5)
            x = inputs.standardize(table["value"][None])
            np.testing.assert_allclose(table["standardized"], x[0], atol=1e-6)
            # Inputs taken away by hand, one after the other.
            some = np.concatenate([x, np.where(np.eye(3, dtype=bool), 0, x), np.zeros((1, 3))])
            raw = network.model_({"scalars": some.astype("f4")})["z"]
            mean = network.task.target("z").family.activate(raw).numpy() @ np.arange(
                0.0125, 0.5, 0.025
            )
            assert header["SCORE"] == pytest.approx(mean[0], rel=1e-5)
            assert header["OUTPUT"] == "mean of z" and float(header["LABEL"]) < 0.5
            np.testing.assert_allclose(table["occlusion"], mean[0] - mean[1:4], atol=1e-6)
            added = table["integrated_gradients"].sum()
            assert added == pytest.approx(mean[0] - mean[4], abs=1e-3 * np.ptp(mean))


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_fitsverify_is_clean(explained):
    paths = list((explained[0] / "explanations").rglob("*.fits"))
    done = subprocess.run(["fitsverify", "-q", *paths], capture_output=True, text=True)
    assert done.stdout.count("verification OK") == len(paths) == 27, done.stdout


def test_the_table_of_diagnostics_has_a_fraction_for_each_input(explained):
    table = Table.read(explained[0] / "explanations/diagnostics.fits", hdu="DIAGNOSTICS")
    assert len(table) == 2 * 25
    shares = np.stack(
        [table[name] for name in table.colnames if name.startswith("fraction_")], axis=1
    )
    assert shares.shape[1] == 3
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    assert np.isfinite(table["deletion_area"]).all() and np.ma.getmaskarray(table["shift"]).all()
    known = table["method"] == "integrated_gradients"
    assert np.abs(table["residual"][known]).max() < 1e-3


def test_what_was_written_comes_back_and_is_shown(explained):
    run, _, _ = explained
    found = read_explanation(run / "explanations")
    scalars = found.objects.scalars
    assert scalars.names == found.objects.channels == INPUTS and scalars.values.shape == (25, 3)
    assert set(found.inspections) == {"embedding"}
    maps = found.attributions[0].maps["occlusion"]
    with fits.open(files(run)[3]) as hdus:
        np.testing.assert_array_equal(maps[3, 0], hdus[1].data["occlusion"])
    attribution, checks, _ = build_chapters(found)
    # All objects, four sheets of six, shares, and shares along the redshift.
    assert len(attribution.figures) == 1 + 4 + 2
    assert "inputs are set to their means" in " ".join(checks.text)
    assert not any("pixel" in words for words in (*attribution.text, *checks.text))
    names = {path.name for path in (run / "figures").glob("explain_*.png")}
    assert "explain_attribution_1.png" in names


SPECTRA = """
title = "spectra"

[catalog]
file = "objects.fits"

[inputs]
scalars = [NAMES]

[task]
name = "morphology"
target = "kind"
column = "kind"
classes = ["star", "galaxy"]

[model]
architecture = "spectra"
options = { width = 0.1, head_dropout = 0.5 }

[prediction]
draws = 3
"""


def test_many_inputs_are_a_spectrum(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    table = Table({"id": np.arange(60) - 5, "kind": ["star", "galaxy"] * 30})
    names = [f"flux_{4000 + 50 * k}" for k in range(64)]
    for name in names:
        table[name] = rng.normal(1, 0.1, 60)
    table.write(tmp_path / "objects.fits")
    run = untrained(tmp_path, SPECTRA.replace("NAMES", str(names)[1:-1]))
    monkeypatch.setattr(report, "inside_chapters", lambda *args: [])
    how = {"methods": ["occlusion", "saliency"], "checks": False, "uncertainty": True}
    list(explain.run(run, objects=["-5", "3"], **how))
    diagnostics = Table.read(run / "explanations/diagnostics.fits", hdu=1)
    assert len(diagnostics) == 2 * 2 * 2 and "mutual information" in diagnostics["output"][-1]
    assert not any(name.startswith("fraction_") for name in diagnostics.colnames)
    found = read_explanation(run / "explanations")
    np.testing.assert_allclose(
        found.objects.scalars.values, Shards.open(run / "shards").scalars(tuple(names))[[0, 8]]
    )
    (chapter,) = build_chapters(found)
    assert len(chapter.figures) == 2 * 2
    (spectrum, lines) = chapter.figures[1].figure.axes[:2]
    np.testing.assert_allclose(spectrum.lines[0].get_xdata(), np.arange(4000, 7200, 50))
    np.testing.assert_allclose(spectrum.lines[0].get_ydata(), found.objects.scalars.values[0])
    assert max(np.abs(line.get_ydata()).max() for line in lines.lines) == 1
