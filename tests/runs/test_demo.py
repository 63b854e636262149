"""demo shows the commands that it runs; the run files of the demos are tried in `test_sciences`."""

from __future__ import annotations

import shlex

import pytest
import typer

from astrocnn.cli import app
from astrocnn.runs.verbs import demo

COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("task", demo.DEMOS)
def test_the_commands_that_it_shows_can_be_given(tmp_path, monkeypatch, task):
    given = []

    def record(name):
        def run(*arguments, **options):
            given.append((name, arguments, options))
            return iter(())

        return run

    for name in ("simulate", "train", "calibrate", "predict", "evaluate", "report"):
        monkeypatch.setattr(getattr(demo, name), "run", record(name))
    # The files that it names are made by the commands.
    monkeypatch.setattr(demo, "load_run", lambda path, overrides: path)
    shown: list[str] = []
    last = list(demo.run(tmp_path / "a b", task=task, objects=300, say=shown.append))[-1]
    assert str(tmp_path / "a b/run/report.html") in last
    lines = [line.strip() for line in shown if line.strip().startswith("$ astrocnn ")]
    assert len(lines) == len(given) == 6
    for line, (name, arguments, options) in zip(lines, given, strict=True):
        _, _, command, *words = shlex.split(line)
        assert command == name
        # As typer parses it: unknown options and missing arguments raise.
        context = COMMANDS[command].make_context(command, words, resilient_parsing=False)
        parsed = context.params
        folder = parsed["out"] if name in ("simulate", "train") else parsed["folder"]
        assert folder == (arguments[0] if name != "train" else arguments[1])
        for key, value in options.items():
            assert parsed[key] == value
