"""Predictions in partitions: the rows of one table, written file by file."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from astrocnn import block_cache, remote
from astrocnn.catalog import Catalog, read_catalog, uniqueness
from astrocnn.catalog.partitions import is_large
from astrocnn.catalog.uniqueness import KeyWriter, validate_unique
from astrocnn.datasets import write_shards
from astrocnn.errors import CatalogError, PredictionError
from astrocnn.estimators import ClassicalEstimator
from astrocnn.imaging import Inputs, NoImages, Survey, open_source
from astrocnn.imaging.sources import tiles
from astrocnn.prediction import (
    partitions,
    predict,
    predict_partitions,
    read_pdf,
    read_predictions,
    to_parquet,
)
from astrocnn.prediction.predictions import MANIFEST
from astrocnn.targets import Binned, Target, Task
from tests.file_server import serve

N, SIZES = 300, (120, 0, 100, 80)


def make_table() -> Table:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(2, N))
    z = 0.5 + 0.2 * np.tanh(a)
    a[3] = np.nan
    columns = {"OBJECT_ID": -(10**15) + np.arange(N), "RA": np.linspace(10, 20, N), "Dec": b - 5.0}
    return Table({**columns, "a": a, "b": b, "z": z, "wide": a})


@pytest.fixture(scope="module")
def estimator(tmp_path_factory):
    inputs = Inputs((), 0, scalars=("a", "a - b"))
    catalog = Catalog.from_table(make_table(), missing=())
    shards = write_shards(tmp_path_factory.mktemp("knn"), catalog, NoImages(N), inputs)
    task = Task("photoz", (Target("z", Binned(0.0, 1.0, 40), "z"),), "z.sigma_mad")
    return ClassicalEstimator(task, inputs, "knn").fit(shards, np.arange(N))


@pytest.fixture(autouse=True)
def fixed(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture
def folder(tmp_path):
    """A HATS catalogue with a margin, whose rows are no objects."""
    table, start = make_table(), 0
    for number, size in enumerate(SIZES):
        path = tmp_path / f"hats/dataset/Norder=1/Dir=0/Npix={number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {name: np.array(table[name][start : start + size]) for name in table.colnames}
        pq.write_table(pa.table(columns), path)
        start += size
    (tmp_path / "hats/hats.properties").write_text(
        "obs_collection=test\ndataproduct_type=object\n"
        "hats_col_ra=RA\nhats_col_dec=Dec\nhats_nrows=300\n"
    )
    (tmp_path / "hats/partition_info.csv").write_text(
        "Norder,Npix\n" + "".join(f"1,{number}\n" for number in range(len(SIZES)))
    )
    margin = tmp_path / "hats/margin/Norder=1/Dir=0/Npix=0.parquet"
    margin.parent.mkdir(parents=True)
    pq.write_table(pa.table({"OBJECT_ID": np.arange(3)}), margin)
    return tmp_path / "hats"


def run(estimator, folder, out, **options):
    return predict_partitions(estimator, folder, None, out, pdf="int16", missing=(), **options)


HATS = {
    "dataset/_common_metadata",
    "dataset/_metadata",
    "hats.properties",
    "partition_info.csv",
    "properties",
}
"""Metadata, which `hats` writes with the time of day."""


def files_of(out):
    return {str(path.relative_to(out)): path for path in sorted(out.rglob("*")) if path.is_file()}


def read_all(files):
    return {name: path.read_bytes() for name, path in files.items() if name not in HATS}


def test_rows_are_those_of_one_table(estimator, folder, tmp_path):
    out = run(estimator, folder, tmp_path / "out")
    part = "dataset/Norder=1/Dir=0/Npix={}.parquet"
    written = [name for name in files_of(out) if name not in HATS]
    assert written == [MANIFEST, part.format(0), part.format(2), part.format(3)]
    found = read_predictions(out)
    parts = found.partitions
    assert len(found) == N and [len(part) for part in parts] == [120, 100, 80]
    catalog = read_catalog(folder, missing=())
    whole = read_predictions(predict(estimator, catalog, NoImages(N), tmp_path / "p.fits"))
    for name in whole.table.colnames:
        column = np.concatenate([np.ma.getdata(part.table[name]) for part in parts])
        np.testing.assert_array_equal(column, np.ma.getdata(whole.table[name]))
        assert parts[0].table[name].unit == whole.table[name].unit
        assert parts[0].table[name].description == whole.table[name].description
    assert parts[-1].table["OBJECT_ID"].meta["ucd"] == "meta.id;meta.main"
    assert parts[0].table.meta["MODELSHA"] == estimator.fingerprint
    assert parts[0].flags(3) and parts[0].count_flags()
    # The densities are those of one table, to the two bytes of their storage.
    predict(estimator, catalog, NoImages(N), tmp_path / "d.fits", pdf="int16")
    _, _, density = read_pdf(tmp_path / "d.fits")
    stored = pq.read_table(found.files[1])["PDF"].to_pylist()
    np.testing.assert_allclose(np.array(stored), density[120:220], atol=0.02)


def identify(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def test_workers_and_a_second_start_change_no_byte(estimator, folder, tmp_path):
    one = files_of(run(estimator, folder, tmp_path / "one"))
    with ThreadPoolExecutor(2) as pool:
        many = files_of(run(estimator, folder, tmp_path / "many", scheduler=pool))
        assert read_all(one) == read_all(many)
        # A number of a file that was removed may be given to its successor: the time tells.
        before = {name: identify(path) for name, path in many.items()}
        _, lost, damaged = (name for name in many if "Npix" in name)
        many[lost].unlink()
        content = bytearray(many[damaged].read_bytes())
        content[200] ^= 1
        many[damaged].write_bytes(content)
        again = files_of(run(estimator, folder, tmp_path / "many", scheduler=pool))
    assert read_all(one) == read_all(again)
    changed = {name for name, path in again.items() if identify(path) != before[name]}
    assert changed == {lost, damaged}


def test_an_interrupted_prediction_is_no_data_set_and_continues(
    estimator, folder, tmp_path, monkeypatch
):
    whole = files_of(run(estimator, folder, tmp_path / "whole"))
    real, calls = partitions._Partitions._write, []

    def stop(self, *arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(partitions._Partitions, "_write", stop)
    with pytest.raises(KeyboardInterrupt):
        run(estimator, folder, tmp_path / "out")
    with pytest.raises(PredictionError, match="cannot be read"):
        read_predictions(tmp_path / "out")
    out = files_of(run(estimator, folder, tmp_path / "out"))
    assert len(calls) == 4
    assert read_all(out) == read_all(whole)


def test_what_is_refused(estimator, folder, tmp_path):
    out = run(estimator, folder, tmp_path / "out")
    with pytest.raises(PredictionError, match="of another prediction"):
        run(estimator, folder, out, provenance={"SURVEY": "other"})
    with pytest.raises(PredictionError, match="among the partitions"):
        run(estimator, folder, folder / "out")
    bad = folder / "dataset/Norder=1/Dir=0/Npix=2.parquet"
    content = bad.read_bytes()
    bad.write_bytes(content[:-20])
    with pytest.raises(CatalogError, match=r"Npix=2.parquet' cannot be read"):
        run(estimator, folder, tmp_path / "new")
    bad.write_bytes(content)
    pq.write_table(pq.read_table(bad).drop_columns(["b"]), bad)
    with pytest.raises(CatalogError, match=r"Npix=2.parquet.* no column 'b'"):
        run(estimator, folder, tmp_path / "new")
    table = pq.read_table(io.BytesIO(content))
    other = table.set_column(1, "RA", table["RA"].cast(pa.float32()))
    pq.write_table(other, bad)
    with pytest.raises(CatalogError, match=r"Npix=2.parquet.* another type of the column 'RA'"):
        run(estimator, folder, tmp_path / "new")
    pq.write_table(table.rename_columns(["id", *table.column_names[1:]]), bad)
    with pytest.raises(CatalogError, match=r"Npix=2.parquet.* no identifier column 'OBJECT_ID'"):
        run(estimator, folder, tmp_path / "new")
    bad.unlink()
    with pytest.raises(CatalogError, match="lacks a file that its metadata name"):
        run(estimator, folder, tmp_path / "new")
    bad.write_bytes(content)
    assert not list((tmp_path / "new").rglob("*.parquet"))
    (folder / "partition_info.csv").write_text("nonsense")
    with pytest.raises(CatalogError, match=r"metadata of the HATS catalogue .* cannot be read"):
        run(estimator, folder, tmp_path / "new")
    (folder / "hats.properties").unlink()
    with pytest.raises(CatalogError, match="HATS catalogue without its metadata"):
        run(estimator, folder, tmp_path / "new")
    with pytest.raises(CatalogError, match="No file matches"):
        run(estimator, tmp_path / "nothing*.fits", tmp_path / "new")
    pq.write_table(pa.table({"x": [1]}), read_predictions(out).files[0])
    (out / MANIFEST).write_text('{"rows": 1, "files": ["../p.parquet"]}')
    with pytest.raises(PredictionError, match="outside of its folder"):
        read_predictions(out)


def test_a_partition_that_changes_stops_the_work(estimator, folder, tmp_path, monkeypatch):
    bad = folder / "dataset/Norder=1/Dir=0/Npix=3.parquet"
    real = partitions._compute

    def change(*arguments):
        table = pq.read_table(bad)
        pq.write_table(table.set_column(3, "a", pa.array(np.ones(len(table)))), bad)
        return real(*arguments)

    monkeypatch.setattr(partitions, "_compute", change)
    with pytest.raises(CatalogError, match=r"Npix=3.parquet.* was written anew"):
        run(estimator, folder, tmp_path / "out")
    # What was done before is kept.
    assert len(list((tmp_path / "out").rglob("*.parquet"))) == 2


@pytest.mark.filterwarnings("ignore")  # lsdb and pandas
def test_hats_gives_hats_that_joins_with_its_input(estimator, tmp_path):
    lsdb = pytest.importorskip("lsdb", reason="the extra 'survey' is not installed")
    table = make_table()
    table["a"] = np.where(np.isnan(table["a"]), 0.0, table["a"])
    given = tmp_path / "given"
    # A collection: the catalogue, and a margin of objects that it holds as well.
    made = lsdb.from_dataframe(
        table.to_pandas(), ra_column="RA", dec_column="Dec", partition_rows=100,
        margin_threshold=600,
    )  # fmt: skip
    made.write_catalog(given, catalog_name="given", progress_bar=False)
    assert (given / "collection.properties").is_file()
    out = run(estimator, given, tmp_path / "out")
    opened, catalog = lsdb.open_catalog(out), lsdb.open_catalog(given)
    assert len(opened) == N and opened.get_healpix_pixels() == catalog.get_healpix_pixels()
    assert len(opened.get_healpix_pixels()) > 2
    joined = catalog.join(
        opened, left_on="OBJECT_ID", right_on="OBJECT_ID", suffixes=("", "_out"),
        suffix_method="overlapping_columns",
    ).compute()  # fmt: skip
    assert len(joined) == N
    np.testing.assert_array_equal(joined["RA"], joined["RA_out"])
    whole = Catalog.from_table(table, missing=())
    expected = read_predictions(predict(estimator, whole, NoImages(N), tmp_path / "p.fits")).table
    row = {name: i for i, name in enumerate(expected["OBJECT_ID"])}
    order = [row[name] for name in joined["OBJECT_ID"]]
    np.testing.assert_array_equal(joined["z_mean"], expected["z_mean"][order])


def write_files(folder: Path, kind: str) -> str:
    """The catalogue as files of one format, or as one file of ranges; what to give."""
    table, ends = make_table(), [0, 120, 220, N]
    folder.mkdir()
    if kind == "row groups":
        with pq.ParquetWriter(folder / "all.parquet", (whole := to_arrow(table)).schema) as writer:
            for start in range(0, N, 60):
                writer.write_table(whole.slice(start, 60))
        return str(folder / "all.parquet")
    if kind == "row ranges":
        table.write(folder / "all.fits")
        return str(folder / "all.fits")
    for number, (start, stop) in enumerate(pairwise(ends)):
        part = table[start:stop]
        if kind == "parquet":
            pq.write_table(to_arrow(part), folder / f"{number}.parquet")
        elif kind == "csv":
            part.write(folder / f"{number}.csv")
        else:
            part.write(folder / f"{number}.{kind}", format=FORMATS[kind])
    return str(folder / f"*.{kind}")


FORMATS = {"fits": "fits", "vot": "votable"}


def to_arrow(table: Table) -> pa.Table:
    return pa.table({name: np.array(table[name]) for name in table.colnames})


@pytest.mark.parametrize("kind", ["row groups", "row ranges", "fits", "vot", "csv", "parquet"])
def test_all_forms_of_partitions_give_one_table(estimator, tmp_path, kind):
    given = write_files(tmp_path / "given", kind)
    catalog = Catalog.from_table(make_table(), missing=())
    whole = predict(estimator, catalog, NoImages(N), tmp_path / "whole.fits", pdf="int16")
    out = run(estimator, given, tmp_path / "p.fits", rows=120)
    with fits.open(out) as one, fits.open(whole) as other:
        assert [hdu.name for hdu in one] == [hdu.name for hdu in other]
        for hdu in ("PREDICTIONS", "PDF", "PDF_GRID"):
            assert one[hdu].data.tobytes() == other[hdu].data.tobytes()
        assert one["PDF"].header["CDFERR"] == other["PDF"].header["CDFERR"]
        assert one[0].header["FPRINT"] != other[0].header["FPRINT"]
    assert not out.with_name("p.fits.parts").exists()
    before = identify(out)
    kept = tmp_path / "p.fits.parts/notes.txt"
    kept.parent.mkdir()
    kept.write_text("of the user")
    assert identify(run(estimator, given, out, rows=120)) == before and kept.is_file()
    parts = read_predictions(run(estimator, given, tmp_path / "parts", rows=120))
    one = read_predictions(out)
    assert len(parts) == N and len(parts.files) == 3
    for rows in (slice(None), slice(100, 230), slice(119, 120), slice(5, 5)):
        for name in ("z_mean", "OBJECT_ID"):
            np.testing.assert_array_equal(*(p.read([name], rows)[name] for p in (parts, one)))
    assert parts.count_flags() == one.count_flags() and parts.flags(3) == one.flags(3) != []
    np.testing.assert_allclose(*(p.pdf("z", slice(110, 125))[1] for p in (parts, one)), rtol=1e-6)
    assert np.isnan(parts.pdf(rows=slice(3, 4))[1]).all()
    with pytest.raises(PredictionError, match="has no column 'z_meen'"):
        parts.read(["z_meen"])


def test_parquet_is_that_of_the_fits_table(estimator, folder, tmp_path):
    parts = read_predictions(run(estimator, folder, tmp_path / "out"))
    rows = np.arange(N)[220:]
    catalog = Catalog.from_table(make_table(), missing=())[rows]
    table = predict(estimator, catalog, NoImages(80), tmp_path / "p.fits", pdf="int16")
    one, other = (pq.read_table(p) for p in (to_parquet(table, tmp_path / "p.pq"), parts.files[2]))
    assert one.schema.equals(other.schema)
    for field, same in zip(one.schema, other.schema, strict=True):
        assert field.metadata == same.metadata
    assert one.equals(other)
    known, cards = (json.loads(t.schema.metadata[b"astrocnn"]) for t in (one, other))
    assert {k for k in known if known[k] != cards.get(k)} == {"FPRINT"}


def test_workers_without_a_scheduler_share_partitions(estimator, folder, tmp_path):
    for form in ("out", "p.fits"):
        one = run(estimator, folder, tmp_path / f"one-{form}")
        out = tmp_path / form
        assert run(estimator, folder, out, worker=(2, 2)) is None
        assert run(estimator, folder, out, worker=(2, 2)) is None
        assert run(estimator, folder, out, worker=(1, 2)) == out
        if one.is_dir():
            assert read_all(files_of(one)).keys() == read_all(files_of(out)).keys()
            assert all(
                content == read_all(files_of(out))[name]
                for name, content in read_all(files_of(one)).items()
                if name not in HATS
            )
        else:
            assert one.read_bytes() == out.read_bytes()


@pytest.mark.parametrize("text", [False, True])
def test_identifiers_that_repeat_anywhere_are_found(tmp_path, monkeypatch, text):
    """Against numpy, for any number of files and of buckets."""
    monkeypatch.setattr(uniqueness, "ROWS", 50)
    rng = np.random.default_rng(0)
    ids = rng.choice(2**62, 1000, replace=False) * rng.choice([-1, 1], 1000)
    named = np.array([f"J{i}" for i in ids.tolist()]) if text else ids

    def validate(named):
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            # Two processes, of which one repeats a partition that the other was killed in.
            writers = [KeyWriter(Path(folder), 1000) for _ in range(2)]
            for number, start in enumerate(range(0, 1000, 64)):
                writers[number % 2].add(named[start : start + 64], number)
            writers[0].add(named[64:128], 1)
            for file in list(Path(folder).rglob("0.*"))[:1]:
                with file.open("ab") as stream:
                    stream.write(b"cut")
            validate_unique(Path(folder), "id")

    validate(named)
    for one, other in ((0, 999), (400, 461), (250, 750)):
        changed = named.copy()
        changed[one] = changed[other]
        with pytest.raises(CatalogError, match="occur more than once") as caught:
            validate(changed)
        assert text or str(ids[other]) in str(caught.value)
    writer = KeyWriter(tmp_path, 3)
    for number, part in enumerate((ids[:2], np.array(["a"]))):
        writer.add(part, number)
    with pytest.raises(CatalogError, match="numbers in some partitions and text in others"):
        validate_unique(tmp_path, "id")


def test_tiles_are_opened_once_for_all_partitions(fake, tmp_path, monkeypatch):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crpix, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [30, 25], [-3e-4, 3e-4]
    wcs.wcs.crval = [150.0, 2.0]
    rng = np.random.default_rng(0)
    for band in "gr":
        pixels = rng.uniform(0, 1, (50, 60)).astype(np.float32)
        fits.PrimaryHDU(pixels, wcs.to_header()).writeto(tmp_path / f"{band}.fits")
    survey = Survey.from_dict({"image": "{band}.fits", "bands": ["g", "r"]}, tmp_path)
    ra, dec = wcs.all_pix2world(rng.uniform(5, 55, 40), rng.uniform(5, 45, 40), 0)
    table = Table({"id": np.arange(40), "ra": ra, "dec": dec})
    table.write(tmp_path / "all.fits")
    estimator, catalog = fake.Photometric(), Catalog.from_table(table)
    source = open_source(survey, catalog.ra, catalog.dec, size=4)
    whole = predict(estimator, catalog, source, tmp_path / "whole.fits", pdf="int16")
    opened = []
    real = tiles.open_band
    monkeypatch.setattr(tiles, "open_band", lambda band: opened.append(band) or real(band))
    given = (estimator, tmp_path / "all.fits", survey)
    out = predict_partitions(*given, tmp_path / "p.fits", pdf="int16", rows=15)
    assert [band.name for band in opened] == ["g", "r"]
    with fits.open(out) as one, fits.open(whole) as other:
        for hdu in ("PREDICTIONS", "PDF"):
            assert one[hdu].data.tobytes() == other[hdu].data.tobytes()
        assert one[0].header["IMAGESHA"] == other[0].header["IMAGESHA"]
    parts = predict_partitions(*given, tmp_path / "parts", pdf="int16", rows=15)
    found, table = read_predictions(parts), read_predictions(whole)
    assert len(found.files) == 3
    np.testing.assert_array_equal(found.table["z_mean"], table.table["z_mean"])
    # An image that was written anew: finished partitions are of another prediction.
    fits.PrimaryHDU(pixels + 1, wcs.to_header()).writeto(tmp_path / "r.fits", overwrite=True)
    with pytest.raises(PredictionError, match="of another prediction"):
        predict_partitions(*given, parts, pdf="int16", rows=15)


# ---------------------------------------------------------------------------- at addresses


@pytest.fixture
def nothing_kept(tmp_path, monkeypatch):
    """An empty cache, and nothing that is remembered of other addresses."""
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "PAUSE_SECONDS", 0.01)
    block_cache._files.clear()
    remote._statuses.clear()


def test_hats_on_a_server_that_lists_nothing(estimator, folder, tmp_path, nothing_kept):
    pytest.importorskip("hats", reason="the extra 'survey' is not installed")
    here = files_of(run(estimator, folder, tmp_path / "here"))
    with serve() as server:
        for name, path in files_of(folder).items():
            server.files[f"cat/hats/{name}"] = path.read_bytes()
        server.files["cat/collection.properties"] = b"hats_primary_table_url = hats\n"
        assert is_large(f"{server.root}/cat") and not is_large(f"{server.root}/cat/a.csv")
        there = files_of(run(estimator, f"{server.root}/cat", tmp_path / "there"))
        assert here.keys() == there.keys() >= HATS
        for name in here.keys() - HATS:
            assert here[name].read_bytes() == there[name].read_bytes()
        block_cache._files.clear()
        remote._statuses.clear()
        shutil.rmtree(tmp_path / "cache")
        del server.files["cat/hats/dataset/Norder=1/Dir=0/Npix=2.parquet"]
        with pytest.raises(CatalogError, match=r"Npix=2.parquet.* does not exist"):
            run(estimator, f"{server.root}/cat", tmp_path / "gone")
        properties = server.files["cat/hats/hats.properties"]
        server.files["cat/hats/hats.properties"] = properties.replace(b"=object", b"=margin")
        with pytest.raises(CatalogError, match="type 'margin'"):
            run(estimator, f"{server.root}/cat", tmp_path / "gone")


def test_folders_and_patterns_of_other_file_systems(estimator, tmp_path, nothing_kept):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for kind in ("parquet", "fits"):
        write_files(tmp_path / kind, kind)
        for name, path in files_of(tmp_path / kind).items():
            memory.pipe_file(f"/{tmp_path.name}/{kind}/part={name[0]}/{name}", path.read_bytes())
    root = f"memory://{tmp_path.name}"
    whole = run(estimator, str(tmp_path / "parquet" / "*.parquet"), tmp_path / "whole.fits")
    for n, given in enumerate(("parquet", "parquet/**/*.parquet", "fits/*/*.fits")):
        out = run(estimator, f"{root}/{given}", tmp_path / f"{n}.fits")
        assert_tables_equal(out, whole)
    for given in ("parquet/*.csv", "nothing/*"):
        with pytest.raises(CatalogError, match="No file matches"):
            run(estimator, f"{root}/{given}", tmp_path / "none.fits")


def assert_tables_equal(first: Path, second: Path) -> None:
    with fits.open(first) as one, fits.open(second) as other:
        assert one[1].data.tobytes() == other[1].data.tobytes()
