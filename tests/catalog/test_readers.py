"""Tables from files: every format gives the same catalogue, bad files a sentence."""

from __future__ import annotations

import bz2
import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import FK4, FK5, ICRS, SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st

from astrocnn.catalog import Catalog, CatalogWarning, read_catalog
from astrocnn.catalog.fits_table import read_blocks
from astrocnn.errors import CatalogError


def _fits(table: Table, path: Path) -> None:
    table.write(path, format="fits", overwrite=True)


def _csv(delimiter: str) -> Callable[[Table, Path], None]:
    def write(table: Table, path: Path) -> None:
        table.write(path, format="ascii.basic", delimiter=delimiter, overwrite=True)

    return write


def _parquet(table: Table, path: Path) -> None:
    arrays = {
        name: pa.array(
            np.ma.getdata(table[name]).tolist(),
            mask=np.ma.getmaskarray(table[name]),
        )
        for name in table.colnames
    }
    pq.write_table(pa.table(arrays), path)


def _gzipped(write: Callable[[Table, Path], None]) -> Callable[[Table, Path], None]:
    def compress(table: Table, path: Path) -> None:
        write(table, path)
        path.write_bytes(gzip.compress(path.read_bytes()))

    return compress


WRITERS: dict[str, Callable[[Table, Path], None]] = {
    "t.fits": _fits,
    "t.fits.gz": _fits,
    "plain_name_gz": _gzipped(_fits),
    "t.vot": lambda t, p: t.write(p, format="votable", overwrite=True),
    "t_binary.xml": lambda t, p: t.write(
        p, format="votable", overwrite=True, tabledata_format="binary2"
    ),
    "t.ecsv": lambda t, p: t.write(p, format="ascii.ecsv", overwrite=True),
    "t.csv": _csv(","),
    "t.csv.gz": _gzipped(_csv(",")),
    "t.tsv": _csv("\t"),
    "t_semicolon.txt": _csv(";"),
    "t.tbl": lambda t, p: t.write(p, format="ascii.ipac", overwrite=True),
    "t.parquet": _parquet,
    "no_suffix": _parquet,
}
INT64 = st.integers(-(2**63) + 1, 2**63 - 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.mark.parametrize("name", WRITERS)
@given(ids=st.lists(INT64, min_size=1, max_size=6, unique=True))
def test_integer_identifiers_survive_every_format(name: str, ids: list[int], folder: Path) -> None:
    WRITERS[name](
        Table({"OBJECT_ID": ids, "RA": [1.5] * len(ids), "DEC": [-2.5] * len(ids)}), folder / name
    )
    found = read_catalog(folder / name)
    assert found.ids.dtype == np.int64
    assert found.ids.tolist() == ids
    assert (found.ra.tolist(), found.dec.tolist()) == ([1.5] * len(ids), [-2.5] * len(ids))


NAME = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_.+-]{0,14}\Z").filter(
    # words that mean a number, a truth value or nothing in a text file
    lambda word: word.lower() not in {"nan", "na", "null", "inf", "infinity", "true", "false"}
)


@pytest.mark.parametrize("name", WRITERS)
@given(ids=st.lists(NAME, min_size=1, max_size=6, unique=True))
def test_text_identifiers_survive_every_format(name: str, ids: list[str], folder: Path) -> None:
    WRITERS[name](Table({"objid": ids, "mag": np.arange(len(ids)) + 0.5}), folder / name)
    found = read_catalog(folder / name)
    assert found.ids.tolist() == ids
    assert found.ra is None


@pytest.mark.parametrize("name", [n for n in WRITERS if "fits" not in n and n != "plain_name_gz"])
@given(
    values=st.lists(st.none() | INT64, min_size=2, max_size=6).filter(
        lambda v: any(x is not None for x in v)
    )
)
def test_integers_with_missing_values_stay_exact(
    name: str, values: list[int | None], folder: Path
) -> None:
    mask = [v is None for v in values]
    column = MaskedColumn([v or 0 for v in values], mask=mask, dtype=np.int64)
    WRITERS[name](Table({"id": np.arange(len(values)), "big": column}), folder / name)
    found, missing = read_catalog(folder / name).column("big")
    assert found.dtype == np.int64
    assert missing.tolist() == mask
    assert [int(v) for v, gone in zip(found, missing, strict=True) if not gone] == [
        v for v in values if v is not None
    ]


@given(values=st.lists(st.none() | INT64, min_size=2, max_size=6).filter(lambda v: None in v))
def test_integers_with_missing_values_stay_exact_in_fits(
    values: list[int | None], folder: Path
) -> None:
    null = -(2**63)
    column = fits.Column(
        "big", "K", null=null, array=np.array([null if v is None else v for v in values])
    )
    ids = fits.Column("id", "J", array=np.arange(len(values)))
    fits.BinTableHDU.from_columns([ids, column]).writeto(folder / "null.fits", overwrite=True)
    found, missing = read_catalog(folder / "null.fits").column("big")
    assert [None if gone else int(v) for v, gone in zip(found, missing, strict=True)] == values


@pytest.mark.parametrize("name", WRITERS)
def test_labels_missing_in_the_file_are_missing_in_the_catalogue(name: str, folder: Path) -> None:
    labels = MaskedColumn(["spiral", "", "merger"], mask=[0, 1, 0])
    WRITERS[name](Table({"id": [1, 2, 3], "label": labels}), folder / name)
    values, missing = read_catalog(folder / name).column("label")
    assert missing.tolist() == [False, True, False]
    assert values[[0, 2]].tolist() == ["spiral", "merger"]


@pytest.mark.parametrize("name", WRITERS)
def test_columns_reads_only_what_is_asked(name: str, folder: Path) -> None:
    table = Table({"a": [1.0], "id": [7], "ra": [1.0], "dec": [2.0], "Label": ["x"], "b": [2]})
    WRITERS[name](table, folder / name)
    found = read_catalog(folder / name, columns=["label"])
    assert set(found.table.colnames) == {"id", "ra", "dec", "Label"}
    assert found.column("label")[0].tolist() == ["x"]
    with pytest.raises(CatalogError, match="did you mean 'Label'"):
        read_catalog(folder / name, columns=["lable"])


@pytest.mark.parametrize(
    ("text", "dtype", "values"),
    [
        ("007\n08", "U", ["007", "08"]),
        ("12345678901234567890\n1", "U", ["12345678901234567890", "1"]),
        ("9223372036854775807\n-9223372036854775808", "i", [2**63 - 1, -(2**63)]),
        ("9223372036854775808\n1", "U", ["9223372036854775808", "1"]),
        ("587722984435351614\n1", "i", [587722984435351614, 1]),
        ("+0.5\n-.25e1", "f", [0.5, -2.5]),
        ("1\n2.5", "f", [1.0, 2.5]),
        ("True\nfalse", "b", [True, False]),
        ("0x1f\n2", "U", ["0x1f", "2"]),
        ("1_000\n2", "U", ["1_000", "2"]),
        ("inf\n-inf", "f", [np.inf, -np.inf]),
    ],
)
def test_types_of_text_columns(text: str, dtype: str, values: list[object], folder: Path) -> None:
    lines = [f"r{i},{word}" for i, word in enumerate(text.split("\n"))]
    (folder / "types.csv").write_text("id,x\n" + "\n".join(lines))
    column = read_catalog(folder / "types.csv").table["x"]
    assert column.dtype.kind == dtype
    assert column.tolist() == values


@pytest.mark.parametrize("word", ["", "nan", "NaN", "null", "NULL", "NA", "N/A", "--", "\\N"])
def test_words_for_no_number(word: str, folder: Path) -> None:
    (folder / "none.csv").write_text(f"id,n,f\n1,{2**62 + 1},0.5\n2,{word},{word}\n")
    found = read_catalog(folder / "none.csv")
    assert found.column("n")[0].dtype == np.int64
    assert found.column("n")[0][0] == 2**62 + 1
    assert found.column("n")[1].tolist() == found.column("f")[1].tolist() == [False, True]


def test_a_label_may_be_a_word_for_no_number(folder: Path) -> None:
    (folder / "na.csv").write_text("id,label\n1,NA\n2,E\n3,\n")
    values, missing = read_catalog(folder / "na.csv").column("label")
    assert values[:2].tolist() == ["NA", "E"]
    assert missing.tolist() == [False, False, True]


@pytest.mark.parametrize(
    "text",
    [
        '# made by hand\n#id ra   dec name\n 1  10.5 -20 "a b"\n\n2 11.5 +21.5 c  \n',
        'id ra dec name\n1 10.5 -20 "a b"\n# a remark\n2\t11.5   21.5\tc\n',
        "# catalogue, 2024\n# id,ra,dec,name\n1,10.5,-20,a b\n2,11.5,+21.5,c\n",
        '\ufeffid , ra , dec , name\r\n1, 10.5, -20 ,"a b"\r\n2,11.5,21.5,c',
        "id|ra|dec|name\n1|10.5|-20|a b\n2|11.5|21.5|c\n",
        "id\tra\tdec\tname\n1\t10.5\t-20\ta b\n2\t11.5\t21.5\tc\n",
        'id;ra;dec;name\n1;10.5;-20;"a b"\n2;11.5;21.5;c\n',
    ],
)
def test_text_in_its_many_forms(text: str, folder: Path) -> None:
    (folder / "forms.txt").write_text(text, encoding="utf-8", newline="")
    found = read_catalog(folder / "forms.txt")
    assert found.ids.tolist() == [1, 2]
    assert found.ra.tolist() == [10.5, 11.5]
    assert found.dec.tolist() == [-20.0, 21.5]
    assert found.column("name")[0].tolist() == ["a b", "c"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (",id,ra,dec\n0,11,1.0,2.0\n1,12,3.0,4.0\n", ["unnamed_1", "id", "ra", "dec"]),
        ("id,ra,dec,\n11,1.0,2.0,\n12,3.0,4.0,\n", ["id", "ra", "dec"]),
        ("id,ra,dec\n11,1.0,2.0,\n12,3.0,4.0,\n", ["id", "ra", "dec"]),
        ("id,ra,dec\r11,1.0,2.0\r12,3.0,4.0\r", ["id", "ra", "dec"]),
        ("id ra dec\r11 1.0 2.0\r12 3.0 4.0", ["id", "ra", "dec"]),
        ("id\tra\tdec\r\n11\t1.0\t2.0\r\n12\t3.0\t4.0\r\n", ["id", "ra", "dec"]),
        ("id;ra;dec\n11;+01;+02\n12;3;+04\n", ["id", "ra", "dec"]),
        ("id,ra,dec\n11,1.0D+00,2D0\n12,3.0D+00,0.4D1\n", ["id", "ra", "dec"]),
        ("| id | ra | dec |\n| 11 | 1.0 | 2.0 |\n| 12 | 3.0 | 4.0 |\n", ["id", "ra", "dec"]),
        ("id  ra  dec\n--- --- ---\n11  1.0 2.0\n12  3.0 4.0\n", ["id", "ra", "dec"]),
    ],
)
def test_text_of_other_programs(text: str, columns: list[str], folder: Path) -> None:
    (folder / "other.txt").write_text(text, newline="")
    found = read_catalog(folder / "other.txt")
    assert found.ids.tolist() == [11, 12]
    assert (found.ra.tolist(), found.dec.tolist()) == ([1.0, 3.0], [2.0, 4.0])
    assert found.table.colnames == columns


VIZIER = """#RESOURCE=yCat
#Column\trecno\t(I8)
_RAJ2000\t_DEJ2000\tName\tBmag
deg\tdeg\t \tmag
--------\t--------\t----\t----
150.10\t+2.10\tA 1\t20.1
150.20\t-2.20\tB 2\t
"""
SEXTRACTOR = """#   1 NUMBER       Running object number
#   2 ALPHA_J2000  Right ascension [deg]
#   3 DELTA_J2000  Declination [deg]
#   4 FLUX_APER    Flux in apertures [count]
#   6 FLAGS        Extraction flags
         1   150.1   2.1   10.5   11.5   0
         2   150.2  -2.2   20.5   21.5   3
"""


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_units_and_dashes_of_vizier_are_no_rows(separator: str, folder: Path) -> None:
    (folder / "vizier.tsv").write_text(VIZIER.replace("\t", separator))
    found = read_catalog(folder / "vizier.tsv", id="Name")
    assert found.ids.tolist() == ["A 1", "B 2"]
    assert (found.ra.tolist(), found.dec.tolist()) == ([150.1, 150.2], [2.1, -2.2])
    assert str(found.table["Bmag"].unit) == "mag"
    assert found.column("Bmag")[1].tolist() == [False, True]


def test_names_units_and_vectors_of_a_sextractor_head(folder: Path) -> None:
    (folder / "s.cat").write_text(SEXTRACTOR)
    found = read_catalog(folder / "s.cat")
    assert found.ids.tolist() == [1, 2]
    assert (found.ra.tolist(), found.dec.tolist()) == ([150.1, 150.2], [2.1, -2.2])
    assert found.table.colnames[3:] == ["FLUX_APER", "FLUX_APER_1", "FLAGS"]
    assert found.table["FLUX_APER_1"].tolist() == [11.5, 21.5]
    assert str(found.table["ALPHA_J2000"].unit) == "deg"
    assert found.table["FLAGS"].description == "Extraction flags"


@pytest.mark.parametrize("name", ["ascii.ipac", "ascii.mrt", "ascii.ecsv"])
def test_formats_that_describe_their_columns(name: str, folder: Path) -> None:
    table = Table(
        {"id": [2**62 + 1, 7], "ra": [1.5, 2.5], "dec": [-1.0, 1.0], "label": ["007", "A b"]},
        units={"ra": "deg", "dec": "deg"},
    )
    table.write(folder / "described.txt", format=name, overwrite=True)
    found = read_catalog(folder / "described.txt", columns=["label"])
    assert found.ids.tolist() == [2**62 + 1, 7]
    assert (found.ra.tolist(), found.dec.tolist()) == ([1.5, 2.5], [-1.0, 1.0])
    assert found.column("label")[0].tolist() == ["007", "A b"]
    assert str(found.table["ra"].unit) == "deg"
    content = (folder / "described.txt").read_text()
    (folder / "cut.txt").write_text(content[: len(content) - 12])
    with pytest.raises(CatalogError):
        read_catalog(folder / "cut.txt")


@given(ids=st.lists(INT64, min_size=1, max_size=6, unique=True))
def test_integer_identifiers_survive_machine_readable_tables(ids: list[int], folder: Path) -> None:
    Table({"id": ids, "x": [1.5] * len(ids)}).write(
        folder / "t.mrt", format="ascii.mrt", overwrite=True
    )
    found = read_catalog(folder / "t.mrt")
    assert found.ids.dtype == np.int64 and found.ids.tolist() == ids


@pytest.mark.parametrize(
    "ids",
    [
        ["#1", "#2", "A3"],
        ["1e3", "1000"],
        ["1.0", "1"],
        ["+5", "5"],
        ["0x1f", "31"],
        ["1D+2", "100"],
        ["true", "false"],
        ["-0", "0"],
        ["NA", "N"],
    ],
)
def test_identifiers_stay_as_they_are_written(ids: list[str], folder: Path) -> None:
    rows = "".join(f"{name},{i}.5\n" for i, name in enumerate(ids))
    (folder / "ids.csv").write_text("id,x\n" + rows + "# a remark, with, commas\n")
    assert read_catalog(folder / "ids.csv").ids.tolist() == ids


def test_rows_that_look_like_comments_are_announced(folder: Path) -> None:
    (folder / "hash.txt").write_text("id x\n1 2\n#3 4\n# a longer remark\n")
    with pytest.warns(CatalogWarning, match="1 lines beginning with '#'"):
        assert read_catalog(folder / "hash.txt").ids.tolist() == [1]


def test_text_is_a_number_only_where_a_number_is_needed(folder: Path) -> None:
    (folder / "signs.csv").write_text("id,mag,word\n1,+02,a\n2,-03,b\n3,,c\n")
    found = read_catalog(folder / "signs.csv")
    assert found.column("mag")[0][:2].tolist() == ["+02", "-03"]
    assert found.numbers("mag")[:2].tolist() == [2.0, -3.0]
    assert np.isnan(found.numbers("mag")[2])
    with pytest.raises(CatalogError, match="'word' does not hold one number per row"):
        found.numbers("word")


def test_fits_text_ends_at_a_nul(folder: Path) -> None:
    names = np.array([b"ab\0cd", b"x y  ", b"\0zz"])
    columns = [fits.Column("id", "J", array=[1, 2, 3]), fits.Column("name", "5A", array=names)]
    fits.BinTableHDU.from_columns(columns).writeto(folder / "nul.fits", overwrite=True)
    raw = (folder / "nul.fits").read_bytes()
    assert b"ab\0cd" in raw
    values, missing = read_catalog(folder / "nul.fits").column("name")
    assert values[:2].tolist() == ["ab", "x y"]
    assert missing.tolist() == [False, False, True]


def test_arrow_tables_keep_integers_with_missing_values_exact() -> None:
    table = pa.table({"id": pa.array([2**62 + 1, 2]), "n": pa.array([None, 2**62 + 1])})
    found = Catalog.from_table(table)
    assert found.ids.tolist() == [2**62 + 1, 2]
    values, missing = found.column("n")
    assert values[1] == 2**62 + 1 and missing.tolist() == [True, False]


def test_a_comma_in_quotes_and_a_line_break_in_quotes(folder: Path) -> None:
    (folder / "q.csv").write_text('id,remark\n1,"bright, large"\n2,"two\nlines"\n')
    assert read_catalog(folder / "q.csv").column("remark")[0].tolist() == [
        "bright, large",
        "two\nlines",
    ]


def test_long_text_files_cross_the_blocks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from astrocnn.catalog import text_table

    monkeypatch.setattr(text_table, "BLOCK_BYTES", 97)
    n = 500
    lines = [f"  {2**60 + i}   {i / 8}    name_{i}" for i in range(n)]
    (folder / "long.txt").write_text("objid  mag label\n" + "\n".join(lines) + "\n")
    found = read_catalog(folder / "long.txt")
    assert found.ids.tolist() == [2**60 + i for i in range(n)]
    assert found.column("mag")[0].tolist() == [i / 8 for i in range(n)]
    assert found.column("label")[0][-1] == f"name_{n - 1}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,x\n1,2\n2\n", "line may be cut short"),
        ("id x y\n1 2 3\n2 3\n", "line may be cut short"),
        ("id,x\n", "no rows"),
        ("1,2\n3,4\n", "no line of column names"),
        ("# a b c\n1 2\n", "names 3 columns"),
        ("# nothing but this\n", "comments only"),
        ("id,x,x\n1,2,3\n", "occur twice"),
        ("", "is empty"),
        ("\n \n", "is empty"),
    ],
)
def test_broken_text_is_refused(text: str, says: str, folder: Path) -> None:
    (folder / "broken.csv").write_text(text)
    with pytest.raises(CatalogError, match=says):
        read_catalog(folder / "broken.csv")


def test_text_in_another_encoding_is_refused_with_a_hint(folder: Path) -> None:
    (folder / "latin.csv").write_bytes("id,name\n1,Sérsic\n".encode("latin-1"))
    with pytest.raises(CatalogError, match="UTF-8"):
        read_catalog(folder / "latin.csv")


def _all_kinds() -> fits.BinTableHDU:
    n = 4
    columns = [
        fits.Column("ID", "K", array=np.array([-1, 2**63 - 1, 5, 6])),
        fits.Column("u16", "I", bzero=2**15, array=np.array([0, 1, 40000, 65535], np.uint16)),
        fits.Column("u64", "K", bzero=2**63, array=np.array([0, 1, 2**63, 2**64 - 1], np.uint64)),
        fits.Column("i8", "B", bzero=-128, array=np.array([-128, -1, 0, 127], np.int8)),
        fits.Column("scaled", "I", array=np.array([0, 50, -100, 32767], np.int16)),
        fits.Column("flag", "L", array=np.array([True, False, True, True])),
        fits.Column("vector", "3E", array=np.arange(12, dtype=np.float32).reshape(n, 3)),
        fits.Column("matrix", "6J", dim="(3,2)", array=np.arange(24).reshape(n, 2, 3)),
        fits.Column("text", "8A", array=np.array(["a", "b  ", "", "12345678"])),
        fits.Column("complex", "C", array=np.array([1 + 1j, 0, 2, 3j], np.complex64)),
        fits.Column("ragged", "PE()", array=np.array([[1.0], [1, 2], [], [3]], dtype=object)),
    ]
    return fits.BinTableHDU.from_columns(columns)


def test_fits_columns_of_all_kinds_equal_those_of_astropy(folder: Path) -> None:
    _all_kinds().writeto(folder / "kinds.fits", overwrite=True)
    for keyword, value in (("TSCAL5", 0.01), ("TZERO5", 3.0)):
        fits.setval(folder / "kinds.fits", keyword, value=value, ext=1)
    found = read_catalog(folder / "kinds.fits").table
    with fits.open(folder / "kinds.fits", uint=True) as hdus:
        data = hdus[1].data
        for name in ("ID", "u16", "u64", "i8", "flag", "vector", "matrix"):
            assert np.array_equal(found[name], data[name]), name
            assert found[name].dtype.isnative
            # astropy turns signed bytes into floats
            assert found[name].dtype.kind == ("i" if name == "i8" else data[name].dtype.kind)
        assert found["scaled"].tolist() == data["scaled"].tolist()
    assert np.ma.getdata(found["text"]).tolist() == ["a", "b", "", "12345678"]


def test_masked_logicals_and_units(folder: Path) -> None:
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("ID", "J", array=[1, 2, 3]),
            fits.Column("ok", "L", array=np.array([ord("T"), ord("F"), 0], np.int8).view(bool)),
            fits.Column("flux", "E", unit="nJy", array=[1.0, 2.0, 3.0]),
        ]
    )
    table.header["TCOMM3"] = "total"
    table.writeto(folder / "ok.fits", overwrite=True)
    raw = bytearray((folder / "ok.fits").read_bytes())
    record = 4 + 1 + 4
    start = len(raw) - 2880
    for row, letter in enumerate(b"TF\0"):
        raw[start + row * record + 4] = letter
    (folder / "ok.fits").write_bytes(bytes(raw))
    found = read_catalog(folder / "ok.fits")
    values, missing = found.column("ok")
    assert values[:2].tolist() == [True, False]
    assert missing.tolist() == [False, False, True]
    assert str(found.table["flux"].unit) == "nJy"
    assert found.table["flux"].description == "total"


def test_fits_in_small_blocks_and_an_ascii_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astrocnn.catalog import fits_table

    monkeypatch.setattr(fits_table, "BLOCK_BYTES", 100)
    ids = np.arange(1000) * 2**50
    Table({"ID": ids, "x": ids / 7}).write(folder / "b.fits", overwrite=True)
    assert read_catalog(folder / "b.fits").ids.tolist() == ids.tolist()
    columns = [
        fits.Column("ID", "I12", array=np.array([1, 22])),
        fits.Column("mag", "F8.3", array=np.array([20.125, 19.5])),
    ]
    fits.TableHDU.from_columns(columns).writeto(folder / "ascii.fits", overwrite=True)
    found = read_catalog(folder / "ascii.fits")
    assert found.ids.tolist() == [1, 22]
    assert found.column("mag")[0].tolist() == [20.125, 19.5]


def test_blocks_are_the_table_in_pieces(folder: Path) -> None:
    table = Table({"ID": np.arange(10), "name": [f"n{i}" for i in range(10)]})
    table.write(folder / "pieces.fits", overwrite=True)
    pieces = list(read_blocks(folder / "pieces.fits", rows=4))
    assert [len(p) for p in pieces] == [4, 4, 2]
    assert np.concatenate([p["name"] for p in pieces]).tolist() == table["name"].tolist()


def _several(path: Path) -> None:
    first = fits.table_to_hdu(Table({"ID": [1], "which": ["first"]}))
    second = fits.table_to_hdu(Table({"ID": [2], "which": ["second"]}))
    first.name, second.name = "FIRST", "SECOND"
    image = fits.ImageHDU(np.zeros((2, 2)), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), image, first, second]).writeto(path, overwrite=True)


@pytest.mark.parametrize(
    ("hdu", "which"), [(None, 1), (2, 1), (3, 2), ("SECOND", 2), ("second", 2)]
)
def test_the_extension_asked_for(hdu: int | str | None, which: int, folder: Path) -> None:
    _several(folder / "several.fits")
    assert read_catalog(folder / "several.fits", hdu=hdu).ids.tolist() == [which]


@pytest.mark.parametrize(
    ("hdu", "says"),
    [
        ("SCI", r"is an image, not a table"),
        (0, r"is an image, not a table"),
        (9, r"(?s)no extension 9.*2 FIRST \(table\)"),
        ("SECNOD", r"(?s)no extension 'SECNOD'.*did you mean 'SECOND'"),
    ],
)
def test_wrong_extensions_are_refused(hdu: int | str, says: str, folder: Path) -> None:
    _several(folder / "several.fits")
    with pytest.raises(CatalogError, match=says):
        read_catalog(folder / "several.fits", hdu=hdu)


def test_the_first_table_of_an_ldac_catalogue_is_not_its_header(folder: Path) -> None:
    head = fits.table_to_hdu(Table({"Field Header Card": ["SIMPLE = T"]}))
    head.name = "LDAC_IMHEAD"
    objects = fits.table_to_hdu(Table({"NUMBER": [1, 2]}))
    objects.name = "LDAC_OBJECTS"
    fits.HDUList([fits.PrimaryHDU(), head, objects]).writeto(folder / "ldac.fits", overwrite=True)
    assert read_catalog(folder / "ldac.fits").ids.tolist() == [1, 2]


def test_an_image_is_no_catalogue(folder: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(np.zeros((20, 20), np.int16))]).writeto(
        folder / "image.fits.fz", overwrite=True
    )
    with pytest.raises(CatalogError, match="holds no table"):
        read_catalog(folder / "image.fits.fz")


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress])
@pytest.mark.parametrize("part", [0.3, 0.7, 0.97])
def test_cut_files_are_refused(
    compress: Callable[[bytes], bytes], part: float, folder: Path
) -> None:
    rng = np.random.default_rng(0)
    table = Table({"ID": np.arange(3000), "x": rng.random(3000), "y": rng.random(3000)})
    table.write(folder / "whole.fits", overwrite=True)
    content = compress((folder / "whole.fits").read_bytes())
    (folder / "cut.fits").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(CatalogError, match=r"cut short|truncated|cannot be read"):
        read_catalog(folder / "cut.fits")


def test_cut_fits_says_how_many_rows_there_are(folder: Path) -> None:
    Table({"ID": np.arange(3000)}).write(folder / "whole.fits", overwrite=True)
    content = (folder / "whole.fits").read_bytes()
    (folder / "cut.fits").write_bytes(content[: 2880 * 2 + 8 * 1234 + 3])
    with pytest.raises(CatalogError, match="promises 3000 rows, it holds 1234"):
        read_catalog(folder / "cut.fits")


def test_cut_parquet_and_votable_are_refused(folder: Path) -> None:
    for name in ("t.parquet", "t.vot"):
        WRITERS[name](Table({"id": np.arange(500)}), folder / name)
        content = (folder / name).read_bytes()
        (folder / f"cut_{name}").write_bytes(content[: len(content) // 2])
        with pytest.raises(CatalogError, match="cannot be read"):
            read_catalog(folder / f"cut_{name}")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.fits", b"<html>404 Not Found</html>", "no table of a known format"),
        ("a.fits", b"Not Found", "named as if it were .fits"),
        ("a.parquet", b"id,ra\n1,2\n", "named as if it were .parquet"),
        ("a.hdf5", b"\x89HDF\r\n\x1a\n" + bytes(50), "no table of a known format"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(50), "no table of a known format"),
        ("a.csv", b"", "is empty"),
        ("a.csv.gz", b"\x1f\x8bbroken", "cannot be read"),
    ],
)
def test_other_files_are_refused(name: str, content: bytes, says: str, folder: Path) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(CatalogError, match=says):
        read_catalog(folder / name)


def test_missing_files_and_folders_are_refused(folder: Path) -> None:
    with pytest.raises(CatalogError, match="is missing"):
        read_catalog(folder / "nowhere.fits")
    (folder / "empty").mkdir()
    with pytest.raises(CatalogError, match=r"(?s)folder without Parquet files.*\*\.parquet"):
        read_catalog(folder / "empty")


def test_an_hdu_is_for_fits_only(folder: Path) -> None:
    (folder / "x.csv").write_text("id\n1\n")
    with pytest.raises(CatalogError, match="has no HDUs"):
        read_catalog(folder / "x.csv", hdu=1)


def test_parquet_types(folder: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([2**63 - 1, -5]),
            "label": pa.array(["a", None]).dictionary_encode(),
            "vector": pa.array([[1.0, 2.0], [3.0, 4.0]], type=pa.list_(pa.float32(), 2)),
            "decimal": pa.array([2**70, 1], type=pa.decimal128(30, 0)),
            "flag": pa.array([True, None]),
        }
    )
    pq.write_table(table, folder / "types.parquet")
    found = read_catalog(folder / "types.parquet")
    assert found.column("label")[1].tolist() == [False, True]
    assert found.column("vector")[0].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert found.column("decimal")[0].tolist() == [str(2**70), "1"]
    assert found.column("flag")[1].tolist() == [False, True]
    ragged = table.append_column("r", pa.array([[1.0], [1.0, 2.0]]))
    pq.write_table(ragged, folder / "ragged.parquet")
    assert "r" not in read_catalog(folder / "ragged.parquet").table.colnames
    with pytest.raises(CatalogError, match="'r' cannot be used: it holds lists of different"):
        read_catalog(folder / "ragged.parquet", columns=["r"])


def test_units_and_positions_come_through(folder: Path) -> None:
    table = Table(
        {"id": [1], "ra": [np.pi / 2], "dec": [-np.pi / 4]}, units={"ra": "rad", "dec": "rad"}
    )
    for name in ("t.fits", "t.vot", "t.ecsv"):
        WRITERS[name](table, folder / name)
        found = read_catalog(folder / name)
        assert found.ra[0] == pytest.approx(90.0)
        assert found.dec[0] == pytest.approx(-45.0)


def test_a_few_columns_of_a_wide_table_cost_only_themselves(folder: Path) -> None:
    n, width = 20_000, 200
    wide = Table({"ID": np.arange(n), **{f"c{i}": np.zeros(n) for i in range(width)}})
    wide.write(folder / "wide.fits", overwrite=True)
    read_catalog(folder / "wide.fits", columns=["c7"])
    tracemalloc.start()
    read_catalog(folder / "wide.fits", columns=["c7"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    whole = (folder / "wide.fits").stat().st_size
    # Two blocks of the file are held at a time, whatever its length.
    assert peak < 12e6 < whole / 2


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("path", "options", "rows", "first"),
    [
        ("gz1_morphology/labels.csv", {}, 1992, 587722952767439450),
        ("ztf_star_galaxy/labels.csv", {"id": "file"}, 997, "galaxy_1.fits"),
        ("ztf_alert_triplets/alerts.csv", {"id": "candid"}, 285, 516171791415015025),
        ("photoz_piczl/catalog_with_z.fits", {}, 31, "10000_323168_7804"),
        ("sdss_frame_photoobj/photoObj-001000-1-0100.fits", {}, 19, "1237649768107474963"),
        ("legacypipe_dq/testcase6/gaia/chunk-03687.fits", {}, 897, 869475176563865344),
    ],
)
def test_real_catalogues(
    real_data: Path, path: str, options: dict[str, str], rows: int, first: object
) -> None:
    found = read_catalog(real_data / path, **options)
    assert len(found) == rows
    assert found.ids[0] == first
    assert not found.flags.any()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("path", "options", "says"),
    [
        ("ztf_alert_triplets/alerts.csv", {}, r"(?s)ZTF18aaqfhlj in rows 183, 188, 189.*candid"),
        ("photoz_catalogs/SDSS_MGS.train", {}, "names 18 columns.*19 values"),
        ("odd_fits/m13_rice.fits", {}, "holds no table"),
        ("odd_fits/checksum_false.fits", {}, "identifier"),
        ("legacypipe_dq/testcase4/gaia/chunk-03459.fits", {}, "no rows"),
    ],
)
def test_real_files_that_are_no_usable_catalogue(
    real_data: Path, path: str, options: dict[str, str], says: str
) -> None:
    with pytest.raises(CatalogError, match=says):
        read_catalog(real_data / path, **options)


def _votable_with(path: Path, head: str, foot: str = "") -> None:
    Table({"id": [1, 2], "ra": [150.0, 151.0], "dec": [2.0, 3.0]}).write(
        path, format="votable", overwrite=True
    )
    text = path.read_text().replace("<RESOURCE", f"{head}<RESOURCE", 1)
    text = text.replace("</TABLE>", f"</TABLE>{foot}")
    for name in ("ra", "dec"):
        text = text.replace(f'name="{name}"', f'name="{name}" ref="sys"')
    path.write_text(text)


@pytest.mark.parametrize(
    ("system", "frame"),
    [
        ('system="eq_FK4" equinox="B1950"', FK4(equinox="B1950")),
        ('system="eq_FK5" equinox="J1980"', FK5(equinox="J1980")),
        ('system="ICRS"', ICRS()),
    ],
)
def test_the_coordinate_system_of_a_votable_counts(
    system: str, frame: object, folder: Path
) -> None:
    _votable_with(folder / "frame.vot", f'<COOSYS ID="sys" {system}/>')
    found = read_catalog(folder / "frame.vot")
    truth = SkyCoord([150.0, 151.0], [2.0, 3.0], unit="deg", frame=frame).icrs
    assert SkyCoord(found.ra, found.dec, unit="deg").separation(truth).arcsec.max() < 1e-6
    assert found.table["ra"].tolist() == [150.0, 151.0], "the column stays as it is"
    _votable_with(folder / "frame.vot", '<COOSYS ID="sys" system="galactic"/>')
    with pytest.raises(CatalogError, match="not equatorial"):
        read_catalog(folder / "frame.vot")


def test_a_votable_that_was_cut_says_so(folder: Path) -> None:
    overflow = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>'
    _votable_with(folder / "tap.vot", '<COOSYS ID="sys" system="ICRS"/>', overflow)
    with pytest.warns(CatalogWarning, match=r"cut the VOTable after 2 rows"):
        assert len(read_catalog(folder / "tap.vot")) == 2


@pytest.mark.parametrize("tag", ["STREAM", "vot:STREAM"])
def test_a_votable_opens_no_other_file(tag: str, folder: Path) -> None:
    _votable_with(folder / "href.vot", "", f'<{tag} href="file:///etc/hostname"/>')
    with pytest.raises(CatalogError, match="keeps its data in another place"):
        read_catalog(folder / "href.vot")
