"""``training.pseudo_labels``: a second training with labels that the first one gave."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.runs.run import Run
from astrocnn.training import Backup

from .command import astrocnn


@pytest.fixture(scope="module")
def folder(home, tmp_path_factory):
    """The small survey of which half of the labels are hidden: star or galaxy."""
    folder = tmp_path_factory.mktemp("pseudo")
    table = Table.read(home / "sky" / "catalog.fits")
    hidden = np.arange(len(table)) % 2 == 0
    table["hidden"] = table["morphology"]
    table["morphology"] = np.where(hidden, "", np.asarray(table["morphology"]).astype("U10"))
    table.write(folder / "half.fits")
    text = (home / "run.toml").read_text().replace('"sky/catalog.fits"', '"half.fits"')
    text = text.replace('"sky/', f'"{home}/sky/').replace("epochs = 2", "epochs = 4")
    text = text.replace("[training]", "[training]\npseudo_labels = 0.5")
    text = text.replace(
        'classes = ["elliptical", "spiral", "edge_on", "merger", "star"]',
        'classes = ["star", "galaxy"]\nmap = { star = "star", "" = "", "*" = "galaxy" }',
    )
    (folder / "run.toml").write_text(text)
    return folder


def test_only_unlabelled_training_objects_get_them(folder):
    said = " ".join(astrocnn("train", folder / "run.toml", "--out", folder / "run").split())
    assert "pseudo-labels of morphology:" in said and "validation objects" in said
    run = Run.open(folder / "run")
    with open(folder / "run" / "pseudo_labels.csv", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert lines and all(float(line["probability"]) >= 0.5 for line in lines)
    assert {line["label"] for line in lines} <= {"star", "galaxy"}
    ids = np.asarray(run.shards.ids).astype(str)
    rows = np.array([int(np.flatnonzero(ids == line["id"])[0]) for line in lines])
    assert (run.shard_splits[rows] == 0).all()
    labels, missing = run.shards.column("morphology")
    assert all(missing[row] or labels[row] == "" for row in rows)
    assert len(np.unique(rows)) == len(rows)


def test_an_interruption_in_either_training_changes_nothing(folder, monkeypatch):
    out = folder / "interrupted"
    save, seen = Backup.save, []

    def save_and_stop(self, *state):
        save(self, *state)
        if self.directory not in seen:
            seen.append(self.directory)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Backup, "save", save_and_stop)
        for _ in range(2):
            astrocnn("train", folder / "run.toml", "--out", out, code=130)
        astrocnn("train", folder / "run.toml", "--out", out)
    assert len(seen) == 2
    fingerprints = [Run.open(folder / x).estimator.fingerprint for x in ("run", "interrupted")]
    assert fingerprints[0] == fingerprints[1]
    names = ("pseudo_labels.csv", "history.csv")
    (first, _), (second, _) = (
        [(folder / x / name).read_text() for name in names] for x in ("run", "interrupted")
    )
    assert first == second


def test_it_is_for_networks(folder):
    method = ("--set", "model.method=svm", "--set", "model.features=['hog']")
    text = (folder / "run.toml").read_text()
    start, end = text.index("[model]"), text.index("[training]")
    (folder / "svm.toml").write_text(text[:start] + "[model]\n" + text[end:])
    said = astrocnn("check", folder / "svm.toml", *method, code=2)
    assert "training.pseudo_labels" in said and "network" in said
