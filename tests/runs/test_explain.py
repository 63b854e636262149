"""explain: files with the sky on them, tables, figures, the chapters; each kind of target."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import Table
from astropy.wcs import WCS

from astrocnn.datasets import Shards
from astrocnn.errors import CatalogError, ConfigError, ModelError
from astrocnn.prediction import explanation_reading
from astrocnn.runs.verbs import explain, report
from astrocnn.simulation import simulate_quality

from .command import astrocnn

QUICK = ("saliency", "occlusion", "weights")


def words(text: str) -> str:
    return " ".join(text.split())


def told(folder, **how) -> str:
    return words(" ".join(str(line) for line in explain.run(folder, **how)))


@pytest.fixture(scope="module")
def explained(home):
    """The run of this folder, explained with a map by band, a coarse one and all of the network."""
    run = home / "run"
    chosen = Shards.open(run / "shards")
    rows = np.flatnonzero(chosen.flags == 0)[[3, 11, 17]]
    ids = ",".join(str(i) for i in chosen.ids[rows])
    said = astrocnn(
        "explain", run, "--objects", ids, "--methods",
        "integrated_gradients,grad_cam,weights,feature_maps,top_activations,embedding",
    )  # fmt: skip
    return run, rows, words(said)


def test_each_object_has_its_file_on_the_sky(explained, home):
    run, rows, said = explained
    assert "no score is computed" in said and "evaluate" in said
    assert not (run / "test_scorings.json").exists()
    shards = Shards.open(run / "shards")
    catalog = Table.read(home / "sky/catalog.fits")
    assert len(list((run / "explanations/objects").iterdir())) == 3
    for row in rows:
        path = run / f"explanations/objects/{shards.ids[row]}.fits"
        with fits.open(path, checksum=True) as hdus:
            assert [h.name for h in hdus] == [
                "PRIMARY",
                "IMAGE",
                "INTEGRATED_GRADIENTS",
                "GRAD_CAM",
            ]
            assert hdus[0].header["OBJID"] == str(shards.ids[row])
            assert len(hdus[0].header["MODELSHA"]) == len(hdus[0].header["CONFSHA"]) == 64
            image, added, coarse = hdus[1:]
            np.testing.assert_array_equal(image.data, np.moveaxis(shards.images([row])[0], -1, 0))
            assert image.header["BUNIT"] == shards.unit
            assert added.data.shape == image.data.shape and coarse.data.shape == (24, 24)
            assert added.header["OUTPUT"].startswith("logit of morphology = ")
            sky = [WCS(h.header).celestial for h in (image, added, coarse)]
            x, y = sky[0].all_world2pix(catalog["ra"][row], catalog["dec"][row], 0)
            assert max(abs(x - 11.5), abs(y - 11.5)) <= 0.501
            for other in sky[1:]:
                assert other.to_header() == sky[0].to_header()
        corners = []
        for path in sorted((home / "sky/tiles").glob("*_r.fits")):
            tile = WCS(fits.getheader(path, "IMAGE"))
            at = tile.all_world2pix(catalog["ra"][row], catalog["dec"][row], 0)
            if min(at) > 0 and max(at) < 600:
                cut = Cutout2D(np.zeros((600, 600)), at, 24, wcs=tile, mode="partial")
                corners.append(np.allclose(cut.wcs.wcs.crpix, sky[0].wcs.crpix))
        assert any(corners)


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_fitsverify_has_no_complaint(explained):
    run, _, _ = explained
    for path in (run / "explanations").rglob("*.fits"):
        done = subprocess.run(["fitsverify", "-q", path], capture_output=True, text=True)
        assert "verification OK" in done.stdout, done.stdout


def test_the_table_tells_of_each_object_and_method(explained):
    run, rows, _ = explained
    table = Table.read(run / "explanations/diagnostics.fits", hdu="DIAGNOSTICS")
    shards = Shards.open(run / "shards")
    assert len(table) == 6 and set(table["id"]) == set(shards.ids[rows])
    for name in ("deletion", "insertion", "random_deletion", "shift", "randomized"):
        column = name if name in table.colnames else f"{name}_area"
        values = np.asarray(table[column])
        assert np.isfinite(values).any(), column
    for line in table:
        path = run / "explanations/objects" / line["file"]
        with fits.open(path) as hdus:
            hdu = hdus[line["method"].upper()]
            assert hdu.header["SCORE"] == pytest.approx(line["score"], rel=1e-6)
            if line["method"] == "integrated_gradients":
                # Completeness: what is added is the score, but for the baseline and the residual.
                total = np.abs(hdu.data).sum(axis=(1, 2))
                shares = [line[f"share_{b}"] for b in shards.bands]
                np.testing.assert_allclose(shares, total / total.sum(), rtol=1e-5)
                assert np.isfinite(line["residual"])
            else:
                assert np.ma.is_masked(line["residual"])
    curves = Table.read(run / "explanations/diagnostics.fits", hdu="CURVES")
    area = np.trapezoid(curves["deletion"], curves["fraction"], axis=1)
    np.testing.assert_allclose(area, table["deletion_area"], rtol=1e-4)
    # The first point is the image itself.
    np.testing.assert_allclose(curves["deletion"][:, 0], table["score"], rtol=1e-4)
    text = Table.read(run / "explanations/diagnostics.csv")
    np.testing.assert_array_equal(text["id"], table["id"])


def test_the_network_comes_back_as_it_was_written(explained):
    run, rows, _ = explained
    shards = Shards.open(run / "shards")
    found, cards = explanation_reading.read(
        run / "explanations", pixel_scale=shards.pixel_scale, images=shards.images
    )
    (looked,) = found.looked
    np.testing.assert_array_equal(looked.images, shards.images(rows))
    assert found.bands == shards.bands and found.orientation == "N up, E left"
    assert looked.maps["integrated_gradients"].shape == (3, 24, 24, 4)
    assert looked.randomization["grad_cam"].shape == (3, len(looked.stages))
    from astrocnn.estimators import load_estimator

    network = load_estimator(run / "model")
    assert cards["NETSHA"] == network.fingerprint
    kernel = np.asarray(network.model_.get_layer("conv1").kernel)
    np.testing.assert_array_equal(found.learned.kernels, kernel)
    assert len(found.learned.points) == len(found.learned.thumbnails) > 10
    (first, last) = found.learned.top
    assert first.values.shape == (6, 9) and np.all(np.diff(first.values, axis=1) <= 0)
    assert np.shape(last.patches)[2:4] == (24, 24)


def test_figures_and_chapters(explained, home):
    run, _, _ = explained
    names = {path.name for path in (run / "figures").glob("explain_*.png")}
    assert "explain_looks-at_1.png" in names and "explain_has-learned_1.png" in names
    astrocnn("evaluate", run)
    assert len(list(report.run(run))) == 1
    page = (run / "report.html").read_text()
    assert "What the network looks at" in page and "What the network has learned" in page
    assert len(json.loads((run / "test_scorings.json").read_text())) == 1


def test_the_same_command_replaces_all_of_it(explained):
    run, _, _ = explained
    told(run, per_class=1, methods=["saliency"])
    assert not (run / "explanations/network.fits").exists()
    one = {p.name: p.read_bytes() for p in (run / "explanations").rglob("*.fits")}
    told(run, per_class=1, methods=["saliency"])
    two = {p.name: p.read_bytes() for p in (run / "explanations").rglob("*.fits")}
    assert one == two
    assert not list((run / "figures").glob("explain_has-learned*"))
    log = (
        json.loads((run / "test_scorings.json").read_text())
        if (run / "test_scorings.json").exists()
        else []
    )
    assert len(log) <= 1, "to explain is not to score"
    told(run, most_uncertain=2, methods=["saliency"], uncertainty=True)
    table = Table.read(run / "explanations/diagnostics.fits", hdu=1)
    assert len(table) == 4 and set(table["part"]) == {1, 2}
    assert "mutual information" in " ".join(table["output"])


def test_what_cannot_be_done_is_said(home):
    run = home / "run"
    with pytest.raises(ConfigError, match="no method 'oclusion'") as error:
        told(run, methods=["oclusion"])
    assert "occlusion" in str(error.value)
    with pytest.raises(ConfigError, match="no target 'z'"):
        told(run, targets=["z"])
    with pytest.raises(ConfigError, match="one way"):
        told(run, objects=["1"], per_class=1)
    known = int(Shards.open(run / "shards").ids[5])
    with pytest.raises(CatalogError, match="not in the catalogue") as error:
        told(run, objects=[str(known + 1)])
    assert str(known) in str(error.value)
    with pytest.raises(CatalogError, match="whole numbers"):
        told(run, objects=["NGC 1"])


QUALITY = """
title = "quality of stamps"
survey = "sky/survey.toml"

[catalog]
file = "sky/catalog.fits"

[inputs]
size = 16

[split]
fractions = [0.5, 0.2, 0.3]

[task]
name = "quality"
reasons = { saturated = "has_saturated" }

[model]
architecture = "lenet"
members = 2
options = { head_dropout = 0.3 }

[training]
epochs = 1

[prediction]
draws = 2
"""


def test_quality_of_stamps_by_two_targets(tmp_path):
    simulate_quality(tmp_path / "sky", n_objects=120, size=16, seed=3)
    (tmp_path / "run.toml").write_text(QUALITY)
    run = tmp_path / "run"
    astrocnn("train", tmp_path / "run.toml", "--out", run)
    said = told(run, targets=["usable", "saturated"], methods=QUICK, most_uncertain=2)
    assert "first of 2 members" in said
    table = Table.read(run / "explanations/diagnostics.fits", hdu=1)
    assert len(table) == 8 and set(table["target"]) == {"usable", "saturated"}
    assert all("logit of" in output for output in table["output"])
    with fits.open(run / "explanations/objects" / table["file"][0]) as hdus:
        assert hdus["SALIENCY", 2].header["TARGET"] == "saturated"


REDSHIFT = """
title = "redshifts of pixels and a color"
survey = "sky/survey.toml"

[catalog]
file = "sky/catalog.fits"

[inputs]
size = 16
scalars = ["mag_r"]
mask_channel = true

[split]
fractions = [0.5, 0.2, 0.3]

[task]
name = "photoz"
column = "fake_z"
range = [0.0, 0.6]
n_bins = 20

[model]
architecture = "lenet"

[training]
epochs = 1

[prediction]
draws = 0
"""


def test_redshifts_with_scalars_and_masks(home, tmp_path):
    shutil.copytree(home / "sky", tmp_path / "sky")
    table = Table.read(home / "sky/catalog.fits")
    table["fake_z"] = np.random.default_rng(0).uniform(0.05, 0.55, len(table))
    table.write(tmp_path / "sky/catalog.fits", overwrite=True)
    (tmp_path / "run.toml").write_text(REDSHIFT)
    run = tmp_path / "run"
    astrocnn("train", tmp_path / "run.toml", "--out", run)
    told(run, per_class=1, methods=["integrated_gradients", "class_image", "embedding"])
    table = Table.read(run / "explanations/diagnostics.fits", hdu=1)
    assert len(table) == 5 and set(table["output"]) == {"mean of z"}
    # Chosen evenly along the predicted value, which is what is explained.
    np.testing.assert_allclose(table["score"], table["along"], atol=1e-3)
    assert np.all(np.diff(table["along"]) >= 0)
    shares = [name for name in table.colnames if name.startswith("share_")]
    assert len(shares) == 8 and "share_mask_of_g" in shares
    np.testing.assert_allclose(sum(np.asarray(table[s]) for s in shares), 1, rtol=1e-5)
    with fits.open(run / "explanations/network.fits") as hdus:
        assert hdus["CLASS_IMAGES"].data.shape == (1, 4, 16, 16)
        assert "color2" in hdus["EMBEDDING"].columns.names


def test_a_classical_method_has_nothing_to_look_into(home, tmp_path):
    text = (home / "run.toml").read_text().replace('"sky/', f'"{home}/sky/')
    text = text.replace('architecture = "plain8"', 'method = "knn"\nfeatures = ["colors"]')
    text = text.replace("options = { width = 0.25 }", "").replace("draws = 4", "draws = 0")
    (tmp_path / "run.toml").write_text(text)
    astrocnn("train", tmp_path / "run.toml", "--out", tmp_path / "run")
    with pytest.raises(ModelError, match="no network to look into"):
        told(tmp_path / "run")
