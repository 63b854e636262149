"""kill -9 at any moment, and the same command again: the file is the same to the last byte."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from astrocnn.prediction import predict

HERE = Path(__file__).parent

_JOB = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import conftest as fake
from astrocnn.prediction import chunks, predict, table_writer
chunks._MAX_ROWS = 64
out, moment, left = sys.argv[2], sys.argv[3], int(sys.argv[4])

def deadly(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call

if moment == "sample":
    fake.Photometric.sample = deadly(fake.Photometric.sample)
elif moment == "put":
    table_writer.RecordFile.put = deadly(table_writer.RecordFile.put)
catalog, source = fake.make_survey()
extras = (fake.Brightness(), fake.Counted())
predict(fake.Photometric(2), catalog, source, out, draws=2, pdf="int16", extras=extras)
"""


def test_two_at_once_end_with_one_table(fake, tmp_path):
    catalog, source = fake.survey()
    way = {"draws": 2, "pdf": "int16", "extras": (fake.Brightness(), fake.Counted())}
    whole = predict(fake.Photometric(2), catalog, source, tmp_path / "a.fits", **way)
    out = tmp_path / "b.fits"
    command = [sys.executable, "-c", _JOB, str(HERE), str(out), "never", "0"]
    jobs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for job in jobs:
        _, error = job.communicate(timeout=300)
        assert job.returncode == 0, error
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.fits", "b.fits"]


def test_killed_and_started_again(fake, tmp_path):
    catalog, source = fake.survey()
    way = {"draws": 2, "pdf": "int16", "extras": (fake.Brightness(), fake.Counted())}
    whole = predict(fake.Photometric(2), catalog, source, tmp_path / "a.fits", **way)
    out = tmp_path / "b.fits"
    # In the third of five parts; then, after two puts for each part left, while they are merged.
    for moment, count, parts in (("sample", 3, 2), ("put", 13, 5)):
        command = [sys.executable, "-c", _JOB, str(HERE), str(out), moment, str(count)]
        died = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert died.returncode == -signal.SIGKILL, (moment, died.stderr)
        assert not out.exists()
        assert len(list((tmp_path / "b.fits.parts").glob("part-*"))) == parts
    again = fake.Photometric(2)
    predict(again, catalog, source, out, **way)
    assert again.calls == 0
    assert out.read_bytes() == whole.read_bytes()
