"""A web server on this machine that sends byte ranges, counts them, and fails in many ways."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
    """

    root: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    fault: Callable[[str, str], object] = lambda method, name: None
    delay: float = 0.0
    token: str | None = None

    def count(self, after: int = 0) -> int:
        """Bytes of files that were sent, of all ranges beyond a place."""
        return sum(r.sent for r in self.requests if r.method == "GET" and r.start >= after)


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
            match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            start, stop = 0, len(data)
            if match and fault != "whole":
                start, stop = int(match[1]), min(int(match[2]) + 1, len(data))
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
            else:
                self.send_response(200)
            self.send_header("ETag", f'"{state.versions.get(name, "1")}"')
            if fault == "endless":
                self.close_connection = True
            else:
                self.send_header("Content-Length", str(stop - start))
            self.end_headers()
            if self.command == "HEAD":
                state.requests.append(Request("HEAD", name, 0, 0))
                return
            state.requests.append(Request("GET", name, start, stop - start))
            with contextlib.suppress(ConnectionError):
                if fault == "cut":
                    self.wfile.write(data[start : (start + stop) // 2])
                    self.close_connection = True
                elif fault == "endless":
                    while True:
                        self.wfile.write(bytes(1 << 16))
                else:
                    self.wfile.write(data[start:stop])

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
