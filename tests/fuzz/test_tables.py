"""Damaged tables, run files and model folders: a result, or one sentence."""

from __future__ import annotations

import gzip
import lzma
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn.catalog import Catalog, read_catalog
from astrocnn.datasets import Shards, write_shards
from astrocnn.estimators import ClassicalEstimator, load_estimator
from astrocnn.imaging import Inputs, NoImages, read_survey
from astrocnn.prediction import predict, read_pdf, to_parquet
from astrocnn.prediction.pdf_forms import FORMS
from astrocnn.runs.config import load_run
from astrocnn.targets import Categorical, Target, Task
from tests.fuzz.mutations import Reader, try_reader
from tests.prediction.conftest import Photometric, make_survey

FIELDS = {
    "id": [2**62 + 1, -7, 12],
    "ra": [150.0, 150.5, 149.5],
    "dec": [2.0, -2.5, 0.0],
    "label": ["spiral", "edge on", "007"],
    "mag": [20.5, 99.0, 18.25],
}
RUN = """
title = "Morphology"
survey = "survey.toml"
[catalog]
file = "$HOME/catalog.fits"
missing = [99.0, -99.0]
[inputs]
size = 64
scalars = ["g - r"]
[split]
fractions = [0.6, 0.2, 0.2]
[task]
name = "morphology"
column = "kind"
classes = ["elliptical", "spiral"]
[model]
architecture = "lenet"
options = { head_dropout = 0.25 }
[augmentation]
d4 = true
[training]
epochs = 16
learning_rate = 3e-3
[prediction]
draws = 50
"""
SURVEY = """
name = "field"
kind = "tiles"
unit = "nJy"
image = "tiles/*_{band}.fits"
zero_point = "MAGZERO"
[[bands]]
name = "g"
hdu = "SCI"
rms_hdu = 2
[[bands]]
name = "r"
mask = "masks/*.fits"
bad_bits = 5
"""
UNITS = {"ra": "deg", "dec": "deg", "mag": "mag"}


def table() -> Table:
    return Table(FIELDS, units=UNITS)


def make_fits(folder: Path) -> None:
    extended = table()
    extended["pair"] = np.arange(6, dtype=np.float32).reshape(3, 2)
    extended["ok"] = [True, False, True]
    hdu = fits.table_to_hdu(extended)
    ragged = fits.Column("ragged", "PE()", array=np.array([[1.0], [1, 2], []], dtype=object))
    scaled = fits.Column("scaled", "I", bzero=2**15, array=np.array([0, 1, 65535], np.uint16))
    bits = fits.Column("bits", "3X", array=np.ones((3, 3), bool))
    many = fits.BinTableHDU.from_columns([*hdu.columns, ragged, scaled, bits])
    fits.HDUList([fits.PrimaryHDU(), many]).writeto(folder / "table.fits")
    plain = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((4, 4))), hdu])
    plain.writeto(folder / "third.fits.gz")
    ascii_columns = [
        fits.Column("id", "I12", array=np.array([1, 22])),
        fits.Column("ra", "F8.3", array=np.array([20.125, 19.5])),
        fits.Column("dec", "F8.3", array=np.array([0.125, 9.5])),
    ]
    fits.TableHDU.from_columns(ascii_columns).writeto(folder / "ascii.fits")


def make_votable(folder: Path) -> None:
    for kind in ("tabledata", "binary", "binary2"):
        path = folder / f"{kind}.vot"
        table().write(path, format="votable", tabledata_format=kind)
    head = (
        '<COOSYS ID="sys" system="eq_FK4" equinox="B1950"/><INFO name="QUERY_STATUS" value="OK"/>'
    )
    text = (folder / "tabledata.vot").read_text().replace("<TABLE ", f"{head}<TABLE ", 1)
    text = text.replace('name="ra"', 'name="ra" ref="sys"').replace(
        'name="dec"', 'name="dec" ref="sys"'
    )
    (folder / "frame.vot").write_text(text)


def make_text(folder: Path) -> None:
    for name, form in (
        ("t.csv", "ascii.csv"),
        ("t.tsv", "ascii.tab"),
        ("t.txt", "ascii.basic"),
        ("t.tbl", "ascii.ipac"),
        ("t.mrt", "ascii.mrt"),
        ("t.ecsv", "ascii.ecsv"),
    ):
        table().write(folder / name, format=form)
    (folder / "s.cat").write_text(
        "#   1 NUMBER       Running object number\n"
        "#   2 ALPHA_J2000  Right ascension [deg]\n#   3 DELTA_J2000  Declination [deg]\n"
        "#   4 FLUX_APER    Flux in apertures [count]\n#   6 FLAGS        Extraction flags\n"
        "         1   150.1   2.1   10.5   11.5   0\n         2   150.2  -2.2   20.5   21.5   3\n"
    )
    (folder / "vizier.tsv").write_text(
        "#RESOURCE=yCat\n_RAJ2000\t_DEJ2000\tid\tBmag\ndeg\tdeg\t \tmag\n"
        "--------\t--------\t----\t----\n150.10\t+2.10\tA 1\t20.1\n150.20\t-2.20\tB 2\t\n"
    )
    (folder / "quoted.csv").write_text('\ufeffid,ra,dec,x\r\n"#1",+01,1.5D+02,"a\nb"\r\n2,3,4,\r\n')
    (folder / "z.csv.gz").write_bytes(gzip.compress((folder / "t.csv").read_bytes()))
    (folder / "z.csv.xz").write_bytes(lzma.compress((folder / "t.csv").read_bytes()))


def make_parquet(folder: Path) -> None:
    columns = pa.table(
        {
            **FIELDS,
            "class": pa.array(["a", None, "a"]).dictionary_encode(),
            "vector": pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32(), 2)),
            "ragged": pa.array([[1], [1, 2], None]),
            "time": pa.array(np.array(["2020-01-01"] * 3, "M8[ms]")),
            "raw": pa.array([b"a", b"\xff", None]),
        }
    )
    pq.write_table(columns, folder / "table.parquet")
    pq.write_table(columns, folder / "plain.parquet", use_dictionary=False, compression="none")
    for part in range(2):
        (folder / f"set/field={part}").mkdir(parents=True)
        pq.write_table(
            pa.table({"id": [2 * part, 2 * part + 1]}), folder / f"set/field={part}/a.parquet"
        )


def read(path: Path) -> None:
    is_part = "field=" in str(path)
    catalog = read_catalog(path.parents[1] if is_part else path)
    assert len(catalog.ids) == len(catalog.table) > 0
    for name in catalog.table.colnames:
        catalog.column(name)


def make_predictions(folder: Path) -> None:
    catalog, source = make_survey(9)
    for form in FORMS:
        predict(Photometric(), catalog, source, folder / f"{form}.fits", draws=2, pdf=form)


def read_predictions(path: Path) -> None:
    to_parquet(path, path.parent / ".copies/p.parquet")
    ids, grid, density = read_pdf(path)
    assert density.shape == (len(ids), len(grid))


def make_runs(folder: Path) -> None:
    (folder / "run.toml").write_text(RUN)
    (folder / "survey.toml").write_text(SURVEY)


def read_toml(path: Path) -> None:
    load_run(path.parent / "run.toml") if path.name == "run.toml" else read_survey(path)


def make_model(folder: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {"id": np.arange(40), "g": rng.random(40), "r": rng.random(40)}
    columns["kind"] = np.where(columns["g"] > columns["r"], "a", "b")
    catalog = Catalog.from_table(Table(columns))
    inputs = Inputs(bands=(), size=0, scalars=("g", "r"))
    with tempfile.TemporaryDirectory() as shards:
        write_shards(shards, catalog, NoImages(40), inputs)
        task = Task("kind", (Target("kind", Categorical(("a", "b")), "kind"),), "kind.accuracy")
        estimator = ClassicalEstimator(task, inputs, "logistic_regression")
        estimator.fit(Shards.open(shards), np.arange(30)).save(folder / "model")


def read_model(path: Path) -> None:
    estimator = load_estimator(path.parent)
    scalars = np.zeros((2, 2), np.float32)
    assert estimator.sample(None, scalars)["kind"].shape == (1, 2, 2)


READERS = {
    "predictions": Reader(make_predictions, read_predictions),
    "run files": Reader(make_runs, read_toml),
    "models": Reader(make_model, read_model),
    "FITS tables": Reader(make_fits, read),
    "VOTable": Reader(make_votable, read),
    "text tables": Reader(make_text, read),
    "Parquet": Reader(make_parquet, read),
}


@pytest.mark.parametrize("name", READERS)
def test_damaged_tables_are_results_or_sentences(name, tmp_path):
    trials = 40 if name == "predictions" else 160
    assert try_reader(name, READERS[name], tmp_path, range(trials)) == []
