"""`export` of a trained run."""

from __future__ import annotations

import json

import numpy as np

from astrocnn.export import open_exported
from astrocnn.runs.run import Run

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
    # Given again, the folder is replaced.
    astrocnn("export", home / "run", "--out", out, "--views", "d4")
    again = json.loads((out / "config.json").read_text())
    assert again["draws"] == 0 and again["views"] == "d4"


def test_what_cannot_be_exported_is_one_message(home, tmp_path):
    said = astrocnn("export", home / "run", "--out", tmp_path / "n", "--format", "torch", code=2)
    assert "no such format" in said and "saved_model" in said
    said = astrocnn("export", home / "run", "--out", home / "sky", code=2)
    assert "no exported network is in it" in said and (home / "sky/catalog.fits").is_file()
    said = astrocnn("export", tmp_path, "--out", tmp_path / "n", code=2)
    assert "not a run directory" in said
