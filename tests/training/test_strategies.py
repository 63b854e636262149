from __future__ import annotations

import json

import pytest
import tensorflow as tf

from astrocnn.errors import TrainingError
from astrocnn.training import get_strategy, strategies
from astrocnn.training.strategies import is_chief

CLUSTER = {"worker": ["localhost:1", "localhost:2"]}


def test_auto_is_one_device_without_two_gpus():
    assert len(tf.config.list_physical_devices("GPU")) < 2
    assert get_strategy("auto").num_replicas_in_sync == 1
    assert get_strategy("one").num_replicas_in_sync == 1
    assert is_chief(get_strategy("auto"))


def test_mirrored_is_made_once():
    assert get_strategy("mirrored") is get_strategy("mirrored")


def test_a_misspelt_name_is_corrected():
    with pytest.raises(TrainingError, match="did you mean 'mirrored'"):
        get_strategy("miror")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "not set"),
        ("{", "is not JSON"),
        ("[]", "no table 'cluster'"),
        (json.dumps({"cluster": {}}), "names no worker"),
        (json.dumps({"cluster": CLUSTER}), "has no 'task'"),
        (json.dumps({"cluster": CLUSTER, "task": {"type": "ps", "index": 0}}), "task type 'ps'"),
        (json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}), "0 to 1"),
        (json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": "0"}}), "0 to 1"),
    ],
)
def test_a_wrong_tf_config_is_explained(monkeypatch, text, words):
    if text is None:
        monkeypatch.delenv("TF_CONFIG", raising=False)
    else:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(TrainingError, match=words):
        get_strategy("multiworker")


def test_joining_too_late_is_explained(monkeypatch):
    get_strategy("mirrored")
    tf.constant(1) + 1
    config = {"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(TrainingError, match="before TensorFlow has been used"):
        get_strategy("multiworker")


def test_a_worker_that_left_is_no_error_once_the_result_is_there(tmp_path, monkeypatch):
    def left(strategy):
        raise tf.errors.UnavailableError(None, None, "Socket closed")

    monkeypatch.setattr(strategies, "wait_for_all", left)
    strategies.wait_for_chief(None, tmp_path)
    with pytest.raises(tf.errors.UnavailableError):
        strategies.wait_for_chief(None, tmp_path / "model")
