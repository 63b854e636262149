"""Objects chosen by identifier, by uncertainty and by predicted class."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog, Roles
from astrocnn.errors import CatalogError
from astrocnn.explain.methods.top_activations import select_distinct
from astrocnn.explain.predictions import (
    TargetPredictions,
    select_by_id,
    select_most_uncertain,
    select_per_class,
)
from astrocnn.targets import Binned, Categorical, Target, Task

KIND = Target("kind", Categorical(("a", "b", "c")), "kind")


def catalog(ids) -> Catalog:
    ids = np.asarray(ids)
    table = Table({"id": ids})
    nowhere = np.zeros(len(ids))
    flags = np.zeros(len(ids), np.int32)
    return Catalog(table=table, roles=Roles("id"), ids=ids, ra=nowhere, dec=nowhere, flags=flags)


def test_by_identifier_exactly():
    ids = np.array([2**62 + 1, 2**62 + 2, -5], np.int64)
    assert select_by_id(catalog(ids), ["-5", str(2**62 + 2), "-5"]).tolist() == [2, 1]
    with pytest.raises(CatalogError, match="not in the catalogue") as error:
        select_by_id(catalog(ids), [str(2**62 + 4)])
    assert str(2**62 + 2) in str(error.value)
    assert select_by_id(catalog(["M31", "M33"]), ["M33"]).tolist() == [1]
    with pytest.raises(CatalogError) as error:
        select_by_id(catalog(["NGC224", "IC10"]), ["NGC225"])
    assert "NGC224" in str(error.value)


@pytest.fixture
def classes():
    task = Task("morphology", (KIND,), "kind.accuracy")
    p = np.array(
        [[0.9, 0.1, 0.0], [0.4, 0.3, 0.3], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2], [0.5, 0.5, 0]]
    )
    return TargetPredictions(task, "kind", {"kind": p[None].astype(np.float32)})


def test_some_of_each_predicted_class(classes):
    assert classes.explain_target(KIND).classes == ["a", "a", "b", "a", "a"]
    assert classes.texts[0] == "a, p = 0.90"
    # Of a, from the surest: 0, 3, 4, 1; in the middles of two halves stand 3 and 1.
    assert select_per_class(classes, 2).tolist() == [3, 1, 2]
    assert select_per_class(classes, 9).tolist() == [0, 3, 4, 1, 2]


def test_the_least_certain_first(classes):
    assert select_most_uncertain(classes, 2).tolist() == [1, 3]
    assert len(select_most_uncertain(classes, 99)) == 5


def test_evenly_along_a_quantity():
    family = Binned(0.0, 1.0, 100)
    z = Target("z", family, "z")
    task = Task("photoz", (z,), "z.sigma_mad")
    rng = np.random.default_rng(0)
    place = rng.permutation(100)
    found = TargetPredictions(task, "z", {"z": np.eye(100, dtype=np.float32)[place][None]})
    np.testing.assert_allclose(found.value, (place + 0.5) / 100, atol=1e-6)
    chosen = select_per_class(found, 2)
    assert place[chosen].tolist() == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    assert found.explain_target(z).label == "mean of z" and found.texts[0] == "0.825 +- 0.0029"


def test_filters_shown_have_different_images():
    rows = np.array([[0, 1, 2], [0, 1, 3], [4, 5, 6], [0, 4, 9], *([[7, 8, k] for k in range(9)])])
    strength = np.linspace(9, 1, len(rows))
    # 1 shares two of three with 0; of the last nine each shares two with the others.
    assert select_distinct(strength, rows).tolist() == [0, 1, 2, 3, 4, 5]
    rows[5:] = np.arange(100, 124).reshape(8, 3)
    assert select_distinct(strength, rows).tolist() == [0, 2, 3, 4, 5, 6]
