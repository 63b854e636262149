from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from astrocnn import metrics
from astrocnn.errors import ConfigError
from astrocnn.metrics.density import PIT_FLOOR, pit


def anderson_darling(u):
    """The sum of Anderson & Darling (1954, equation 2)."""
    u, n = np.sort(u), len(u)
    i = np.arange(1, n + 1)
    return -n - np.mean((2 * i - 1) * (np.log(u) + np.log1p(-u[::-1])))


@given(seed=st.integers(0, 10**6), n=st.integers(1, 60))
def test_statistics_equal_scipy_also_when_resampled(seed, n):
    rng = np.random.default_rng(seed)
    u = rng.beta(0.8, 1.3, n)
    w = rng.multinomial(n, np.ones(n) / n, size=2).astype(float)
    for row, y in [(None, u), *((row, np.repeat(u, row.astype(int))) for row in w)]:
        assert metrics.pit_ks(u, row) == pytest.approx(stats.kstest(y, "uniform").statistic)
        expected = (
            stats.cramervonmises(y, "uniform").statistic if n > 1 else 1 / 12 + (0.5 - y) ** 2
        )
        assert metrics.pit_cvm(u, row) == pytest.approx(expected, abs=1e-9)
        assert metrics.pit_ad(u, row) == pytest.approx(anderson_darling(y), abs=1e-6)
    for score in (metrics.pit_ks, metrics.pit_cvm, metrics.pit_ad):
        np.testing.assert_allclose(score(u, w), [score(u, row) for row in w], rtol=1e-9)
        assert score(rng.permutation(u)) == pytest.approx(score(u))


def test_anderson_darling_rejects_as_often_as_published():
    # Stephens (1974), table 1: 2.492 is passed by 5 % of uniform samples, 3.857 by 1 %.
    rng = np.random.default_rng(0)
    found = np.array([metrics.pit_ad(rng.random(50)) for _ in range(4000)])
    assert (found > 2.492).mean() == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 4000))
    assert (found > 3.857).mean() == pytest.approx(0.01, abs=4 * np.sqrt(0.01 * 0.99 / 4000))


def test_outliers_and_ends():
    u = np.r_[0.0, 1.0, 5e-5, 0.99995, np.linspace(0.01, 0.99, 96)]
    assert metrics.pit_outliers(u) == pytest.approx(0.04)
    assert metrics.pit_outliers(u, np.r_[2, 0, np.ones(98)]) == pytest.approx(0.04)
    assert np.isfinite(metrics.pit_ad(u))
    assert metrics.pit_ad([0.0]) == pytest.approx(anderson_darling(np.array([PIT_FLOOR])))
    for score in (metrics.pit_ks, metrics.pit_cvm, metrics.pit_ad, metrics.pit_outliers):
        assert np.isnan(score([]))


def test_nothing_is_imputed():
    with pytest.raises(ConfigError, match="not finite in 2 rows"):
        pit([0.5, np.nan, np.inf])
    with pytest.raises(ConfigError, match="between 0 and 1"):
        metrics.pit_ks([0.5, 1.2])
    assert pit([-1e-7, 1 + 1e-7]).tolist() == [0, 1]
