"""What all estimators share: checks of arrays, means over orientations, errors of damaged files."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from astrocnn.datasets import get_d4_views
from astrocnn.errors import InputsError, ModelError
from astrocnn.estimators.base import (
    average_over_views,
    compute_features,
    explain_damage,
    select_with_scalars,
    validate_arrays,
    validate_draws,
)
from astrocnn.imaging import Inputs

INPUTS = Inputs(("g", "r"), 4, pixel_scale=0.5, unit="nJy")
SCALARS = Inputs(("g", "r"), 4, pixel_scale=0.5, unit="nJy", scalars=("mag", "ebv"))
TABLE = Inputs((), 0, scalars=("mag", "ebv"))


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype(np.float32)


def pick_corner(images):
    """A prediction that depends on the orientation: one pixel off the axes of symmetry."""
    return {"z": images[:, 0, 1, :1][None]}


@pytest.mark.parametrize(("handed", "n_views"), [((), 8), (("clockwise",), 4)])
def test_the_mean_over_orientations_of_one_pixel(images, handed, n_views):
    """Eight orientations bring eight pixels to one place, four rotations only half of them."""
    task = SimpleNamespace(sensitive_to=handed)
    found = average_over_views(pick_corner, images, task, "d4")["z"][0, :, 0]
    rotations = [(0, 1), (1, 3), (3, 2), (2, 0)]
    reflections = [(0, 2), (2, 3), (3, 1), (1, 0)]
    pixels = rotations if handed else rotations + reflections
    assert len(pixels) == n_views
    expected = np.mean([images[:, y, x, 0] for y, x in pixels], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_one_view_is_the_image_itself_and_invariant_predictions_do_not_change(images):
    task = SimpleNamespace(sensitive_to=())
    one = average_over_views(pick_corner, images, task, "one")["z"]
    np.testing.assert_array_equal(one, pick_corner(images)["z"])

    def total(views):
        return {"z": views.sum(axis=(1, 2, 3), dtype=np.float64)[None, :, None]}

    found = average_over_views(total, images, task, "d4")["z"]
    np.testing.assert_allclose(found, total(images)["z"], rtol=1e-6)
    assert len(list(get_d4_views(images))) == 8


def test_images_become_contiguous_native_float32(images):
    swapped = images.astype(">f8")[:, ::-1]
    found, scalars = validate_arrays(INPUTS, swapped, None)
    assert found.dtype == np.float32 and found.flags.c_contiguous and scalars is None
    np.testing.assert_array_equal(found, images[:, ::-1])
    table, values = validate_arrays(TABLE, None, [[1, 2], [3, np.nan], [5, 6]])
    assert table.shape == (3, 0, 0, 0) and values.dtype == np.float32
    np.testing.assert_array_equal(values, [[1, 2], [3, np.nan], [5, 6]])
    assert validate_arrays(TABLE, images, np.zeros((3, 2)))[0].shape == (3, 0, 0, 0)


@pytest.mark.parametrize(
    ("inputs", "shape", "scalars", "message"),
    [
        (INPUTS, (3, 4, 4, 3), None, r"(?s)shape \(3, 4, 4, 3\).*\(n, 4, 4, 2\).*g, r"),
        (INPUTS, (4, 4, 2), None, "do not have the shape"),
        (INPUTS, (3, 4, 4, 2), np.zeros((3, 1)), "takes no scalars"),
        (SCALARS, (3, 4, 4, 2), None, "(?s)beside the images.*none.*mag, ebv"),
        (SCALARS, (3, 4, 4, 2), np.zeros((3, 1)), r"(?s)needs scalars.*\(3, 1\).*\(3, 2\)"),
        (SCALARS, (3, 4, 4, 2), np.zeros((2, 2)), r"(?s)needs scalars.*\(2, 2\)"),
    ],
)
def test_arrays_of_another_shape_are_refused(inputs, shape, scalars, message):
    with pytest.raises(InputsError, match=message):
        validate_arrays(inputs, np.zeros(shape), scalars)


def test_rows_with_all_scalars_define_their_location_and_scale():
    values = np.array([[1.0, 5], [3, np.nan], [5, 7], [np.nan, 9], [6, 12]])
    shards = SimpleNamespace(scalars=lambda names: values)
    rows, inputs = select_with_scalars(shards, TABLE, np.arange(5))
    np.testing.assert_array_equal(rows, [0, 2, 4])
    complete = values[[0, 2, 4]]
    np.testing.assert_allclose(inputs.scalar_location, complete.mean(axis=0))
    np.testing.assert_allclose(inputs.scalar_scale, complete.std(axis=0))
    # Known statistics are kept, whatever the rows are.
    again, same = select_with_scalars(shards, inputs, np.array([4, 3]))
    np.testing.assert_array_equal(again, [4])
    assert same == inputs
    every, bare = select_with_scalars(shards, INPUTS, np.array([3, 1]))
    np.testing.assert_array_equal(every, [3, 1])
    assert bare is INPUTS


@pytest.mark.parametrize(
    ("draws", "views", "message"),
    [(-1, "one", "integer >= 0; got -1"), (0, "d8", "(?s)'one', 'd4'; got 'd8'")],
)
def test_invalid_draws_and_views_are_refused(draws, views, message):
    with pytest.raises(ModelError, match=message):
        validate_draws(draws, views)
    validate_draws(0, "d4")


def test_errors_of_a_damaged_file_are_explained():
    with (
        pytest.raises(ModelError, match=r"(?s)unreadable.*ZeroDivisionError.*train again") as error,
        explain_damage("The file is unreadable."),
    ):
        raise ZeroDivisionError("1 / 0")
    assert isinstance(error.value.__cause__, ZeroDivisionError)
    with explain_damage("nothing is wrong"):
        pass


def test_features_of_an_estimator_without_any_are_refused(images):
    class Plain:
        def features(self, images, scalars):
            return images.reshape(len(images), -1)

    np.testing.assert_array_equal(
        compute_features(Plain(), images, None, None), images.reshape(3, 32)
    )
    with pytest.raises(ModelError, match="no layers"):
        compute_features(Plain(), images, None, "conv1")
    with pytest.raises(ModelError, match="no features"):
        compute_features(object(), images, None, None)
