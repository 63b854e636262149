"""Curves and pictures for TensorBoard, read back from its event files; MLflow where installed."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from astrocnn.errors import MissingDependency
from astrocnn.training import History, open_loggers


def read(folder):
    """Curves by name as lists of (epoch, value), and the pixels of images."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    curves, pictures = {}, {}
    for name in events.Tags()["tensors"]:
        for event in events.Tensors(name):
            array = tf.make_ndarray(event.tensor_proto)
            if array.dtype.kind == "f":
                curves.setdefault(name, []).append((event.step, float(array)))
            else:
                pictures[name] = np.asarray(Image.open(io.BytesIO(array[2])))
    return curves, pictures


def history(n):
    rows = [{"epoch": k, "loss": 1 / k, "val_loss": np.nan if k == 2 else 2.0} for k in range(1, n)]
    return History(rows)


def test_curves_and_pictures_are_in_the_event_files(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG")
    with open_loggers(["tensorboard"], tmp_path, "t") as (logger,):
        for n in (2, 3, 4):
            logger(history(n))
        logger.log_picture("stamps", png.getvalue())
        logger.open_part("member-1")(history(2))
        logger.open_part("member-1")(history(3))
    curves, pictures = read(tmp_path / "tensorboard")
    assert curves["loss"] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert curves["val_loss"] == [(1, 2.0), (3, 2.0)]  # what is not a number has no point
    np.testing.assert_array_equal(pictures["stamps"], picture)
    assert len(read(tmp_path / "tensorboard/member-1")[0]["loss"]) == 2
    # An interrupted training that goes on adds to them.
    with open_loggers(["tensorboard"], tmp_path, "t") as (logger,):
        logger(history(5))
    assert [step for step, _ in read(tmp_path / "tensorboard")[0]["loss"]] == [1, 2, 3, 4]


def test_nothing_is_written_without_an_epoch(tmp_path):
    with open_loggers(["tensorboard"], tmp_path, "t"):
        pass
    assert not (tmp_path / "tensorboard").exists()


def test_mlflow_writes_to_a_folder_or_is_named(tmp_path, monkeypatch):
    try:
        import mlflow
    except ImportError:
        monkeypatch.setitem(sys.modules, "mlflow", None)
        with (
            pytest.raises(MissingDependency, match="mlflow"),
            open_loggers(["mlflow"], tmp_path, "t"),
        ):
            pass
        return
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with open_loggers(["mlflow"], tmp_path, "t") as (logger,):
        logger(history(2))
        logger(history(3))
    client = mlflow.tracking.MlflowClient((tmp_path / "mlflow").resolve().as_uri())
    experiment = client.get_experiment_by_name("astrocnn")
    (run,) = client.search_runs([experiment.experiment_id])
    assert [m.value for m in client.get_metric_history(run.info.run_id, "loss")] == [1.0, 0.5]
