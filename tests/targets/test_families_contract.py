"""What every family must do, tested for each one by its existence."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from astropy.io.votable.ucd import check_ucd
from hypothesis import given
from hypothesis import strategies as st

from astrocnn import plugins
from astrocnn.errors import ConfigError, ModelError
from astrocnn.targets import DiscreteFamily, Family, storage
from astrocnn.targets.families import base

NAMES = plugins.module_names("astrocnn.targets.families")
FAMILIES = [
    f for n in NAMES for f in plugins.load_module("astrocnn.targets.families", n).examples()
]
CLASS_FAMILIES = [f for f in FAMILIES if f.kind == "classes"]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=repr)
every_class_family = pytest.mark.parametrize("family", CLASS_FAMILIES, ids=repr)


def activated(family, draws, n, seed=0, scale=2.0):
    raw = np.random.default_rng(seed).normal(0, scale, (draws, n, family.units))
    return np.array(family.activate(raw.astype(np.float32)))


def labels(family, values):
    """One value per object, or one per object and answer."""
    return [[v] * family.units for v in values] if family.kind == "votes" else values


def is_spread_of_draws(name):
    return name.endswith("_std") or name in ("mutual_info", "std_epistemic")


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


@every_family
def test_is_a_frozen_family_with_a_doc(family):
    assert isinstance(family, Family)
    assert dataclasses.is_dataclass(family)
    assert family == type(family)(**dataclasses.asdict(family))
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        family.units = 3
    assert type(family).__doc__
    assert family.units >= 1


@every_family
def test_columns_describe_what_summarize_returns(family):
    out = family.summarize(activated(family, 5, 7))
    columns = family.columns()
    assert list(out) == [column.name for column in columns]
    assert len({column.name.lower() for column in columns}) == len(columns)
    for column in columns:
        values = out[column.name]
        assert values.shape == (7,)
        assert values.dtype == np.dtype(column.dtype), column.name
        assert check_ucd(column.ucd, check_controlled_vocabulary=True), column.ucd
        assert column.description.isascii()
        assert column.name.replace("_", "").isalnum()


@every_family
def test_it_declares_its_kind_and_can_be_explained(family):
    assert family.kind in ("classes", "votes", "density")
    assert isinstance(family, DiscreteFamily) == (family.kind != "density")
    raw = np.random.default_rng(2).normal(size=(2, 5, family.units)).astype(np.float32)
    parts = family.classes if isinstance(family, DiscreteFamily) else [None]
    for part in parts:
        assert family.validate_part(part) == part
        assert "target" in family.part_label("target", part)
        for scale in base.SCALES:
            numbers = np.asarray(family.explained(raw, part, scale))
            assert numbers.shape == (2, 5)
            assert np.isfinite(numbers).all()
    for wrong in ("no such class", (3.0, 1.0)):
        with pytest.raises(ModelError):
            family.validate_part(wrong)


@every_family
def test_a_stored_family_is_the_same(family):
    stored = json.loads(json.dumps(storage.family_to_dict(family)))
    assert storage.family_from_dict(stored) == family
    with pytest.raises(ConfigError, match="sigmas: this version does not know it"):
        storage.family_from_dict({**stored, "sigmas": 3})


@every_family
def test_rows_are_independent(family):
    samples = activated(family, 6, 50)
    order = np.random.default_rng(1).permutation(50)
    out, permuted = family.summarize(samples), family.summarize(samples[:, order])
    alone = family.summarize(samples[:, 3:4])
    for name in out:
        assert same(out[name][order], permuted[name]), name
        assert same(out[name][3:4], alone[name]), name


@every_family
def test_one_draw_and_equal_draws_have_no_spread(family):
    one = activated(family, 1, 40)
    for samples in (one, np.repeat(one, 7, axis=0)):
        out = family.summarize(samples)
        for name, values in out.items():
            if is_spread_of_draws(name):
                assert np.all(values == 0), name
    assert any(is_spread_of_draws(name) for name in out)


@every_family
def test_order_of_draws_does_not_matter(family):
    samples = activated(family, 9, 30)
    a, b = family.summarize(samples), family.summarize(samples[::-1])
    for name in a:
        if a[name].dtype.kind == "f":
            np.testing.assert_allclose(a[name], b[name], rtol=1e-6, atol=2e-7)


@every_family
def test_rows_without_prediction_are_nan_or_empty(family):
    samples = activated(family, 4, 6)
    clean = family.summarize(samples)
    samples[2, 1, 0] = np.nan
    samples[:, 4] = np.nan
    out = family.summarize(samples)
    for name, values in out.items():
        assert values.dtype == clean[name].dtype
        lost = values == "" if values.dtype.kind == "U" else np.isnan(values)
        np.testing.assert_array_equal(lost, [False, True, False, False, True, False], name)
        keep = [0, 2, 3, 5]
        assert same(values[keep], clean[name][keep])


@every_family
def test_no_rows(family):
    out = family.summarize(np.zeros((3, 0, family.units), np.float32))
    assert all(values.shape == (0,) for values in out.values())
    encoded, weight = family.encode([])
    assert len(encoded) == len(weight) == 0


@every_family
def test_missing_labels_have_weight_zero_and_finite_loss(family):
    missing = np.ones(5, bool)
    for values in (["", "", "", "", ""], [None] * 5, np.full(5, np.nan), np.zeros(5)):
        encoded, weight = family.encode(labels(family, values), missing)
        assert encoded.dtype == weight.dtype == np.float32
        assert encoded.ndim == 2
        np.testing.assert_array_equal(weight, 0)
        assert np.isfinite(encoded).all()
        raw = np.random.default_rng(0).normal(0, 30, (5, family.units)).astype(np.float32)
        assert np.isfinite(np.asarray(family.loss(encoded, raw))).all()
    assert sum(family.tally(encoded, weight).values()) == 0


@every_class_family
def test_initial_loss_is_that_of_zero_raw_output(family):
    encoded, _ = family.encode(list(family.classes) * 3)
    loss = np.asarray(family.loss(encoded, np.zeros((len(encoded), family.units), np.float32)))
    assert loss.shape == (len(encoded),)
    np.testing.assert_allclose(loss, family.initial_loss, rtol=1e-6)


@every_family
def test_a_saved_loss_gives_the_family_back(family):
    from astrocnn.models import FamilyLoss

    config = json.loads(json.dumps(FamilyLoss(family).get_config()))
    assert FamilyLoss.from_config(config).family == family


@every_class_family
def test_probabilities_are_converted_both_ways(family):
    samples = activated(family, 3, 11)
    p = family.to_probabilities(samples)
    assert p.shape == (3, 11, len(family.classes))
    np.testing.assert_allclose(p.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(family.from_probabilities(p), samples, atol=1e-7)
    encoded, weight = family.encode(list(family.classes))
    np.testing.assert_array_equal(family.to_truth(encoded), np.eye(len(family.classes)))
    assert family.tally(encoded, weight) == dict.fromkeys(family.classes, 1)


@every_class_family
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0, 40), draws=st.integers(1, 12))
def test_entropies_obey_their_bounds(family, seed, scale, draws):
    raw = np.random.default_rng(seed).normal(0, scale, (draws, 9, family.units))
    raw -= raw.max(axis=-1, keepdims=True) if family.units > 1 else 0
    p = np.exp(raw) / np.exp(raw).sum(-1, keepdims=True)
    p = p if family.units > 1 else 1 / (1 + np.exp(-raw))
    out = family.summarize(p)
    probabilities = family.to_probabilities(p)

    def entropy(q):
        return -np.sum(q * np.log(np.where(q > 0, q, 1)), axis=-1)

    expected = entropy(probabilities.mean(axis=0)) - entropy(probabilities).mean(axis=0)
    top = np.log(len(family.classes)) + 1e-6
    assert (out["entropy"] >= 0).all() and (out["entropy"] <= top).all()
    assert (out["mutual_info"] >= 0).all()
    assert (out["mutual_info"] <= out["entropy"] + 1e-6).all()
    np.testing.assert_allclose(out["mutual_info"], np.maximum(expected, 0), atol=2e-6)
    np.testing.assert_allclose(out["entropy"], entropy(probabilities.mean(axis=0)), atol=2e-6)


def test_probabilities_of_classes_are_explained_as_those_of_the_table():
    for family in (f for f in FAMILIES if isinstance(f, DiscreteFamily)):
        raw = np.random.default_rng(3).normal(0, 2, (1, 9, family.units)).astype(np.float32)
        p = family.to_probabilities(np.array(family.activate(raw)))
        for k, name in enumerate(family.classes):
            found = np.asarray(family.explained(raw, name, "probability"))
            np.testing.assert_allclose(found, p[..., k], atol=2e-7)
