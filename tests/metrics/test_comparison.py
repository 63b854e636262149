"""Differences of two predictors against closed forms."""

from __future__ import annotations

from functools import partial
from math import comb

import numpy as np
import pytest

from astrocnn.errors import ConfigError
from astrocnn.metrics import average, bootstrap, mcnemar, paired_difference


def test_a_difference_of_means_is_the_mean_of_differences():
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 3, 400)
    a, b = hard + 0.3 + rng.normal(0, 0.5, 400), hard + rng.normal(0, 0.5, 400)
    found = paired_difference("x", partial(average, a), partial(average, b), 400, n_resamples=2000)
    assert found.value == pytest.approx((a - b).mean())
    error = (a - b).std() / np.sqrt(400)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert found.low > 0
    alone = bootstrap({"x": partial(average, a)}, 400)["x"]
    assert alone.high - alone.low > 3 * (found.high - found.low)


def test_a_predictor_does_not_differ_from_itself():
    f = partial(average, np.arange(50.0))
    found = paired_difference("x", f, f, 50)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert mcnemar([True, False, True], [True, False, True]) == (0, 0, 1.0)


@pytest.mark.parametrize("only", [(8, 1), (0, 6), (3, 3), (40, 20)])
def test_mcnemar_is_the_tail_of_a_coin(only):
    first, second = only
    n, few = sum(only), min(only)
    tail = sum(comb(n, k) for k in range(few + 1)) / 2**n
    both = [True] * 7 + [False] * 4
    a = [True] * first + [False] * second + both
    b = [False] * first + [True] * second + both
    found = mcnemar(a, b)
    assert found[:2] == only
    assert found[2] == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar(b, a) == (second, first, pytest.approx(found[2]))


def test_other_objects_are_refused():
    with pytest.raises(ConfigError, match="same objects"):
        mcnemar([True], [True, False])
