"""`training.log_to`: curves and pictures of a run in TensorBoard."""

from __future__ import annotations

import pytest

from astrocnn.runs.run import Run
from tests.training.test_loggers import read

from .command import astrocnn


def test_a_run_writes_to_tensorboard_when_asked(home, tmp_path):
    keys = ("training.epochs=2", 'training.log_to=["tensorboard"]', "model.members=2")
    options = [word for key in keys for word in ("--set", key)]
    astrocnn("train", home / "run.toml", "--out", tmp_path / "run", *options)
    folder = tmp_path / "run/tensorboard"
    curves = Run.open(tmp_path / "run").directory.curves()
    written = read(folder / "member-0")[0]
    for name in ("loss", "val_loss", "learning_rate"):
        assert written[name] == [
            (k, pytest.approx(value, rel=1e-6)) for k, value in enumerate(curves[name], 1)
        ]
    assert len(read(folder / "member-1")[0]["loss"]) == 2
    pictures = read(folder)[1]
    assert pictures.keys() == {"training objects", "learning curves"}
    assert all(p.shape[0] > 100 and p.std() > 10 for p in pictures.values())
    assert not (home / "run/tensorboard").exists()
    said = astrocnn("check", home / "run.toml", "--set", 'training.log_to=["tensorbord"]', code=2)
    assert "tensorboard" in said
