"""What every remap and every extra promises; a new one is tested by existing."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from astrocnn import plugins
from astrocnn.calibration import Calibration, Extra, Remap, get_remap, read, write
from astrocnn.targets import ClassFamily, QuantityFamily

from .conftest import KIND, Z_BINNED, Z, classes, gaussians

NAMES = plugins.module_names("astrocnn.calibration")
PARTS = [
    part for name in NAMES for part in plugins.load_module("astrocnn.calibration", name).examples()
]
REMAPS = [part for part in PARTS if isinstance(part, Remap)]
EXTRAS = [part for part in PARTS if isinstance(part, Extra)]
PAIRS = [
    (remap, target)
    for remap in REMAPS
    for target in (KIND, Z, Z_BINNED)
    if type(remap).suits(target.family)
]


def _samples(target, n=40, draws=4):
    if target is KIND:
        return classes(n, 2.0, draws=draws, spread=0.5)[0]
    gaussian = gaussians(n, 1.5, draws=draws)[0]
    return gaussian if target is Z else Z.family.masses(gaussian).astype(np.float32)


def _id(pair):
    return f"{type(pair[0]).__name__}-{type(pair[1].family).__name__}"


def test_every_part_is_a_remap_or_an_extra():
    assert {"temperature", "pit_remap", "conformal", "novelty"} <= {*NAMES}
    assert len(REMAPS) + len(EXTRAS) == len(PARTS)
    assert {type(remap) for remap, _ in PAIRS} == {type(remap) for remap in REMAPS}


@pytest.mark.parametrize("target", [KIND, Z, Z_BINNED], ids=lambda t: type(t.family).__name__)
def test_a_family_finds_its_remap(target):
    kind = get_remap(target.family)
    assert kind is not None and kind.suits(target.family)
    assert get_remap(object()) is None


@pytest.mark.parametrize("pair", PAIRS, ids=_id)
def test_a_remap_gives_samples_of_the_family_it_names(pair):
    remap, target = pair
    samples = _samples(target)
    family = remap.family(target.family)
    out = remap.apply(target.family, samples)
    assert out.shape == (*samples.shape[:2], family.units)
    assert out.dtype == np.float32
    if isinstance(family, ClassFamily):
        np.testing.assert_allclose(family.to_probabilities(out).sum(axis=-1), 1, atol=1e-5)
    assert isinstance(family, (ClassFamily, QuantityFamily))
    assert set(family.summarize(out)) == set(target.family.summarize(samples))
    assert family.kind == target.family.kind


@pytest.mark.parametrize("pair", PAIRS, ids=_id)
def test_a_remap_acts_on_each_object_and_draw_by_itself(pair):
    remap, target = pair
    samples = _samples(target)
    before = samples.copy()
    whole = remap.apply(target.family, samples)
    np.testing.assert_array_equal(samples, before)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(
        remap.apply(target.family, samples[:, order[:7]]), whole[:, order[:7]]
    )
    np.testing.assert_array_equal(remap.apply(target.family, samples[2:3])[0], whole[2])
    assert remap.apply(target.family, samples[:, :0]).shape == (4, 0, whole.shape[-1])
    holed = samples.copy()
    holed[1, 5] = np.nan
    out = remap.apply(target.family, holed)
    assert np.isnan(out[1, 5]).all()
    np.testing.assert_array_equal(np.delete(out, 5, axis=1), np.delete(whole, 5, axis=1))


@pytest.mark.parametrize("pair", PAIRS, ids=_id)
def test_the_fit_of_a_remap_does_not_depend_on_the_order(pair):
    remap, target = pair
    n = 2 * remap.least_rows
    samples = _samples(target, n)
    y = classes(n, 2.0)[1] if target is KIND else gaussians(n, 1.5)[1]
    found = type(remap).fit(target.family, y, np.ones(n), samples)
    order = np.random.default_rng(0).permutation(n)
    again = type(remap).fit(target.family, y[order], np.ones(n), samples[:, order])
    for a, b in zip(asdict(found).values(), asdict(again).values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("part", PARTS, ids=lambda p: type(p).__name__)
def test_a_part_is_restored_from_its_file(part, tmp_path):
    values = asdict(part)
    json.dumps({k: v for k, v in values.items() if not isinstance(v, np.ndarray)})
    remaps, extras = ({"x": part}, ()) if isinstance(part, Remap) else ({}, (part,))
    write(tmp_path / "calibration.json", Calibration("abc", remaps, extras))
    found = read(tmp_path / "calibration.json", "abc")
    again = found.remaps["x"] if remaps else found.extras[0]
    assert type(again) is type(part)
    assert asdict(again).keys() == values.keys()
    for key, value in asdict(again).items():
        np.testing.assert_array_equal(value, values[key])
    if extras:
        assert again.fingerprint == part.fingerprint


@pytest.mark.parametrize("extra", EXTRAS, ids=lambda p: type(p).__name__)
def test_an_extra_describes_its_columns(extra):
    for column in extra.columns():
        assert column.description
        assert column.name.isidentifier() and len(column.name) <= 68
    names = [column.name for column in extra.columns()]
    assert len(names) == len(set(names)) > 0
    int(extra.fingerprint, 16)
