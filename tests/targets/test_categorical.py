from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from astrocnn.errors import CatalogError, ConfigError
from astrocnn.targets import Categorical, make
from astrocnn.targets.families.base import moments
from astrocnn.targets.storage import family_from_dict, family_to_dict

THREE = Categorical(("elliptical", "spiral", "edge-on"))


def test_loss_and_activation_equal_scipy():
    rng = np.random.default_rng(3)
    raw = rng.normal(0, 20, (200, 3)).astype(np.float32)
    encoded = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 200)]
    loss = np.asarray(THREE.loss(encoded, raw))
    expected = -(encoded * log_softmax(raw.astype(float), axis=1)).sum(axis=1)
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.asarray(THREE.activate(raw)), softmax(raw, axis=1), atol=1e-6)


def test_loss_is_float32_and_finite_for_half_precision_extremes():
    raw = np.array([[6e4, -6e4, 0]], np.float16)
    loss = np.asarray(THREE.loss(np.eye(3, dtype=np.float32)[1:2], raw))
    assert loss.dtype == np.float32
    np.testing.assert_allclose(loss, 1.2e5, rtol=1e-3)


@pytest.mark.parametrize(
    "values",
    [
        ["spiral", "", "edge-on"],
        np.array([b"spiral ", b"", b"edge-on"]),
        np.array(["spiral", None, "edge-on"], dtype=object),
        np.array(["spiral", np.nan, "edge-on"], dtype=object),
        np.ma.array(["spiral", "spiral", "edge-on"], mask=[False, True, False]),
    ],
    ids=["list", "bytes", "none", "nan", "masked"],
)
def test_encode_reads_labels_however_they_are_stored(values):
    encoded, weight = THREE.encode(values)
    np.testing.assert_array_equal(encoded, [[0, 1, 0], [0, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(weight, [1, 0, 1])


def test_encode_reads_numbers_and_booleans_as_text():
    family = Categorical(("0", "1", "7"))
    for values in ([7, 0], [7.0, 0.0], np.array([7, 0], ">i2"), ["7", "0"]):
        np.testing.assert_array_equal(family.encode(values)[0], [[0, 0, 1], [1, 0, 0]])
    masked = np.ma.array([7, 999999], mask=[False, True])
    np.testing.assert_array_equal(family.encode(masked)[1], [1, 0])
    encoded, _ = Categorical(("false", "true")).encode(np.array([True, False]))
    np.testing.assert_array_equal(encoded, [[0, 1], [1, 0]])


def test_unknown_labels_are_refused_with_counts_and_the_nearest_class():
    with pytest.raises(CatalogError) as error:
        THREE.encode(["spirals", "spirals", "star", "", "spiral"])
    text = str(error.value)
    assert "3 labels are not in the list of classes" in text
    assert "'spirals' (2 times), 'star' (once)" in text
    assert "elliptical, spiral, edge-on" in text
    assert "did you mean 'spiral'" in text


def test_labels_must_be_one_per_object():
    with pytest.raises(CatalogError, match="one value per object"):
        THREE.encode(np.eye(3))
    with pytest.raises(CatalogError, match="another length"):
        THREE.encode(["spiral"], [True, False])


def test_hand_computed_summary():
    samples = np.array([[[0.8, 0.2, 0.0]], [[0.4, 0.6, 0.0]]])
    out = THREE.summarize(samples)
    np.testing.assert_allclose(out["p_elliptical"], 0.6, rtol=1e-6)
    np.testing.assert_allclose(out["p_spiral_std"], 0.2, rtol=1e-6)
    assert out["p_edge_on"] == 0
    assert out["class"].dtype == np.dtype("U10")
    assert out["class"].tolist() == ["elliptical"]
    h = -(0.6 * np.log(0.6) + 0.4 * np.log(0.4))
    np.testing.assert_allclose(out["entropy"], h, rtol=1e-6)
    h1 = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    np.testing.assert_allclose(out["mutual_info"], h - (h1 + h) / 2, rtol=1e-5)


def test_draws_that_disagree_surely_have_all_entropy_in_mutual_information():
    out = THREE.summarize(np.eye(3)[:, None, :])
    np.testing.assert_allclose(out["entropy"], np.log(3), rtol=1e-6)
    np.testing.assert_allclose(out["mutual_info"], np.log(3), rtol=1e-6)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("spiral",), "at least 2 names"),
        ("spiral", "list of names"),
        (("a b", "a-b"), "same column"),
        (("a", "A"), "same column"),
        (("a", "a_std"), "same column"),
        (("a", ""), "must be text without white space"),
        (("a", 3), "must be text without white space"),
        (("étoile", "galaxy"), "ASCII"),
    ],
)
def test_bad_classes_are_refused(classes, words):
    with pytest.raises(ConfigError, match=words):
        Categorical(classes)


def test_a_row_without_numbers_has_no_spread_with_one_draw():
    found = moments(np.array([[[0.5, 0.5], [np.nan, 0.5]]]))
    np.testing.assert_array_equal(found.std, [[0, 0], [np.nan, np.nan]])
    assert np.isnan(found.mutual_info[1])


def test_the_ucd_is_declared_by_the_task_and_not_by_a_name():
    def ucds(task):
        return {column.name: column.ucd for column in task.columns()}

    options = {"classes": ("elliptical", "spiral"), "column": "c"}
    questions = {"bar": {"column": "b", "classes": "hubble"}}
    found = ucds(make("morphology", **options, questions=questions))
    assert found["morphology_p_spiral"] == "stat.probability;src.morph.type"
    assert found["bar_class"] == "meta.code.class;src.morph.type"
    found = ucds(make("morphology", **options, ucd="src.class"))
    assert found["morphology_p_spiral"] == "stat.probability;src.class"
    assert found["morphology_class"] == "meta.code.class;src.class"
    assert Categorical(("elliptical", "spiral")).columns()[0].ucd == "stat.probability;src.class"
    morphology = Categorical(("a", "b"), ucd="src.morph.type")
    assert family_from_dict(family_to_dict(morphology)) == morphology
    for wrong in ("src.morphology", "morphological type", "src..class"):
        with pytest.raises(ConfigError, match="UCD of the classes"):
            Categorical(("a", "b"), ucd=wrong)
