"""Inputs: exact storage, and refusal of images of another kind."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from astrocnn.errors import ConfigError, InputsError
from astrocnn.flags import UNUSABLE, Flag
from astrocnn.imaging import NoImages, Source
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
    own = Inputs.from_source(source(size=32), scalars=("ebv",), mask_channel=True)
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
    assert "0.26 arcsec/pixel, expected 0.2 (within 1 %)" in text
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
        ({"bands": (), "scalars": ("mag",)}, "0 without bands"),
        ({"bands": ()}, "at least one scalar"),
        ({"size": 0, "scalars": ("mag",)}, "0 without bands"),
        ({"scalars": ("a",), "scalar_location": (1.0, 2.0)}, "scalar_location"),
        ({"scalars": ("a",), "scalar_location": (1.0,), "scalar_scale": (0.0,)}, "positive"),
        ({"scalars": ("a",), "scalar_location": (1.0,)}, "together"),
        ({"bands": "gri"}, "list of names"),
        ({"size": 0}, "0 without bands"),
        ({"size": -1}, "whole number"),
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
    with pytest.raises(ConfigError, match="flavor: this version does not know it"):
        Inputs.from_dict({**INPUTS.to_dict(), "flavor": 1})


TABLE = Inputs((), 0, scalars=("mag_g", "mag_r"))


def test_inputs_without_bands_look_at_no_image() -> None:
    assert TABLE.shape == (0, 0, 0) and TABLE.n_channels == 0
    assert Inputs.from_json(TABLE.to_json()) == TABLE
    TABLE.check(NoImages(3))
    TABLE.check(source(size=64))
    assert Inputs.from_source(NoImages(3), scalars=TABLE.scalars) == TABLE
    with pytest.raises(InputsError, match=r"got \(ebv\), expected \(mag_g, mag_r\)"):
        TABLE.check(INPUTS)
    with pytest.raises(InputsError, match="missing g, r, i"):
        INPUTS.check(NoImages(3))


def test_what_makes_a_row_useless_depends_on_what_is_looked_at() -> None:
    assert TABLE.refused == Flag.SCALAR_MISSING
    assert INPUTS.refused == UNUSABLE | Flag.BAND_MISSING
    assert Inputs(("g",), 8, mask_channel=True).refused == UNUSABLE


def test_no_images_is_a_source_of_none() -> None:
    nothing = NoImages(7)
    assert isinstance(nothing, Source) and len(nothing) == 7
    cutouts = nothing.read([5, 2])
    assert cutouts.images.shape == (2, 0, 0, 0) and cutouts.no_data.shape == (2, 0)
    assert cutouts.flags.tolist() == [0, 0]
    assert nothing.order().tolist() == list(range(7))
    assert nothing.fingerprint == NoImages(7).fingerprint != NoImages(8).fingerprint


def test_scalars_are_brought_to_mean_0_and_spread_1() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal([20.0, -3.0], [2.0, 1e-3], (500, 2))
    values[3, 0] = np.nan
    fitted = TABLE.with_scalar_statistics(values)
    z = fitted.standardize(values)
    assert z.dtype == np.float32 and np.isnan(z[3, 0])
    np.testing.assert_allclose(np.nanmean(z, axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.nanstd(z, axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(Inputs.from_json(fitted.to_json()).standardize(values), z)
    np.testing.assert_allclose(fitted.scalar_location, np.nanmean(values, axis=0), rtol=1e-12)


def test_a_constant_scalar_keeps_its_scale_and_an_empty_one_is_refused() -> None:
    values = np.column_stack([np.full(50, 0.1), np.arange(50.0)])
    fitted = TABLE.with_scalar_statistics(values.astype(np.float32))
    assert fitted.scalar_scale[0] == 1.0
    np.testing.assert_allclose(fitted.standardize(values)[:, 0], 0, atol=1e-6)
    values[:, 1] = np.nan
    with pytest.raises(InputsError, match="mag_r"):
        TABLE.with_scalar_statistics(values)


def test_inputs_stored_before_scalars_were_standardized_take_them_as_they_are() -> None:
    old = {k: v for k, v in TABLE.to_dict().items() if not k.startswith("scalar_")}
    values = np.array([[20.0, 19.0]], np.float32)
    np.testing.assert_array_equal(Inputs.from_dict(old).standardize(values), values)
