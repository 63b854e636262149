"""`embed`, `similar` and `outliers` on a trained run."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.flags import Flag
from astrocnn.runs.run import Run

from .command import astrocnn


def test_the_table_holds_the_features_of_the_network(home, tmp_path):
    out = tmp_path / "embeddings.parquet"
    printed = astrocnn("embed", home / "run", "--out", out)
    assert "166 rows" in printed and out.is_file()
    table = Table.read(out.with_suffix(".fits"), hdu="EMBEDDINGS")
    run = Run.open(home / "run")
    np.testing.assert_array_equal(table["id"], run.catalog.ids)
    good = (np.asarray(table["flags"]) & int(Flag.NOT_PREDICTED)) == 0
    assert good.sum() == 160 and np.isnan(np.ma.getdata(table["embedding"])[~good]).all()
    images = run.source.read(np.flatnonzero(good)[:10]).images
    expected = run.estimator.features(images)
    np.testing.assert_allclose(
        np.ma.getdata(table["embedding"])[good][:10], expected, rtol=1e-5, atol=1e-6
    )


def test_what_cannot_be_embedded_is_one_message(home, tmp_path):
    said = astrocnn("embed", home / "run", "--out", tmp_path / "e.txt", code=2)
    assert "unknown format" in said and ".parquet" in said
    said = astrocnn("embed", home / "run", "--out", home / "sky/catalog.fits", code=2)
    assert "would replace the catalogue" in said
    said = astrocnn(
        "embed", home / "run", "--layer", "pool99", "--out", tmp_path / "e.fits", code=2
    )
    assert "no layer 'pool99'" in said


@pytest.fixture(scope="module")
def embeddings(home, tmp_path_factory):
    out = tmp_path_factory.mktemp("embedded") / "embeddings.fits"
    assert "next: astrocnn similar" in astrocnn("embed", home / "run", "--out", out)
    return out


def test_similar_objects_and_their_page(home, embeddings, tmp_path):
    ids = Run.open(home / "run").catalog.ids.tolist()
    good = Table.read(embeddings)
    first, second = [i for i, f in zip(ids, good["flags"], strict=True) if not f & 2048][:2]
    out = tmp_path / "like.csv"
    given = ("--to", f"{first},{second}", "-n", 12, "--out", out, "--images", home / "run")
    printed = astrocnn("similar", embeddings, *given)
    table = Table.read(out, format="ascii.csv")
    assert len(table) == 12 and not {first, second} & set(table["id"].tolist())
    assert set(table["id"].tolist()) <= set(ids)
    assert set(table["nearest"].tolist()) <= {first, second}
    page = (tmp_path / "like.html").read_text()
    assert (
        "like.html" in "".join(printed.split())
        and page.count("<img") == 2
        and "<script" not in page
    )
    assert f"12 objects nearest to {first}, {second}" in page
    astrocnn("similar", embeddings, "--to", first, "-n", 3, "--out", tmp_path / "s.fits")
    stored = Table.read(tmp_path / "s.fits", hdu="SIMILAR")
    assert stored["id"].dtype.kind == "i" and len(stored) == 3


def test_an_index_gives_the_same_and_states_its_recall(home, embeddings, tmp_path):
    pytest.importorskip("usearch", reason="needs the extra similar")
    first = next(i for i, f in Table.read(embeddings)["id", "flags"] if not f & 2048)
    for name, more in (("exact", ()), ("index", ("--index", tmp_path / "neighbors"))):
        out = tmp_path / f"{name}.csv"
        printed = astrocnn("similar", embeddings, "--to", first, "-n", 9, "--out", out, *more)
        assert ("finds 100.0% of the 50 nearest" in " ".join(printed.split())) == bool(more)
    exact, found = (Table.read(tmp_path / f"{n}.csv") for n in ("exact", "index"))
    assert found["id"].tolist() == exact["id"].tolist()


def test_outliers_and_scores_of_some(home, embeddings, tmp_path):
    out = tmp_path / "odd.csv"
    astrocnn("outliers", embeddings, "-n", 20, "--out", out, "--images", home / "run")
    table = Table.read(out, format="ascii.csv")
    assert len(table) == 20 and (tmp_path / "odd.html").is_file()
    # The table of a ranking, filled in for some rows.
    table["score"] = np.ma.masked_all(20)
    table["score"][:4] = [5.0, 0.0, 1.0, 0.0]
    table.write(tmp_path / "mine.csv", format="ascii.csv")
    astrocnn(
        "outliers", embeddings, "--scores", tmp_path / "mine.csv", "--out", tmp_path / "odd2.fits"
    )
    assert {"interest", "combined_score"} <= set(Table.read(tmp_path / "odd2.fits").colnames)
    table["score"][:] = np.ma.masked
    table.write(tmp_path / "none.csv", format="ascii.csv")
    said = astrocnn("outliers", embeddings, "--scores", tmp_path / "none.csv", code=2)
    assert "holds no score" in said


def test_what_cannot_be_found_is_one_message(home, embeddings, tmp_path):
    said = astrocnn("similar", embeddings, "--to", "12", "--out", tmp_path / "s.csv", code=2)
    assert "no such object" in said and "12" in said
    said = astrocnn("similar", embeddings, "--to", "12", "--out", embeddings, code=2)
    assert "would be replaced" in said
    said = astrocnn("similar", home / "sky/catalog.fits", "--to", "12", code=2)
    assert "not a table of embeddings" in said
    said = astrocnn("outliers", embeddings, "--method", "forest", code=2)
    assert "isolation_forest" in said


def test_the_map_has_thumbnails_and_the_labels_of_the_run(home, embeddings, tmp_path):
    out = tmp_path / "map.html"
    printed = astrocnn("map", embeddings, "--images", home / "run", "--out", out)
    assert "160 of 160 objects have a thumbnail" in printed and "colored by morphology" in printed
    page = out.read_text()
    assert page.count("/9j/") >= 160 and "a small survey" in page
    colored = ("--colors", home / "sky/catalog.fits", "--columns", "mag_r")
    printed = astrocnn("map", embeddings, *colored, "--out", out)
    assert "colored by mag_r" in printed and "/9j/" not in out.read_text()
    said = astrocnn("map", embeddings, "--out", tmp_path / "map.png", code=2)
    assert "must be an HTML file" in said
    said = astrocnn("map", embeddings, "--columns", "mag_r", "--out", out, code=2)
    assert "in no table" in said
