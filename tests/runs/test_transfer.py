"""``astrocnn train --from``: a run that begins with the weights of another."""

from __future__ import annotations

import json
import tomllib

import pytest

from astrocnn.errors import ConfigError
from astrocnn.estimators import load_estimator
from astrocnn.runs.config import dump_run, parse_run
from astrocnn.runs.run import Run
from astrocnn.runs.verbs.report import _training

from .command import MODEL, astrocnn
from .test_config import GOOD

OTHER = (
    "--set", "inputs.bands=['r']",
    "--set", "task.classes=['star', 'galaxy']",
    "--set", "task.map={star='star', '*'='galaxy'}",
    "--set", "training.epochs=1",
    "--set", "prediction.draws=0",
)  # fmt: skip


def test_other_bands_and_classes_begin_with_what_was_learned(home, tmp_path):
    old, out = home / "run", tmp_path / "new"
    begin = ("--from", old, *OTHER, "--set", "training.frozen_epochs=1")
    said = astrocnn("train", home / "run.toml", "--out", out, *begin)
    words = "adapted to other bands or scalars: conv1; fresh: morphology"
    assert f"began with {old}: 6 layers taken; {words}" in " ".join(said.split())
    # The run directory says with what it began: where it was, and which one it was.
    config = tomllib.loads((out / "config.toml").read_text())
    assert config["model"]["weights"] == str(old)
    first, second = (load_estimator(folder / "model") for folder in (old, out))
    about = json.loads((out / "model" / "estimator.json").read_text())
    assert about["origin"]["model"] == first.fingerprint
    assert second.facts["Started from"] == f"model SHA-256 {first.fingerprint}"
    assert str(old) in str(_training(Run.open(out)).tables)
    # One epoch, in which all but the head is frozen.
    for name in ("conv2", "norm1"):
        layers = [e.model_.get_layer(name).get_weights() for e in (first, second)]
        assert all((a == b).all() for a, b in zip(*layers, strict=True))
    assert "trained already" in astrocnn("train", home / "run.toml", "--out", out, *begin)
    said = astrocnn("train", home / "run.toml", "--out", out, *OTHER, code=2)
    assert "holds another run; it differs in: model.weights, training.frozen_epochs" in said
    checked = astrocnn("check", home / "run.toml", "--set", f"model.weights={old}", *OTHER)
    checked = " ".join(checked.split())
    assert "6 layers taken" in checked and "fresh: morphology" in checked


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--set", "split.seed=1"), "trained with another split"),
        (
            ("--set", "model.architecture=lenet", "--set", "inputs.size=32"),
            "those of a 'euclid_quality'",
        ),
        (("--set", "model.options.width=0.5"), "filters 8 there, 16 here"),
        (("--set", "training.layer_rates={conv99=0}"), "did you mean 'conv"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(home, tmp_path, more, words):
    run = ("train", home / "run.toml", "--out", tmp_path / "x", "--from", home / "run")
    assert words in astrocnn(*run, *OTHER, *more, code=2)


def test_a_start_must_be_there(home, tmp_path):
    run = ("train", home / "run.toml", "--out", tmp_path / "x")
    assert "it holds no config.toml" in astrocnn(*run, "--from", tmp_path, code=2)
    assert "name them in model.weights" in astrocnn(*run, "--set", "training.body_rate=1", code=2)
    assert not (tmp_path / "x").exists()


def test_a_method_is_refused_before_images_are_read(home, tmp_path, monkeypatch):
    method = '\nmethod = "svm"\nfeatures = ["cnn:other", "hog"]\n'
    run = (home / "run.toml").read_text().replace(MODEL, method)
    (home / "svm.toml").write_text(run)
    # What follows is from no run file's folder: paths count from that of the run file.
    monkeypatch.chdir(tmp_path)
    train = ("train", home / "svm.toml", "--out", tmp_path / "x")
    said = " ".join(astrocnn(*train, code=2).split())
    assert "'other' is not the directory of a trained run; there is no such folder" in said
    assert str(home / "other") in said and f"from its own folder, {home}" in said
    two = ("--set", "model.features=['cnn:other#conv1', 'cnn:sky']")
    said = " ".join(astrocnn(*train, *two, code=2).split())
    assert "no such folder" in said and "'sky' is not" in said and "no config.toml" in said
    hog = ("--set", "model.features=['hog']", "--set", "prediction.draws=0")
    assert "did you mean 'gamma'" in astrocnn(*train, *hog, "--set", "model.options.gama=1", code=2)
    said = astrocnn(*train, "--set", "model.features=[]", "--set", "prediction.draws=0", code=2)
    assert "takes scalars only" in said
    said = astrocnn(
        "check", home / "svm.toml", "--set", "model.features=['cnn:run', 'hog']", code=1
    )
    assert "features: network" in " ".join(said.split()) and "has no draws" in said
    assert not (tmp_path / "x").exists()


def test_the_table_reads_back_and_is_for_networks(tmp_path):
    begin = {"model": {**GOOD.get("model", {}), "weights": "runs/old"}}
    config = parse_run({**GOOD, **begin, "training": {"layer_rates": {"conv1": 0}}})
    assert parse_run(tomllib.loads(dump_run(config))) == config
    assert parse_run(tomllib.loads(dump_run(parse_run(GOOD)))) == parse_run(GOOD)
    with pytest.raises(ConfigError, match="classical method cannot begin"):
        parse_run({**GOOD, "model": {"method": "knn", "weights": "runs/old"}})
    with pytest.raises(ConfigError, match=r"training\.layer_rates\.conv1"):
        parse_run({**GOOD, **begin, "training": {"layer_rates": {"conv1": -1}}})
    with pytest.raises(ConfigError, match=r"training\.recipe is for a network with initial"):
        parse_run({**GOOD, "training": {"recipe": "probe"}})
