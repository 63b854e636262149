from __future__ import annotations

import csv
import re

import numpy as np
import pytest

from astrocnn.training import History
from astrocnn.training.history import format_epoch


def _history() -> History:
    rows = [{"epoch": e, "loss": 1.0 / e, "val_loss": 1.1 / e, "seconds": 0.5} for e in (1, 2, 3)]
    return History(rows, best_epoch=3)


def test_csv_holds_every_row(tmp_path):
    history = _history()
    history.rows.append({"epoch": 4, "loss": 0.1, "extra": 7.0, "seconds": 0.5})
    history.write_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[2]["loss"]) == pytest.approx(1 / 3, abs=1e-9)
    assert [row["extra"] for row in rows] == ["", "", "", "7"]
    assert list(tmp_path.iterdir()) == [tmp_path / "history.csv"]


def test_json_gives_it_back():
    assert History.from_json(_history().to_json()) == _history()


def test_columns_are_arrays_with_nan_for_absent():
    history = _history()
    del history.rows[0]["val_loss"]
    np.testing.assert_allclose(history["val_loss"], [np.nan, 1.1 / 2, 1.1 / 3])
    with pytest.raises(KeyError, match="val_loss"):
        history["loos"]


def test_it_becomes_a_dictionary_of_columns():
    history = _history()
    found = dict(history)
    assert tuple(found) == history.columns
    np.testing.assert_array_equal(found["val_loss"], history["val_loss"])


@pytest.mark.parametrize("width", [40, 80, 140])
def test_a_line_of_an_epoch_fits_in_the_terminal_and_is_below_its_headings(width):
    row = {"epoch": 7.0, "loss": 0.123456, "spiral_accuracy": 0.75, "val_loss": 21.5}
    row |= {"val_spiral_accuracy": 0.5, "learning_rate": 2e-3, "seconds": 12.34}
    line, heading = format_epoch(row, 100, True, width)
    assert len(line) <= width and len(heading) <= width
    assert line.split()[0] == "7/100" and line.endswith("best")
    names, values = heading.split(), line.removesuffix("best").split()
    columns = {40: [], 80: ["loss", "val_loss", "val_spiral_accuracy"]}.get(
        width, ["loss", "val_loss", "val_spiral_accuracy", "spiral_accuracy"]
    )
    assert names == ["epoch", *columns, "rate", "s"]
    assert columns == [] or values[1:4] == ["0.1235", "21.5", "0.5"]
    ends = [[word.end() for word in re.finditer(r"\S+", text)] for text in (heading, line)]
    assert ends[0] == ends[1][: len(names)]
