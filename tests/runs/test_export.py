"""`export` of a trained run."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from astrocnn.catalog import read_catalog
from astrocnn.errors import ModelError
from astrocnn.export import compare_predictions, open_exported
from astrocnn.prediction.objects import find_usable
from astrocnn.runs.run import Run, open_images

from .command import astrocnn


def test_the_exported_network_predicts_what_the_run_does(home, tmp_path):
    out = tmp_path / "net"
    printed = astrocnn("export", home / "run", "--out", out, "--draws", 4, "--seed", 7)
    assert "largest difference from the trained network" in printed and "model card" in printed
    run = Run.open(home / "run")
    images = run.shards.images(np.arange(20))
    expected = run.estimator.sample(images, draws=4, seed=7)["morphology"]
    network = open_exported(out)
    got = network.predict(images)["morphology"]
    good = np.isfinite(images).any(axis=(1, 2, 3))
    np.testing.assert_allclose(got[:, good], expected[:, good], atol=1e-5, rtol=0)
    assert network.config["parity"]["source"] == "of the run"
    assert network.config["outputs"]["morphology"]["classes"][0] == "elliptical"
    card = (out / "README.md").read_text()
    assert "**The training data are simulated.**" in card and "catalog.fits" in card
    # Given again, the folder is replaced; the draws are compared on a catalogue.
    objects = ("--catalog", home / "sky/catalog.fits", "--survey", home / "sky/survey.toml")
    said = astrocnn("export", home / "run", "--out", out, "--views", "d4", *objects)
    again = json.loads((out / "config.json").read_text())
    assert again["draws"] == 0 and again["views"] == "d4"
    catalog = read_catalog(home / "sky/catalog.fits")
    assert "morphology_p_spiral" in said and f"of {len(catalog)} objects of" in said

    # The file of the draws again, as another program would have it.
    source = open_images(run.survey, catalog, run.config.inputs.size)
    differences, n = compare_predictions(run.estimator, network, catalog, source)
    cutouts = source.read(np.arange(len(catalog)))
    _, usable, _ = find_usable(run.estimator, catalog, cutouts)
    assert n == len(usable) < len(catalog)
    expected = run.estimator.sample(cutouts.images[usable], draws=4, seed=7)["morphology"]
    got = network.predict(cutouts.images[usable])["morphology"]
    by_name = {one.name: one for one in differences}
    change = np.abs(expected[..., 1].mean(axis=0) - got[..., 1].mean(axis=0))
    assert by_name["morphology_p_spiral"].value == pytest.approx(change.max(), abs=1e-7)
    assert max(one.value for one in differences) < 1e-5

    # One object that the exported network sees otherwise is found, and named.
    victim = int(usable[10])

    def shifted(images, scalars=None):
        values = network.predict(images, scalars)
        same = (np.nan_to_num(images) == np.nan_to_num(cutouts.images[victim])).all(axis=(1, 2, 3))
        return {name: array + 2e-5 * same[:, None] for name, array in values.items()}

    other = SimpleNamespace(config=network.config, predict=shifted)
    with pytest.raises(ModelError, match="does not predict what the run does") as caught:
        compare_predictions(run.estimator, other, catalog, source)
    assert str(catalog.ids[victim]) in str(caught.value) and "1e-05" in str(caught.value)
    foreign = SimpleNamespace(config={**network.config, "fingerprint": "0"}, predict=shifted)
    with pytest.raises(ModelError, match="not one of this run"):
        compare_predictions(run.estimator, foreign, catalog, source)


def test_what_cannot_be_exported_is_one_message(home, tmp_path):
    said = astrocnn("export", home / "run", "--out", tmp_path / "n", "--format", "torch", code=2)
    assert "no such format" in said and "saved_model" in said
    said = astrocnn("export", home / "run", "--out", home / "sky", code=2)
    assert "no exported network is in it" in said and (home / "sky/catalog.fits").is_file()
    said = astrocnn("export", tmp_path, "--out", tmp_path / "n", code=2)
    assert "not a run directory" in said
    survey = ("--survey", home / "sky/survey.toml")
    said = astrocnn("export", home / "run", "--out", tmp_path / "n", *survey, code=2)
    assert "belong to the catalogue that --catalog names" in said and not (tmp_path / "n").exists()
