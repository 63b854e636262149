"""Commands that are killed at random moments end as if they had not been; more by `make kills`."""

from __future__ import annotations

from tests import kills, processes


def test_a_few_kills(tmp_path):
    commands = ("cutouts", "train", "calibrate", "predict")
    only = [word for name in commands for word in ("--only", name)]
    log = tmp_path / "log"
    processes.finish(log, processes.start(log, kills.main, ["4", "--most", "1", *only]))
    said = log.read_text()
    assert ", 0 differences" in said
    assert all(f"{name} 1" in said for name in commands)
