"""The novelty score of a trained run, from `train` to the flags of a table."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.flags import Flag

from .command import astrocnn

SCALARS = """
[catalog]
file = "train.csv"

[inputs]
scalars = ["mag_g - mag_r", "mag_r"]

[split]
fractions = [0.5, 0.3, 0.2]

[task]
name = "photoz"
column = "z"
range = [0.0, 1.0]

[model]
MODEL

[training]
epochs = 2

[prediction]
draws = 0
"""


def catalogue(path, n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.1, 0.9, n)
    r = 17 + 4 * z + rng.normal(0, 0.1, n)
    table = Table({"id": np.arange(n), "mag_r": r, "z": z})
    # A color that no training object has at its magnitude, though many have it at another.
    table["mag_g"] = r + 0.2 + (0.9 - z if shift else z) + rng.normal(0, 0.05, n)
    if shift:
        table["mag_g"] += shift
    table.write(path, format="csv")


def read(path):
    return Table.read(path, hdu="PREDICTIONS", mask_invalid=False)


@pytest.mark.parametrize("model", ['method = "knn"', 'architecture = "ann"'])
def test_objects_unlike_the_training_set_are_flagged(tmp_path, model):
    """Networks and classical methods alike; the test split has the stated false alarms."""
    catalogue(tmp_path / "train.csv", 900, 0)
    catalogue(tmp_path / "strange.csv", 60, 1, shift=0.4)
    (tmp_path / "run.toml").write_text(SCALARS.replace("MODEL", model))
    run = tmp_path / "run"
    assert "novelty" not in astrocnn("train", tmp_path / "run.toml", "--out", run)
    said = " ".join(astrocnn("evaluate", run).split())
    scores = json.loads((run / "scores.json").read_text())
    n = scores["scores"][0]["n_used"]
    assert f"novel: {scores['novel']} of {n} objects are flagged" in said
    assert scores["novel"] <= 8 and "1 % at most are expected" in said
    out = tmp_path / "p.fits"
    astrocnn("predict", run, "--catalog", tmp_path / "strange.csv", "--out", out)
    table = read(out)
    flagged = (np.asarray(table["flags"]) & Flag.NOVEL) > 0
    np.testing.assert_array_equal(flagged, table["novelty"] >= np.float32(0.99))
    assert flagged.mean() > 0.8
    said = " ".join(astrocnn("evaluate", run, "--catalog", tmp_path / "strange.csv").split())
    assert f"novel: {flagged.sum()} of 60 objects are flagged" in said
    first = out.read_bytes()
    out.unlink()
    for worker in ("1/2", "2/2"):
        astrocnn("predict", run, "--catalog", tmp_path / "strange.csv", "--out", out,
                 "--worker", worker)  # fmt: skip
    assert out.read_bytes() == first


def test_a_small_validation_split_says_that_nothing_is_flagged(home, tmp_path, no_pictures):
    run = tmp_path / "run"
    shutil.copytree(home / "run", run)
    content = json.loads((run / "model/novelty.json").read_text())
    assert content["model"] and not content["remaps"] and content["sha256"]
    out = tmp_path / "p.fits"
    astrocnn("predict", run, "--out", out, "--draws", 0)
    table = read(out)
    assert not np.any(table["flags"] & Flag.NOVEL)
    missing = (table["flags"] & Flag.NOT_PREDICTED) > 0
    np.testing.assert_array_equal(np.isnan(table["novelty"]), missing)
    assert 0 <= np.nanmin(table["novelty"]) < 0.5 < np.nanmax(table["novelty"]) < 0.99
    assert "novel: 0 of" in astrocnn("evaluate", run)
    astrocnn("report", run)
    assert "Novel test objects" in (run / "report.html").read_text()


def test_a_damaged_or_foreign_score_is_refused(home, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(home / "run", run)
    (arrays,) = (run / "model").glob("novelty-*.npz")
    data = bytearray(arrays.read_bytes())
    data[len(data) // 2] ^= 1
    arrays.write_bytes(data)
    out = tmp_path / "p.fits"
    assert "another SHA-256" in astrocnn("predict", run, "--out", out, code=2)
    about = run / "model/novelty.json"
    content = json.loads(about.read_text())
    about.write_text(json.dumps({**content, "model": "0" * 64}))
    data[len(data) // 2] ^= 1
    arrays.write_bytes(data)
    said = " ".join(astrocnn("predict", run, "--out", out, code=2).split())
    assert "made for another model" in said
    about.write_text(json.dumps({**content, "extras": [{"kind": "novelty", "class": "Novel"}]}))
    assert "cannot be read" in astrocnn("predict", run, "--out", out, code=2)
    assert not out.exists()
