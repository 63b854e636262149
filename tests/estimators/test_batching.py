"""Blocks of one fixed size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.errors import ModelError
from astrocnn.estimators.base import evaluate_in_blocks


@given(n=st.integers(1, 40), block=st.integers(1, 17), axis=st.integers(0, 2))
def test_blocks_are_of_one_size_and_cover_the_rows_once(n, block, axis):
    seen = []

    def function(x):
        seen.append(len(x["a"]))
        assert len(x["b"]) == len(x["a"])
        return {"y": np.moveaxis(x["a"][:, None, None] * np.ones((1, 3, 2)), 0, axis)}

    out = evaluate_in_blocks(
        function, {"a": np.arange(n), "b": np.ones((n, 2))}, axis=axis, block=block
    )["y"]
    assert set(seen) == {block}
    np.testing.assert_array_equal(np.moveaxis(out, axis, 0)[:, 0, 0], np.arange(n))


@pytest.mark.parametrize("arrays", [{"a": np.ones(0)}, {"a": np.ones(3), "b": np.ones(4)}, {}])
def test_unequal_or_empty_inputs_are_refused(arrays):
    with pytest.raises(ModelError, match="same length"):
        evaluate_in_blocks(lambda x: x, arrays, axis=0)
