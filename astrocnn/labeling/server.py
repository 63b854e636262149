"""A server on this machine alone that shows a page of labels and saves them after each answer."""

from __future__ import annotations

import csv
import http.server
import io
import secrets
from http import HTTPStatus
from pathlib import Path
from typing import Any

from astrocnn.atomic import write_bytes
from astrocnn.catalog import read_catalog
from astrocnn.errors import CatalogError, ConfigError
from astrocnn.labeling.page import fill_page, table_header

__all__ = ["LabelServer"]

_ADDRESS = "127.0.0.1"
_SAVE = "labels"
_MOST_BYTES = 64 * 1024**2


class LabelServer(http.server.ThreadingHTTPServer):
    """Serve one page under a secret address, and write its labels to a file.

    Only programs on this machine that know the address can read the page or write labels; the host
    of each request is checked as well, so that no page of another site can.

    Parameters
    ----------
    content : dict
        From `astrocnn.labeling.build_page`.
    labels : Path
        CSV that is written after each answer, and read when the page is opened.
    port : int
        0 for any free one.

    Raises
    ------
    ConfigError
        If the file is not a table of the labels of this page.
    """

    daemon_threads = True

    def __init__(self, content: dict[str, Any], labels: Path, port: int = 0) -> None:
        self.content, self.labels = content, labels
        self.header = table_header(content)
        self.token = secrets.token_urlsafe(16)
        if labels.exists():
            validate_labels(labels, self.header, content["columns"][content["id"]])
        super().__init__((_ADDRESS, port), _Handler)

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{_ADDRESS}:{self.server_address[1]}/{self.token}/"

    def render(self) -> bytes:
        """The page, with the labels of the file."""
        text = self.labels.read_text("utf-8") if self.labels.exists() else ""
        return fill_page(self.content, save_to=_SAVE, labels=text).encode()

    def save(self, body: bytes) -> str:
        """Write labels that the page sent; what is wrong with them, or nothing."""
        try:
            first = next(csv.reader(io.StringIO(body.decode("utf-8"))), [])
        except (UnicodeDecodeError, csv.Error):
            return "This is not a table."
        if first != self.header:
            return "This is not a table of these labels."
        write_bytes(self.labels, body)
        return ""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: LabelServer

    def do_GET(self) -> None:
        """Send the page."""
        if self._allowed(""):
            self._reply(HTTPStatus.OK, self.server.render(), "text/html; charset=utf-8")

    def do_POST(self) -> None:
        """Save labels."""
        if not self._allowed(_SAVE):
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            self._reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"The table is too large.")
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self._reply(HTTPStatus.BAD_REQUEST, b"The table is cut short.")
            return
        try:
            problem = self.server.save(body)
        except OSError as error:
            problem = str(error.strerror or error)
        status = HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK
        self._reply(status, problem.encode())

    def _allowed(self, name: str) -> bool:
        host = f"{_ADDRESS}:{self.server.server_address[1]}"
        origin = self.headers.get("Origin")
        good = self.headers.get("Host") == host and origin in (None, f"http://{host}")
        # Compared in constant time, as a password is.
        if good and secrets.compare_digest(
            self.path.encode(), f"/{self.server.token}/{name}".encode()
        ):
            return True
        self._reply(HTTPStatus.NOT_FOUND, b"There is nothing here.")
        return False

    def _reply(self, status: HTTPStatus, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Be quiet."""


def validate_labels(path: Path, header: list[str], id: str) -> None:
    """Raise unless a file is a table of labels with the given columns, each object once.

    Raises
    ------
    ConfigError
    """
    hint = "give another file, or move that one away"
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            first = next(csv.reader(stream), [])
            rows = any(True for _ in stream)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"'{path}' cannot be read.", received=str(error), hint=hint) from error
    if first != header:
        raise ConfigError(
            f"'{path}' is not a table of these labels; it is not replaced.",
            received=first or "no columns",
            allowed=header,
            hint=hint,
        )
    if rows:
        try:
            read_catalog(path, id=id)
        except CatalogError as error:
            raise ConfigError(
                f"'{path}' is not a table of labels.", received=error.what, hint=hint
            ) from error
