"""Choice among the objects of a catalogue, with an estimator that needs no network."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.acquisition import METHODS, SCORES, acquire, read_pool
from astrocnn.acquisition import pool as module
from astrocnn.catalog import Catalog
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.imaging import ArraySource, Inputs
from astrocnn.prediction import chunks
from astrocnn.targets import make

N = 300


class Noisy:
    """The mean pixel is the mean probability of 'b'; the draws differ most at one half."""

    precision, fingerprint = "float32", "noisy"

    def __init__(self):
        self.task = make("morphology", classes=["a", "b"], column="kind")
        self.inputs = Inputs(bands=("r",), size=4)
        self.rows = []

    def sample(self, images, scalars=None, *, draws=0, seed=0, views="one"):
        self.rows.append(len(images))
        p = images.mean(axis=(1, 2, 3))
        noise = np.random.default_rng(seed).uniform(-1, 1, (max(draws, 1), 1))
        width = 0.4 * (1 - np.abs(2 * p - 1)) if draws else 0 * p
        p = np.clip(p + noise * width, 0.01, 0.99)
        return {"morphology": np.stack([1 - p, p], axis=-1).astype(np.float32)}

    def features(self, images, scalars=None):
        return images.mean(axis=(1, 2, 3))[:, None]


def survey(labelled=0, order=None):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.98, N)
    images = np.broadcast_to(p[:, None, None, None], (N, 4, 4, 1)).astype(np.float32).copy()
    images[7] = np.nan
    kind = np.where(np.arange(N) < labelled, "a", "")
    catalog = Catalog.from_table(Table({"id": np.arange(N) + 2**60, "kind": kind}))
    source = ArraySource(images, bands=("r",))
    if order is not None:
        source.order = lambda: order
    return catalog, source, p


@pytest.mark.parametrize("method", METHODS)
def test_each_method_chooses_what_it_names(method):
    catalog, source, p = survey()
    table = acquire(Noisy(), catalog, source, 20, method=method, random=0.25)
    assert len(table) == 20 and len(set(table["id"].tolist())) == 20
    assert table["rank"].tolist() == list(range(1, 21))
    by_chance = np.asarray(table["chosen_by"] == "random")
    assert by_chance.sum() == (20 if method == "random" else 5)
    assert 2**60 + 7 not in table["id"].tolist()  # without an image
    rows = np.asarray(table["id"]) - 2**60
    likely = np.where(p[rows] > 0.5, "b", "a")
    clear = np.abs(p[rows] - 0.5) > 0.05
    assert (table["predicted"][clear] == likely[clear]).all()
    if method != "random":
        mine = rows[~by_chance]
        assert np.abs(p[mine] - 0.5).mean() < (0.2 if method in ("kmeans", "batchbald") else 0.05)
    if method in SCORES:
        assert (np.diff(table["score"][~by_chance]) <= 1e-6).all()  # the score that they rank by
    np.testing.assert_array_equal(
        table["id"], acquire(Noisy(), catalog, source, 20, method=method, random=0.25)["id"]
    )


def test_neither_the_blocks_nor_the_order_of_reading_matter(monkeypatch):
    tables = []
    for size, order in ((512, None), (37, np.random.default_rng(3).permutation(N))):
        monkeypatch.setattr(module, "_BLOCK", size)
        monkeypatch.setattr(chunks, "_MAX_ROWS", 2 * size)
        catalog, source, _ = survey(order=order)
        tables.append(acquire(Noisy(), catalog, source, 30, method="bald"))
    assert tables[0]["id"].tolist() == tables[1]["id"].tolist()
    assert tables[0]["score"].tolist() == tables[1]["score"].tolist()


def test_labelled_objects_are_left_out_and_memory_is_bounded():
    catalog, source, _ = survey(labelled=200)
    table = acquire(Noisy(), catalog, source, 50, method="entropy", draws=0)
    assert np.asarray(table["id"]).min() >= 2**60 + 200
    everything = acquire(Noisy(), catalog, source, 1000, method="bald", random=0.5)
    assert len(everything) == 100
    kept = read_pool(
        Noisy(), catalog, source, np.arange(N), target="morphology", score="bald", keep=10
    )
    assert kept.samples.shape == (50, 10, 2) and len(kept.usable) == N - 1


def test_balance_takes_as_many_of_each_class():
    catalog, source, _ = survey()
    images = source.read(np.arange(N)).images ** 2  # most are 'a'
    table = acquire(
        Noisy(),
        catalog,
        ArraySource(images, bands=("r",)),
        40,
        method="entropy",
        random=0,
        balance=True,
        draws=0,
    )
    assert np.unique(table["predicted"], return_counts=True)[1].tolist() == [20, 20]
    assert len(set(table["predicted"][:2].tolist())) == 2


def test_the_share_by_chance_is_a_fair_sample():
    catalog, source, p = survey()
    chosen = [
        np.asarray(t["id"])[np.asarray(t["chosen_by"] == "random")] - 2**60
        for t in (acquire(Noisy(), catalog, source, 60, method="margin", random=0.5, seed=s)
                  for s in range(8))
    ]  # fmt: skip
    mean = p[np.concatenate(chosen)].mean()
    error = p.std() / np.sqrt(240)
    assert abs(mean - np.delete(p, 7).mean()) < 4 * error
    assert p[np.concatenate(chosen)].std() > 0.2  # margin alone would take those near one half


def test_invalid_requests_are_one_message():
    catalog, source, _ = survey()
    with pytest.raises(PredictionError, match="Unknown `method`"):
        acquire(Noisy(), catalog, source, 5, method="batchbold")
    with pytest.raises(PredictionError, match="needs draws"):
        acquire(Noisy(), catalog, source, 5, draws=0)
    with pytest.raises(PredictionError, match="`n`"):
        acquire(Noisy(), catalog, source, 5, random=1.5)
    with pytest.raises(ConfigError, match="with classes"):
        acquire(Noisy(), catalog, source, 5, target="z")
    with pytest.raises(PredictionError, match="All objects"):
        acquire(Noisy(), survey(labelled=N)[0], source, 5)


@pytest.mark.parametrize("balance", [False, True])
def test_an_interrupted_choice_goes_on_to_the_same_table(balance, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "_MAX_ROWS", 64)
    catalog, source, _ = survey(labelled=20, order=np.random.default_rng(3).permutation(N))
    options = {"method": "batchbald", "random": 0.25, "balance": balance, "draws": 8}
    whole = acquire(Noisy(), catalog, source, 12, **options)

    class Dying(Noisy):
        def sample(self, images, *args, **more):
            if len(self.rows) == 3:
                raise KeyboardInterrupt
            return super().sample(images, *args, **more)

    parts = tmp_path / "acquire.csv.parts"
    with pytest.raises(KeyboardInterrupt):
        acquire(Dying(), catalog, source, 12, parts=parts, **options)
    assert len(list(parts.rglob("part-*.fits"))) == 3
    again = Noisy()
    resumed = acquire(again, catalog, source, 12, parts=parts, **options)
    # 280 objects without a label in chunks of 64: two were left, and then the candidates.
    assert again.rows[:2] == [64, 24] or again.rows[:2] == [63, 24]
    for name in ("a", "b"):
        table = whole if name == "a" else resumed
        table.write(tmp_path / f"{name}.csv", format="ascii.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert not parts.exists()
