"""explain: files with the sky on them, tables, figures, the chapters; each kind of target."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import Table
from astropy.wcs import WCS

from astrocnn.datasets import Shards
from astrocnn.errors import CatalogError, ConfigError, ModelError
from astrocnn.estimators import Calibrated, ClassicalEstimator, Ensemble, load_estimator
from astrocnn.explain.explained_network import ExplainedNetwork
from astrocnn.explain.files import read_explanation
from astrocnn.explain.hdus import find_hdus
from astrocnn.runs.config import load_run
from astrocnn.runs.run import Run
from astrocnn.runs.verbs import explain, report
from astrocnn.simulation import simulate_quality
from tests.report.browser import assert_readable, inspect_page

from .command import astrocnn, untrained

ROOT = Path(__file__).parents[2]


def words(text: str) -> str:
    return " ".join(text.split())


def explain_run(folder, **how) -> str:
    return words(" ".join(str(line) for line in explain.run(folder, **how)))


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(report, "inside_chapters", lambda *args: [])


@pytest.fixture(scope="module")
def explained(home, tmp_path_factory):
    """The run of this folder, explained with a map by band, a coarse one and all of the network."""
    run = tmp_path_factory.mktemp("explained") / "run"
    shutil.copytree(home / "run", run)
    # Other tests may have scored the run they all share.
    (run / "test_scorings.json").unlink(missing_ok=True)
    astrocnn("evaluate", run)
    shards = Shards.open(run / "shards")
    rows = np.flatnonzero(shards.flags == 0)[[3, 11, 17]]
    ids = ",".join(str(i) for i in shards.ids[rows])
    said = astrocnn(
        "explain", run, "--objects", ids,
        "--methods", "integrated_gradients,grad_cam,weights,feature_maps,top_activations,embedding",
    )  # fmt: skip
    return run, rows, words(said)


def test_each_object_has_its_file_on_the_sky(explained, home):
    run, rows, said = explained
    assert "no score is computed" in said
    assert len(json.loads((run / "test_scorings.json").read_text())) == 1
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
def test_fitsverify_is_clean(explained):
    run, _, _ = explained
    for path in (run / "explanations").rglob("*.fits"):
        done = subprocess.run(["fitsverify", "-q", path], capture_output=True, text=True)
        assert "verification OK" in done.stdout, done.stdout


def test_points_are_colored_by_what_the_evaluation_goes_by(explained, home):
    with fits.open(explained[0] / "explanations/network.fits") as hdus:
        table = hdus["EMBEDDING"]
        assert "mag_r" in repr(table.header)
        magnitude = Table.read(home / "sky/catalog.fits")["mag_r"][table.data["row"]]
        np.testing.assert_allclose(table.data["color3"], magnitude, rtol=1e-6)


def test_the_table_has_a_row_for_each_object_and_method(explained):
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
                shares = [line[f"fraction_{b}"] for b in shards.bands]
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
    found = read_explanation(
        run / "explanations", pixel_scale=shards.pixel_scale, images=shards.images
    )
    (one,) = found.attributions
    objects = found.objects
    np.testing.assert_array_equal(objects.images, shards.images(rows))
    assert objects.bands == shards.bands and objects.orientation == "N up, E left"
    assert one.maps["integrated_gradients"].shape == (3, 24, 24, 4)
    assert one.checks["grad_cam"].randomization.shape == (3, len(one.stages))
    network = load_estimator(run / "model")
    assert found.cards["NETSHA"] == network.fingerprint
    kernel = np.asarray(network.model_.get_layer("conv1").kernel)
    hdus = found.inspections
    kernels = find_hdus(hdus["weights"], "KERNELS")[1]
    np.testing.assert_array_equal(kernels.transpose(2, 3, 1, 0), kernel)
    assert len(hdus["embedding"][0].data) > 10
    for hdu in hdus["feature_maps"][1:]:
        shape = network.model_.get_layer(hdu.header["LAYER"]).output.shape[1:]
        assert np.moveaxis(hdu.data, 0, -1).shape == shape
    values = find_hdus(hdus["top_activations"], "ACTIVATIONS")
    assert values[1].shape == (6, 9) and np.all(np.diff(values[1], axis=1) <= 0)
    # Three convolutions of 3 and two poolings of 2 pixels see 3, 4, 8, 10, 18 pixels.
    assert find_hdus(hdus["top_activations"], "PATCHES")[2].shape[3:] == (18, 18)


def test_figures_and_chapters(explained):
    run, _, _ = explained
    names = {path.name for path in (run / "figures").glob("explain_*.png")}
    assert "explain_attribution_1.png" in names and "explain_inside-the-network_1.png" in names
    page = (run / "report.html").read_text()
    assert ">Attribution<" in page and ">Inside the network<" in page


def test_the_page_is_readable_in_a_browser(explained):
    assert_readable(inspect_page(explained[0] / "report.html"))


def test_another_command_replaces_all_of_it(explained, tmp_path, no_figures):
    run = tmp_path / "run"
    shutil.copytree(explained[0], run)
    (run / "scores.json").unlink()
    explain_run(run, most_uncertain=2, methods=["saliency"], uncertainty=True, checks=False)
    assert not (run / "explanations/network.fits").exists()
    assert not list((run / "figures").glob("explain_*"))
    table = Table.read(run / "explanations/diagnostics.fits", hdu=1)
    assert len(table) == 4 and set(table["part"]) == {1, 2}
    assert "mutual information" in " ".join(table["output"])
    assert len(set(table["score"])) == 4


def test_maps_of_draws_are_checked_layer_by_layer(home, no_figures, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(home / "run", run)
    explain_run(run, most_uncertain=1, methods=["saliency"], uncertainty=True)
    table = Table.read(run / "explanations/diagnostics.fits", hdu="RANDOMIZATION")
    stages = [list(table["stage"][table["part"] == part]) for part in (1, 2)]
    assert stages[0] == stages[1] and stages[1][-1] == "conv1"
    found = np.asarray(table["correlation"])
    # The networks that forget are others than the one that knows.
    assert len(set(found)) == len(found) == 6 and np.abs(found).max() < 0.98


def test_invalid_requests_are_refused(home):
    run = home / "run"
    with pytest.raises(ConfigError, match="no explanation method 'oclusion'") as error:
        explain_run(run, methods=["oclusion"])
    assert "did you mean 'occlusion'" in str(error.value) and "None" not in str(error.value)
    with pytest.raises(ConfigError, match="no target 'z'"):
        explain_run(run, targets=["z"])
    assert "names separated by commas" in words(astrocnn("explain", run, "--objects", "", code=2))
    with pytest.raises(ModelError, match="no layer 'conv99'"):
        explain_run(run, of="layer:conv99")
    with pytest.raises(ModelError, match="no such class"):
        explain_run(run, of="spirl")
    with pytest.raises(ModelError, match="larger than the image"):
        explain_run(run, methods=["occlusion"], square=999)
    with pytest.raises(ConfigError, match="single target"):
        explain_run(run, targets=["a", "b"], of="a")
    with pytest.raises(ConfigError, match="in one way only"):
        explain_run(run, objects=["1"], per_class=1)
    known = int(Shards.open(run / "shards").ids[5])
    with pytest.raises(CatalogError, match="not in the catalogue") as error:
        explain_run(run, objects=[str(known + 1)])
    assert str(known) in str(error.value)
    with pytest.raises(CatalogError, match="are integers"):
        explain_run(run, objects=["NGC 1"])


QUALITY = """
title = "quality of stamps"
survey = "sky/survey.toml"

[catalog]
file = "sky/catalog.fits"

[inputs]
size = 32

[split]
fractions = [0.4, 0.2, 0.4]

[task]
name = "quality"
reasons = { saturated = "has_saturated" }

[model]
architecture = "lenet"

[prediction]
draws = 0
"""


def test_quality_of_stamps_by_two_targets(tmp_path, no_figures):
    simulate_quality(tmp_path / "sky", n_objects=40, size=32, seed=3)
    run = untrained(tmp_path, QUALITY)
    how = {"methods": ["saliency", "occlusion"], "most_uncertain": 2, "checks": False}
    explain_run(run, targets=["usable", "saturated"], **how)
    table = Table.read(run / "explanations/diagnostics.fits", hdu=1)
    assert len(table) == 8 and set(table["target"]) == {"usable", "saturated"}
    assert all("logit of" in output for output in table["output"])
    with fits.open(run / "explanations/objects" / table["file"][0]) as hdus:
        assert hdus["SALIENCY", 2].header["TARGET"] == "saturated"


def test_the_first_member_of_an_ensemble_is_explained(home):
    shards = Shards.open(home / "run/shards")
    member = load_estimator(home / "run/model")
    inside = ExplainedNetwork.find(Calibrated(Ensemble([member, member]), {}), shards)
    assert inside.estimator is member and "first of 2 members" in inside.remarks[0]


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
architecture = "plain8"
options = { width = 0.25 }

[prediction]
draws = 0
"""


def test_redshifts_with_scalars_and_masks(home, tmp_path, no_figures):
    shutil.copytree(home / "sky", tmp_path / "sky")
    table = Table.read(home / "sky/catalog.fits")
    table["fake_z"] = np.random.default_rng(0).uniform(0.05, 0.55, len(table))
    table.write(tmp_path / "sky/catalog.fits", overwrite=True)
    run = untrained(tmp_path, REDSHIFT)
    methods = ["integrated_gradients", "class_image", "embedding"]
    explain_run(run, per_class=1, methods=methods, checks=False)
    table = Table.read(run / "explanations/diagnostics.fits", hdu=1)
    assert len(table) == 5 and set(table["output"]) == {"mean of z"}
    # Chosen evenly along the predicted value, which is what is explained.
    np.testing.assert_allclose(table["score"], table["along"], atol=1e-3)
    assert np.all(np.diff(table["along"]) >= 0)
    shares = [name for name in table.colnames if name.startswith("fraction_")]
    assert len(shares) == 8 and "fraction_mask_of_g" in shares
    np.testing.assert_allclose(sum(np.asarray(table[s]) for s in shares), 1, rtol=1e-5)
    with fits.open(run / "explanations/network.fits") as hdus:
        assert hdus["CLASS_IMAGES"].data.shape == (1, 4, 16, 16)
        assert "color2" in hdus["EMBEDDING"].columns.names
    # Probabilities of two halves of the range, and their maps, add up to one and to nothing.
    maps, scores = [], []
    for half in ("0,0.3", "0.3,0.6"):
        explain_run(run, per_class=1, methods=["occlusion"], checks=False, of=half, square=16)
        found = Table.read(run / "explanations/diagnostics.fits", hdu=1)
        assert set(found["output"]) == {f"probability of {half.replace(',', ' < z < ')}"}
        scores.append(np.asarray(found["score"]))
        maps.append(
            [fits.getdata(run / "explanations/objects" / f, "OCCLUSION") for f in found["file"]]
        )
    np.testing.assert_allclose(scores[0] + scores[1], 1, rtol=1e-5)
    np.testing.assert_allclose(maps[0], -np.asarray(maps[1]), atol=1e-6)
    # One square hides all of the image: all pixels lose the same.
    assert np.ptp(maps[0], axis=(-2, -1)).max() == 0


def test_a_class_or_a_layer_instead_of_the_prediction(home, no_figures, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(home / "run", run)
    classes = Run.open(run).task.targets[0].family.classes
    for of, said in ((classes[1], f"= {classes[1]}"), ("layer:conv1#0", "of conv1, channel 0")):
        explain_run(run, most_uncertain=2, methods=["saliency"], checks=False, of=of)
        table = Table.read(run / "explanations/diagnostics.fits", hdu=1)
        assert len(table) == 2 and all(output.endswith(said) for output in table["output"])


def test_a_method_of_a_file(home, no_figures, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(home / "run", run)
    (run / "scores.json").unlink(missing_ok=True)
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n\n\n"
        "def brightness(model, images, target, *, scalars=None, batch_size=64):\n"
        "    return np.abs(np.asarray(images, np.float32))\n"
    )
    methods = [f"{tmp_path / 'mine.py'}:brightness", "saliency"]
    explain_run(run, most_uncertain=2, methods=methods, checks=False)
    table = Table.read(run / "explanations/diagnostics.fits", hdu=1)
    assert list(table["method"]) == ["brightness"] * 2 + ["saliency"] * 2
    network = load_estimator(run / "model")
    image = Shards.open(run / "shards").images(table["row"][:1])
    with fits.open(run / "explanations/objects" / table["file"][0]) as hdus:
        expected = np.abs(network.inputs.normalization.apply(image))[0]
        np.testing.assert_allclose(np.moveaxis(hdus["BRIGHTNESS"].data, 0, -1), expected)


def test_a_classical_method_is_refused(home):
    shards = Shards.open(home / "run/shards")
    network = load_estimator(home / "run/model")
    other = ClassicalEstimator(network.task, network.inputs, "knn", ["colors"])
    with pytest.raises(ModelError, match="no network to explain"):
        ExplainedNetwork.find(other, shards)


ZTF = """
title = "stars and galaxies of ZTF"
survey = "ztf.toml"

[catalog]
file = "labels.csv"
id = "file"

[inputs]
size = 20

[split]
fractions = [0.6, 0.2, 0.2]

[task]
name = "morphology"
target = "type"
column = "label"
classes = ["star", "galaxy"]

[model]
architecture = "plain8"
options = { width = 0.25 }

[prediction]
draws = 0
"""


@pytest.mark.real_data
def test_stamps_keep_the_coordinates_of_their_files(real_data, tmp_path, no_figures):
    lines = (real_data / "ztf_star_galaxy/labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join([lines[0], *lines[1::9]]) + "\n")
    text = (ROOT / "pipelines/surveys/ztf_stamps.toml").read_text()
    text = text.replace("$ASTROCNN_DATA", str(real_data))
    (tmp_path / "ztf.toml").write_text(text)
    run = untrained(tmp_path, ZTF)
    explain_run(run, per_class=1, methods=["saliency"], checks=False)
    table = Table.read(run / "explanations/diagnostics.fits", hdu=1)
    template = Run(load_run(tmp_path / "run.toml")).survey.bands[0].image
    assert len(table)
    for line in table:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = WCS(fits.getheader(template.format(file=line["id"])))
            with fits.open(run / "explanations/objects" / line["file"]) as hdus:
                ours = WCS(hdus["SALIENCY"].header, naxis=2)
        p = np.array([0.0, 9.5, 19.0])
        here, there = (w.all_pix2world(p, p, 0) for w in (ours, theirs))
        np.testing.assert_allclose(here, there, rtol=0, atol=1e-8)
