"""`label` on a simulated survey: the page, and its table as the catalogue of a run."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.errors import ConfigError
from astrocnn.labeling import table_header
from astrocnn.runs.run import Run
from astrocnn.runs.verbs import label

from .command import astrocnn


def content_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])


def test_the_table_of_labels_is_the_catalogue_of_a_run(home, tmp_path):
    out = tmp_path / "label.html"
    printed = astrocnn("label", home / "sky/catalog.fits", "--run", home / "run.toml", "--out", out)
    assert "160 objects" in printed and "6 of 166 objects have no usable image" in printed
    content = content_of(out)
    header, truth = table_header(content), Run.open(home / "run").catalog.table["morphology"]
    assert "morphology" not in content["columns"]  # what is known does not suggest an answer
    with (tmp_path / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        for row, usable, name in zip(content["rows"], content["usable"], truth, strict=True):
            if usable:
                writer.writerow([*row, str(name), "", "0", "0", "", "1.0"])
    said = astrocnn("check", home / "run.toml", "--set", f"catalog.file={tmp_path / 'labels.csv'}")
    assert "160" in said and "next: astrocnn train" in said


def test_objects_of_another_table_with_classes_of_ones_own(home, tmp_path):
    catalog = Table.read(home / "sky/catalog.fits")
    chosen = catalog[[20, 11, 5]]["id",]
    chosen.write(tmp_path / "some.csv", format="ascii.csv")
    out = tmp_path / "l.html"
    given = ("--survey", home / "sky/survey.toml", "--classes", "yes,no,maybe", "--size", 32)
    whole = ("--catalog", home / "sky/catalog.fits", "--out", out)
    astrocnn("label", tmp_path / "some.csv", *given, *whole)
    content = content_of(out)
    assert [row[content["id"]] for row in content["rows"]] == [str(i) for i in chosen["id"]]
    assert content["size"] == 32 and content["questions"][0]["answers"][2]["values"] == {
        "label": "maybe"
    }
    printed = iter(
        label.run(
            home / "sky/catalog.fits", out=out, of=home / "run", serve=tmp_path / "labels.csv"
        )
    )
    lines = [next(printed) for _ in range(3)]
    printed.close()
    assert "saved to" in lines[1] and re.search(r"http://127\.0\.0\.1:\d+/[\w-]{20,}/", lines[2])


def test_labels_become_a_fits_table(home, tmp_path, monkeypatch):
    catalog = Table.read(home / "sky/catalog.fits")[:3]["id", "ra", "dec"]
    catalog.write(tmp_path / "some.fits")

    def answer(server):
        row = ",".join(server.content["rows"][1])
        blank = "," * (len(server.header) - len(server.content["columns"]) - 1)
        assert server.save(f"{','.join(server.header)}\n{row},spiral{blank}\n".encode()) == ""
        raise KeyboardInterrupt

    monkeypatch.setattr(label.LabelServer, "serve_forever", answer)
    out = {"out": tmp_path / "l.html", "serve": tmp_path / "labels.fits"}
    printed = [*label.run(tmp_path / "some.fits", of=home / "run", **out)]
    assert "labels.fits" in printed[-1] and (tmp_path / "labels.csv").is_file()
    table = Table.read(tmp_path / "labels.fits", hdu="LABELS")
    assert table["id"].tolist() == [catalog["id"][1]] and table["id"].dtype.kind == "i"
    assert str(table["morphology"][0]) == "spiral"
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(ConfigError, match="not replaced"):
        next(iter(label.run(tmp_path / "some.fits", of=home / "run", **out)))


def test_what_cannot_be_labelled_is_one_message(home, tmp_path):
    catalog = home / "sky/catalog.fits"
    out = ("--out", tmp_path / "l.html")
    assert "which images to show" in astrocnn("label", catalog, *out, code=2)
    assert "does not exist" in astrocnn("label", "no.fits", "--run", home / "run", *out, code=2)
    Table({"id": np.array([5, 6])}).write(tmp_path / "other.fits")
    said = astrocnn(
        "label", tmp_path / "other.fits", "--run", home / "run", "--catalog", catalog, *out, code=2
    )
    assert "not in the catalogue" in said
    (tmp_path / "twice.csv").write_text("id,ra,dec\n1,10,0\n1,10,0\n")
    said = astrocnn("label", tmp_path / "twice.csv", "--run", home / "run", *out, code=2)
    assert "identifier" in said
    said = astrocnn("label", catalog, "--run", home / "run", "--serve", "l.txt", *out, code=2)
    assert "CSV" in said
    (tmp_path / "mine.csv").write_text("my,notes\n1,2\n")
    said = astrocnn(
        "label", catalog, "--run", home / "run", "--serve", tmp_path / "mine.csv", *out, code=2
    )
    assert "not replaced" in said


def test_objects_to_label_are_chosen_from_a_catalogue(home, tmp_path):
    catalog = Table.read(home / "sky/catalog.fits")
    catalog.remove_column("morphology")
    catalog.write(tmp_path / "new.fits")
    out = tmp_path / "next.csv"
    given = ("--catalog", tmp_path / "new.fits", "-n", 20, "--out", out)
    printed = astrocnn("acquire", home / "run", *given, "--images")
    assert "20 objects, 4 of them by chance" in printed and "next: astrocnn label" in printed
    table = Table.read(out, format="ascii.csv")
    assert len(table) == 20 and set(table["id"].tolist()) <= set(catalog["id"].tolist())
    assert out.with_suffix(".html").is_file()
    page = tmp_path / "l.html"
    whole = ("--run", home / "run", "--catalog", tmp_path / "new.fits", "--out", page)
    astrocnn("label", out, *whole)
    shown = [row[0] for row in content_of(page)["rows"]]
    assert shown == [str(i) for i in table["id"]]
    said = astrocnn("acquire", home / "run", "--method", "best", "--out", out, code=2)
    assert "batchbald" in said
