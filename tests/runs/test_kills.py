"""Commands that are killed at random moments end as if they had not been; more by `make kills`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_few_kills():
    # In a process without threads, which can be forked.
    command = [sys.executable, "-m", "tests.kills", "5", "--seed", "1"]
    only = [
        word for name in ("cutouts", "train", "calibrate", "predict") for word in ("--only", name)
    ]
    done = subprocess.run([*command, *only], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 differences" in done.stdout
