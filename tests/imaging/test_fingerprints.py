"""Images are told apart by samples of their files."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits

from astrocnn.imaging import Survey, open_source
from astrocnn.imaging.files import compute_digest, sample_rows


def test_content_counts_and_place_does_not(tmp_path):
    first = tmp_path / "a" / "tile.bin"
    first.parent.mkdir()
    first.write_bytes(np.random.default_rng(0).bytes(200_000))
    (tmp_path / "b").mkdir()
    copy = shutil.copy(first, tmp_path / "b" / "tile.bin")
    whole = compute_digest("r", [first])
    assert compute_digest("r", [copy]) == whole
    assert compute_digest("g", [first]) != whole
    cut = tmp_path / "b" / "tile.bin"
    cut.write_bytes(first.read_bytes()[:-1])
    assert compute_digest("r", [cut]) != whole
    changed = bytearray(first.read_bytes())
    changed[-1] ^= 1
    cut.write_bytes(changed)
    assert compute_digest("r", [cut]) != whole
    missing = compute_digest("r", [tmp_path / "none" / "tile.bin"])
    empty = tmp_path / "b" / "tile.bin"
    empty.write_bytes(b"")
    assert len({missing, whole, compute_digest("r", [empty])}) == 3


@pytest.mark.parametrize("n", [0, 1, 31, 33, 10**6])
def test_some_are_spread_over_all(n):
    some = sample_rows(n)
    assert len(some) == min(n, 32) == len(set(some.tolist()))
    if n:
        assert some[0] == 0 and some[-1] == n - 1


def test_stamps_written_anew_are_other_images(tmp_path):
    survey = Survey.from_dict(
        {"name": "s", "kind": "stamps", "bands": [{"name": "r", "image": "{id}.fits"}]}, tmp_path
    )
    ids = np.arange(3)
    for i in ids:
        fits.writeto(tmp_path / f"{i}.fits", np.full((8, 8), i, np.float32))
    before = open_source(survey, columns={"id": ids}, size=8).fingerprint
    assert open_source(survey, columns={"id": ids}, size=8).fingerprint == before
    assert open_source(survey, columns={"id": ids[::-1]}, size=8).fingerprint != before
    fits.writeto(tmp_path / "1.fits", np.full((8, 8), 9, np.float32), overwrite=True)
    assert open_source(survey, columns={"id": ids}, size=8).fingerprint != before
