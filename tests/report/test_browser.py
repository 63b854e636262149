"""Reports in a real browser; skipped where none is installed."""

from __future__ import annotations

import pytest

from astrocnn.report import Chapter, Headline, Picture, Table, new_figure, write_report
from tests.report.browser import assert_readable, inspect_page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_report_is_readable_on_a_telephone(tmp_path, dark):
    wide, axes = new_figure(7.1, 3.0)
    axes.plot([0, 1], [0, 1])
    scores = Table(
        ["Score", *(f"Method {k}" for k in range(8))],
        [["Accuracy\nof 1000 objects", *["0.912 [0.901, 0.923]"] * 8]],
        "Scores",
        numeric=True,
    )
    layers = Table(
        ["Layer", "Shape"], [["a_long_name_of_a_layer_" * 3, "1"]], "Layers", folded=True
    )
    path = write_report(
        tmp_path / "r.html",
        title="A report",
        subtitle="of a test",
        headline=Headline(
            "Accuracy", "91.2 %", "95 %", [("Prior", "50 %", "")], "On 1000 objects."
        ),
        chapters=[
            Chapter("Scores", ["/a/path/without/any/blank" * 8], (), [scores, layers]),
            Chapter("Figures", ["Text."], [Picture(wide, "A line.", raster=True)]),
        ],
        footer="end",
    )
    assert_readable(inspect_page(path, 400, dark))


def test_what_would_be_wrong_with_a_page_is_found(tmp_path):
    (tmp_path / "bad.html").write_text(
        "<!DOCTYPE html><title>bad</title><h1>one</h1><h3>three</h3>"
        "<p style='color: #999'>faint</p><div style='width: 900px'>wide</div>"
        "<img src='http://example.invalid/missing.png'><script>undefined_name()</script>"
    )
    page = inspect_page(tmp_path / "bad.html")
    assert page.headings == [1, 3] and page.language == ""
    assert page.faint == [["faint", pytest.approx(2.85, abs=0.01)]]  # by WebAIM's calculator
    assert page.width >= 900 and len(page.wide) == 1
    assert page.images == [["", 0]]
    assert page.requests == ["http://example.invalid/missing.png"]
    assert any("undefined_name" in message for message in page.messages)
