"""Splits by hash: stable, fair, and never through the middle of a group."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from astrocnn.catalog import SPLITS, assign_splits, compute_sky_keys, group_duplicates
from astrocnn.errors import ConfigError

IDS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50, unique=True)
TEXTS = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=30, unique=True).filter(
    # numpy drops zeros at the end of text
    lambda texts: not any("\0" in t for t in texts)
)


def test_names() -> None:
    assert SPLITS == ("train", "validation", "test")


def test_against_an_independent_reading_of_the_definition() -> None:
    def expected(key: str, seed: int) -> int:
        digest = hashlib.blake2b(key.encode(), digest_size=8, key=str(seed).encode()).hexdigest()
        return int(np.digitize(int(digest, 16) / 2**64, [0.6, 0.9]))

    keys = [-5, 0, 17, 2**63 - 1]
    for seed in (0, 3):
        found = assign_splits(np.array(keys), (0.6, 0.3, 0.1), seed)
        assert found.tolist() == [expected(str(k), seed) for k in keys]


@given(IDS, IDS)
def test_stable_when_rows_are_added(ids: list[int], more: list[int]) -> None:
    assert assign_splits(ids + more)[: len(ids)].tolist() == assign_splits(ids).tolist()


@given(TEXTS, st.randoms(use_true_random=False))
def test_independent_of_order(texts: list[str], random: object) -> None:
    shuffled = list(texts)
    random.shuffle(shuffled)
    by_key = dict(zip(texts, assign_splits(texts).tolist(), strict=True))
    assert [by_key[t] for t in shuffled] == assign_splits(shuffled).tolist()


@given(IDS)
def test_integer_and_text_of_one_identifier_agree(ids: list[int]) -> None:
    assert assign_splits(np.array(ids)).tolist() == assign_splits([str(i) for i in ids]).tolist()


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.34, 0.33, 0.33)])
def test_fractions_are_kept_within_binomial_limits(fractions: tuple[float, ...]) -> None:
    n = 20_000
    counts = np.bincount(assign_splits(np.arange(n), fractions, seed=1), minlength=3)
    for count, fraction in zip(counts, fractions, strict=True):
        assert binom.ppf(1e-4, n, fraction) <= count <= binom.ppf(1 - 1e-4, n, fraction)


def test_another_seed_divides_independently() -> None:
    n = 20_000
    first, second = (assign_splits(np.arange(n), seed=s) == 2 for s in (0, 1))
    assert binom.ppf(1e-4, n, 0.01) <= (first & second).sum() <= binom.ppf(1 - 1e-4, n, 0.01)


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_an_empty_split_stays_empty(empty: int) -> None:
    fractions = [0.5, 0.5, 0.5]
    fractions[empty] = 0.0
    assert empty not in assign_splits(np.arange(5000), fractions)


@pytest.mark.parametrize("wrong", [(0.8, 0.2), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (np.nan, 1, 0)])
def test_wrong_fractions_are_refused(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        assign_splits([1], wrong)


def test_neighbours_in_one_pixel_stay_together() -> None:
    rng = np.random.default_rng(0)
    ra = rng.uniform(0, 360, 3000)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    keys = compute_sky_keys(ra, dec, resolution=5.0)
    split = assign_splits(keys)
    for key in np.unique(keys):
        assert len(np.unique(split[keys == key])) == 1
    assert len(np.unique(split)) == 3


@pytest.mark.parametrize("resolution", [0.1, 1.0, 7.3, 30.0])
def test_patches_are_the_smallest_not_below_the_resolution(resolution: float) -> None:
    import astropy.units as u
    from astropy_healpix import HEALPix, nside_to_pixel_resolution

    nside = next(
        2**k for k in range(29, -1, -1) if nside_to_pixel_resolution(2**k) >= resolution * u.deg
    )
    ra, dec = np.array([10.0, 123.4, 359.9]), np.array([-89.0, 0.3, 41.0])
    expected = HEALPix(nside, order="nested").lonlat_to_healpix(ra * u.deg, dec * u.deg)
    assert compute_sky_keys(ra, dec, resolution).tolist() == expected.tolist()


def test_bad_positions_share_a_key_and_the_right_ascension_wraps() -> None:
    keys = compute_sky_keys(
        np.array([np.nan, 10.0, 0.0, 360.0]), np.array([0.0, np.nan, 20.0, 20.0])
    )
    assert keys.dtype == np.int64
    assert keys[:2].tolist() == [-1, -1]
    assert keys[2] == keys[3] >= 0


@pytest.mark.parametrize("resolution", [0.0, -1.0, 90.0, np.nan])
def test_impossible_resolutions_are_refused(resolution: float) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        compute_sky_keys(np.zeros(1), np.zeros(1), resolution)


def test_duplicates_take_the_smallest_key() -> None:
    keys = np.array([40, 30, 20, 10, 5])
    contents = np.array(["a", "b", "a", "b", "c"])
    assert group_duplicates(keys, contents).tolist() == [20, 10, 20, 10, 5]
    assert group_duplicates(keys.astype(str), contents).tolist() == ["20", "10", "20", "10", "5"]


def test_unknown_content_joins_nothing() -> None:
    assert group_duplicates(np.array([1, 2, 3]), np.array(["", "", "x"])).tolist() == [1, 2, 3]


def test_a_duplicate_across_two_patches_joins_them_whole() -> None:
    patches = np.array([7, 7, 3, 3, 9])
    contents = np.array(["p", "same", "same", "q", "r"])
    assert group_duplicates(patches, contents).tolist() == [3, 3, 3, 3, 9]


@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abcdefgh")), min_size=1, max_size=30))
def test_grouping_is_the_transitive_closure(rows: list[tuple[int, str]]) -> None:
    keys, contents = (np.array(column) for column in zip(*rows, strict=True))
    expected = keys.copy()
    for _ in rows:
        for i in range(len(rows)):
            joined = (keys == keys[i]) | (contents == contents[i])
            expected[joined] = expected[joined].min()
    assert group_duplicates(keys, contents).tolist() == expected.tolist()


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match="differ in length"):
        group_duplicates(np.arange(3), np.array(["a"]))
