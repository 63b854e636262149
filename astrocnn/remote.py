"""Files at URLs: found, described and read by byte ranges, through fsspec.

fsspec and the packages behind it (aiohttp, s3fs, gcsfs, ...) speak the protocols and find the
credentials: environment variables, ``~/.aws``, ``~/.netrc``, and ``~/.config/fsspec`` for all other
options of a file system.  Only a `Url` is ever fetched, and only `locate` makes one: of what a user
names, never of what a file contains.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from astrocnn.errors import (
    AstrocnnError,
    ConfigError,
    ImageError,
    MissingDependency,
    MissingFileError,
    RemoteError,
)
from astrocnn.http_client import (
    CONNECT_SECONDS,
    CONNECTIONS,
    RANGES,
    STALL_SECONDS,
    RangeIgnored,
    get_client,
    get_several,
)

__all__ = [
    "CONNECTIONS",
    "Status",
    "Url",
    "find_urls",
    "get_statuses",
    "is_url",
    "keep_url",
    "locate",
    "read_ranges",
    "read_url",
]

ATTEMPTS, PAUSE_SECONDS = 5, 0.5
"""How often a request is sent, and the pause after the first, which doubles."""
STATUS_SECONDS = 60.0
"""For how long what a server said of a file is believed."""
_SCHEME = r"[a-zA-Z][a-zA-Z0-9+.-]+"
# A `Path` of a URL has lost one of its slashes.
_URL = re.compile(rf"((?:{_SCHEME}::)*)({_SCHEME}):/{{1,2}}(?=[^/]|/[^/])")
_LOCAL = re.compile(r"(?:file|local):/+")
# What servers and file systems call the mark that changes with the content, best first.
_HTTP = ["ETag", "Content-MD5", "Last-Modified"]
_OTHERS = ["etag", "md5Hash", "generation", "LastModified", "last_modified"]
_TIMES = ["mtime", "updated", "created"]
_SIMPLE = "simplecache::"
T = TypeVar("T")


class Url(str):
    """The address of a file, which stands where a `Path` could stand."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Last part of the address, without a query."""
        return re.split(r"[?#]", self.rpartition("::")[2])[0].rstrip("/").rpartition("/")[2]


class Status(NamedTuple):
    """What is known of a file without reading it.

    Parameters
    ----------
    size : int or None
        Length [byte].
    version : str
        Changes with the content, as far as the server says: its ETag, or the time of change.
    """

    size: int | None
    version: str


def is_url(text: str | os.PathLike[str]) -> bool:
    """Whether a text is an address and not a path on this machine.

    >>> is_url("s3://bucket/tile.fits"), is_url("tiles/a.fits"), is_url("file:///data/a.fits")
    (True, False, False)
    """
    return isinstance(locate(text), Url)


def locate(text: str | os.PathLike[str]) -> Path | Url:
    """The path or the address that a user's text names; ``file://`` is a path."""
    if isinstance(text, Url):
        return text
    text = os.fspath(text)
    match = _URL.match(text)
    if match is None:
        return Path(text)
    if _LOCAL.match(text):
        return Path("/", text[text.index(":") + 1 :].lstrip("/"))
    rest = text[match.end() :].lstrip("/") if match.group(2) != "memory" else text[match.end() :]
    if "@" in rest.partition("/")[0]:
        raise ConfigError(
            "An address holds a user name or a password, which would be stored with the results.",
            received=f"{match.group(2)}://...@{rest.partition('@')[2]}",
            hint="keep them in ~/.netrc, or in ~/.config/fsspec for other file systems",
        )
    return Url(f"{match.group(1)}{match.group(2)}://{rest}")


def keep_url(path: str | os.PathLike[str]) -> Path | Url:
    """The path of a file; a `Url` stays one, and no other text becomes one."""
    return path if isinstance(path, Url) else Path(path)


def find_urls(pattern: Url) -> list[Url]:
    """Find the files that a pattern with ``*`` names, sorted; an address without ``*`` is itself.

    Raises
    ------
    RemoteError
        If the server does not answer or refuses.
    """
    chain, _, last = pattern.rpartition("::")
    if "*" not in last:
        return [pattern]
    system, path = _open_system(last)
    found = _with_retries(pattern, lambda: system.glob(path))
    before = f"{chain}::" if chain else ""
    return [Url(before + system.unstrip_protocol(name)) for name in sorted(found)]


_statuses: dict[str, tuple[float, Status | None]] = {}


def get_statuses(urls: Iterable[Url]) -> dict[Url, Status | None]:
    """Ask for length and version of files, many at a time; None for those that do not exist.

    An answer counts for `STATUS_SECONDS`.

    Raises
    ------
    RemoteError
        If the server does not answer or refuses.
    """
    urls = list(dict.fromkeys(urls))
    since = time.monotonic() - STATUS_SECONDS
    ask = [url for url in urls if _statuses.get(url, (-1.0,))[0] < since]
    answers = _ask_together(ask) if len(ask) > 1 else {}
    left = [url for url in ask if url not in answers]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers.update(zip(left, pool.map(_ask_status, left), strict=True))
    now = time.monotonic()
    _statuses.update({url: (now, status) for url, status in answers.items()})
    return {url: _statuses[url][1] for url in urls}


def _ask_together(urls: list[Url]) -> dict[Url, Status | None]:
    """Ask once for files, without a thread for each; what fails is left out."""
    systems: dict[int, tuple[Any, list[Url]]] = {}
    for url in urls:
        system, _ = _open_system(url)
        systems.setdefault(id(system), (system, []))[1].append(url)
    found: dict[Url, Status | None] = {}
    for system, own in systems.values():
        if not getattr(system, "async_impl", False):
            continue
        system.invalidate_cache()
        paths = [system._strip_protocol(url) for url in own]
        answers = _run(system, [system._info(path) for path in paths])
        for url, answer in zip(own, answers, strict=True):
            answer = _find_reason(answer) if isinstance(answer, Exception) else answer
            if isinstance(answer, FileNotFoundError):
                found[url] = None
            elif not isinstance(answer, Exception):
                found[url] = _read_status(url, answer)
    return found


def _run(system: Any, tasks: list[Coroutine[Any, Any, T]]) -> list[T | Exception]:
    """Run coroutines of a file system together; what they raise stands among their results."""
    from fsspec.asyn import sync

    async def run() -> list[T | BaseException]:
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = sync(system.loop, run)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, Exception):
            raise answer
    return list(answers)


def _ask_status(url: Url) -> Status | None:
    system, path = _open_system(url)

    def ask() -> dict[str, Any]:
        # Some file systems remember listings.
        system.invalidate_cache()
        return dict(system.info(path))

    try:
        return _read_status(url, _with_retries(url, ask))
    except MissingFileError:
        return None


def _read_status(url: Url, info: dict[str, Any]) -> Status:
    if info.get("type") == "directory":
        raise ImageError(f"{url} is a folder and no file.")
    version = next((f"{k} {info[k]}" for k in (*_HTTP, *_OTHERS, *_TIMES) if info.get(k)), "")
    size = info.get("size")
    return Status(None if size is None else int(size), version)


def read_url(url: Url, limit: int) -> bytes:
    """Read a whole file.

    Raises
    ------
    MissingFileError
        If there is none.
    ImageError
        If it is larger than `limit`.
    RemoteError
        If the server does not answer or refuses.
    """
    system, path = _open_system(url)
    # The end of a range bounds what is read; servers that ignore ranges are stopped there.
    data = bytes(_with_retries(url, lambda: system.cat_file(path, start=0, end=limit + 1)))
    if len(data) > limit:
        raise ImageError(f"The file {url} is too large.", allowed=f"{limit} bytes")
    return data


def read_ranges(url: Url, ranges: list[tuple[int, int]]) -> list[bytes]:
    """Read byte ranges of a file, many at a time.

    A server of HTTP is asked for several ranges in one request until it does not send them.

    Parameters
    ----------
    url : Url
    ranges : list of (int, int)
        First byte and the one after the last, within the file.

    Raises
    ------
    MissingFileError
        If there is no such file.
    RemoteError
        If the server does not answer, refuses, or cannot send ranges.
    """
    system, path = _open_system(url)
    data: dict[int, bytes] = {}
    failures = 0
    while True:
        left = [k for k in range(len(ranges)) if k not in data]
        if not left:
            return [data[k] for k in range(len(ranges))]
        wanted = [ranges[k] for k in left]
        answers = _try(functools.partial(_ask_ranges, system, path, wanted))
        answers = [answers] * len(left) if isinstance(answers, Exception) else answers
        reason: Exception | None = None
        for k, (start, stop), answer in zip(left, wanted, answers, strict=True):
            if isinstance(answer, bytes) and len(answer) == stop - start:
                data[k] = answer
            elif isinstance(answer, bytes):
                longer = len(answer) > stop - start
                reason = RangeIgnored() if longer else OSError("fewer bytes than asked for")
            else:
                reason = answer
            if reason is not None and not _is_transient(reason):
                raise _build_error(url, reason) from reason
        if reason is not None and len(data) - len(ranges) + len(left) < len(left) / 2:
            failures += 1
            if failures == ATTEMPTS:
                raise _build_error(url, reason) from reason
            time.sleep(PAUSE_SECONDS * 2 ** (failures - 1))


_several: dict[str, bool] = {}
"""Whether a server sends several ranges at once, as far as it was asked."""


def _ask_ranges(system: Any, path: str, ranges: list[tuple[int, int]]) -> list[bytes | Exception]:
    """Send requests for ranges, all of them once."""
    server = path[: path.find("/", path.find("://") + 3)]
    if "http" in getattr(system, "protocol", ()) and len(ranges) > 1 and _several.get(server, True):
        # Of about equal length, since a single range has another form of answer.
        n = -(-len(ranges) // RANGES)
        parts = [ranges[len(ranges) * k // n : len(ranges) * (k + 1) // n] for k in range(n)]
        # One request shows what the server does, before many are sent in vain.
        first = n if server in _several else 1
        answers = _run(system, [get_several(system, path, part) for part in parts[:first]])
        if not any(isinstance(one, RangeIgnored) for one in answers):
            answers += _run(system, [get_several(system, path, part) for part in parts[first:]])
        _several[server] = not any(isinstance(one, RangeIgnored) for one in answers)
        if _several[server]:
            found: list[bytes | Exception] = []
            for part, answer in zip(parts, answers, strict=True):
                found += [answer] * len(part) if isinstance(answer, Exception) else answer
            return found
    starts, stops = (list(column) for column in zip(*ranges, strict=True))
    return list(system.cat_ranges([path] * len(ranges), starts, stops, on_error="return"))


def _with_retries(url: Url, call: Callable[[], T]) -> T:
    for attempt in range(ATTEMPTS):
        answer = _try(call)
        if not isinstance(answer, Exception):
            return answer
        if attempt == ATTEMPTS - 1 or not _is_transient(answer):
            raise _build_error(url, answer) from answer
        time.sleep(PAUSE_SECONDS * 2**attempt)
    raise AssertionError


def _try(call: Callable[[], T]) -> T | Exception:
    try:
        return call()
    except Exception as error:  # every file system raises its own types
        return _find_reason(error)


def _find_reason(error: Exception) -> Exception:
    # fsspec says of any failure to describe a file that the file does not exist.
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception):
        return error if _is_missing(cause) else cause
    return error


def _is_missing(cause: Exception) -> bool:
    """Whether what lies behind a missing file is just that: no such name, or a status of HTTP."""
    answer = getattr(cause, "response", None)  # of botocore
    answer = answer.get("ResponseMetadata", {}) if isinstance(answer, dict) else {}
    status = getattr(cause, "status", answer.get("HTTPStatusCode"))
    return isinstance(cause, (KeyError, FileNotFoundError)) or status in (404, 410)


def _is_transient(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, (FileNotFoundError, PermissionError, RangeIgnored, ValueError)):
        return False
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status in (408, 425, 429) or status >= 500
    # Timeouts of asyncio and of aiohttp, and what breaks a connection, are of these.
    return isinstance(error, OSError) or "aiohttp" in type(error).__module__


def _build_error(url: Url, error: Exception) -> AstrocnnError:
    if isinstance(error, FileNotFoundError):
        return MissingFileError(f"The file {url} does not exist.")
    if isinstance(error, RangeIgnored):
        return RemoteError(
            f"The server of {url} sends whole files and no parts of them.",
            hint=f"{_SIMPLE}{url.removeprefix(_SIMPLE)} keeps whole files on this machine",
        )
    reason = f"{type(error).__name__}: {error}"[:200].rstrip(": ")
    status = getattr(error, "status", None)
    if isinstance(error, PermissionError) or status in (401, 403) or "Credential" in reason:
        return RemoteError(
            f"The access to {url} is refused.",
            received=reason,
            hint="check the credentials: ~/.netrc, ~/.aws or ~/.config/fsspec",
        )
    return RemoteError(
        f"The file {url} cannot be read from its server.",
        received=reason,
        hint="give the same command again later: what is done so far is kept"
        if _is_transient(error)
        else None,
    )


def _open_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it."""
    try:
        import fsspec
    except ImportError:
        raise MissingDependency("fsspec", "cloud", f"read {url}") from None
    protocols = re.findall(rf"({_SCHEME})(?:::|://)", url)
    options = {name: _options(name) for name in protocols if _options(name)}
    try:
        # In a chain the options of each file system stand under its name.
        own = options if "::" in url else next(iter(options.values()), {})
        return fsspec.core.url_to_fs(url, **own)
    except ImportError as error:
        name = getattr(error, "name", None) or protocols[-1]
        raise MissingDependency(name.partition(".")[0], "cloud", f"read {url}") from error
    except ValueError as error:
        raise RemoteError(f"The address {url} cannot be read.", received=str(error)) from error


def _options(protocol: str) -> dict[str, Any]:
    """What an fsspec file system is opened with, below what the user configured."""
    if protocol in ("http", "https"):
        return {"get_client": get_client}
    if protocol in ("s3", "s3a"):
        timeouts = {"connect_timeout": CONNECT_SECONDS, "read_timeout": STALL_SECONDS}
        own = {**timeouts, "max_pool_connections": CONNECTIONS}
        configured = _read_configuration("s3")
        options = {"config_kwargs": {**own, **configured.get("config_kwargs", {})}}
        return options if _has_credentials(configured) else {**options, "anon": True}
    return {}


def _read_configuration(protocol: str) -> dict[str, Any]:
    """What the user configured for the file systems of a protocol."""
    from fsspec.config import conf

    return dict(conf.get(protocol, {}))


def _has_credentials(configured: dict[str, Any]) -> bool:
    """Whether the user has credentials for S3; public buckets are read without."""
    if {"anon", "key", "profile"} & set(configured):
        return True
    return _find_credentials(
        *(os.environ.get(f"AWS_{name}", "") for name in ("ACCESS_KEY_ID", "PROFILE"))
    )


@functools.cache
def _find_credentials(*_variables: str) -> bool:
    try:
        from botocore.session import get_session
    except ImportError:
        return True
    try:
        return get_session().get_credentials() is not None
    except Exception:  # a damaged configuration is told by the request itself
        return True
