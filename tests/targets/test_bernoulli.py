from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from astrocnn.errors import CatalogError
from astrocnn.targets import Bernoulli

YES_NO = Bernoulli()


def test_loss_and_activation_equal_scipy():
    rng = np.random.default_rng(3)
    raw = rng.normal(0, 20, (300, 1)).astype(np.float32)
    y = rng.uniform(0, 1, (300, 1)).astype(np.float32)
    x = raw.astype(float)
    expected = (np.logaddexp(0, x) * (1 - y) + np.logaddexp(0, -x) * y)[:, 0]
    np.testing.assert_allclose(np.asarray(YES_NO.loss(y, raw)), expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(np.asarray(YES_NO.activate(raw)), expit(x), atol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        ["yes", "No", "", "TRUE"],
        np.array([b"Y", b"n", b"", b"t"]),
        np.array([1, 0, None, True], dtype=object),
        np.ma.array([1, 0, 1, 1], mask=[False, False, True, False]),
        np.array([1.0, 0.0, np.nan, 1.0]),
        np.ma.array([True, False, True, True], mask=[False, False, True, False]),
    ],
    ids=["words", "bytes", "objects", "masked ints", "floats", "masked bools"],
)
def test_encode_reads_answers_however_they_are_stored(values):
    encoded, weight = YES_NO.encode(values)
    np.testing.assert_array_equal(encoded, [[1], [0], [0], [1]])
    np.testing.assert_array_equal(weight, [1, 1, 0, 1])


def test_fractions_are_kept():
    for values in ([0.25, 1.0, np.nan], ["0.25", "1", ""]):
        encoded, weight = YES_NO.encode(values)
        np.testing.assert_allclose(encoded.ravel(), [0.25, 1, 0])
        np.testing.assert_array_equal(weight, [1, 1, 0])
    assert YES_NO.tally(encoded, weight) == {"no": 1, "yes": 1}


def test_bad_answers_are_refused():
    with pytest.raises(CatalogError, match="outside 0 to 1") as error:
        YES_NO.encode([0.5, 1.5, -2.0])
    assert "-2, 1.5" in str(error.value)
    with pytest.raises(CatalogError) as error:
        YES_NO.encode(["yess", "no", "7"])
    assert "did you mean" in str(error.value)
    assert "2 labels" in str(error.value)


def test_hand_computed_summary():
    out = YES_NO.summarize(np.array([[[0.8]], [[0.4]]]))
    np.testing.assert_allclose(out["p"], 0.6, rtol=1e-6)
    np.testing.assert_allclose(out["p_std"], 0.2, rtol=1e-6)
    even = YES_NO.summarize(np.array([[[1.0]], [[0.0]]]))
    np.testing.assert_allclose(even["entropy"], np.log(2), rtol=1e-6)
    np.testing.assert_allclose(even["mutual_info"], np.log(2), rtol=1e-6)
