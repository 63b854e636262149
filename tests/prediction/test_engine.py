"""The engine: rows, order, workers, interruption; with an estimator that needs no network."""

from __future__ import annotations

import itertools
import os
import shutil
from importlib import metadata

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import astrocnn
from astrocnn.backend import keras, tf
from astrocnn.catalog import Catalog, CatalogWarning
from astrocnn.column import Column
from astrocnn.errors import ImageError, InputsError, ModelError, PredictionError
from astrocnn.flags import Flag
from astrocnn.imaging import ArraySource, Inputs, Survey, open_source
from astrocnn.prediction import (
    Plan,
    chunks,
    parse_worker,
    predict,
    predict_objects,
    to_csv,
    to_parquet,
)
from astrocnn.prediction.fits_headers import is_intact
from astrocnn.targets import make

N, SIZE, BANDS = 300, 4, ("g", "r")


class Mean:
    """Probability of 'b' is the mean pixel, plus a little for each draw."""

    precision = "float32"
    fingerprint = "mean"

    def __init__(self):
        self.task = make("morphology", classes=["a", "b"], column="class")
        self.inputs = Inputs(bands=BANDS, size=SIZE)
        self.calls = 0

    def sample(self, images, scalars=None, *, draws=0, seed=0, views="one"):
        self.calls += 1
        p = np.nanmean(images, axis=(1, 2, 3))
        jitter = np.random.default_rng(seed).normal(0, 0.01, max(draws, 1)) if draws else [0.0]
        p = np.clip([p + j for j in jitter], 0, 1)
        return {"morphology": np.stack([1 - p, p], axis=-1).astype(np.float32)}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "_MAX_ROWS", 64)


def objects(n=N, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.choice(2**62, n, replace=False) * rng.choice([-1, 1], n)
    table = Table({"OBJECT_ID": ids, "RA": rng.uniform(0, 360, n), "DEC": rng.uniform(-90, 90, n)})
    table["RA"].unit = "deg"
    images = rng.uniform(0.1, 0.9, (n, SIZE, SIZE, len(BANDS))).astype(np.float32)
    images[7] = np.nan
    images[min(11, n - 1), :2] = np.nan
    return Catalog.from_table(table), images


def source_of(images, order=None):
    source = ArraySource(images, bands=BANDS)
    if order is not None:
        source.order = lambda: order
    return source


def table_bytes(path):
    with fits.open(path) as hdus:
        return np.asarray(hdus["PREDICTIONS"].data).tobytes()


def test_every_row_comes_out_in_the_order_of_the_catalogue(tmp_path):
    catalog, images = objects()
    work = np.random.default_rng(5).permutation(N)
    out = predict(Mean(), catalog, source_of(images, work), tmp_path / "p.fits")
    table = Table.read(out)
    assert table["OBJECT_ID"].dtype.kind == "i" and table["OBJECT_ID"].dtype.itemsize == 8
    np.testing.assert_array_equal(table["OBJECT_ID"], catalog.ids)
    np.testing.assert_array_equal(table["RA"], catalog.table["RA"])
    expected = np.nanmean(np.delete(images, 7, axis=0), axis=(1, 2, 3), dtype=np.float64)
    found = np.delete(np.asarray(table["morphology_p_b"]), 7)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert not (tmp_path / "p.fits.parts").exists()


def test_a_row_that_cannot_be_predicted_is_kept_as_nan_with_its_flag(tmp_path):
    catalog, images = objects()
    table = Table.read(predict(Mean(), catalog, source_of(images), tmp_path / "p.fits"))
    row = table[7]
    assert np.isnan(np.ma.getdata(table["morphology_p_a"])[7])
    assert np.ma.getdata(table["morphology_class"])[7] == ""
    assert row["flags"] & Flag.NOT_PREDICTED and row["flags"] & Flag.BAND_MISSING
    assert table["flags"][11] & Flag.NO_DATA_PIXELS
    assert not table["flags"][11] & Flag.NOT_PREDICTED
    assert np.count_nonzero(np.asarray(table["flags"]) & Flag.NOT_PREDICTED) == 1


@pytest.mark.parametrize("n_workers", [2, 3, 7])
def test_any_number_of_workers_gives_the_same_table(tmp_path, n_workers):
    catalog, images = objects()
    alone = predict(Mean(), catalog, source_of(images), tmp_path / "a.fits", draws=5, seed=3)
    done = [
        predict(
            Mean(),
            catalog,
            source_of(images),
            tmp_path / "b.fits",
            draws=5,
            seed=3,
            worker=(i, n_workers),
        )
        for i in np.random.default_rng(0).permutation(min(n_workers, 5)) + 1
    ]
    assert [d is not None for d in done] == [False] * (len(done) - 1) + [True]
    assert table_bytes(alone) == table_bytes(done[-1])


@pytest.mark.parametrize("fails_at", [1, 2, 4])
def test_an_interrupted_prediction_continues(tmp_path, fails_at):
    catalog, images = objects()
    whole = predict(Mean(), catalog, source_of(images), tmp_path / "a.fits", draws=3)
    broken = Mean()
    real = broken.sample

    def interrupted(*args, **kwargs):
        if broken.calls == fails_at:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    broken.sample = interrupted
    with pytest.raises(KeyboardInterrupt):
        predict(broken, catalog, source_of(images), tmp_path / "b.fits", draws=3)
    assert not (tmp_path / "b.fits").exists()
    again = Mean()
    out = predict(again, catalog, source_of(images), tmp_path / "b.fits", draws=3)
    assert again.calls == 5 - fails_at  # of 300 rows in parts of 64, what was done stays done
    assert table_bytes(out) == table_bytes(whole)
    finished = Mean()
    predict(finished, catalog, source_of(images), tmp_path / "b.fits", draws=3)
    assert finished.calls == 0


def test_parts_of_another_prediction_are_refused(tmp_path):
    catalog, images = objects()
    predict(Mean(), catalog, source_of(images), tmp_path / "p.fits", seed=1, worker=(1, 2))
    with pytest.raises(PredictionError, match="another prediction"):
        predict(Mean(), catalog, source_of(images), tmp_path / "p.fits", seed=2, worker=(1, 2))


def test_a_damaged_part_is_computed_again(tmp_path):
    catalog, images = objects()
    whole = predict(Mean(), catalog, source_of(images), tmp_path / "a.fits")
    predict(Mean(), catalog, source_of(images), tmp_path / "p.fits", worker=(1, 2))
    part = tmp_path / "p.fits.parts" / "part-000000.fits"
    part.write_bytes(part.read_bytes()[:-2880])
    out = predict(Mean(), catalog, source_of(images), tmp_path / "p.fits")
    assert table_bytes(out) == table_bytes(whole)


def test_other_bands_are_refused(tmp_path):
    catalog, images = objects()
    with pytest.raises(InputsError, match="band"):
        predict(Mean(), catalog, ArraySource(images, bands=("r", "g")), tmp_path / "p.fits")


def test_a_missing_scalar_is_a_flag():
    catalog, images = objects(8)
    catalog.table["ebv"] = [0.1, np.nan, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1]
    estimator = Mean()
    estimator.inputs = Inputs(bands=BANDS, size=SIZE, scalars=("ebv",))
    cutouts = source_of(images[:8]).read(np.arange(8))
    columns = predict_objects(estimator, catalog, cutouts)
    assert columns["flags"][1] & Flag.SCALAR_MISSING and columns["flags"][1] & Flag.NOT_PREDICTED
    assert np.isnan(columns["morphology_p_a"][1]) and np.isfinite(columns["morphology_p_a"][0])


@given(st.integers(0, 5000), st.integers(1, 10**7))
def test_parts_cover_every_row_once(n, bytes_per_row):
    order = np.random.default_rng(n).permutation(n)
    plan = Plan.make(order, bytes_per_row, {"a": 1})
    rows = [plan.rows(chunk) for chunk in range(len(plan))]
    np.testing.assert_array_equal(np.concatenate([*rows, np.empty(0, int)]), order)


def test_the_fingerprint_is_of_the_facts_and_the_order():
    order = np.arange(10)
    same = Plan.make(order, 8, {"a": 1, "b": 2}).fingerprint
    assert same == Plan.make(order, 8, {"b": 2, "a": 1}).fingerprint
    assert same != Plan.make(order, 8, {"a": 1, "b": 3}).fingerprint
    assert same != Plan.make(order[::-1], 8, {"a": 1, "b": 2}).fingerprint


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "-1/3", "1/0"])
def test_a_worker_is_i_of_n(text):
    with pytest.raises(PredictionError, match="i/n"):
        parse_worker(text)


def test_the_header_says_what_was_predicted_from_what(tmp_path):
    catalog, images = objects(20)
    cards = fits.getheader(predict(Mean(), catalog, source_of(images), tmp_path / "p.fits"))
    same = fits.getheader(predict(Mean(), catalog, source_of(images), tmp_path / "q.fits"))
    assert len(cards["CATSHA"]) == 64 and cards["MODELSHA"] == "mean"
    moved = Table(catalog.table, copy=True)
    moved["DEC"][3] /= 2
    brighter = images.copy()
    brighter[0] += 1
    for other, source, changed in (
        (Catalog.from_table(moved), source_of(images), "CATSHA"),
        (catalog, source_of(brighter), "IMAGESHA"),
    ):
        found = fits.getheader(predict(Mean(), other, source, tmp_path / f"{changed}.fits"))
        for card in ("CATSHA", "IMAGESHA", "FPRINT"):
            assert cards[card] == same[card]
            assert (found[card] != cards[card]) == (card in (changed, "FPRINT"))


def test_a_table_of_another_network_is_made_anew(tmp_path):
    catalog, images = objects(20)
    estimator = Mean()
    predict(estimator, catalog, source_of(images), tmp_path / "p.fits")
    predict(estimator, catalog, source_of(images), tmp_path / "p.fits")
    assert estimator.calls == 1
    estimator.fingerprint = "trained again"
    out = predict(estimator, catalog, source_of(images), tmp_path / "p.fits")
    assert estimator.calls == 2 and fits.getheader(out)["MODELSHA"] == "trained again"


def test_nothing_but_predictions_is_replaced(tmp_path):
    catalog, images = objects(20)
    precious = tmp_path / "catalog.fits"
    catalog.table.write(precious)
    before = precious.read_bytes()
    with pytest.raises(PredictionError, match="not replaced"):
        predict(Mean(), catalog, source_of(images), precious)
    assert precious.read_bytes() == before
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PredictionError, match="not replaced"):
        predict(Mean(), catalog, source_of(images), tmp_path / "notes.txt")


@pytest.mark.parametrize("worker", ["²/3", "0/2", "3/2", "a/b", "1", "", "1.5/2", "-1/2"])
def test_a_worker_is_two_numbers(worker):
    with pytest.raises(PredictionError, match="i from 1 to n"):
        parse_worker(worker)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"worker": (3, 2)}, "i from 1 to n"),
        ({"views": "d5"}, "did you mean 'd4'"),
        ({"draws": -1}, "`draws` must be an integer >= 0; got -1"),
        ({"catalog": objects(21)[0]}, "same rows"),
    ],
)
def test_wrong_arguments_leave_nothing(tmp_path, change, said):
    catalog, images = objects(20)
    arguments = {"catalog": catalog, "source": source_of(images), "out": tmp_path / "p.fits"}
    with pytest.raises((PredictionError, ModelError), match=said):
        predict(Mean(), **(arguments | change))
    assert not list(tmp_path.iterdir())


def test_identifiers_that_fits_cannot_hold_are_named(tmp_path):
    table = Table({"id": ["a", "źródło", "c"], "ra": [1.0, 2.0, 3.0], "dec": [1.0, 2.0, 3.0]})
    images = np.full((3, SIZE, SIZE, len(BANDS)), 0.5, np.float32)
    with pytest.warns(CatalogWarning, match=r"1 identifiers .* 'źródło' as '.u017ar"):
        out = predict(Mean(), Catalog.from_table(table), source_of(images), tmp_path / "p.fits")
    found = Table.read(out)["id"].tolist()
    assert [name.encode().decode("unicode_escape") for name in found] == ["a", "źródło", "c"]
    # Formats that hold any character have the identifiers as they came.
    assert to_csv(out, tmp_path / "p.csv").read_text("utf-8").splitlines()[2].startswith('"źródło"')
    stored = pq.read_table(to_parquet(out, tmp_path / "p.parquet"))
    assert stored["id"].to_pylist() == ["a", "źródło", "c"]


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_the_last_of_several_workers_merges_and_removes_the_parts(tmp_path, order):
    catalog, images = objects()
    out = tmp_path / "p.fits"
    results = [
        predict(Mean(), catalog, source_of(images), out, draws=2, worker=(i, 3)) for i in order
    ]
    assert results == [None, None, out]
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("after", ["predict", "merge"])
def test_a_worker_that_is_overtaken_returns_the_finished_table(tmp_path, monkeypatch, after):
    catalog, images = objects()
    out = tmp_path / "p.fits"

    def overtake():
        monkeypatch.undo()
        monkeypatch.setattr(chunks, "_MAX_ROWS", 64)
        predict(Mean(), catalog, source_of(images), out)

    slow = Mean()
    if after == "predict":
        sample = slow.sample

        def sample_late(*arguments, **options):
            if slow.calls == 4:
                overtake()
            return sample(*arguments, **options)

        slow.sample = sample_late
    else:
        merge = chunks.merge

        def merge_late(*arguments):
            overtake()
            merge(*arguments)

        monkeypatch.setattr(chunks, "merge", merge_late)
    assert predict(slow, catalog, source_of(images), out) == out
    assert list(tmp_path.iterdir()) == [out]
    assert len(Table.read(out)) == N


def test_files_of_others_among_the_parts_stay(tmp_path):
    catalog, images = objects()
    notes = tmp_path / "p.fits.parts" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    predict(Mean(), catalog, source_of(images), tmp_path / "p.fits")
    assert [path.name for path in notes.parent.iterdir()] == ["notes.txt"]
    assert notes.read_text() == "mine"


def test_no_distribution_has_to_be_called_tensorflow(tmp_path, monkeypatch):
    def refuse(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", refuse)
    catalog, images = objects()
    header = fits.getheader(predict(Mean(), catalog, source_of(images), tmp_path / "p.fits"))
    assert header["TFVER"] == tf.__version__ and header["KERASVER"] == keras.__version__
    assert header["ORIGIN"] == f"astrocnn {astrocnn.__version__}"


def finished(tmp_path, **options):
    """A table and what made it, with densities after the table."""
    catalog, images = objects(200)
    arguments = (catalog, source_of(images), tmp_path / "p.fits")
    estimator = Mean()
    return estimator, arguments, predict(estimator, *arguments, **options)


@pytest.mark.parametrize("where", [3000, 9000, -100])
def test_a_finished_table_with_a_flipped_bit_is_made_anew(tmp_path, where):
    estimator, arguments, out = finished(tmp_path)
    whole = out.read_bytes()
    assert estimator.calls == 4 and predict(estimator, *arguments) == out
    assert estimator.calls == 4
    damaged = bytearray(whole)
    damaged[where] ^= 4
    out.write_bytes(damaged)
    predict(estimator, *arguments)
    assert estimator.calls == 8 and out.read_bytes() == whole


def test_a_finished_table_that_was_cut_off_is_made_anew(tmp_path):
    estimator, arguments, out = finished(tmp_path)
    whole = out.read_bytes()
    for length in (len(whole) - 1, len(whole) - 2880, 2880 * 3):
        out.write_bytes(whole[:length])
        predict(estimator, *arguments)
        assert out.read_bytes() == whole
    out.write_bytes(whole + bytes(2880))
    predict(estimator, *arguments)
    assert out.read_bytes() == whole


@given(st.integers(0, 10**9), st.integers(0, 7))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_flipped_bit_of_a_table_is_noticed(tmp_path, place, bit):
    path = tmp_path / "p.fits"
    if not path.exists():
        finished(tmp_path)
    assert is_intact(path)
    damaged = bytearray(path.read_bytes())
    damaged[place % len(damaged)] ^= 1 << bit
    other = tmp_path / "damaged.fits"
    other.write_bytes(damaged)
    assert not is_intact(other)


@pytest.mark.parametrize("worker", [(1, 2), (2, 2)], ids=["own", "of another worker"])
def test_a_chunk_with_a_flipped_bit_is_computed_again(tmp_path, worker):
    catalog, images = objects()
    whole = predict(Mean(), catalog, source_of(images), tmp_path / "a.fits").read_bytes()
    out = tmp_path / "p.fits"
    predict(Mean(), catalog, source_of(images), out, worker=worker)
    chunk = sorted((tmp_path / "p.fits.parts").glob("part-*.fits"))[-1]
    data = bytearray(chunk.read_bytes())
    data[-2000] ^= 1
    chunk.write_bytes(data)
    again = Mean()
    predict(again, catalog, source_of(images), out, worker=(1, 2) if worker[0] == 1 else (2, 2))
    assert again.calls == 1
    other = (2, 2) if worker[0] == 1 else (1, 2)
    chunk.write_bytes(data)
    predict(Mean(), catalog, source_of(images), out, worker=other)
    assert out.read_bytes() == whole


def tiles_of(folder):
    """A survey of two tiles, and a catalogue of 200 objects on each."""
    rng = np.random.default_rng(1)
    positions = []
    for number in range(2):
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.cdelt = ("RA---TAN", "DEC--TAN"), (-1e-4, 1e-4)
        wcs.wcs.crval, wcs.wcs.crpix = (10.0 + number, 0.0), (100.5, 100.5)
        header = wcs.to_header()
        header["MAGZERO"] = 25.0
        pixels = rng.uniform(0.1, 0.9, (200, 200)).astype(np.float32)
        fits.writeto(folder / f"tile{number}.fits", pixels, header, overwrite=True)
        positions.append(wcs.pixel_to_world_values(*rng.uniform(20, 180, (2, 200))))
    ra, dec = np.concatenate(positions, axis=1)
    band = {"image": "tile*.fits", "zero_point": "MAGZERO"}
    bands = [{"name": name, **band} for name in BANDS]
    survey = {"name": "s", "kind": "tiles", "unit": "nJy", "bands": bands}
    catalog = Catalog.from_table(Table({"id": np.arange(400), "ra": ra, "dec": dec}))
    return catalog, Survey.from_dict(survey, folder)


def test_images_written_anew_before_the_end_are_predicted_anew(tmp_path):
    catalog, survey = tiles_of(tmp_path)
    out = tmp_path / "p.fits"

    def source():
        return open_source(survey, ra=catalog.ra, dec=catalog.dec, size=SIZE)

    def make_estimator():
        estimator = Mean()
        estimator.inputs = Inputs.from_source(source())
        return estimator

    assert predict(make_estimator(), catalog, source(), out, worker=(1, 2)) is None
    before = sorted((tmp_path / "p.fits.parts").iterdir())
    # Four pixels between the samples that the fingerprint is made of.
    with fits.open(tmp_path / "tile1.fits", mode="update") as hdus:
        hdus[0].data[33, 30:34] *= 0.5
        place = hdus[0].fileinfo()["datLoc"]
    assert place == 2880
    again = make_estimator()
    predict(again, catalog, source(), out)
    whole = predict(make_estimator(), catalog, source(), tmp_path / "q.fits")
    assert out.read_bytes() == whole.read_bytes()
    # Of the chunks 0, 2, 4 and 6 that were done, two are of the other tile alone.
    assert len(before) == 4 and again.calls == 7 - 2


def test_images_written_anew_while_they_are_read_stop_the_prediction(tmp_path):
    catalog, survey = tiles_of(tmp_path)
    source = open_source(survey, ra=catalog.ra, dec=catalog.dec, size=SIZE)
    estimator = Mean()
    estimator.inputs = Inputs.from_source(source)
    sample = estimator.sample

    def sample_late(*arguments, **options):
        if estimator.calls == 1:
            os.utime(tmp_path / "tile0.fits", ns=(0, 0))
        return sample(*arguments, **options)

    estimator.sample = sample_late
    with pytest.raises(ImageError, match="written anew while"):
        predict(estimator, catalog, source, tmp_path / "p.fits")
    assert not (tmp_path / "p.fits").exists()


def test_another_zero_point_in_a_header_is_another_prediction(tmp_path):
    catalog, survey = tiles_of(tmp_path)
    source = open_source(survey, ra=catalog.ra, dec=catalog.dec, size=SIZE)
    estimator = Mean()
    estimator.inputs = Inputs.from_source(source)
    assert predict(estimator, catalog, source, tmp_path / "p.fits", worker=(1, 2)) is None
    status = (tmp_path / "tile1.fits").stat()
    with fits.open(tmp_path / "tile1.fits", mode="update") as hdus:
        hdus[0].header["MAGZERO"] = 24.0
    os.utime(tmp_path / "tile1.fits", ns=(status.st_atime_ns, status.st_mtime_ns))
    source = open_source(survey, ra=catalog.ra, dec=catalog.dec, size=SIZE)
    with pytest.raises(PredictionError, match="another prediction"):
        predict(estimator, catalog, source, tmp_path / "p.fits")


def test_arrays_that_change_between_samples_are_predicted_anew(tmp_path):
    catalog, images = objects()
    predict(Mean(), catalog, source_of(images), tmp_path / "p.fits", worker=(1, 2))
    images[1] *= 0.5
    again = Mean()
    out = predict(again, catalog, source_of(images), tmp_path / "p.fits")
    assert again.calls == 5 - 2
    whole = predict(Mean(), catalog, source_of(images), tmp_path / "q.fits")
    assert out.read_bytes() == whole.read_bytes()


def test_chunks_that_a_killed_process_had_merged_are_removed(tmp_path):
    catalog, images = objects(100)
    predict(Mean(), catalog, source_of(images), tmp_path / "p.fits", worker=(1, 2))
    shutil.copytree(tmp_path / "p.fits.parts", tmp_path / "kept")
    out = predict(Mean(), catalog, source_of(images), tmp_path / "p.fits")
    (tmp_path / "kept").rename(tmp_path / "p.fits.parts")
    predict(Mean(), catalog, source_of(images), out)
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_of_the_user_with_the_name_of_a_chunk_is_not_replaced(tmp_path):
    catalog, images = objects()
    own = tmp_path / "p.fits.parts" / "part-000002.fits"
    own.parent.mkdir()
    fits.PrimaryHDU(np.arange(4)).writeto(own)
    before = own.read_bytes()
    with pytest.raises(PredictionError, match="not a chunk of a prediction"):
        predict(Mean(), catalog, source_of(images), tmp_path / "p.fits")
    assert own.read_bytes() == before


def test_temporary_files_of_a_killed_process_are_removed(tmp_path):
    catalog, images = objects()
    folder = tmp_path / "p.fits.parts"
    folder.mkdir()
    leftovers = [folder / ".tmp-abcdefgh-part-000001.fits", tmp_path / ".tmp-abcdefgh-p.fits"]
    for path in leftovers:
        path.write_bytes(b"half")
    out = predict(Mean(), catalog, source_of(images), tmp_path / "p.fits")
    assert list(tmp_path.iterdir()) == [out]


def test_a_symbolic_link_is_written_through(tmp_path):
    catalog, images = objects(20)
    (tmp_path / "disk").mkdir()
    link = tmp_path / "p.fits"
    link.symlink_to(tmp_path / "disk" / "real.fits")
    predict(Mean(), catalog, source_of(images), link)
    assert link.is_symlink() and len(Table.read(tmp_path / "disk" / "real.fits")) == 20


def test_each_row_is_read_and_predicted_once_in_the_order_of_the_tiles(tmp_path):
    catalog, images = objects()
    work = np.random.default_rng(5).permutation(N)
    source, estimator, read = source_of(images, work), Mean(), []
    cut = source.read
    source.read = lambda rows: read.append(rows) or cut(rows)
    predict(estimator, catalog, source, tmp_path / "p.fits", draws=2)
    # Rows of one tile stand together in the order of the source, so no tile is visited twice.
    np.testing.assert_array_equal(np.concatenate(read), work)
    assert len(read) == estimator.calls == 5


def test_two_dates_differ_in_nothing_else(tmp_path, monkeypatch):
    catalog, images = objects(20)
    headers, contents = [], []
    for k, epoch in enumerate(("0", "1700000000")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        out = predict(Mean(), catalog, source_of(images), tmp_path / f"{k}.fits")
        contents.append(out.read_bytes()[2880:])
        headers.append(fits.getheader(out, 0))
    assert [h["DATE"] for h in headers] == ["1970-01-01T00:00:00", "2023-11-14T22:13:20"]
    assert set(fits.HeaderDiff(*headers).diff_keyword_values) == {"DATE", "CHECKSUM"}
    # The length of the primary header is a multiple of 2880; only its first block holds a date.
    assert contents[0].endswith(contents[1][-len(contents[1]) + 2880 :])
    assert headers[0]["RADESYS"] == "ICRS"


class Members:
    """An extra with an integer that may be missing."""

    fingerprint = "members"

    def columns(self):
        return (Column("n", "i2", "", "meta.number", "Members", nullable=True, null=-1),)

    def compute(self, batch):
        return {"n": np.arange(len(batch)) % 3}


def test_missing_integers_are_blank_for_every_reader(tmp_path):
    catalog, images = objects()
    out = predict(Mean(), catalog, source_of(images), tmp_path / "p.fits", extras=[Members()])
    table = Table.read(out, hdu="PREDICTIONS")
    assert np.flatnonzero(table["n"].mask).tolist() == [7]
    with fits.open(out) as hdus:
        header = hdus["PREDICTIONS"].header
        number = hdus["PREDICTIONS"].columns.names.index("n") + 1
        assert header[f"TNULL{number}"] == -1
        ucds = {c.name: header.get(f"TUCD{k}") for k, c in enumerate(hdus[1].columns, 1)}
        comments = [header.get(f"TCOMM{k}") for k in range(1, len(hdus[1].columns) + 1)]
    assert ucds["flags"] == "meta.code.qual"
    assert ucds["morphology_p_a"] == "stat.probability;src.morph.type"
    assert comments[:3] == [
        "Identifier in the catalogue", "Right ascension (ICRS)", "Declination (ICRS)"
    ]  # fmt: skip
    assert all(comments)
