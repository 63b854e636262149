"""Byte ranges of remote files: algebra against sets of integers, extents, and their faults."""

from __future__ import annotations

import io
import os
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocnn import block_cache, remote
from astrocnn.errors import ImageError, MissingFileError, RemoteError
from astrocnn.remote import Status, Url

URL = Url("memory://archive/tile.fits")
CONTENT = np.random.default_rng(5).integers(0, 256, 5000, np.uint8).tobytes()

pairs = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 15)), max_size=8)


def build(drawn) -> np.ndarray:
    return np.array([(at, at + n) for at, n in drawn], np.int64).reshape(-1, 2)


def collect(ranges: np.ndarray) -> set[int]:
    return {byte for start, stop in ranges.tolist() for byte in range(start, stop)}


def check_apart(ranges: np.ndarray) -> None:
    assert (ranges[:, 1] > ranges[:, 0]).all() and (ranges[1:, 0] > ranges[:-1, 1]).all()


@settings(max_examples=25)
@given(pairs, pairs)
def test_ranges_are_sets_of_bytes(first, second):
    a, b = build(first), build(second)
    for result, expected in (
        (block_cache.unite(a), collect(a)),
        (block_cache.subtract(a, b), collect(a) - collect(b)),
    ):
        assert collect(result) == expected
        check_apart(result)
    if len(a) and len(b):
        overlap = bool(collect(a) & collect(b))
        assert block_cache._overlap(block_cache.unite(a), block_cache.unite(b)) == overlap


@settings(max_examples=25)
@given(pairs.filter(len), st.floats(0, 1))
def test_merging_wastes_no_more_than_its_share(drawn, waste):
    ranges = build(drawn)
    merged = block_cache.merge(ranges, waste)
    needed, read = collect(ranges), collect(merged)
    assert needed <= read and len(read) - len(needed) <= waste * len(needed)
    assert len(merged) <= len(block_cache.unite(ranges))
    # The smallest gap that is left would have been too much.
    gaps = merged[1:, 0] - merged[:-1, 1]
    assert not len(gaps) or len(read) - len(needed) + gaps.min() > waste * len(needed)
    assert block_cache.merge(ranges, 0).tolist() == block_cache.unite(ranges).tolist()


@settings(max_examples=25)
@given(pairs, st.integers(0, 40), st.integers(1, 40))
def test_copies_stay_within_the_buffer(drawn, first, length):
    ranges = block_cache.unite(build(drawn))
    data = b"".join(CONTENT[a:b] for a, b in ranges.tolist())
    buffer = bytearray(b"\xff" * length)
    taken = collect(block_cache._copy(buffer, first, ranges, data))
    assert taken == collect(ranges) & set(range(first, first + length))
    expected = [CONTENT[k] if k in taken else 255 for k in range(first, first + length)]
    assert list(buffer) == expected


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A file whose server is a function; what it was asked for."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    state = SimpleNamespace(asked=[], status=Status(len(CONTENT), "etag 1"))

    def read(url, ranges):
        state.asked += ranges
        return [CONTENT[a:b] for a, b in ranges]

    monkeypatch.setattr(block_cache, "read_ranges", read)
    monkeypatch.setattr(block_cache, "get_statuses", lambda urls: {URL: state.status})
    block_cache._files.clear()
    remote._statuses.clear()
    yield state
    block_cache._files.clear()


def fill(file, *ranges) -> bytes:
    buffer = bytearray(len(CONTENT))
    present = file.fill(buffer, 0, np.array(ranges))
    for start, stop in present.tolist():
        assert buffer[start:stop] == CONTENT[start:stop]
    for start, stop in ranges:
        assert collect(np.array([[start, stop]])) <= collect(present)
    return bytes(buffer)


def test_only_what_is_missing_is_asked_for(archive):
    file = block_cache.open_remote(URL)
    assert block_cache.open_remote(URL) is file
    fill(file, (0, 100), (3000, 3100))
    assert archive.asked == [(0, 100), (3000, 3100)]
    fill(file, (50, 150), (3000, 3050))
    assert archive.asked[2:] == [(100, 150)]
    # A new process finds the three extents on the disk.
    block_cache._files.clear()
    again = block_cache.open_remote(URL)
    fill(again, (0, 150), (3050, 3100))
    assert len(archive.asked) == 3 and again.status == archive.status
    # Bytes that are in the buffer already are neither read nor copied.
    present = again.fill(bytearray(150), 0, np.array([[0, 150]]), np.array([[0, 150]]))
    assert present.tolist() == [[0, 150]] and len(archive.asked) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: b"{}\n" + content,
        lambda content: content.replace(b'"n":1', b'"n":0'),
        lambda content: content.replace(b'"n":1', b'"n":9'),
        lambda content: content.replace(b'"size":5000', b'"size":99'),
        lambda content: content.replace(b"memory:", b"memory;"),
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    ],
)
def test_damaged_extents_are_removed_and_read_anew(archive, damage):
    file = block_cache.RemoteFile(URL)
    fill(file, (1000, 1200))
    (path,) = file.folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    fill(block_cache.RemoteFile(URL), (1000, 1200))
    assert archive.asked == [(1000, 1200)] * 2
    fill(block_cache.RemoteFile(URL), (1000, 1200))
    assert len(archive.asked) == 2


def test_extents_of_the_newest_version_stay(archive):
    file = block_cache.RemoteFile(URL)
    fill(file, (0, 10))
    (old,) = file.folder.iterdir()
    os.utime(old, (1, 1))
    file.status = Status(len(CONTENT), "etag 2")
    file._extents = []
    fill(file, (0, 11))
    again = block_cache.RemoteFile(URL)
    assert again.status.version == "etag 2" and not old.exists()


def test_a_file_that_changes_or_goes_is_one_sentence(archive):
    fill(block_cache.RemoteFile(URL), (0, 10))
    kept = block_cache.RemoteFile(URL)
    archive.status = Status(len(CONTENT), "etag 2")
    with pytest.raises(ImageError, match="written anew") as caught:
        kept.validate()
    assert "etag 2" in str(caught.value) and not kept.folder.exists()
    fill(block_cache.RemoteFile(URL), (0, 10))
    kept = block_cache.RemoteFile(URL)
    archive.status = None
    with pytest.raises(MissingFileError, match="does not exist any more"):
        kept.validate()
    kept._is_valid = True
    kept.validate()
    other = Url("memory://archive/other.fits")
    for status, error, words in (
        (None, MissingFileError, "does not exist"),
        (Status(None, "v"), RemoteError, "does not say how long"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(block_cache, "get_statuses", lambda urls, s=status: {other: s})
            with pytest.raises(error, match=words):
                block_cache.RemoteFile(other)


def test_a_stream_reads_as_a_file_in_memory(archive):
    rng = np.random.default_rng(0)
    ours, plain = block_cache.RemoteFile(URL).open(), io.BytesIO(CONTENT)
    for _ in range(60):
        whence = int(rng.integers(0, 3))
        # Python's own refuses positions before the first byte.
        low = {0: 0, 1: -plain.tell(), 2: -len(CONTENT)}[whence]
        offset = int(rng.integers(low, low + 6000))
        assert ours.seek(offset, whence) == plain.seek(offset, whence) == ours.tell()
        n = int(rng.integers(0, 700))
        assert ours.read(n) == plain.read(n)
    assert ours.seekable() and ours.readable() and not ours.writable()
    ours.close()
    count = len(archive.asked)
    # What was read of headers was kept when the stream was closed.
    assert block_cache.RemoteFile(URL).read(0, 0) == b"" and count
    again = block_cache.RemoteFile(URL)
    start, stop = archive.asked[0]
    assert again.read(start, stop) == CONTENT[start:stop] and len(archive.asked) == count


def test_small_reads_look_ahead_and_large_ones_do_not(archive, monkeypatch):
    monkeypatch.setattr(block_cache, "AHEAD", 1000)
    monkeypatch.setattr(block_cache, "_SMALL", 2000)
    file = block_cache.RemoteFile(URL)
    assert file.read(100, 110) == CONTENT[100:110]
    assert file.read(600, 1100) == CONTENT[600:1100]
    assert archive.asked == [(100, 1100)]
    assert file.read(4990, 9999) == CONTENT[4990:]
    assert file.read(1500, 4000) == CONTENT[1500:4000]
    assert archive.asked[1:] == [(4990, 5000), (1500, 4000)]


def test_a_whole_file_is_copied_once_a_version(archive, monkeypatch):
    monkeypatch.setattr(block_cache, "_STEP", 999)
    path = block_cache.fetch(URL)
    assert path.name == "tile.fits" and path.read_bytes() == CONTENT
    assert len(archive.asked) == 6 and archive.asked[-1] == (4995, 5000)
    assert block_cache.fetch(URL) == path and len(archive.asked) == 6
    path.write_bytes(CONTENT[:-1])
    assert block_cache.fetch(URL).read_bytes() == CONTENT and len(archive.asked) == 12


def test_the_least_recently_used_go_first(archive, tmp_path, monkeypatch):
    root = block_cache._root()
    root.mkdir(parents=True)
    for k in range(5):
        (root / f"f{k}").mkdir()
        (root / f"f{k}" / "a").write_bytes(bytes(100))
        os.utime(root / f"f{k}" / "a", (k + 1, k + 1))
    monkeypatch.setattr(block_cache, "MAX_CACHE", 250)
    monkeypatch.setattr(block_cache, "_written", 0)
    block_cache._trim(30)
    assert len(list(root.iterdir())) == 5  # not yet: an eighth of the limit was not written
    block_cache._trim(2, keep=root / "f0" / "a")
    assert sorted(p.name for p in root.iterdir()) == ["f0", "f4"]
