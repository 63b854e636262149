"""`embed`, `similar` and `outliers` on a trained run."""

from __future__ import annotations

import shlex

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
    assert "2 objects, in order." in page
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


def test_tables_of_a_run_need_no_option_for_identifiers_of_any_name(home, tmp_path):
    catalog = Table.read(home / "sky/catalog.fits")
    catalog["stamp"] = [f"s{k:03d}" for k in range(len(catalog))]
    named, out = tmp_path / "named.fits", tmp_path / "e.fits"
    catalog.write(named)
    run, images = home / "run", ("--images", home / "run", "--catalog", named)
    astrocnn("embed", run, "--catalog", named, "--id", "stamp", "--out", out)
    vectors = Table.read(out)
    first = str(vectors["stamp"][(vectors["flags"] & int(Flag.NOT_PREDICTED)) == 0][0])
    like, odd = tmp_path / "like.csv", tmp_path / "odd.csv"
    astrocnn("similar", out, "--to", first, "-n", 5, "--out", like, *images)
    assert Table.read(like)["stamp"][0].startswith("s")
    astrocnn("outliers", out, "-n", 5, "--out", odd, *images)
    table = Table.read(odd)
    table["score"] = [5.0, 0, 1, 0, 2]
    table.write(tmp_path / "mine.csv")
    scores = ("--scores", tmp_path / "mine.csv", "--out", tmp_path / "odd2.csv")
    astrocnn("outliers", out, *scores)
    page = ("--out", tmp_path / "map.html", "--colors", named, "--columns", "mag_r")
    assert "160 of 160" in astrocnn("map", out, *page, *images)
    chosen = tmp_path / "chosen.csv"
    given = ("--catalog", named, "--id", "stamp", "-n", 4, "--images", "--out", chosen)
    catalog["morphology"] = ""
    catalog.write(named, overwrite=True)
    astrocnn("acquire", run, *given)
    assert (tmp_path / "chosen.html").is_file()
    run_file = tmp_path / "run.toml"
    text = (home / "run.toml").read_text().replace("sky/survey", f"{home}/sky/survey")
    run_file.write_text(text.replace('sky/catalog.fits"', f'{named}"\nid = "stamp"'))
    for extra in ((), ("--catalog", named)):
        label = ("--run", run_file, "--out", tmp_path / "l.html", *extra)
        assert "4 objects" in astrocnn("label", chosen, *label)


@pytest.mark.parametrize("verb", ["similar", "outliers", "map"])
def test_images_that_are_not_asked_for_are_not_described(home, embeddings, tmp_path, verb):
    to = ("--to", "12") if verb == "similar" else ()
    said = astrocnn(verb, embeddings, *to, "--survey", home / "sky/survey.toml", code=2)
    assert "--images" in said


def test_the_next_command_can_be_given(home, embeddings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = astrocnn("outliers", embeddings, "-n", 5, "--images", home / "run")
    words = shlex.split(printed.partition("next: astrocnn ")[2])
    assert "5 objects" in astrocnn(*words)
