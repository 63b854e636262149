from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree

import pytest

from astrocnn.report import Chapter, Headline, Picture, Table, new_figure, write_report
from tests.report.reading import Page


@pytest.fixture
def figure():
    figure, axes = new_figure()
    axes.plot([0, 1], [0, 1])
    return figure


def test_text_is_escaped_and_folded_tables_open_on_demand(tmp_path):
    cells = [["<script>alert(1)</script>", "x & y"]]
    table = Table(["a", "b"], cells, "Layers", folded=True)
    path = write_report(
        tmp_path / "r.html",
        title="t",
        headline=Headline("Accuracy", "90 %", "", [("Cut", "50 %", "")]),
        chapters=[Chapter("All layers", tables=[table])],
        footer="end",
    )
    page = Page(path)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script>alert(1)</script>" in page.text and "x & y" in page.text
    assert len(page.find("details")) == 1 and len(page.find("caption")) == 0
    assert page.text.count("Layers") == 1  # as the line that opens the table


def test_cells_stand_in_their_rows_with_remarks_in_small_print(tmp_path):
    table = Table(["Score", "Model"], [["Accuracy\nof 10 objects", "0.9"], ["F1", "0.8"]], "Scores")
    facts = Table(["", ""], [["Epochs", "3"]])
    path = write_report(
        tmp_path / "r.html", title="t", chapters=[Chapter("A", (), (), [table, facts])]
    )
    page = Page(path)
    assert page.rows == [
        ["Score", "Model"],
        ["Accuracy | of 10 objects", "0.9"],
        ["F1", "0.8"],
        ["Epochs", "3"],  # no empty heading
    ]
    assert [a.get("scope") for a in page.find("th")] == ["col", "col", "row", "row", "row"]


def test_chapters_are_linked_by_unique_anchors(tmp_path):
    titles = ["Scores", "What the network uses: images", "\u03b1 & \u03b2 2"]
    chapters = [Chapter(title, [f"text of {title}"]) for title in titles]
    assert [c.anchor for c in chapters] == ["scores", "what-the-network-uses-images", "2"]
    page = Page(write_report(tmp_path / "r.html", title="t", chapters=chapters))
    links = [a["href"] for a in page.find("a")]
    assert links == ["#" + a["id"] for a in page.find("section") if "id" in a]


def test_figures_are_embedded_with_alternative_text_and_width(tmp_path, figure):
    wide, _ = new_figure(7.1, 3.0)
    pictures = [
        Picture(figure, "A caption.", "What it shows."),
        Picture(wide, "Its caption is its alternative.", raster=True),
    ]
    page = Page(write_report(tmp_path / "r.html", title="t", chapters=[Chapter("A", (), pictures)]))
    first, second = page.find("img")
    assert (first["alt"], second["alt"]) == ("What it shows.", "Its caption is its alternative.")
    kind, _, data = first["src"].partition(";base64,")
    assert kind == "data:image/svg+xml"
    assert ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg")
    assert base64.b64decode(second["src"].partition(",")[2])[1:4] == b"PNG"
    widths = [a["style"] for a in page.find("figure")]
    assert widths == [f"width: {round(3.46 * 91)}px", "width: 100%"]


def test_a_page_has_no_script_and_no_external_resource(tmp_path, figure):
    chapters = [Chapter("A", ["text"], [Picture(figure, "caption")])]
    path = write_report(tmp_path / "deep" / "er" / "r.html", title="t", chapters=chapters)
    page = Page(path)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    text = re.sub(r'src="data:[^"]*"', "", path.read_text("utf-8"))
    assert "http" not in text and "url(" not in text and "@import" not in text


def test_a_report_is_replaced_and_the_same_bytes_each_time(tmp_path, figure):
    def write(title):
        chapters = [Chapter("A", ["text"], [Picture(figure, "caption")])]
        return write_report(tmp_path / "r.html", title=title, chapters=chapters).read_bytes()

    first = write("one")
    assert write("two") != first and write("one") == first
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_headline_shows_the_model_and_each_baseline(tmp_path):
    headline = Headline(
        "Accuracy, shape", "90 %", "95 % interval [88, 92]", [("Cut", "50 %", "[48, 52]")], "On 9."
    )
    path = write_report(tmp_path / "r.html", title="t", chapters=[], headline=headline)
    text = Page(path).text
    for words in ("Accuracy, shape", "90 %", "[88, 92]", "Cut", "50 %", "[48, 52]", "On 9."):
        assert words in text


def test_a_table_for_the_terminal_has_the_same_cells():
    table = Table(["Score", "Model"], [["Accuracy", "0.9"], ["F1", "0.8"]], "Scores", numeric=True)
    rich = table.to_rich()
    assert rich.title == "Scores"
    assert [column.header for column in rich.columns] == ["Score", "Model"]
    assert [list(column.cells) for column in rich.columns] == [["Accuracy", "F1"], ["0.9", "0.8"]]
    assert [column.justify for column in rich.columns] == ["left", "right"]
