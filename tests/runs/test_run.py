"""A run makes everything once."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from astrocnn.errors import ConfigError
from astrocnn.estimators import keras_estimator
from astrocnn.imaging.sources import tiles
from astrocnn.runs import run as run_module
from astrocnn.runs.config import load_run
from astrocnn.runs.run import Run

from .command import RUN, astrocnn


@contextmanager
def counted():
    """Counts catalogues that are read, bands of tiles that are opened, networks that are built."""
    counts: Counter[str] = Counter()

    def count(patch, module, name, what):
        original = getattr(module, name)

        def counting(*args, **kwargs):
            counts[what] += 1
            return original(*args, **kwargs)

        patch.setattr(module, name, counting)

    with pytest.MonkeyPatch.context() as patch:
        count(patch, run_module, "read_catalog", "catalogue")
        count(patch, tiles, "open_band", "band")
        count(patch, keras_estimator, "build_model", "built")
        count(patch, keras_estimator, "read_network", "loaded")
        yield counts


@pytest.fixture(scope="module")
def place(home, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("once")
    shutil.copytree(home / "sky", folder / "sky")
    (folder / "run.toml").write_text(
        RUN.replace("epochs = 2", "epochs = 1").replace("float32", "auto")
    )
    return folder


def test_each_verb_makes_each_thing_once(place, no_pictures):
    out = place / "run"
    bands = len(Run(load_run(place / "run.toml")).survey.bands)
    with counted() as counts:
        said = astrocnn("train", place / "run.toml", "--out", out)
    assert "weights of the best epoch are kept: 1 of 1" in said
    assert counts == {"catalogue": 1, "band": bands, "built": 1}
    with counted() as counts:
        astrocnn("predict", out, "--out", place / "predictions.fits", "--draws", 2)
    assert counts == {"catalogue": 1, "band": bands, "loaded": 1}
    with counted() as counts:
        astrocnn("evaluate", out)
    assert counts == {"loaded": 1}  # the shards hold catalogue and images
    with counted() as counts:
        said = astrocnn("explain", out, "--per-class", 1, "--methods", "grad_cam", "--no-checks")
    assert said.splitlines()[-1] == f"next: astrocnn predict {out}"
    assert counts == {"catalogue": 1, "band": bands, "loaded": 1}  # for the WCS of the maps
    with counted() as counts:
        said = astrocnn("report", out)
    assert said.splitlines()[-1] == f"next: astrocnn predict {out}"
    assert counts == {"loaded": 1}


def test_inputs_of_tiles_and_of_shards_are_the_same(place):
    astrocnn("cutouts", place / "run.toml", "--out", place / "cut")
    config = load_run(place / "run.toml")
    dry, cut = Run(config), Run(config, place / "cut")
    assert cut.inputs == dry.inputs
    assert "source" not in vars(cut)
    np.testing.assert_array_equal(cut.shards.catalog.ids, dry.catalog.ids)
    assert [len(cut.rows[name]) > 0 for name in ("train", "validation", "test")] == [True] * 3


def test_dry_run_has_no_directory(place):
    with pytest.raises(ConfigError, match="no directory"):
        _ = Run(load_run(place / "run.toml")).directory
    with pytest.raises(ConfigError, match="not a run directory"):
        Run.open(place)


def test_network_is_the_one_that_training_begins_with(place):
    config = load_run(place / "run.toml")
    run = Run(config)
    before = [weights.copy() for weights in run.network.get_weights()]
    estimator = run.untrained
    assert estimator._untrained() is not None
    again = Run(config).untrained._untrained()
    for one, other in zip(before, again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_classical_method_has_no_network(place):
    run = Run(load_run(place / "run.toml", ["model={method='knn', features=['cas']}"]))
    assert not run.has_network
    assert run.fit_options == {}
    with pytest.raises(ConfigError, match="no network"):
        _ = run.network


def test_classical_methods_stand_beside_a_network(home, tmp_path):
    beside = ("--set", "model.classical={logistic_regression = {C = 0.5}}")
    run = (home / "run.toml", "--set", "training.epochs=1", *beside)
    said = astrocnn("train", *run, "--out", tmp_path / "no", code=2)
    assert "features" in said and not (tmp_path / "no").exists()
    out = tmp_path / "run"
    astrocnn("train", *run, "--set", "model.features=['colors']", "--out", out)
    found = Run.open(out)
    network, method = found.estimator.members
    assert method.options["C"] == 0.5 and method.inputs == network.inputs
    rows = found.rows["test"]
    samples = found.sample(rows)["morphology"]
    assert samples.shape[:2] == (2 * found.config.prediction.draws, len(rows))
    alone = method.sample(found.shards.images(rows))["morphology"][0]
    np.testing.assert_array_equal(samples[1], alone)
    assert found.estimator.facts["Members"] == "2, logistic_regression among them"
    for value, words in (
        ("model.classical={svn = {}}", "did you mean 'svm'"),
        ("training.pseudo_labels=0.9", "pseudo_labels is for networks"),
    ):
        said = astrocnn("check", *run, "--set", value, code=2)
        assert words in " ".join(said.split()), said
