"""Progress in a notebook: one output that is drawn anew, and nothing for short work."""

from __future__ import annotations

import re

import pytest

from astrocnn import progress
from astrocnn.progress import Meter, track


class Handle:
    """What IPython gives for a display that can change."""

    def __init__(self, outputs):
        self.outputs = outputs

    def update(self, shown):
        self.outputs[-1].append(shown.data)


@pytest.fixture
def outputs(monkeypatch):
    """The outputs of a cell: for each, what it showed one after another."""
    display = pytest.importorskip("IPython.display", reason="IPython is not installed")
    outputs: list[list[str]] = []

    def show(shown, *, display_id):
        assert display_id is True
        outputs.append([shown.data])
        return Handle(outputs)

    monkeypatch.setattr(display, "display", show)
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    monkeypatch.setattr(progress, "_PERIOD", 0.0)
    return outputs


def test_work_of_two_seconds_leaves_no_trace(outputs):
    assert list(track(range(5), "cutting")) == [0, 1, 2, 3, 4]
    assert outputs == []


def test_a_bar_is_one_output_and_ends_as_a_line(outputs, monkeypatch, capsys):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    assert list(track(iter("abc"), "cutting <x>", total=3)) == ["a", "b", "c"]
    assert len(outputs) == 1
    *bars, last = outputs[0]
    values = [int(re.search(r"value='(\d+)'", bar).group(1)) for bar in bars]
    assert values == [1, 2, 3] and all("max='3'" in bar for bar in bars)
    assert "<progress" not in last and "cutting &lt;x&gt; 3/3 in 0:00:00" in last
    assert capsys.readouterr() == ("", "")


def test_notes_and_rates_are_shown(outputs, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    with Meter("training, epochs", 4) as meter:
        meter.advance(1, note="loss 0.5")
    with Meter("predicting", 2, "objects") as meter:
        meter.advance(1, 1000, "2 workers")
    training, predicting = outputs
    assert "training, epochs 1/4" in training[0] and "loss 0.5" in training[-1]
    assert re.search(r"[\d.e+]+ objects/s, 2 workers", predicting[0])


def test_without_terminal_and_notebook_nothing_is_shown(monkeypatch, capsys):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    assert list(track(range(3), "cutting")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_lines_of_a_terminal_stand_above_the_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    with Meter("training", 2) as meter:
        meter.write("one [line]")
        meter.advance(1, note="a note")
    said = capsys.readouterr().err
    assert "one [line]" in said and "a note" not in said
    with Meter("training", 0) as meter:
        meter.write("nothing to do")
    assert capsys.readouterr().err == ""
