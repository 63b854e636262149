"""The model card of an exported network."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from astrocnn.export import FORMATS, Training, export_network
from astrocnn.metrics import Score

from .test_export import CLASSES, network, objects


def training(**options):
    return Training(
        "A | run: 'of' \"tests\"",
        CLASSES,
        "lenet",
        {"Catalogue": "galaxies.fits", "Objects with labels": "800 train, 100 test"},
        scores=[
            Score("accuracy", 0.912, 0.881, 0.94, 340, 2, "no label", "kind"),
            Score("completeness_a", 0.8, 0.7, 0.9, 340, 0, "", "kind"),
            Score("auc", float("nan"), float("nan"), float("nan"), 340, 0, "", "merger"),
        ],
        baselines={"Majority": [Score("accuracy", 0.4, 0.35, 0.45, 340, 0, "", "kind")]},
        times_scored=2,
        **options,
    )


def parse(folder):
    """Front matter and text."""
    start, front, text = (folder / "README.md").read_text().split("---\n", 2)
    assert start == ""
    return yaml.safe_load(front), text


@pytest.mark.parametrize("format", FORMATS)
def test_the_example_of_the_card_runs_as_it_stands(format, tmp_path):
    folder = tmp_path / "net"
    export_network(
        network(), folder, *objects(), format=format, training=training(), license="cc-by-4.0"
    )
    front, text = parse(folder)
    assert front["license"] == "cc-by-4.0" and front["library_name"] == "keras"
    assert {"astronomy", "astrocnn"} <= set(front["tags"])
    code = text.split("```python\n")[1].split("```")[0]
    assert 10 <= len(code.splitlines()) <= 16
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.strip().splitlines()[-1]
    assert shown.startswith("['") and set(shown) <= set("[]'abc, ")


def test_scores_stand_with_intervals_and_baselines(tmp_path):
    export_network(network(), tmp_path / "net", *objects(), training=training())
    front, text = parse(tmp_path / "net")
    (model,) = front["model-index"]
    (result,) = model["results"]
    assert model["name"] == "A | run: 'of' \"tests\"" and result["dataset"]["split"] == "test"
    (metric,) = result["metrics"]  # neither those of one class, nor undefined ones
    assert metric["type"] == "accuracy" and metric["value"] == 0.912
    assert "95% interval [88.1, 94.0]" in metric["name"]
    row = next(line for line in text.splitlines() if line.startswith("| Accuracy"))
    assert "91.2 %" in row and "[88.1, 94.0]" in row and "40.0 %" in row
    assert "scored 2 times" in text and "The training data are simulated" not in text
    for line in (
        "| unit | nJy |",
        "| bands, in this order | g, r, i |",
        "| pixel scale | 0.3 arcsec |",
    ):
        assert line in text
    assert "The probabilities are not calibrated." in text
    assert "largest difference from the trained network" in text


def test_simulated_data_are_called_simulated(tmp_path):
    made = export_network(
        network(),
        tmp_path / "net",
        *objects(),
        draws=2,
        training=Training("t", CLASSES, "lenet", simulated=True),
    )
    front, text = parse(tmp_path / "net")
    assert "simulated-data" in front["tags"] and front["license"] == "unknown"
    assert "**The training data are simulated.**" in text and "untested on any telescope" in text
    assert "has not been scored" in text and "2 draws of Monte-Carlo dropout" in text
    assert made.config["draws"] == 2 and "model-index" not in front
