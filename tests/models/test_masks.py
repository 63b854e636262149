"""Masks are a pure function of (seed, layer, draw)."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.models.monte_carlo_dropout import compute_mask, compute_masks


def philox4x64(counter, key):
    """Philox-4x64-10 of Salmon+11, section 3.3, in Python integers."""
    whole = (1 << 64) - 1
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [
            (second >> 64) ^ c[1] ^ k[0],
            second & whole,
            (first >> 64) ^ c[3] ^ k[1],
            first & whole,
        ]
        k = [(k[0] + 0x9E3779B97F4A7C15) & whole, (k[1] + 0xBB67AE8584CAA73B) & whole]
    return c


def test_bits_agree_with_an_independent_philox():
    seed, layer, draw, rate, n = 7, "dropout2", 3, 0.25, 37
    digest = hashlib.blake2b(b"7/dropout2", digest_size=16).digest()
    key = [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")]
    words = []
    for block in range(1, 6):  # numpy counts up before it draws
        words += philox4x64([block, 0, 0, draw], key)
    halves = [half for w in words for half in (w & 0xFFFFFFFF, w >> 32)][:n]
    expected = [half >= rate * 2**32 for half in halves]
    assert compute_mask(seed, layer, draw, (n,), rate).tolist() == expected


@given(
    seed=st.integers(0, 2**63),
    draw=st.integers(0, 1000),
    shape=st.lists(st.integers(1, 9), max_size=3),
    rate=st.floats(0, 0.999),
)
def test_a_mask_repeats_and_a_longer_one_begins_with_it(seed, draw, shape, rate):
    shape = tuple(shape)
    mask = compute_mask(seed, "a", draw, shape, rate)
    assert mask.shape == shape
    np.testing.assert_array_equal(mask, compute_mask(seed, "a", draw, shape, rate))
    longer = compute_mask(seed, "a", draw, (mask.size + 5,), rate)
    np.testing.assert_array_equal(mask.ravel(), longer[: mask.size])


def test_the_number_of_draws_does_not_change_a_draw():
    np.testing.assert_array_equal(
        compute_masks(3, "a", 50, (40,), 0.5)[:7], compute_masks(3, "a", 7, (40,), 0.5)
    )


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.5, 0.9])
def test_the_share_kept_is_one_minus_the_rate(rate):
    masks = compute_masks(0, "a", 20, (100, 100), rate)
    sigma = np.sqrt(rate * (1 - rate) / masks.size)
    assert abs(masks.mean() - (1 - rate)) <= 4 * sigma


def test_seeds_layers_and_draws_are_uncorrelated():
    base = compute_mask(0, "a", 0, (40_000,), 0.5)
    for other in (
        compute_mask(1, "a", 0, (40_000,), 0.5),
        compute_mask(0, "b", 0, (40_000,), 0.5),
        compute_mask(0, "a", 1, (40_000,), 0.5),
    ):
        assert abs((base == other).mean() - 0.5) < 4 * 0.5 / np.sqrt(40_000)
