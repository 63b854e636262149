"""Which arithmetic a machine is fast in, and where it must not be tried."""

from __future__ import annotations

import pytest

from astrocnn.errors import TrainingError
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
