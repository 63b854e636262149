"""The streaming writer: what comes out is what went in, and other programs agree."""

from __future__ import annotations

import errno
import json
import os
import resource
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from astropy import table as astropy_table
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrocnn import stored_files
from astrocnn.catalog import Catalog, read_catalog
from astrocnn.errors import PredictionError
from astrocnn.prediction import (
    Column,
    TableWriter,
    fits_headers,
    table_formats,
    table_writer,
    to_csv,
    to_parquet,
)
from astrocnn.prediction.fits_headers import TableImage, validate_ucds
from astrocnn.stored_files import compute_file_sum, compute_sum

ID = Column("OBJECT_ID", "int64", ucd="meta.id;meta.main", description="identifier")
P = Column("p_spiral", "float32", ucd="stat.probability", description="probability")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("written")


def _full(n: int) -> tuple[list[Column], dict[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    columns = [
        ID,
        Column("RA", "float64", "deg", "pos.eq.ra;meta.main", "right ascension"),
        Column("DEC", "float64", "deg", "pos.eq.dec;meta.main", "declination"),
        Column("flags", "int32", ucd="meta.code", description="bit mask " * 12),
        Column("votes-smooth or features", "int16", nullable=True),
        P,
        Column("class", "U9", ucd="meta.code.class"),
        Column("is_star", "bool", nullable=True),
        Column("quantiles", "float32", shape=(3,)),
        Column("matrix", "int32", shape=(2, 3)),
        Column("tags", "U4", shape=(2,)),
    ]
    values = {
        "OBJECT_ID": rng.integers(-(2**63), 2**63 - 1, n),
        "RA": rng.uniform(0, 360, n),
        "DEC": rng.uniform(-90, 90, n),
        "flags": rng.integers(0, 4096, n).astype(np.int32),
        "votes_smooth_or_features": np.ma.MaskedArray(
            rng.integers(0, 40, n), mask=rng.random(n) < 0.3
        ),
        "p_spiral": np.where(rng.random(n) < 0.2, np.nan, rng.random(n)).astype(np.float32),
        "class": rng.choice(["spiral", "", "edge_on", "merger"], n),
        "is_star": np.ma.MaskedArray(rng.random(n) < 0.5, mask=rng.random(n) < 0.2),
        "quantiles": rng.random((n, 3), dtype=np.float32),
        "matrix": rng.integers(-9, 9, (n, 2, 3)),
        "tags": rng.choice(["a", "bcde", ""], (n, 2)),
    }
    return columns, values


@pytest.fixture(scope="module")
def written(folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A table of all kinds of columns and extensions, put in a random order of rows."""
    n = 1000
    columns, values = _full(n)
    rng = np.random.default_rng(5)
    values["PDF"] = rng.random((n, 7), dtype=np.float32)
    cards = [
        ("SEED", 7, "seed of the draws"),
        ("MODEL", "0123456789abcdef" * 8, "SHA-256 of the model " * 3),
        ("NOTE", "Sérsic 'n' = 4", "an é in a value"),
        ("VERSION", "1.2.3", "a comment that is too long for its card " * 4),
        ("LOSS", np.float32("nan"), ""),
        ("DONE", np.bool_(True), ""),
    ]
    path = folder / "predictions.fits"
    with TableWriter(
        path,
        columns,
        n,
        cards,
        images=[TableImage("PDF", (7,), unit="", description="p(z) on the grid of PDF_GRID")],
        tables={
            "PDF_GRID": {"z": astropy_table.Column(np.linspace(0, 1, 7), description="redshift")}
        },
    ) as writer:
        order = rng.permutation(n)
        for start in range(0, n, 77):
            rows = order[start : start + 77]
            part = {name: value[rows] for name, value in values.items()}
            pdf = part.pop("PDF")
            writer.put(rows, part)
            writer.put(rows, {"PDF": pdf})
    return path, values


def test_all_values_come_out(written: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, values = written
    found = Table.read(path, hdu="PREDICTIONS", mask_invalid=False)
    assert found.colnames == [n for n in values if n != "PDF"]
    for name in found.colnames:
        expected, got = values[name], found[name]
        if got.dtype.kind == "S":
            got = np.strings.decode(np.asarray(got), "ascii")
        if isinstance(expected, np.ma.MaskedArray):
            assert np.array_equal(np.ma.getmaskarray(got), expected.mask), name
            assert np.array_equal(got.compressed(), expected.compressed()), name
        elif expected.dtype.kind == "f":
            assert got.dtype.newbyteorder("=") == expected.dtype
            assert np.array_equal(got, expected, equal_nan=True), name
        else:
            assert np.array_equal(got, expected), name


def test_images_and_small_tables_come_out(written: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, values = written
    with fits.open(path) as hdus:
        assert [h.name for h in hdus] == ["PRIMARY", "PREDICTIONS", "PDF", "PDF_GRID"]
        assert np.array_equal(hdus["PDF"].data, values["PDF"])
        assert np.array_equal(hdus["PDF_GRID"].data["z"], np.linspace(0, 1, 7))


def test_checksums_are_those_of_astropy(written: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, _ = written
    with fits.open(path, checksum=True) as hdus:  # warnings are errors
        for unit in hdus:
            assert unit.verify_checksum() == 1
            assert unit.verify_datasum() == 1
    assert path.stat().st_size % 2880 == 0


def test_a_changed_byte_breaks_the_checksum(
    written: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    content = bytearray(written[0].read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "bad.fits").write_bytes(content)
    with (
        pytest.warns(Warning, match="[Cc]hecksum|Datasum"),
        fits.open(tmp_path / "bad.fits", checksum=True) as hdus,
    ):
        len(hdus)


def test_header_tells_unit_ucd_and_description(
    written: tuple[Path, dict[str, np.ndarray]],
) -> None:
    header = fits.getheader(written[0], "PREDICTIONS")
    assert header["TTYPE2"] == "RA"
    assert header["TUNIT2"] == "deg"
    assert header["TUCD2"] == "pos.eq.ra;meta.main"
    assert header["TCOMM2"] == "right ascension"
    assert header["TCOMM4"] == ("bit mask " * 12).rstrip()
    assert header["TTYPE5"] == "votes_smooth_or_features"
    assert header["TNULL5"] == -(2**15)
    keys = list(header)
    assert keys.index("TUCD2") < keys.index("TTYPE3")


def test_primary_header_holds_the_cards(written: tuple[Path, dict[str, np.ndarray]]) -> None:
    header = fits.getheader(written[0], 0)
    assert header["SEED"] == 7
    assert header.comments["SEED"] == "seed of the draws"
    assert header["MODEL"] == "0123456789abcdef" * 8
    assert header["NOTE"] == "S\\xe9rsic 'n' = 4"
    assert header["LOSS"] == "nan"
    assert header["DONE"] is True


def test_fitsverify_is_content(
    written: tuple[Path, dict[str, np.ndarray]], run: Callable[..., str]
) -> None:
    assert "0 warning(s) and 0 error(s)" in run("fitsverify", written[0])


def test_stilts_reads_values_and_metadata(
    written: tuple[Path, dict[str, np.ndarray]], run: Callable[..., str], tmp_path: Path
) -> None:
    path, values = written
    meta = run("stilts", "tpipe", f"in={path}", "omode=meta")
    assert "Rows:    1000" in meta
    assert "RA(Double)/deg - right ascension" in meta
    out = tmp_path / "s.csv"
    run(
        "stilts",
        "tpipe",
        f"in={path}",
        "cmd=keepcols 'OBJECT_ID votes_* p_spiral class'",
        "ofmt=csv",
        f"out={out}",
    )
    read = pyarrow.csv.read_csv(
        out, convert_options=pyarrow.csv.ConvertOptions(column_types={"class": "string"})
    ).to_pydict()
    assert read["OBJECT_ID"] == values["OBJECT_ID"].tolist()
    assert read["votes_smooth_or_features"] == values["votes_smooth_or_features"].tolist()
    assert read["class"] == values["class"].tolist()
    got = np.array([np.nan if v is None else v for v in read["p_spiral"]], np.float32)
    assert np.array_equal(got, values["p_spiral"], equal_nan=True)


def test_csv_is_exact(written: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    path, values = written
    found = read_catalog(to_csv(path, tmp_path / "p.csv"))
    assert found.ids.tolist() == values["OBJECT_ID"].tolist()
    assert np.array_equal(found.ra, values["RA"])
    p, missing = found.column("p_spiral")
    assert np.array_equal(missing, np.isnan(values["p_spiral"]))
    assert np.array_equal(p[~missing].astype(np.float32), values["p_spiral"][~missing])
    _, missing = found.column("votes_smooth_or_features")
    assert np.array_equal(missing, values["votes_smooth_or_features"].mask)
    assert found.column("quantiles_2")[0][5] == pytest.approx(values["quantiles"][5, 2])
    assert "nan" not in (tmp_path / "p.csv").read_text()


def test_stilts_reads_the_csv_with_types(
    written: tuple[Path, dict[str, np.ndarray]], run: Callable[..., str], tmp_path: Path
) -> None:
    out = to_csv(written[0], tmp_path / "p.csv")
    meta = run("stilts", "tpipe", f"in={out}", "ifmt=csv", "omode=meta")
    assert "OBJECT_ID(Long)" in meta
    assert "p_spiral(Float)" in meta or "p_spiral(Double)" in meta


def test_parquet_is_exact(written: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    path, values = written
    out = to_parquet(path, tmp_path / "p.parquet")
    found = pq.read_table(out)
    assert found.column("OBJECT_ID").to_pylist() == values["OBJECT_ID"].tolist()
    assert found.column("votes_smooth_or_features").to_pylist() == (
        values["votes_smooth_or_features"].tolist()
    )
    assert found.schema.field("RA").metadata[b"unit"] == b"deg"
    assert np.array_equal(
        np.array(found.column("quantiles").to_pylist(), np.float32), values["quantiles"]
    )


def test_parquet_of_a_header_with_cards_of_other_types(
    written: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    path, _ = written
    other = tmp_path / "other.fits"
    other.write_bytes(path.read_bytes())
    fits.setval(other, "TUCD1", value=3.5, ext=1)
    fits.setval(other, "EMPTY", value=fits.card.Undefined())
    fits.setval(other, "PHASE", value=1 + 2j)
    schema = pq.read_schema(to_parquet(other, tmp_path / "other.parquet"))
    cards = json.loads(schema.metadata[b"astrocnn"])
    assert cards["EMPTY"] is None and cards["PHASE"] is None
    assert schema.field(0).metadata[b"ucd"] == b"3.5"


@pytest.mark.parametrize("write", [to_csv, to_parquet])
def test_exports_cross_blocks(
    write: Callable[[Path, Path], Path],
    written: tuple[Path, dict[str, np.ndarray]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = read_catalog(write(written[0], tmp_path / "whole"))
    monkeypatch.setattr(table_formats, "GROUP_ROWS", 33)
    pieces = read_catalog(write(written[0], tmp_path / "pieces"))
    assert pieces.ids.tolist() == whole.ids.tolist()
    assert pieces.column("class")[0].tolist() == whole.column("class")[0].tolist()


DTYPES = ("int16", "int32", "int64", "uint8", "float32", "float64")


@given(data=st.data(), dtype=st.sampled_from(DTYPES), masked=st.booleans(), n=st.integers(1, 40))
def test_numbers_of_every_type_round_trip(
    data: st.DataObject, dtype: str, masked: bool, n: int, folder: Path
) -> None:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        elements = st.floats(width=8 * kind.itemsize)
    else:
        limits = np.iinfo(kind)
        spare = 1 if masked else 0
        low = limits.min + (spare if kind.kind == "i" else 0)
        high = limits.max - (spare if kind.kind == "u" else 0)
        elements = st.integers(low, high)
    values = data.draw(arrays(kind, n, elements=elements))
    given_values = values
    mask = np.zeros(n, dtype=bool)
    if masked:
        mask = data.draw(arrays(bool, n))
        given_values = np.ma.MaskedArray(values, mask=mask)
    order = np.array(data.draw(st.permutations(range(n))))
    path = folder / "numbers.fits"
    with TableWriter(path, [Column("x", dtype, nullable=masked)], n) as writer:
        for part in np.array_split(order, data.draw(st.integers(1, 4))):
            writer.put(part, {"x": given_values[part]})
    with fits.open(path, checksum=True) as hdus:
        raw = hdus[1].data["x"]
        null = hdus[1].columns[0].null
    if kind.kind == "f":
        assert np.array_equal(raw, np.where(mask, np.nan, values), equal_nan=True)
    else:
        assert np.array_equal(raw == null, mask) if masked else null is None
        assert np.array_equal(raw[~mask], values[~mask])


@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=("Cs",)), max_size=10), min_size=1, max_size=10
    )
)
def test_any_text_is_written_as_printable_ascii(texts: list[str], folder: Path) -> None:
    values = np.array(texts, dtype=str)
    column = Column.like("name", values)
    path = folder / "texts.fits"
    with TableWriter(path, [column], len(texts)) as writer:
        writer.put(np.arange(len(texts)), {"name": values})
    found = Table.read(path, hdu=1, mask_invalid=False)["name"].astype(str).tolist()
    # numpy itself drops zeros at the end of a text, FITS drops blanks
    for text, got in zip(values.tolist(), found, strict=True):
        assert all(32 <= ord(c) < 127 for c in got)
        expected = got.encode().decode("unicode_escape") if column.escaped else got
        assert expected.rstrip(" ") == text.rstrip(" ")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_ones_complement_addition_is_arithmetic_modulo_all_ones(a: int, b: int) -> None:
    assert compute_sum(b.to_bytes(4), a) % (2**32 - 1) == (a + b) % (2**32 - 1)


@given(st.integers(0, 2**32 - 1))
def test_encoded_checksum_is_alphanumeric_and_adds_up(total: int) -> None:
    text = fits_headers.encode_sum(total)
    assert text.isalnum()
    assert text.isascii()
    # Turned back to the words' boundary and freed of its zeros it is the complement of the sum.
    aligned = (text[1:] + text[:1]).encode()
    zeros = compute_sum(b"0" * 16)
    difference = (compute_sum(aligned) - zeros) % (2**32 - 1)
    assert difference == (~total & 0xFFFFFFFF) % (2**32 - 1)


def test_sum_of_a_file_does_not_depend_on_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.random.default_rng(0).bytes(2880 * 7)
    (tmp_path / "f").write_bytes(b"x" * 11 + data)
    expected = sum(int.from_bytes(data[i : i + 4]) for i in range(0, len(data), 4)) % (2**32 - 1)
    monkeypatch.setattr(stored_files, "BLOCK", 2880 * 2)
    with (tmp_path / "f").open("rb") as stream:
        assert compute_file_sum(stream, 11, len(data)) == expected
        with pytest.raises(EOFError):
            compute_file_sum(stream, 11, len(data) + 2880)


def test_the_catalogue_comes_out_as_given(tmp_path: Path) -> None:
    given_table = Table(
        {
            "OBJECT-ID": np.array([-(2**63), 2**63 - 1, 999999, -1]),
            "RA": MaskedColumn([-0.1, 400.0, np.nan, 1 / 3], mask=[0, 0, 0, 0]),
            "DEC": np.array([-91.0, 0.1, 2.0, -0.0]),
        }
    )
    catalog = Catalog.from_table(given_table, id="OBJECT-ID")
    own = catalog.role_columns()
    path = tmp_path / "own.fits"
    layout = [Column.like(name, column, ucd) for name, column, ucd in own]
    with TableWriter(path, layout, 4) as writer:
        for rows in (np.array([3, 1]), np.array([0, 2])):
            writer.put(rows, {name: column[rows] for name, column, _ in own})
    with fits.open(path) as hdus:
        data = hdus[1].data
        assert data.names == ["OBJECT_ID", "RA", "DEC"]
        assert data["OBJECT_ID"].tolist() == given_table["OBJECT-ID"].tolist()
        assert np.asarray(given_table["RA"]).astype(">f8").tobytes() == data["RA"].tobytes()
        assert np.asarray(given_table["DEC"]).astype(">f8").tobytes() == data["DEC"].tobytes()
        assert hdus[1].columns["RA"].unit == "deg"


def test_text_identifiers_keep_their_zeros(tmp_path: Path) -> None:
    ids = np.array(["007", "12345678901234567890123", "NGC–1"])
    path = tmp_path / "ids.fits"
    with TableWriter(path, [Column.like("id", ids)], 3) as writer:
        writer.put(np.arange(3), {"id": ids})
    assert read_catalog(path).ids.tolist() == ["007", "12345678901234567890123", "NGC\\u20131"]


def test_no_rows_is_a_table_too(tmp_path: Path, run: Callable[..., str]) -> None:
    with TableWriter(tmp_path / "none.fits", [ID, P], 0) as writer:
        writer.put(np.array([], dtype=int), {"OBJECT_ID": [], "p_spiral": []})
    assert "0 warning(s) and 0 error(s)" in run("fitsverify", tmp_path / "none.fits")


@pytest.mark.parametrize("n", [1, 2880 // 12, 2880 // 12 + 1])
def test_padding_at_the_edges_of_blocks(n: int, tmp_path: Path) -> None:
    path = tmp_path / "edge.fits"
    with TableWriter(path, [ID, P], n) as writer:
        writer.put(np.arange(n), {"OBJECT_ID": np.arange(n), "p_spiral": np.zeros(n)})
    with fits.open(path, checksum=True) as hdus:
        assert hdus[1].data["OBJECT_ID"].tolist() == list(range(n))
    assert path.stat().st_size % 2880 == 0


def test_the_order_of_writing_leaves_no_trace(tmp_path: Path) -> None:
    columns, values = _full(300)
    contents = []
    for name, order in (("a", np.arange(300)), ("b", np.random.default_rng(1).permutation(300))):
        with TableWriter(tmp_path / name, columns, 300) as writer:
            for rows in np.array_split(order, 7):
                writer.put(rows, {k: v[rows] for k, v in values.items()})
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    peaks = []
    for n in (50_000, 400_000):
        tracemalloc.start()
        with TableWriter(tmp_path / "m.fits", [ID, P], n) as writer:
            for start in range(0, n, 10_000):
                rows = np.arange(start, start + 10_000)
                writer.put(rows, {"OBJECT_ID": rows, "p_spiral": np.zeros(10_000)})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The block in which the checksum reads is the largest thing in either.
    assert peaks[1] < 2 * stored_files.BLOCK + peaks[0]
    assert peaks[1] < 3 * stored_files.BLOCK


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        (ID, np.array([1.0, 2.0]), "values of type float64"),
        (ID, np.ma.MaskedArray([1, 2], mask=[0, 1]), "nullable=True"),
        (ID, np.array([1, 2, 3]), "wrong shape"),
        (Column("n", "int16"), np.array([0, 40000]), "integers from 0 to 40000"),
        (Column("n", "int16", nullable=True), np.array([0, -32768]), "stands for a missing"),
        (Column("n", "float32"), np.array([2**24 + 1, 0]), "rounds"),
        (Column("t", "U3"), np.array(["abc", "spiral"]), "longer than 3 characters: 'spiral'"),
        (Column("v", "float32", shape=(2,)), np.zeros(2), "wrong shape"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    column: Column, values: np.ndarray, says: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(PredictionError, match=says),
        TableWriter(tmp_path / "t.fits", [column], 2) as writer,
    ):
        writer.put(np.arange(2), {column.name: values})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rows", "values", "says"),
    [
        ([0, 2], {"OBJECT_ID": [1, 2]}, "no such row"),
        ([-1, 0], {"OBJECT_ID": [1, 2]}, "no such row"),
        ([0, 1], {"OBJECTID": [1, 2]}, "no such column"),
        ([0, 1], {"OBJECT_ID": [1, 2]}, r"'p_spiral' has values for 0 of 2 rows"),
        ([0], {"OBJECT_ID": [1], "p_spiral": [0.5]}, "values for 1 of 2 rows"),
    ],
)
def test_wrong_rows_and_forgotten_values_are_refused(
    rows: list[int], values: dict[str, list[float]], says: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(PredictionError, match=says),
        TableWriter(tmp_path / "t.fits", [ID, P], 2) as writer,
    ):
        writer.put(np.array(rows), values)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Column("x", "object"), "a FITS table does not hold"),
        (lambda: Column("x", "complex64"), "a FITS table does not hold"),
        (lambda: Column("x", "no_type"), "a FITS table does not hold"),
        (
            lambda: validate_ucds([Column("x", "f4", ucd="stat.median;src.redshift.phot")]),
            "invalid UCD",
        ),
        (lambda: TableWriter("t.fits", [Column("x", "f4", ucd="stat.entropy")], 1), "invalid UCD"),
        (lambda: TableWriter("t.fits", [ID, Column("object-id", "f4")], 1), "same name"),
        (lambda: TableWriter("t.fits", [ID], 1, [("seed", 1, "")]), "no valid keyword"),
        (lambda: TableWriter("t.fits", [ID], 1, [("CHECKSUM", "1", "")]), "no valid keyword"),
        (lambda: TableWriter("t.fits", [ID], 1, [("A", {"b": 1}, "")]), "cannot hold"),
    ],
)
def test_impossible_declarations_are_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(PredictionError, match=says):
        make()


def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), TableWriter(path, [ID], 3) as writer:
        writer.put(np.array([0]), {"OBJECT_ID": [1]})
        writer.put(np.array([2, 1]), {"OBJECT_ID": [1, 2]})
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 1 MB: a true error of the operating system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_may_not_grow_is_refused_at_once(tmp_path: Path, small_files: None) -> None:
    with (
        pytest.raises(PredictionError, match=r"(?s)cannot be written.*free disk space"),
        TableWriter(tmp_path / "t.fits", [ID], 1_000_000),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite", "fsync"])
def test_a_full_disk_is_told_and_cleaned_up(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with (
        pytest.raises(PredictionError, match=r"(?s)No space left.*free disk space"),
        TableWriter(tmp_path / "t.fits", [ID], 10) as writer,
    ):
        writer.put(np.arange(10), {"OBJECT_ID": np.arange(10)})
    assert not list(tmp_path.iterdir())


def test_space_is_reserved_without_the_system_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(table_writer, "BLOCK_BYTES", 1000)
    path = tmp_path / "t.fits"
    with TableWriter(path, [ID], 2000) as writer:
        writer.put(np.arange(2000)[::-1], {"OBJECT_ID": np.arange(2000)})
    assert fits.getdata(path, 1)["OBJECT_ID"].tolist() == list(range(2000))[::-1]
