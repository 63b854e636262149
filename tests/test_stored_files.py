"""Our own files: any bytes become a value of the right types or one error."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astrocnn.errors import ConfigError, ModelError, TrainingError
from astrocnn.stored_files import (
    Stored,
    compute_array_digest,
    compute_sum,
    has_valid_sum,
    parse_json,
    read_arrays,
    read_json,
    read_toml,
    validate,
)


class Nested(Stored):
    numbers: tuple[float, ...]


class Content(Stored):
    name: str
    nested: Nested
    n: int = 1


GOOD = {"name": "a", "nested": {"numbers": [0.1, 1e300, float("nan")]}, "n": 3}


def test_values_come_back_exactly(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8-sig")
    found = read_json(path, Content)
    assert found.name == "a" and found.n == 3
    np.testing.assert_array_equal(found.nested.numbers, GOOD["nested"]["numbers"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n": "x"}, "n: Input should be a valid integer"),
        ({"n": [1]}, "n: Input should be a valid integer"),
        ({"name": 5}, "name: Input should be a valid string"),
        ({"nested": {"numbers": [1, None]}}, r"nested\.numbers\.1: Input should be a valid number"),
        ({"nested": None}, "nested: "),
        ({"flavor": 1}, "flavor: this version does not know it"),
    ],
)
def test_mistakes_are_named_by_their_place(tmp_path, change, said):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(TrainingError, match=f"(?s)a.json' cannot be read.*{said}.*try: +again"):
        read_json(path, Content, TrainingError, "again")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "1" * 10_000, "null", "[]", "\x00", "{}"])
def test_other_texts_are_one_error(text):
    with pytest.raises(ModelError):
        parse_json(text, Content, "it")


@given(st.binary(max_size=60))
def test_other_bytes_are_one_error(data):
    with pytest.raises(ModelError):
        parse_json(data, Content, "it")


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_one_error(tmp_path, kind):

    path = tmp_path / "a.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_json(path, Content)


@dataclass(frozen=True)
class Plain:
    numbers: tuple[int, ...]
    values: np.ndarray

    def __post_init__(self):
        if not self.numbers:
            raise ValueError("there are no numbers")


def test_dataclasses_are_schemas_with_their_own_checks():
    values = np.arange(3.0)
    found = validate({"numbers": [1, 2], "values": values}, Plain, "it")
    assert found.numbers == (1, 2) and found.values is values
    for wrong in ({"numbers": []}, {"numbers": [1], "more": 2}, {"numbers": "12"}):
        with pytest.raises(ModelError, match="it cannot be read"):
            validate({"values": values, **wrong}, Plain, "it")
    with pytest.raises(ModelError, match="there are no numbers"):
        validate({"values": values, "numbers": []}, Plain, "it")


def test_arrays_are_read_without_pickle_and_without_growing(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(5), y=np.eye(2))
    found = read_arrays(path, ModelError)
    np.testing.assert_array_equal(found["x"], np.arange(5))
    whole = path.read_bytes()
    np.testing.assert_array_equal(read_arrays(whole, ModelError)["y"], np.eye(2))
    np.savez_compressed(path, x=np.zeros(10**6))
    with pytest.raises(ModelError, match=r"(?s)a\.npz' cannot be read.*compressed"):
        read_arrays(path, ModelError)
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(ModelError, match="cannot be read"):
        read_arrays(path, ModelError)
    with pytest.raises(ModelError, match="cannot be read"):
        read_arrays(tmp_path / "none.npz", ModelError)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.data())
def test_damaged_arrays_are_a_result_or_one_error(data):
    stream = io.BytesIO()
    np.savez(stream, x=np.arange(20), y=np.ones((3, 2), np.float32))
    damaged = bytearray(stream.getvalue())
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place : place + 4] = data.draw(st.binary(min_size=0, max_size=8))
    try:
        found = read_arrays(bytes(damaged), ModelError)
    except ModelError:
        return
    assert all(isinstance(value, np.ndarray) for value in found.values())


@given(st.binary(max_size=400).map(lambda data: data + bytes(-len(data) % 4)))
def test_the_sum_is_that_of_ones_complement(data):
    words = [int.from_bytes(data[i : i + 4]) for i in range(0, len(data), 4)]
    assert compute_sum(data) % (2**32 - 1) == sum(words) % (2**32 - 1)
    assert 0 <= compute_sum(data) < 2**32


def test_the_checksums_of_astropy_are_valid_and_of_a_flipped_bit_are_not(tmp_path):
    path = tmp_path / "a.fits"
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.arange(1000.0))]
    fits.HDUList(hdus).writeto(path, checksum=True)
    assert has_valid_sum(path)
    data = bytearray(path.read_bytes())
    data[-1000] ^= 16
    path.write_bytes(data)
    assert not has_valid_sum(path)
    path.write_bytes(data[:-1])
    assert not has_valid_sum(path)


def test_array_digests_know_values_types_shapes_and_the_text():
    numbers = np.arange(6)
    others = [
        [numbers + 1],
        [numbers.astype("i4")],
        [numbers.reshape(2, 3)],
        [numbers[:3], numbers[3:]],
        [numbers.astype("U2")],
        [numbers[:0]],
    ]
    digests = [compute_array_digest(arrays) for arrays in ([numbers], *others)]
    digests.append(compute_array_digest([numbers], "weights"))
    assert len(set(digests)) == len(digests)
    assert compute_array_digest([np.stack([numbers, numbers], 1)[:, 0]]) == digests[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a = ", "not a TOML file"), (b"\xff", "not a TOML file"), (None, "cannot be read: .*exist")],
)
def test_user_files_that_are_no_toml(tmp_path, content, message):
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_toml(path)


def test_toml_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.toml").write_text("a = 1", encoding="utf-8-sig")
    assert read_toml(tmp_path / "a.toml") == {"a": 1}
