"""A page in a real browser without a window: what a reader gets, measured by the browser itself."""

from __future__ import annotations

import functools
import html
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # as without a network
    "--allow-file-access-from-files",  # so that the script below may look into the frame
    "--enable-logging=stderr",
    "--virtual-time-budget=20000",
)
# Text below 18.66 CSS pixels, or 24 if not bold, needs a contrast of 4.5, larger text one of 3
# (Web Content Accessibility Guidelines 2.2, success criterion 1.4.3, level AA).
_MEASURE = """
function channel(c) { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }
function luminance(c) {
  return .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
}
function parse(text) { return text.match(/[\\d.]+/g).map(Number); }
function ground(element, view) {
  for (let e = element; e; e = e.parentElement) {
    const c = parse(view.getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c;
  }
  return [255, 255, 255];
}
function measure(frame) {
  const view = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
  const faint = [];
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
    const style = view.getComputedStyle(element), size = parseFloat(style.fontSize);
    const pair = [luminance(parse(style.color)), luminance(ground(element, view))].sort();
    const ratio = (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 600);
    if (ratio < (large ? 3 : 4.5)) faint.push([walker.currentNode.data.trim(), ratio]);
  }
  return {
    width: root.scrollWidth,
    wide: [...page.body.querySelectorAll("*")].filter(e => !e.closest(".scroll, pre, .math")
      && e.getBoundingClientRect().right > view.innerWidth + 1).map(e => e.outerHTML.slice(0, 80)),
    // Links within the page are no requests, other links are no resources.
    requests: [...new Set([
      ...view.performance.getEntriesByType("resource").map(e => e.name),
      ...[...page.querySelectorAll("[src], [srcset], [data], [poster], link[href]")]
        .map(e => e.src || e.srcset || e.data || e.poster || e.href),
    ])].filter(name => !name.startsWith("data:")),
    images: [...page.images].map(i => [i.alt, i.naturalWidth]),
    headings: [...page.querySelectorAll("h1,h2,h3,h4,h5,h6")].map(h => Number(h.tagName[1])),
    language: root.lang, title: page.title, faint: faint,
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
  };
}
addEventListener("load", () => {
  document.getElementById("result").textContent =
    JSON.stringify(measure(document.getElementById("frame")));
});
"""


@dataclass(frozen=True)
class Inspection:
    """What the browser measured; messages are those of its console."""

    width: int
    wide: list[str]
    requests: list[str]
    images: list[tuple[str, int]]
    headings: list[int]
    language: str
    title: str
    faint: list[tuple[str, float]]
    dark: bool
    messages: list[str]


@functools.cache
def _find_browser() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def inspect_page(path: Path, width: int = 400, dark: bool = False) -> Inspection:
    """Open a page in a frame of a width [CSS pixel]; skips the test without a browser."""
    browser = _find_browser()
    if browser is None:
        pytest.skip(f"needs a browser: none of {', '.join(_NAMES)} is installed")
    with tempfile.TemporaryDirectory() as folder:
        wrapper = Path(folder) / "wrapper.html"
        wrapper.write_text(
            f"<!DOCTYPE html><meta charset='utf-8'><pre id='result'></pre>"
            f"<iframe id='frame' width='{width}' height='900' style='border: 0' "
            f"src='{path.resolve().as_uri()}'></iframe><script>{_MEASURE}</script>"
        )
        done = subprocess.run(
            [
                browser,
                *_OPTIONS,
                f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                f"--user-data-dir={folder}/profile",
                "--dump-dom",
                wrapper.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=300,
        )
    found = re.search(r'<pre id="result">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    messages = re.findall(r"CONSOLE.*", done.stderr)
    page = Inspection(**json.loads(html.unescape(found.group(1))), messages=messages)
    assert page.dark == dark
    return page


def assert_readable(page: Inspection, width: int = 400) -> None:
    """What holds for every report: nothing is loaded, cut off, too faint or without a name."""
    assert page.messages == [] and page.requests == []
    assert page.title and page.language == "en"
    assert page.width <= width and page.wide == []
    assert page.images and all(alt and pixels for alt, pixels in page.images), page.images
    assert page.headings[0] == 1 and page.headings.count(1) == 1
    steps = zip(page.headings, page.headings[1:], strict=False)
    assert all(after <= before + 1 for before, after in steps), page.headings
    assert page.faint == []
