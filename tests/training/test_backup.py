from __future__ import annotations

import numpy as np
import pytest

from astrocnn.errors import TrainingError
from astrocnn.training.backup import Backup
from astrocnn.training.history import BestEpoch, EarlyStopping


def test_a_state_comes_back_as_it_was(tmp_path):
    arrays = {
        "model": [np.arange(6, dtype="f4").reshape(2, 3), np.array([1, 2], "u4")],
        "optimizer": [np.array(7, "i8")],
    }
    Backup(tmp_path, {"seed": 1}).save(arrays, {"value": float("inf"), "epoch": None})
    restored, notes = Backup(tmp_path, {"seed": 1}).load()
    assert notes == {"value": float("inf"), "epoch": None}
    for owner, group in arrays.items():
        for old, new in zip(group, restored[owner], strict=True):
            assert old.dtype == new.dtype
            np.testing.assert_array_equal(old, new)
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


def test_more_than_ten_arrays_keep_their_order(tmp_path):
    Backup(tmp_path, {}).save({"model": [np.array(i) for i in range(12)]}, {})
    assert [int(a) for a in Backup(tmp_path, {}).load()[0]["model"]] == list(range(12))


def test_no_backup_is_none(tmp_path):
    assert Backup(tmp_path, {}).load() is None


def test_another_training_is_refused_with_what_differs(tmp_path):
    Backup(tmp_path, {"seed": 1, "shape": [3, 4]}).save({}, {})
    with pytest.raises(TrainingError, match=r"seed changed since(.|\n)*seed = 2(.|\n)*seed = 1"):
        Backup(tmp_path, {"seed": 2, "shape": (3, 4)}).load()


def test_a_damaged_file_is_named(tmp_path):
    keeper = Backup(tmp_path, {})
    keeper.save({"model": [np.zeros(1000)]}, {})
    keeper.path.write_bytes(keeper.path.read_bytes()[:500])
    with pytest.raises(TrainingError, match=r"state\.npz' cannot be read"):
        keeper.load()


class _Model:
    def get_weights(self):
        return [np.ones(2)]


def test_patience_counts_epochs_without_improvement():
    best = BestEpoch(EarlyStopping(patience=2, min_delta=0.1))
    found = [
        (best.update({"epoch": e, "val_loss": v}, _Model()), best.exhausted)
        for e, v in enumerate((1.0, 0.95, 0.8, 0.75, 0.71), 1)
    ]
    assert found == [(True, False), (False, False), (True, False), (False, False), (False, True)]
    assert (best.epoch, best.value) == (3, 0.8)


def test_an_unknown_column_cannot_be_watched():
    with pytest.raises(TrainingError, match="no column 'val_loss'"):
        BestEpoch(EarlyStopping(monitor="val_loss")).update({"epoch": 1, "loss": 1.0}, _Model())
    with pytest.raises(TrainingError, match="patience"):
        EarlyStopping(patience=0)
