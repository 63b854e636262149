"""``pipelines/cross_validation.py``: the folds."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

FILE = Path(__file__).parents[2] / "pipelines" / "cross_validation.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("cross_validation", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Images:
    """Shards of which only images are asked for."""

    def __init__(self, values):
        self.values = values

    def images(self, rows):
        return self.values[rows]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), folds=st.integers(2, 5))
def test_folds_hold_each_row_once_and_equal_images_together(script, seed, folds):
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(200, 90, replace=False))
    truth = rng.integers(0, 3, 90)
    content = rng.permutation(200)
    content[rows[::9]] = content[rows[1::9]]  # ten pairs
    parts = script.divide(Images(content.astype("f4")), rows, truth, folds)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), rows)
    place = {row: k for k, part in enumerate(parts) for row in part}
    assert all(place[a] == place[b] for a, b in zip(rows[::9], rows[1::9], strict=True))
    # Other cutouts of the same objects are divided in the same way.
    again = script.divide(Images(rng.permutation(200)[content].astype("f4")), rows, truth, folds)
    for one, other in zip(parts, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_scores_are_those_of_closed_form(script):
    p = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    truth = np.array([0, 1, 1, 0])
    scores = script.score(p, truth)
    assert scores["accuracy"].value == 0.75
    expected = -np.log([0.8, 0.4, 0.7, 0.9]).mean()
    assert scores["log loss"].value == pytest.approx(expected)
    # Each object in a bin of its own.
    assert scores["ECE"].value == pytest.approx(np.mean([0.2, 0.6, 0.3, 0.1]))
