"""``astrocnn find-lr``: a suggestion and a figure, and the folder stays free for the training."""

from __future__ import annotations

import re
import shlex

from .command import MODEL, astrocnn

FAST = ("--set", "training.batch_size=40")


def test_it_suggests_a_rate_and_leaves_the_folder_free(home, tmp_path):
    out = tmp_path / "run"
    said = astrocnn("find-lr", home / "run.toml", "--out", out, *FAST)
    rate = float(re.search(r"learning_rate\s=\s(\S+),", said)[1])
    assert 1e-5 < rate < 0.2
    words = shlex.split(said.splitlines()[-1])
    assert words[:4] == ["next:", "astrocnn", "train", str(home / "run.toml")]
    assert words[4:] == ["--out", str(out), *FAST, "--set", f"training.learning_rate={rate:.1e}"]
    assert {p.name for p in (out / "figures").iterdir()} == {
        "learning_rate.png",
        "learning_rate.svg",
    }
    # Another learning rate is another run, so the folder must not belong to one yet.
    assert not (out / "config.toml").exists() and not (out / "model").exists()


def test_a_classical_method_has_no_learning_rate(home, tmp_path):
    run = (home / "run.toml").read_text().replace(MODEL, '\nmethod = "knn"\n')
    (home / "classical.toml").write_text(run)
    said = astrocnn("find-lr", home / "classical.toml", "--out", tmp_path / "x", code=2)
    assert "no network" in said
