"""A headless browser, by the WebDriver protocol of W3C (https://www.w3.org/TR/webdriver2)."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

KEYS = {"Backspace": "\ue003", "Enter": "\ue007", "Escape": "\ue00c", "Left": "\ue012",
        "Right": "\ue014", "Control": "\ue009"}  # fmt: skip
PROGRAMS = ("chromium", "chromedriver")


def missing_programs() -> str:
    """What is not installed, as the reason to skip a test."""
    gone = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"{', '.join(gone)} not installed (Debian: chromium, chromium-driver)" if gone else ""


class Browser:
    """One window of a headless Chromium."""

    def __init__(self, folder: Path, port: int) -> None:
        self._log = (folder / "driver.log").open("w")
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=self._log, stderr=self._log
        )
        self._base = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                if self._call("GET", "/status")["ready"]:
                    break
            except OSError:
                time.sleep(0.1)
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,900",
                 f"--user-data-dir={folder / 'profile'}", "--disable-dev-shm-usage"]  # fmt: skip
        download = {"download.default_directory": str(folder / "downloads")}
        options = {"args": flags, "prefs": download}
        wanted = {
            "capabilities": {
                "alwaysMatch": {
                    "goog:chromeOptions": options,
                    "goog:loggingPrefs": {"browser": "ALL"},
                    "pageLoadStrategy": "normal",
                }
            }
        }
        made = self._call("POST", "/session", wanted)
        self._base += f"/session/{made['sessionId']}"
        self.downloads = folder / "downloads"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self._base + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, address: str) -> None:
        """Load a page."""
        self._call("POST", "/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns; a promise is waited for."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def press(self, *keys: str) -> None:
        """Press keys one after another, as a person does."""
        actions = [
            {"type": kind, "value": KEYS.get(key, key)}
            for key in keys
            for kind in ("keyDown", "keyUp")
        ]
        self._call(
            "POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}
        )

    def click(self, selector: str) -> None:
        """Click on the first element of a selector."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"/element/{next(iter(found.values()))}/click")

    def upload(self, selector: str, path: Path) -> None:
        """Choose a file in an input."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"/element/{next(iter(found.values()))}/value", {"text": str(path)})

    def text(self, selector: str) -> str:
        """Visible text of an element."""
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def wait(self, script: str, seconds: float = 60) -> Any:
        """Wait until a script returns something true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.05)
        raise AssertionError(f"did not happen: {script}")

    def errors(self) -> list[str]:
        """Messages of the console since the last call that are errors."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def picture(self, path: Path) -> None:
        """Save what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window."""
        self._call("POST", "/window/rect", {"width": width, "height": height})

    def close(self) -> None:
        """End the browser and its driver."""
        try:
            self._call("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(30)
            self._log.close()
