"""Which objects are explained."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog, Roles
from astrocnn.errors import CatalogError
from astrocnn.runs.explaining.objects import Predicted, named, some_of_each, uncertain
from astrocnn.targets import Binned, Categorical, Target, Task


def catalog(ids) -> Catalog:
    ids = np.asarray(ids)
    table = Table({"id": ids})
    nowhere = np.zeros(len(ids))
    flags = np.zeros(len(ids), np.int32)
    return Catalog(table=table, roles=Roles("id"), ids=ids, ra=nowhere, dec=nowhere, flags=flags)


def test_by_identifier_exactly():
    ids = np.array([2**62 + 1, 2**62 + 2, -5], np.int64)
    assert named(catalog(ids), ["-5", str(2**62 + 2), "-5"]).tolist() == [2, 1]
    with pytest.raises(CatalogError, match="not in the catalogue") as error:
        named(catalog(ids), [str(2**62 + 4)])
    assert str(2**62 + 2) in str(error.value)
    assert named(catalog(["M31", "M33"]), ["M33"]).tolist() == [1]
    with pytest.raises(CatalogError) as error:
        named(catalog(["NGC224", "IC10"]), ["NGC225"])
    assert "NGC224" in str(error.value)


@pytest.fixture
def classes():
    family = Categorical(("a", "b", "c"))
    task = Task("morphology", (Target("kind", family, "kind"),), "kind.accuracy")
    p = np.array(
        [[0.9, 0.1, 0.0], [0.4, 0.3, 0.3], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2], [0.5, 0.5, 0]]
    )
    return Predicted(task, "kind", {"kind": p[None].astype(np.float32)})


def test_some_of_each_predicted_class(classes):
    assert classes.wanted == ["a", "a", "b", "a", "a"]
    assert classes.said[0] == "a, p = 0.90"
    # Of a, from the surest: 0, 3, 4, 1; in the middles of two halves stand 3 and 1.
    assert some_of_each(classes, 2).tolist() == [3, 1, 2]
    assert some_of_each(classes, 9).tolist() == [0, 3, 4, 1, 2]


def test_the_least_certain_first(classes):
    assert uncertain(classes, 2).tolist() == [1, 3]
    assert len(uncertain(classes, 99)) == 5


def test_evenly_along_a_quantity():
    family = Binned(0.0, 1.0, 100)
    task = Task("photoz", (Target("z", family, "z"),), "z.sigma_mad")
    rng = np.random.default_rng(0)
    place = rng.permutation(100)
    found = Predicted(task, "z", {"z": np.eye(100, dtype=np.float32)[place][None]})
    np.testing.assert_allclose(found.value, (place + 0.5) / 100, atol=1e-6)
    chosen = some_of_each(found, 2)
    assert place[chosen].tolist() == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    assert found.wanted == [None] * 100


def test_filters_that_are_shown_have_images_of_their_own():
    from astrocnn.runs.explaining.learning import _differing

    rows = np.array([[0, 1, 2], [0, 1, 3], [4, 5, 6], [0, 4, 9], *([[7, 8, k] for k in range(9)])])
    strength = np.linspace(9, 1, len(rows))
    # 1 shares two of three with 0; of the last nine each shares two with the others.
    assert _differing(strength, rows).tolist() == [0, 1, 2, 3, 4, 5]
    rows[5:] = np.arange(100, 124).reshape(8, 3)
    assert _differing(strength, rows).tolist() == [0, 2, 3, 4, 5, 6]
