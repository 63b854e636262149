"""Which arithmetic a machine is fast in, and where it must not be tried."""

from __future__ import annotations

import time

import keras
import pytest

from astrocnn.errors import TrainingError
from astrocnn.models.summary import LayerSummary
from astrocnn.training import precision


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine that announces tiles; what its product of matrices does, and how often."""
    found = {"works": True, "tried": 0}

    def product():
        found["tried"] += 1
        return found["works"]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(precision, "cpu_has_tiles", lambda: True)
    monkeypatch.setattr(precision, "_try_product", product)
    for function in (precision.bfloat16_works, precision.has_fast_bfloat16):
        function.cache_clear()
    yield found
    for function in (precision.bfloat16_works, precision.has_fast_bfloat16):
        function.cache_clear()


@pytest.mark.parametrize("works", [True, False])
def test_tiles_are_tried_once_after_each_start(machine, works):
    machine["works"] = works
    assert precision.bfloat16_works() is works
    precision.bfloat16_works.cache_clear()
    assert precision.bfloat16_works() is works
    assert machine["tried"] == 1


def test_auto_avoids_tiles_that_do_not_work(machine):
    machine["works"] = False
    assert precision.resolve_precision("auto") == "float32"
    with pytest.raises(TrainingError, match="AMX tiles that do not work") as refused:
        precision.resolve_precision("bfloat16")
    assert "ONEDNN_MAX_CPU_ISA=AVX512_CORE_FP16" in str(refused.value)


def test_without_tiles_bfloat16_is_slow_but_works(machine, monkeypatch):
    machine["works"] = False
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    assert precision.bfloat16_works()
    assert precision.resolve_precision("bfloat16") == "bfloat16"
    assert precision.resolve_precision("auto") == "float32"
    assert machine["tried"] == 0


def test_a_cache_that_cannot_be_written_does_no_harm(machine, monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    assert precision.bfloat16_works()


class Network:
    """A network that takes some CPU time."""

    inputs = (keras.KerasTensor((None, 3), name="scalars"),)

    def __init__(self, seconds):
        self.seconds, self.calls = seconds, 0

    def __call__(self, x, training):
        assert {name: value.shape[1:] for name, value in x.items()} == {"scalars": (3,)}
        self.calls += 1
        done = time.process_time() + self.seconds
        while time.process_time() < done:
            pass


@pytest.fixture
def trial(monkeypatch, tmp_path):
    """``trial(0.02, 0.01)``: whether bfloat16 is chosen for such times, and how often it ran."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(precision, "bfloat16_works", lambda: True)
    monkeypatch.setattr(precision.tf.config, "list_physical_devices", lambda kind: [])

    def run(exact, rounded, fingerprint="a", cost=10**8):
        layer = LayerSummary("conv1", "Conv2D", (8, 8, 4), 100, cost, 3, 1, 1024)
        monkeypatch.setattr(precision, "summarize_layers", lambda model: [layer, layer])
        networks = Network(exact), Network(rounded)
        monkeypatch.setattr(precision, "with_precision", lambda model, name: networks[1])
        return precision.predicts_faster_in_bfloat16(networks[0], fingerprint), networks[0].calls

    return run


@pytest.mark.parametrize(
    ("exact", "rounded", "faster"),
    [(0.02, 0.01, True), (0.01, 0.02, False), (0.02, 0.019, False)],
)
def test_a_trial_decides(trial, exact, rounded, faster):
    start = time.process_time()
    assert trial(exact, rounded)[0] is faster
    assert time.process_time() - start < 2


def test_a_network_is_tried_once_and_the_first_answer_counts(trial):
    first, calls = trial(0.02, 0.01)
    assert first and calls >= 2
    # Another process, in which the trial would end otherwise.
    assert trial(0.01, 0.02) == (True, 0)
    again, calls = trial(0.01, 0.02, fingerprint="b")
    assert not again and calls >= 2


def test_small_networks_stay_exact(trial):
    assert trial(0.02, 0.01, cost=4 * 10**6) == (False, 0)
    assert trial(0.02, 0.01, cost=6 * 10**6)[0]


def test_no_trial_where_bfloat16_does_not_work(trial, monkeypatch):
    monkeypatch.setattr(precision, "bfloat16_works", lambda: False)
    assert trial(0.02, 0.01) == (False, 0)


def test_the_hardware_of_a_gpu_decides(trial, monkeypatch):
    monkeypatch.setattr(precision.tf.config, "list_physical_devices", lambda kind: ["gpu"])
    for fast in (True, False):
        monkeypatch.setattr(precision, "has_fast_bfloat16", lambda fast=fast: fast)
        assert trial(0.02, 0.01) == (fast, 0)
