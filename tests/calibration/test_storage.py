"""Files of a calibration: exact numbers, arrays by digest, and nothing that is executed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pytest

from astrocnn.calibration import (
    Calibration,
    ConformalIntervals,
    ConformalSets,
    Novelty,
    PitRemap,
    Selection,
    Temperature,
    read,
    write,
)
from astrocnn.errors import ModelError
from astrocnn.stored_files import validate

INTERVALS = ConformalIntervals("z", "z", (0.68,), ((1 / 3, -0.1, 0.0),), by="mag", cuts=(20.1,))
SETS = ConformalSets("kind", "kind", ("star", "galaxy"), (0.9, 0.99), ((0.1, 0.2), (1 / 7, 1.0)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "calibration.json"


@pytest.mark.parametrize("part", [INTERVALS, SETS], ids=["intervals", "sets"])
def test_json_keeps_every_bit_and_the_types(part, path):
    write(path, Calibration("model", {}, (part,)))
    (again,) = read(path, "model").extras
    assert again == part and type(again) is type(part)
    text = json.dumps(asdict(part), sort_keys=True)
    assert validate(json.loads(text), type(part), "the part") == part
    assert part.fingerprint == hashlib.sha256(text.encode()).hexdigest() == again.fingerprint


def test_nested_lists_become_tuples():
    values = {"temperature": 1.5}
    assert validate(values, Temperature, "T") == Temperature(1.5)
    remap = validate({"x": [-1, 0, 1], "y": [-2.0, 0.5, 2.0]}, PitRemap, "R")
    assert remap.x == (-1.0, 0.0, 1.0) and all(isinstance(value, float) for value in remap.x)
    achieved = {"purity": [0.9, 0.8, 1.0]}
    selection = validate(
        {
            "target": "usable",
            "prefix": "usable",
            "threshold": 0.5,
            "criterion": "purity",
            "level": 0.9,
            "achieved": achieved,
            "n_usable": 30,
            "n_unusable": 40,
            "trained": 0.4,
            "reasons": [["ghost", 0.25]],
        },
        Selection,
        "S",
    )
    assert selection.achieved == {"purity": (0.9, 0.8, 1.0)}
    assert selection.reasons == (("ghost", 0.25),) and selection.prior is None


def test_arrays_lie_beside_it_under_their_digest(path):
    features = np.random.default_rng(0).normal(size=(150, 3))
    novelty = Novelty.fit(features[:100], features[100:])
    write(path, Calibration("model", {"kind": Temperature(2.0)}, (SETS, novelty)))
    (arrays,) = path.parent.glob("*.npz")
    digest = hashlib.sha256(arrays.read_bytes()).hexdigest()
    assert arrays.name == f"calibration-{digest[:12]}.npz"
    content = json.loads(path.read_text())
    assert content["sha256"] == digest
    assert "center" not in content["extras"][1]
    again = read(path).extras[1]
    for name in ("center", "whitening", "distances"):
        found, expected = getattr(again, name), getattr(novelty, name)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    assert again.fingerprint == novelty.fingerprint


def test_arrays_of_an_earlier_calibration_are_removed(path):
    rng = np.random.default_rng(0)
    other = path.parent / "unrelated-1.npz"
    other.write_bytes(b"not ours")
    for seed in range(2):
        features = rng.normal(seed, 1, size=(120, 2))
        write(path, Calibration("model", {}, (Novelty.fit(features, features),)))
    assert len(list(path.parent.glob("calibration-*.npz"))) == 1
    assert other.read_bytes() == b"not ours"


@pytest.mark.parametrize(
    "change",
    [
        {"remaps": {"kind": {"kind": "temperature", "class": "Temperature"}}},
        {"remaps": {"kind": {"kind": "temperature", "class": "Temperature", "heat": 2.0}}},
        {"remaps": {"kind": {"kind": "temperature", "class": "minimize_scalar"}}},
        {"remaps": {"kind": {"kind": "temperature", "class": "examples"}}},
        {"extras": [{"kind": "conformal", "class": "ConformalSets", "target": "kind"}]},
        {"extras": "none"},
        {"table": None},
    ],
    ids=["no value", "another value", "a function", "examples", "too few values", "text", "null"],
)
def test_a_changed_file_is_refused(path, change):
    write(path, Calibration("model", {"kind": Temperature(2.0)}))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match="calibrate again"):
        read(path)
