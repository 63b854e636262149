"""The width of a network."""

from __future__ import annotations

import pytest

from astrocnn.errors import ConfigError
from astrocnn.models import Options, count_parameters
from astrocnn.models.build import build_model
from astrocnn.targets import make


def test_half_the_width_by_the_layer_formula():
    task = make("morphology", classes=["a", "b"], column="c")
    model = build_model("plain8", task, size=32, n_channels=3, options=Options(width=0.5))
    filters = [16, 16, 32, 32, 64, 64, 128, 128]
    expected, channels = 0, 3
    for count in filters:
        expected += 9 * channels * count + 2 * count  # kernel, scale and offset
        channels = count
    assert count_parameters(model) == expected + (128 + 1) * 2


@pytest.mark.parametrize("width", [0, -1, float("nan"), "wide"])
def test_a_width_is_positive(width):
    with pytest.raises(ConfigError, match="width"):
        Options(width=width)
