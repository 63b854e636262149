"""A web server on this machine that sends byte ranges, counts them, and fails in many ways."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

__all__ = ["FileServer", "Request", "serve"]


class Request(NamedTuple):
    """One that was answered."""

    method: str
    name: str
    start: int
    sent: int


@dataclass
class FileServer:
    """What is served, what was asked for, and what goes wrong.

    Parameters
    ----------
    files : dict of str to bytes
        By the name behind the server's address.
    fault : callable
        Method and name of a request -> None, a status, or ``"stall"``, ``"cut"``, ``"whole"``
        (ranges are ignored), ``"endless"``.
    several : {"each", "joined", "none"}
        How requests of several ranges are answered: by each, by the first two as one, or by the
        whole file.
    delay : float
        How long each answer takes [s].
    """

    root: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    fault: Callable[[str, str], object] = lambda method, name: None
    several: str = "each"
    delay: float = 0.0
    token: str | None = None

    def count(self, after: int = 0) -> int:
        """Bytes of files that were sent, of all ranges beyond a place."""
        return sum(r.sent for r in self.requests if r.method == "GET" and r.start >= after)


def choose_ranges(
    headers: Mapping[str, str], size: int, server: FileServer
) -> list[tuple[int, int]]:
    """The ranges that are sent for a request; none for the whole file."""
    asked = re.findall(r"(\d+)-(\d+)", headers.get("Range", ""))
    ranges = [(int(first), min(int(last) + 1, size)) for first, last in asked]
    if len(ranges) < 2 or server.several == "each":
        return ranges
    if server.several == "none":
        return []
    # Two of them as one.
    return [(ranges[0][0], ranges[1][1]), *ranges[2:]]


def build_body(data: bytes, ranges: list[tuple[int, int]]) -> tuple[str, str, bytes]:
    """What an answer states of its ranges, and its body, as nginx writes it."""
    if len(ranges) == 1:
        ((start, stop),) = ranges
        return "Content-Range", f"bytes {start}-{stop - 1}/{len(data)}", data[start:stop]
    if not ranges:
        return "Content-Type", "image/fits", data
    body = b""
    for start, stop in ranges:
        head = f"Content-Type: image/fits\r\nContent-Range: bytes {start}-{stop - 1}/{len(data)}"
        body += b"\r\n--XX\r\n" + head.encode() + b"\r\n\r\n" + data[start:stop]
    return "Content-Type", "multipart/byteranges; boundary=XX", body + b"\r\n--XX--\r\n"


@contextlib.contextmanager
def serve() -> Iterator[FileServer]:
    """Run a server for as long as the block does."""
    state = FileServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Answers are small and many.
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            name = self.path.lstrip("/")
            time.sleep(state.delay)
            fault = state.fault(self.command, name)
            data = state.files.get(name)
            if state.token and self.headers.get("Authorization") != state.token:
                fault = 401
            if fault == "stall":
                time.sleep(3)
            if isinstance(fault, int) or data is None:
                self.send_response(fault if isinstance(fault, int) else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            ranges = [] if fault == "whole" else choose_ranges(self.headers, len(data), state)
            sent = sum(stop - start for start, stop in ranges) if ranges else len(data)
            kind, value, data = build_body(data, ranges)
            self.send_response(206 if ranges else 200)
            self.send_header(kind, value)
            self.send_header("ETag", f'"{state.versions.get(name, "1")}"')
            if fault == "endless":
                self.close_connection = True
            else:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "HEAD":
                state.requests.append(Request("HEAD", name, 0, 0))
                return
            state.requests.append(Request("GET", name, min(ranges, default=(0, 0))[0], sent))
            with contextlib.suppress(ConnectionError):
                if fault == "cut":
                    self.wfile.write(data[: len(data) // 2])
                    self.close_connection = True
                elif fault == "endless":
                    while True:
                        self.wfile.write(bytes(1 << 16))
                else:
                    self.wfile.write(data)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """Clients that hang up are meant to."""

    server = Server(("127.0.0.1", 0), Handler)
    state.root = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def main(folder: str, delay: str) -> None:
    """Serve the files of a folder from a process of its own, until its input ends."""
    with serve() as server:
        server.files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        server.delay = float(delay)
        print(server.root, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
