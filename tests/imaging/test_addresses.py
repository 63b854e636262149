"""Addresses of files, and what becomes of each answer of a server, without a server."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocnn import remote
from astrocnn.errors import ConfigError, ImageError, MissingFileError, RemoteError
from astrocnn.remote import Status, Url, find_urls, get_statuses, keep_url, locate, read_ranges

fsspec = pytest.importorskip("fsspec")
URL = Url("memory://bucket/a.fits")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tiles/a.fits", Path("tiles/a.fits")),
        ("/data/a.fits", Path("/data/a.fits")),
        ("file:///data/a.fits", Path("/data/a.fits")),
        ("file:/data/a.fits", Path("/data/a.fits")),
        ("local:///data/a b.fits", Path("/data/a b.fits")),
        (r"C:\tiles\a.fits", Path(r"C:\tiles\a.fits")),
        ("c:/tiles/a.fits", Path("c:/tiles/a.fits")),
        ("name::a.fits", Path("name::a.fits")),
        ("s3://bucket/a.fits", Url("s3://bucket/a.fits")),
        # A path of an address has lost a slash.
        (Path("https://host/a.fits"), Url("https://host/a.fits")),
        ("simplecache::https://host/a", Url("simplecache::https://host/a")),
        ("memory:///a/b", Url("memory:///a/b")),
        ("https://host/a@b.fits", Url("https://host/a@b.fits")),
    ],
)
def test_paths_and_addresses(text, expected):
    found = locate(text)
    assert found == expected and type(found) is type(expected)
    assert remote.is_url(text) == isinstance(expected, Url)
    # Located again it is the same.
    assert locate(found) == found
    # Text becomes an address by `locate` alone.
    assert isinstance(keep_url(found), Url) == isinstance(expected, Url)
    assert not isinstance(keep_url(str(text)), Url)


@pytest.mark.parametrize("address", ["https://me:secret@host/a.fits", "ftp://me@host/a"])
def test_passwords_are_refused_and_not_repeated(address):
    with pytest.raises(ConfigError, match="user name or a password") as caught:
        locate(address)
    assert "secret" not in str(caught.value) and "...@host/a" in str(caught.value)


@settings(max_examples=25)
@given(st.from_regex(r"[a-z0-9_.-]{1,12}", fullmatch=True), st.sampled_from(["", "?v=1", "#x/y"]))
def test_the_name_of_an_address_is_that_of_its_path(name, query):
    for before in ("https://host/", "s3://b/x/", "simplecache::https://h/", "zip://"):
        assert Url(f"{before}{name}{query}").name == name


@pytest.fixture
def memory(monkeypatch):
    """A file system in memory with three files."""
    system = fsspec.filesystem("memory")
    remote._statuses.clear()
    for name in ("a", "c", "b"):
        system.pipe(f"/bucket/{name}.fits", name.encode() * 10)
    yield system
    system.rm("/bucket", recursive=True)
    remote._statuses.clear()


def test_patterns_are_found_in_order(memory):
    assert find_urls(URL) == [URL]
    found = find_urls(Url("memory://bucket/*.fits"))
    assert [url.name for url in found] == ["a.fits", "b.fits", "c.fits"]
    assert {get_statuses([url])[url].size for url in found} == {10}
    chained = find_urls(Url("simplecache::memory://bucket/*.fits"))
    assert [f"simplecache::{url}" for url in found] == chained
    assert all(type(url) is Url for url in (*found, *chained))
    assert find_urls(Url("memory://bucket/*.jpg")) == []


def test_an_answer_counts_for_a_minute(memory, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(remote.time, "monotonic", lambda: clock[0])
    absent = Url("memory://bucket/none.fits")
    first = get_statuses([URL, absent, URL])
    assert first[absent] is None and first[URL].size == 10
    memory.pipe("/bucket/a.fits", bytes(7))
    clock[0] += remote.STATUS_SECONDS - 1
    assert get_statuses([URL]) == {URL: first[URL]}
    clock[0] += 2
    second = get_statuses([URL])[URL]
    assert second.size == 7 and second.version != first[URL].version
    with pytest.raises(ImageError, match="is a folder"):
        get_statuses([Url("memory://bucket")])


def test_whole_files_up_to_a_limit(memory):
    assert remote.read_url(URL, 10) == b"a" * 10
    with pytest.raises(ImageError, match="too large"):
        remote.read_url(URL, 9)
    assert read_ranges(URL, [(2, 5), (0, 1)]) == [b"aaa", b"a"]
    assert read_ranges(URL, []) == []
    with pytest.raises(MissingFileError, match=r"none\.fits does not exist"):
        remote.read_url(Url("memory://bucket/none.fits"), 9)
    with pytest.raises(RemoteError, match="cannot be read"):
        remote.read_url(Url("nosuch://bucket/a"), 9)


class Refusal(Exception):
    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status


class LookupFailed(Exception):
    response: dict


def throw(error):
    raise error


def play(monkeypatch, *rounds):
    """A server whose answers to requests of ranges are given; the pauses between them."""
    pauses, left = [], list(rounds)

    def cat_ranges(paths, starts, stops, on_error):
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer[: len(paths)]

    system = SimpleNamespace(cat_ranges=cat_ranges)
    monkeypatch.setattr(remote, "_open_system", lambda url: (system, "a"))
    monkeypatch.setattr(remote.time, "sleep", pauses.append)
    return pauses, left


def test_failures_that_pass_are_asked_again(monkeypatch):
    slow = TimeoutError()
    pauses, left = play(monkeypatch, slow, Refusal(503), [b"abc", b"x"], [b"de"])
    assert read_ranges(URL, [(0, 3), (5, 7)]) == [b"abc", b"de"]
    # The pause doubles; a round that brought half of the ranges needs none.
    assert pauses == [0.5, 1.0] and not left
    pauses, _ = play(monkeypatch, *[Refusal(500)] * 9)
    with pytest.raises(RemoteError, match="cannot be read from its server") as caught:
        read_ranges(URL, [(0, 3)])
    assert pauses == [0.5, 1.0, 2.0, 4.0] and "again later" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ([b"abcd"], RemoteError, "sends whole files"),
        ([FileNotFoundError()], MissingFileError, "does not exist"),
        ([PermissionError("no")], RemoteError, "access to .* is refused"),
        ([Refusal(401)], RemoteError, "access to .* is refused"),
        ([Refusal(403)], RemoteError, "access to .* is refused"),
        ([Refusal(418)], RemoteError, "cannot be read from its server"),
        (ValueError("odd"), RemoteError, "ValueError: odd"),
        (RuntimeError("NoCredentialsError"), RemoteError, "access to .* is refused"),
    ],
)
def test_failures_that_stay_are_one_sentence_at_once(monkeypatch, answer, error, words):
    pauses, _ = play(monkeypatch, answer)
    with pytest.raises(error, match=words):
        read_ranges(URL, [(0, 3)])
    assert pauses == []


def test_the_cause_of_a_missing_file_is_looked_at():
    def fail(status):
        def call():
            raise FileNotFoundError("tile") from Refusal(status)

        return remote._try(call)

    assert isinstance(fail(404), FileNotFoundError) and isinstance(fail(410), FileNotFoundError)
    assert isinstance(fail(500), Refusal)
    # An object store answers with a dictionary.
    for status, kind in ((404, FileNotFoundError), (500, LookupFailed)):
        cause = LookupFailed()
        cause.response = {"ResponseMetadata": {"HTTPStatusCode": status}}
        missing = FileNotFoundError()
        missing.__cause__ = cause
        answer = remote._try(lambda error=missing: throw(error))
        assert isinstance(answer, kind)
    assert remote._try(lambda: 3) == 3
    transient = [s for s in (400, 401, 403, 404, 408, 410, 425, 429, 500, 503) if
                 remote._is_transient(Refusal(s))]  # fmt: skip
    assert transient == [408, 425, 429, 500, 503]
    assert remote._is_transient(ConnectionResetError()) and not remote._is_transient(KeyError())


def test_calls_are_repeated_and_versions_found_in_their_order(monkeypatch):
    info = {"type": "file", "size": "12", "created": 5, "mtime": 4, "LastModified": 3, "ETag": ""}
    failures = [OSError(), OSError()]

    def ask(path):
        if failures:
            raise failures.pop()
        return info

    pauses = []
    monkeypatch.setattr(remote.time, "sleep", pauses.append)
    system = SimpleNamespace(info=ask, invalidate_cache=lambda: None)
    monkeypatch.setattr(remote, "_open_system", lambda url: (system, "a"))
    assert remote._ask_status(URL) == Status(12, "LastModified 3") and pauses == [0.5, 1.0]
    info |= {"ETag": '"x"', "size": None}
    assert remote._ask_status(URL) == Status(None, 'ETag "x"')


def test_options_of_file_systems(monkeypatch):
    assert remote._options("memory") == {} and remote._options("http") == remote._options("https")
    monkeypatch.setattr(remote, "_find_credentials", lambda *variables: any(variables))
    for name in ("ACCESS_KEY_ID", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setattr(remote, "_read_configuration", lambda protocol: {})
    assert remote._options("s3")["anon"] is True
    assert remote._options("s3a")["config_kwargs"]["read_timeout"] == remote.STALL_SECONDS
    monkeypatch.setenv("AWS_PROFILE", "survey")
    assert "anon" not in remote._options("s3")
    monkeypatch.delenv("AWS_PROFILE")
    configured = {"key": "k", "config_kwargs": {"read_timeout": 3}}
    monkeypatch.setattr(remote, "_read_configuration", lambda protocol: configured)
    options = remote._options("s3")
    assert "anon" not in options and options["config_kwargs"]["read_timeout"] == 3
