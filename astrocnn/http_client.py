"""HTTP through aiohttp as fsspec uses it: time limits, bounded answers, several ranges at once.

References
----------
RFC 9110, sections 14.2 and 14.6: requests for ranges, and multipart/byteranges.
"""

from __future__ import annotations

import bisect
import functools
import os
import re
from typing import Any
from urllib.request import getproxies

__all__ = [
    "CONNECTIONS",
    "CONNECT_SECONDS",
    "RANGES",
    "STALL_SECONDS",
    "RangeIgnored",
    "get_client",
    "get_several",
]

CONNECTIONS = 64
"""Requests that wait for one server at a time."""
RANGES = 100
"""Ranges of one request, where a server sends several."""
CONNECT_SECONDS, STALL_SECONDS = 15.0, 30.0
MAX_LISTING = 64 << 20
_PART = 1024
"""Bytes that are allowed around each of several ranges."""
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
_CONTENT_RANGE = re.compile(rb"(?i)content-range: *bytes (\d+)-(\d+)/")


class RangeIgnored(OSError):
    """A server sent something else than the ranges it was asked for."""


def _has_environment() -> bool:
    """Whether the environment names proxies, or there is a file of credentials."""
    netrc = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    return bool(getproxies()) or os.path.exists(netrc)


async def get_client(**options: Any) -> Any:
    """Open a session of aiohttp; `options` are those that the user configured for fsspec."""
    import aiohttp

    own = {
        "timeout": aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=STALL_SECONDS
        ),
        "connector": aiohttp.TCPConnector(limit=CONNECTIONS),
        # aiohttp looks for proxies and ~/.netrc at each request, which takes longer than the rest.
        "trust_env": _has_environment(),
        # The bytes of the file, also where a server takes .gz for an encoding of the transfer.
        "auto_decompress": False,
        "headers": {"Accept-Encoding": "identity"},
        "response_class": _build_response_class(),
    }
    return aiohttp.ClientSession(**{**own, **options})


@functools.cache
def _build_response_class() -> Any:
    import aiohttp

    class BoundedResponse(aiohttp.ClientResponse):
        """A response of which no more is read than was asked for."""

        async def read(self) -> bytes:
            asked = re.findall(r"(\d+)-(\d+)", self.request_info.headers.get("Range", ""))
            limit = sum(int(last) - int(first) + 1 for first, last in asked) or MAX_LISTING
            limit += _PART * len(asked) if len(asked) > 1 else 0
            if self.status >= 400 or self._body is not None:
                limit = MAX_LISTING
            pieces: list[bytes] = []
            if self._body is None:
                too_long = (self.content_length or 0) > limit
                count = 0
                while not too_long and (piece := await self.content.readany()):
                    pieces.append(piece)
                    count += len(piece)
                    too_long = count > limit
                if too_long:
                    self.close()
                    raise RangeIgnored(f"more than {limit} bytes")
                self._body = b"".join(pieces)
            return await super().read()

    return BoundedResponse


async def get_several(system: Any, path: str, ranges: list[tuple[int, int]]) -> list[bytes]:
    """Ask for several ranges in one request.

    References
    ----------
    RFC 9110, sections 14.2 and 14.6: requests for ranges, and multipart/byteranges.
    """
    session = await system.set_session()
    text = "bytes=" + ",".join(f"{start}-{stop - 1}" for start, stop in ranges)
    options = {**system.kwargs, "headers": {**system.kwargs.get("headers", {}), "Range": text}}
    async with session.get(system.encode_url(path), **options) as answer:
        if answer.status == 404:
            raise FileNotFoundError(path)
        boundary = answer.content_type == "multipart/byteranges" and _BOUNDARY.search(
            answer.headers["Content-Type"]
        )
        # Servers that send no several ranges send the whole file, or call the request wrong.
        if answer.status in (200, 206, 400, 416, 501) and not boundary:
            raise RangeIgnored("no multipart/byteranges")
        answer.raise_for_status()
        if not boundary:
            raise RangeIgnored(f"status {answer.status}")
        parts = sorted(_split_parts(await answer.read(), boundary[1].encode()))
    first = [start for start, _ in parts]
    found = []
    for start, stop in ranges:
        # A server may send near ranges as one.
        at = bisect.bisect(first, start) - 1
        piece = parts[at][1][start - first[at] : stop - first[at]] if at >= 0 else b""
        if len(piece) != stop - start:
            raise RangeIgnored("other ranges")
        found.append(piece)
    return found


def _split_parts(body: bytes, boundary: bytes) -> list[tuple[int, bytes]]:
    """First byte and content of each part of an answer."""
    parts, at = [], 0
    while (mark := body.find(b"--" + boundary + b"\r\n", at)) >= 0:
        end = body.find(b"\r\n\r\n", mark)
        stated = _CONTENT_RANGE.search(body, mark, max(end, mark))
        if stated is None:
            raise RangeIgnored("parts without ranges")
        start, stop = int(stated[1]), int(stated[2]) + 1
        at = end + 4 + max(stop - start, 0)
        parts.append((start, body[end + 4 : at]))
    return parts
