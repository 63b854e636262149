"""kill -9 at any moment, and the same command again: the file is the same to the last byte."""

from __future__ import annotations

import signal

from astrocnn.prediction import predict
from tests import processes

from . import killable


def test_two_at_once_end_with_one_table(fake, tmp_path):
    catalog, source = fake.survey()
    way = {"draws": 2, "pdf": "int16", "extras": (fake.Brightness(), fake.Counted())}
    whole = predict(fake.Photometric(2), catalog, source, tmp_path / "a.fits", **way)
    folder, log = tmp_path / "together", tmp_path / "log"
    folder.mkdir()
    out = folder / "b.fits"
    processes.finish(log, *(processes.start(log, killable.main, out) for _ in range(2)))
    assert out.read_bytes() == whole.read_bytes()
    assert [path.name for path in folder.iterdir()] == ["b.fits"]


def test_killed_and_started_again(fake, tmp_path):
    catalog, source = fake.survey()
    way = {"draws": 2, "pdf": "int16", "extras": (fake.Brightness(), fake.Counted())}
    whole = predict(fake.Photometric(2), catalog, source, tmp_path / "a.fits", **way)
    out, log = tmp_path / "b.fits", tmp_path / "log"
    # In the third of five parts; then, after two puts for each part left, while they are merged.
    for moment, count, parts in (("sample", 3, 2), ("put", 13, 5)):
        process = processes.start(log, killable.main, out, moment, count)
        process.join(300)
        assert process.exitcode == -signal.SIGKILL, (moment, log.read_text())
        assert not out.exists()
        assert len(list((tmp_path / "b.fits.parts").glob("part-*"))) == parts
    again = fake.Photometric(2)
    predict(again, catalog, source, out, **way)
    assert again.calls == 0
    assert out.read_bytes() == whole.read_bytes()
