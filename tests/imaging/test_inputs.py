"""Inputs: exact storage, and refusal of images of another kind."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from astrocnn.errors import ConfigError, InputsError
from astrocnn.imaging.inputs import Inputs
from astrocnn.imaging.normalization import Normalization

INPUTS = Inputs(("g", "r", "i"), 64, pixel_scale=0.2, unit="nJy", scalars=("ebv",))


def source(**changes: object) -> SimpleNamespace:
    return SimpleNamespace(
        **{"bands": ("g", "r", "i"), "pixel_scale": 0.2, "unit": "nJy", **changes}
    )


def test_json_round_trip_is_exact() -> None:
    normalization = Normalization("asinh", (0.1, 1 / 3, 2e-30), (1.0, 7.0, 1e-9), mask_channel=True)
    for inputs in (INPUTS, INPUTS.with_normalization(normalization), Inputs(("r",), 8)):
        assert Inputs.from_json(inputs.to_json()) == inputs
    assert INPUTS.n_channels == 3 and INPUTS.shape == (64, 64, 3)
    assert INPUTS.with_normalization(normalization).shape == (64, 64, 6)


def test_inputs_of_a_source_accept_it_and_no_other() -> None:
    own = Inputs.of(source(size=32), scalars=("ebv",), mask_channel=True)
    assert own == Inputs(
        ("g", "r", "i"), 32, pixel_scale=0.2, unit="nJy", scalars=("ebv",), mask_channel=True
    )
    own.check(source(size=32))
    with pytest.raises(InputsError, match="size: the images have 64"):
        own.check(source(size=64))


def test_what_agrees_or_is_not_known_passes() -> None:
    INPUTS.check(source())
    INPUTS.check(source(pixel_scale=0.2019))
    INPUTS.check(source(pixel_scale=None, unit=None))
    INPUTS.check(source(unit="1e-9 Jy"))
    INPUTS.check(source(size=64))
    INPUTS.check(Inputs(("g", "r", "i"), 64, 0.2, "nJy", ("ebv",)))
    Inputs(("g",), 64).check(source(bands=("g",)))


def test_every_difference_is_listed_at_once() -> None:
    other = Inputs(("g", "i", "z"), 32, pixel_scale=0.26, unit="adu", scalars=())
    with pytest.raises(InputsError) as error:
        INPUTS.check(other)
    text = str(error.value)
    assert "got g, i, z, expected g, r, i; missing r; not expected z" in text
    assert "32 pixels a side, expected 64" in text
    assert "0.26 arcsec/pixel, expected 0.2 (within 1%)" in text
    assert "in 'adu', expected 'nJy'" in text
    assert "scalars: got (), expected (ebv)" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bands": ("r", "g", "i")}, "in the order r, g, i, expected g, r, i"),
        ({"pixel_scale": 0.2021}, "pixel scale"),
        ({"unit": "mag"}, "unit"),
        ({"unit": "DN/s/px^"}, "unit"),
        ({"size": 65}, "size"),
    ],
)
def test_each_difference_alone_is_refused(change: dict, words: str) -> None:
    with pytest.raises(InputsError, match=words):
        INPUTS.check(source(**change))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"bands": ("r", "r")}, "different names"),
        ({"bands": ()}, "different names"),
        ({"bands": "gri"}, "list of names"),
        ({"size": 0}, "whole number"),
        ({"size": 10.5}, "whole number"),
        ({"pixel_scale": 0.0}, "positive"),
        ({"pixel_scale": float("nan")}, "positive"),
        ({"scalars": ("a", "a")}, "twice"),
        ({"normalization": Normalization.identity(2)}, "another number of bands"),
    ],
)
def test_nonsense_is_refused(arguments: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Inputs(**{"bands": ("g", "r", "i"), "size": 64, **arguments})


def test_unknown_entries_of_stored_inputs_are_refused() -> None:
    with pytest.raises(ConfigError, match="does not know"):
        Inputs.from_dict({**INPUTS.to_dict(), "flavor": 1})
