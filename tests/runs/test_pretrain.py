"""``astrocnn pretrain``: from images without labels to a network that others start from."""

from __future__ import annotations

import json
import shutil
import tomllib

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.estimators import load_estimator
from astrocnn.runs.run import Run

from .command import MODEL, astrocnn

QUICK = ("--set", "pretraining.epochs=1", "--set", "pretraining.batch_size=32",
         "--set", "pretraining.projector=[16, 8]")  # fmt: skip


@pytest.fixture(scope="module")
def pretrained(home, tmp_path_factory):
    """A run directory of the small survey without its labels."""
    folder = tmp_path_factory.mktemp("pretrained")
    text = (home / "run.toml").read_text().replace('"sky/', f'"{home}/sky/')
    table = Table.read(home / "sky" / "catalog.fits")
    table.remove_column("morphology")
    table.write(folder / "unlabelled.fits")
    unlabelled = text.replace(f"{home}/sky/catalog.fits", "unlabelled.fits")
    (folder / "run.toml").write_text(unlabelled)
    said = astrocnn("pretrain", folder / "run.toml", "--out", folder / "run", *QUICK)
    return folder, said


def test_a_catalogue_without_labels_is_enough(pretrained):
    folder, said = pretrained
    assert "of which 0 have labels; labels are not used" in said
    assert "trained without labels" in said and "train" in said.splitlines()[-1]
    config = tomllib.loads((folder / "run" / "config.toml").read_text())
    # The defaults are kept with the run.
    assert config["pretraining"]["augmentation"]["crop"] == 0.3
    header = (folder / "run" / "history.csv").read_text().splitlines()[0]
    assert header.split(",")[:4] == ["epoch", "loss", "projection_std", "effective_rank"]
    report = (folder / "run" / "report.html").read_text()
    assert "Learning without labels" in report and "effective rank" in report
    assert (folder / "run" / "figures" / "pretraining.png").is_file()
    again = astrocnn("pretrain", folder / "run.toml", "--out", folder / "run", *QUICK)
    assert "trained already" in again


def test_a_run_starts_from_it(home, pretrained, tmp_path):
    folder, _ = pretrained
    out = tmp_path / "run"
    start = ("--from", folder / "run", "--set", "training.epochs=1")
    said = astrocnn("train", home / "run.toml", "--out", out, *start)
    assert "7 layers taken; fresh: morphology" in " ".join(said.split())
    origin = json.loads((out / "model" / "estimator.json").read_text())["origin"]
    first, second = (load_estimator(f / "model") for f in (folder / "run", out))
    assert origin["model"] == first.fingerprint
    # The features are looked at through the normalization that they were learned with.
    assert second.inputs.normalization == first.inputs.normalization
    shutil.copytree(folder / "run" / "model", tmp_path / "same" / "model")
    said = astrocnn("train", home / "run.toml", "--out", tmp_path / "same", code=2)
    assert "pretrained without labels" in said and "--from" in said
    other = ("--set", "inputs.stretch=linear", "--out", tmp_path / "x")
    said = astrocnn("train", home / "run.toml", *start, *other, code=2)
    assert "inputs.stretch differs" in said


def test_it_starts_from_other_weights(home, tmp_path):
    first = ("--set", f"model.weights={home / 'run'}")
    still = ("--set", "pretraining.learning_rate=1e-12")
    run = (home / "run.toml", "--out", tmp_path / "run", *QUICK, *first)
    said = " ".join(astrocnn("pretrain", *run, *still).split())
    assert "began with" in said and "7 layers taken" in said
    old, new = (load_estimator(folder / "model") for folder in (home / "run", tmp_path / "run"))
    assert new.origin_["model"] == old.fingerprint
    for name in new.origin_["taken"]:
        for before, after in zip(
            *(e.model_.get_layer(name).weights for e in (old, new)), strict=True
        ):
            if "moving" not in after.path:
                np.testing.assert_allclose(after, before, atol=1e-8)


def test_its_weights_can_be_kept_with_its_normalization(home, pretrained, tmp_path):
    first = pretrained[0] / "run"
    kept = ("--set", f"model.weights={first}", "--set", "pretraining.epochs=0")
    other = ("--set", "split.seed=5", "--out", tmp_path / "run")
    astrocnn("pretrain", home / "run.toml", *kept, *other)
    old, new = (load_estimator(folder / "model") for folder in (first, tmp_path / "run"))
    assert new.inputs == old.inputs
    images = Run.open(tmp_path / "run").shards.images(np.arange(5))
    np.testing.assert_array_equal(new.features(images), old.features(images))
    linear = ("--set", "inputs.stretch=linear", "--out", tmp_path / "linear")
    said = astrocnn("pretrain", home / "run.toml", *kept, *linear, code=2)
    assert "inputs.stretch differs" in said


def test_a_classical_method_on_its_features(home, pretrained, tmp_path):
    folder, _ = pretrained
    text = (home / "run.toml").read_text().replace('"sky/', f'"{home}/sky/').replace(
        MODEL, f"""
method = "logistic_regression"
features = ["cnn:{folder}/run"]
""").replace("draws = 4", "draws = 0")  # fmt: skip
    (tmp_path / "run.toml").write_text(text)
    astrocnn("train", tmp_path / "run.toml", "--out", tmp_path / "run")
    first = load_estimator(folder / "run" / "model")
    images = Run.open(tmp_path / "run").shards.images(np.arange(5))
    assert (
        Run.open(tmp_path / "run").estimator.features(images).shape == first.features(images).shape
    )


def test_it_embeds_and_does_not_predict(home, pretrained, tmp_path):
    folder, _ = pretrained
    astrocnn("embed", folder / "run", "--out", tmp_path / "e.fits")
    table = Table.read(tmp_path / "e.fits", hdu=1)
    assert np.isfinite(np.asarray(table["embedding"])).all(axis=1).sum() >= 150
    catalog = ("--catalog", home / "sky" / "catalog.fits", "--out", tmp_path / "p.fits")
    said = astrocnn("predict", folder / "run", *catalog, code=2)
    assert "predicts nothing" in said and not (tmp_path / "p.fits").exists()
    said = astrocnn("export", folder / "run", "--out", tmp_path / "exported", code=2)
    assert "predicts nothing" in said and not (tmp_path / "exported").exists()


def test_check_estimates_it_and_mistakes_are_named(home):
    said = astrocnn("check", home / "run.toml", *QUICK)
    assert "simclr, 1 epochs" in " ".join(said.split())
    for value, words in (
        ("method=simcrl", "did you mean 'simclr'"),
        ("options={temprature=1}", "did you mean 'temperature'"),
        ("augmentation={nois=1}", "did you mean 'noise'"),
        ("augmentation={noise=[1, 0]}", "lower noise level comes first"),
    ):
        # Options of a method are known when it is imported, later than the keys of a run file.
        code = 1 if value.startswith("options") else 2
        said = astrocnn("check", home / "run.toml", "--set", f"pretraining.{value}", code=code)
        assert words in " ".join(said.split()), said


def test_no_images_no_views(home):
    text = (home / "run.toml").read_text().replace(MODEL, '\narchitecture = "ann"\n')
    text = text.replace('survey = "sky/survey.toml"', "")
    text = text.replace("size = 24", 'scalars = ["mag_r", "mag_g"]')
    (home / "scalars.toml").write_text(text)
    said = astrocnn("pretrain", home / "scalars.toml", "--out", home / "none", code=2)
    assert "needs images" in said and not (home / "none").exists()
