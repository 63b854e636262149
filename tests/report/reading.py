"""Reading of a report as a browser does."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Tags, text and table cells of a page; tags that do not nest are an error."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.parts, self.rows = [], [], [], []
        self.feed(path.read_text("utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.parts.append(data)
        if "td" in self.open or "th" in self.open:
            separator = " | " if self.open[-1] == "small" else ""
            self.rows[-1][-1] += separator + data

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.parts))

    def find(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]
