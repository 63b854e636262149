"""Small files that would take all memory or time, and other ways in which a file can lie."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn.catalog import Catalog, read_catalog
from astrocnn.errors import CatalogError
from tests.fuzz.mutations import SECONDS


def text(content: str | bytes) -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(data)


def compressed(piece: bytes, times: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with gzip.open(path, "wb", 1) as stream:
            for _ in range(times):
                stream.write(piece)

    return write


def repeated_text(path: Path) -> None:
    word = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10**6, np.int32)), ["x" * 4000])
    pq.write_table(pa.table({"id": word}), path)


def repeated_number(path: Path) -> None:
    writer = pq.ParquetWriter(path, pa.schema([("id", pa.int64())]))
    block = pa.table({"id": np.zeros(10**7, np.int64)})
    for _ in range(7):
        writer.write_table(block)
    writer.close()


def declared(votable: str) -> Callable[[Path], object]:
    return text(
        f'<VOTABLE version="1.3"><RESOURCE><TABLE {votable}<DATA><TABLEDATA><TR><TD>1</TD>'
        "</TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )


LAUGHS = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "haha"><!ENTITY b "&a;&a;">]><VOTABLE >'
BOMBS = {
    "rows.csv.gz": (compressed(b"id,x\n" + b"1,2\n" * 10**6, 25), "expands to more than"),
    "line.csv.gz": (compressed(b"id,x\n1," + b"0" * 10**6, 100), "expands to more than"),
    "spaces.vot.gz": (compressed(b"<VOTABLE>" + b" " * 10**6, 100), "expands to more than"),
    "laughs.vot": (text(LAUGHS), "declares entities"),
    "outside.vot": (text(LAUGHS.replace('a "haha"', 'a SYSTEM "/etc/passwd"')), "entities"),
    "rows.vot": (declared('nrows="9999999999"><FIELD name="id" datatype="long" arraysize="1"/>'),
                 "would take"),
    "width.vot": (declared('><FIELD name="id" datatype="long" arraysize="99999x99999"/>'),
                  "would take"),
    "text.parquet": (repeated_text, "would take 16.0 GB"),
    "number.parquet": (repeated_number, "would take 0.6 GB"),
    "columns.csv": (text(",".join(map("c{}".format, range(10**5)))), "columns|first line"),
    "columns.txt": (text(" ".join(map("c{}".format, range(3 * 10**5)))), "first line"),
    "comments.txt": (text("# c\n" * 2 * 10**6), "no rows in its first"),
    "line.txt": (text("id\n" + " " * 10**7), "no rows in its first"),
    "columns.tbl": (text("|" + "id|" * 20_000 + "\n 1\n"), "more than 10000 columns"),
    "columns.cat": (text("# 1 NUMBER x\n# 999999999 FLUX y\n1 2\n"), "more than 10000 columns"),
    "names.ecsv": (text("# %ECSV 1.0\n# ---\n" + "# a: [1, 2, 3]\n" * 30_000 + "id\n1\n"),
                   "too long a description"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_in_time(tmp_path, name):
    write, says = BOMBS[name]
    write(tmp_path / name)
    start = time.process_time()
    with pytest.raises(CatalogError, match=says):
        read_catalog(tmp_path / name)
    assert time.process_time() - start < SECONDS


def test_one_long_text_costs_its_column_only(tmp_path):
    lines = [f"{i},b" for i in range(200_000)]
    lines[7] = "7," + "a" * 10_000
    (tmp_path / "long.csv").write_text("id,remark\n" + "\n".join(lines))
    found = read_catalog(tmp_path / "long.csv")
    assert len(found) == 200_000
    with pytest.raises(CatalogError, match=r"'remark' cannot be used: it would take 8\.0 GB"):
        found.column("remark")


def header_of(rows: int, **cards: object) -> bytes:
    hdu = fits.table_to_hdu(Table({"ID": np.arange(rows), "X": np.zeros(rows)}))
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(stream)
    data = bytearray(stream.getvalue())
    for key, value in cards.items():
        at = data.index(key.ljust(8).encode() + b"=", 2880)
        data[at : at + 80] = f"{key:8}= {value}".ljust(80).encode("latin-1")
    return bytes(data)


@pytest.mark.parametrize(
    ("cards", "says"),
    [
        ({"NAXIS2": -1}, "not valid FITS"),
        ({"NAXIS2": 10**9}, "promises 1000000000 rows"),
        ({"NAXIS2": 10**18}, "truncated|damaged"),
        ({"NAXIS1": 10**9}, "records of 1000000000 bytes"),
        ({"TFIELDS": 10**9}, "TFIELDS = 1000000000"),
        ({"TFIELDS": 998}, "damaged"),
        ({"TFORM1": "'999999999D'"}, "damaged"),
        ({"TFORM1": "'-1D'"}, "damaged"),
        ({"TFORM1": "\xff"}, "damaged"),
        ({"PCOUNT": -8}, "not valid FITS"),
        ({"TTYPE2": "'ID'"}, "occur twice"),
    ],
)
def test_headers_that_lie(tmp_path, cards, says):
    (tmp_path / "t.fits").write_bytes(header_of(3, **cards))
    with pytest.raises(CatalogError, match=says):
        read_catalog(tmp_path / "t.fits")


def test_a_header_that_runs_into_the_next_one_is_refused(tmp_path):
    data = header_of(3, NAXIS=10**9).replace(b"END     ", b"XXX     ", 1)
    (tmp_path / "t.fits").write_bytes(data)
    with pytest.raises(CatalogError, match="NAXIS stands twice"):
        read_catalog(tmp_path / "t.fits")


def test_a_header_behind_the_last_hdu_is_none(tmp_path):
    data = header_of(3)
    # Moved by a blank card the second header is no extension, though astropy takes it for one.
    (tmp_path / "t.fits").write_bytes(data[:2880] + b" " * 80 + header_of(3, TFIELDS=10**9)[2880:])
    with pytest.raises(CatalogError, match="no table"):
        read_catalog(tmp_path / "t.fits")
    (tmp_path / "t.fits").write_bytes(data + b" " * 80 + header_of(3, TFIELDS=10**9)[2880:])
    assert len(read_catalog(tmp_path / "t.fits")) == 3


def test_a_letter_beyond_ascii_in_a_header_harms_nothing(tmp_path):
    data = header_of(3, PCOUNT="0 / \xe9t\xe9").replace(b"TTYPE2  =", b"COMMENT  ")
    (tmp_path / "t.fits").write_bytes(data)
    found = read_catalog(tmp_path / "t.fits")
    assert found.ids.tolist() == [0, 1, 2]
    assert found.table.colnames == ["ID", "unnamed_2"]


def test_an_empty_bomb_in_fits_is_refused(tmp_path):
    data = header_of(0, NAXIS2=10**8)
    with gzip.open(tmp_path / "t.fits.gz", "wb", 1) as stream:
        stream.write(data)
        for _ in range(700):
            stream.write(bytes(10**6))
    with pytest.raises(CatalogError, match="expands to more than"):
        read_catalog(tmp_path / "t.fits.gz")


@pytest.mark.parametrize("name", ["fifo.csv", "fifo.fits"])
def test_pipes_and_devices_are_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    for path in (tmp_path / name, "/dev/zero"):
        with pytest.raises(CatalogError, match=r"(?s)no ordinary file.*save its content to a file"):
            read_catalog(path)


def test_paths_that_are_no_files(tmp_path):
    for path in ("a\0b", "a" * 5000, "a" * 200 + "/b"):
        with pytest.raises(CatalogError, match=r"cannot be read|is missing"):
            read_catalog(path)


@pytest.mark.parametrize("quoted", ['1,"a\n2,b\n3,c\n', '1,x\n2,"b\n'])
@pytest.mark.parametrize("columns", [None, ["id"]])
def test_a_quote_that_is_not_closed_loses_no_row(tmp_path, quoted, columns):
    (tmp_path / "q.csv").write_text("id,x\n" + quoted)
    with pytest.raises(CatalogError, match="not closed"):
        read_catalog(tmp_path / "q.csv", columns=columns)


def test_inches_are_no_quotes(tmp_path):
    (tmp_path / "q.csv").write_text('id,x\n1,5"\n2,12\'30"\n3,c"\n')
    assert read_catalog(tmp_path / "q.csv").column("x")[0].tolist() == ['5"', "12'30\"", 'c"']


@pytest.mark.parametrize(
    "content",
    [
        "id,x\n1,2,,\n3,4,,\n",
        "id,x,,\n1,2\n3,4\n",
        "id;x;;\n1;2;;\n3;4;;\n",
        "\ufeffid\tx\t\n1\t2\t\n3\t4\t\n",
        "# Sérsic\nid,x\n1,2\n3,4\n".encode("latin-1"),
        "# Sérsic\nid x\n1 2\n3 4\n".encode("latin-1"),
        "id,x\n1,2\n# Sérsic, é, b\n3,4\n".encode("latin-1"),
        b"\xef\xbb\xbf# id x\n1 2\n3 4\n",
    ],
)
def test_trailing_separators_and_comments_of_any_encoding(tmp_path, content):
    text(content)(tmp_path / "t.txt")
    found = read_catalog(tmp_path / "t.txt")
    assert found.ids.tolist() == [1, 3] and found.numbers("x").tolist() == [2, 4]


def test_text_in_another_encoding_says_how_to_save_it(tmp_path):
    rows = "id,name\n" + "".join(f"{i},a\n" for i in range(600))
    foreign = [(rows + row).encode("latin-1") for row in ("999,é\n", "#é,b\n")]
    for content in (*foreign, rows.encode("utf-16")):
        (tmp_path / "t.csv").write_bytes(content)
        with pytest.raises(CatalogError, match="save the file as UTF-8"):
            read_catalog(tmp_path / "t.csv")


def test_xz_is_read(tmp_path):
    (tmp_path / "t.csv.xz").write_bytes(lzma.compress(b"id,x\n1,2\n"))
    assert read_catalog(tmp_path / "t.csv.xz").ids.tolist() == [1]


@pytest.mark.parametrize("prefix", ["vot:", ""])
def test_votables_with_a_prefix_and_a_long_preamble(tmp_path, prefix):
    Table({"id": [1, 2], "ra": [1.5, 2.5], "dec": [0.0, 1.0]}).write(
        tmp_path / "t.vot", format="votable"
    )
    content = (tmp_path / "t.vot").read_text().replace("<", f"<{prefix}")
    for wrong, right in (
        (f"<{prefix}/", f"</{prefix}"),
        (f"<{prefix}!", "<!"),
        (f"<{prefix}?", "<?"),
    ):
        content = content.replace(wrong, right)
    content = content.replace("xmlns=", "xmlns:vot=") if prefix else content
    content = content.replace("?>", f"?><!-- {'x' * 9000} -->", 1)
    (tmp_path / "t.vot").write_text(content)
    assert read_catalog(tmp_path / "t.vot").ids.tolist() == [1, 2]


def packed(values: np.ndarray, method: str) -> bytes:
    """A tile of a column as fpack writes it: GZIP_2 has the first bytes of all values first."""
    stored = values.astype(values.dtype.newbyteorder(">"))
    data = stored.tobytes()
    if method == "GZIP_2":
        shuffled = np.frombuffer(data, np.uint8).reshape(-1, stored.dtype.itemsize).T
        data = np.ascontiguousarray(shuffled).tobytes()
    if method == "RICE_1":
        image = fits.CompImageHDU(values, compression_type="RICE_1", tile_shape=(len(values),))
        stream = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(stream)
        with fits.open(io.BytesIO(stream.getvalue()), disable_image_compression=True) as hdus:
            return hdus[1].data["COMPRESSED_DATA"][0].tobytes()
    return gzip.compress(data)


def test_tables_compressed_by_fpack(tmp_path):
    n, tile = 25, 10
    rng = np.random.default_rng(0)
    columns = {
        "ID": ("K", rng.integers(-(2**62), 2**62, n), "GZIP_2"),
        "RA": ("D", rng.uniform(0, 360, n), "GZIP_2"),
        "DEC": ("D", rng.uniform(-90, 90, n), "GZIP_1"),
        "N": ("J", rng.integers(0, 1000, n).astype(np.int32), "RICE_1"),
        "S": ("I", rng.integers(0, 100, n).astype(np.int16), "RICE_1"),
        "PAIR": ("2E", rng.normal(size=(n, 2)).astype(np.float32), "GZIP_2"),
        "NAME": ("3A", np.array([f"n{i}" for i in range(n)], "S3"), "GZIP_1"),
    }
    cells = {
        name: [packed(v[s : s + tile].reshape(-1), method) for s in range(0, n, tile)]
        for name, (_, v, method) in columns.items()
    }
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column(
                name,
                "1PB()",
                array=np.array([np.frombuffer(c, np.uint8) for c in cell] + [None], object)[:-1],
            )
            for name, cell in cells.items()
        ]
    )
    width = sum(v[0].nbytes if v.ndim > 1 else v.dtype.itemsize for _, v, _ in columns.values())
    hdu.header.update(
        {"ZTABLE": True, "ZNAXIS1": width, "ZNAXIS2": n, "ZPCOUNT": 0, "ZTILELEN": tile}
    )
    for number, (form, _, method) in enumerate(columns.values(), start=1):
        hdu.header.update({f"ZFORM{number}": form, f"ZCTYP{number}": method})
    hdu.header["TUNIT2"] = "deg"
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "t.fits.fz")
    found = read_catalog(tmp_path / "t.fits.fz")
    for name, (form, values, _) in columns.items():
        expected = values.astype(str) if form == "3A" else values
        assert np.array_equal(found.table[name], expected), name
    assert str(found.table["RA"].unit) == "deg"
    fits.setval(tmp_path / "t.fits.fz", "ZNAXIS2", value=10**9, ext=1)
    with pytest.raises(CatalogError, match="would take"):
        read_catalog(tmp_path / "t.fits.fz")


def test_identifiers_of_many_kinds_stay_apart():
    ids = ["aé", "a\\xe9", "a\\\\xe9", "1e3", "1000", "#1", " x", "x"]
    found = Catalog.from_table({"id": ids})
    assert found.ids.tolist() == ids
