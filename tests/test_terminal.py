"""Text and tables at several widths of a terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from astrocnn.report import Table
from astrocnn.terminal import build_table, wrap_lines

MESSAGE = """The survey file has one mistake.
  received: tiles/a_very_long_name_of_a_folder/and_a_very_long_name_of_a_file_r.fits
  try:      a name of an image that exists, such as those that are there already"""


def render(table, width: int) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [30, 40, 80, 140])
def test_words_and_paths_stay_whole(width):
    wrapped = wrap_lines(MESSAGE, width)
    assert wrapped.split() == MESSAGE.split()
    assert all(len(line) <= width or "/" in line for line in wrapped.splitlines())
    command = "$ astrocnn train " + 30 * "a " + "b"
    assert wrap_lines("\n" + command, width) == "\n" + command


def test_continued_lines_are_below_the_text():
    lines = wrap_lines(MESSAGE, 50).splitlines()
    last = lines[[line.startswith("  try:") for line in lines].index(True) + 1]
    assert last.startswith(12 * " ") and last[12] != " "


@pytest.mark.parametrize("width", [80, 140])
def test_a_table_fits_in_the_terminal_and_no_number_is_broken(width):
    columns = ["models", "difference", "only first correct", "only second correct", "McNemar p"]
    rows = [["1 - 2", "-10.25 % [-12.75, -7.75]", "1234", "1235", "0.0012"]]
    lines = render(Table(columns, rows, "Differences", numeric=True).to_rich(), width)
    assert all(len(line.rstrip()) <= width for line in lines)
    assert all(cell in lines[-1] for cell in rows[0])


def test_text_of_a_table_is_broken_and_never_cut():
    table = build_table("Findings", ("", ""))
    table.add_row("ok", "one two three four five six seven eight nine ten")
    table.add_row("ok", "a" * 50)
    text = "".join("".join(line[4:] for line in render(table, 30)).split())
    assert "onetwothreefourfivesixseveneightnineten" in text and "a" * 50 in text
