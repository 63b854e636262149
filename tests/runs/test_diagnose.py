"""``astrocnn diagnose``: a table of findings, a figure, and an exit code."""

from __future__ import annotations

from astrocnn.runs.config import load_run
from astrocnn.runs.verbs import diagnose

from .command import astrocnn


def test_a_run_is_looked_at_from_labels_to_gradients(home):
    table, _, figure = diagnose.run(load_run(home / "run.toml"), home / "run")
    asked = list(table.columns[1].cells)
    said = dict(zip(asked, table.columns[0].cells, strict=True))
    assert set(asked) == {
        *("balance", "contradictions", "leakage", "inputs", "finite", "initial loss"),
        *("activations", "dead units", "gradients", "symmetry", "overfits"),
    }
    for what in ("contradictions", "leakage", "inputs", "finite", "symmetry", "overfits"):
        assert "ok" in said[what], list(table.columns[2].cells)
    assert figure == home / "run/figures/layers.png" and figure.stat().st_size > 5000


def words(table: str) -> str:
    """What a table says, without its lines and line breaks."""
    return " ".join(table.replace("│", " ").split())


def test_the_command_notices_constant_weights(home):
    run = home / "run.toml"
    constant = "model.options.initializer='constant'"
    said = astrocnn("diagnose", run, "--out", home / "run", "--set", constant, code=1)
    assert "figure:" in said and "initialize at random" in words(said)
