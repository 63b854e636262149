"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import matplotlib
import pytest
from hypothesis import settings

from astrocnn.training.precision import bfloat16_works

matplotlib.use("Agg")
os.environ["SOURCE_DATE_EPOCH"] = "1700000000"  # tables that are written twice are identical
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if not bfloat16_works():
    # Tested with the instructions that this machine has, before TensorFlow chooses.
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE_FP16"
    bfloat16_works.cache_clear()

# A fixed seed and no deadline: the suite gives the same verdict on a slow or busy machine.
settings.register_profile("astrocnn", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("astrocnn")

# The million objects of imported packages and collected tests stay to the end: looking through
# them for garbage, some thirty times in each process, took a tenth of its time.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on only what tests make is looked through."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(10_000)


_LONG = ("test_notebooks", "runs/", "training/", "estimators/", "test_readme")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first: with short ones at the end no process waits for another.

    One process has the notebooks while another does all runs, so that these share one network.
    """
    place = {f"tests/{name}": k for k, name in enumerate(_LONG)}
    items.sort(
        key=lambda item: next(
            (k for at, k in place.items() if item.nodeid.startswith(at)), len(_LONG)
        )
    )


def _real_data_folder() -> Path | None:
    named = os.environ.get("ASTROCNN_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real images and catalogues; tests that need it skip where it is absent."""
    folder = _real_data_folder()
    if folder is None:
        pytest.skip("no real data: set ASTROCNN_DATA to a folder with the sets of data/README.md")
    return folder
