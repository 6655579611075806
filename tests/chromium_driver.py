"""A headless Chromium that opens files, presses keys, clicks, and remembers what its pages logged and asked for.

It speaks the DevTools protocol over two pipes, so that no other package is needed:
https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from site_walk import CHROMIUM

SECONDS = 120
KEYS = {
    "ArrowRight": 39,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowDown": 40,
    "Home": 36,
    "End": 35,
    " ": 32,
}


class Page:
    """One page of a browser that is driven over the file descriptors of its pipes."""

    def __init__(self, to_browser: int, from_browser: int):
        self._write, self._read = to_browser, from_browser
        self._buffer, self._count, self._session = b"", 0, ""
        #: What was logged, and the addresses that were asked for, since the browser began.
        self.messages: list[str] = []
        self.requests: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        while (answer := self._next()).get("id") != self._count:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], SECONDS)[0]:
                raise RuntimeError(f"Chromium has said nothing for {SECONDS} seconds")
            chunk = os.read(self._read, 1 << 16)
            if not chunk:
                raise RuntimeError("Chromium has ended")
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        match event.get("method"):
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded":
                self.messages.append(json.dumps(event["params"]))
            case "Network.requestWillBeSent":
                self.requests.append(event["params"]["request"]["url"])

    def open(self, path: Path) -> None:
        """Open a file, and wait until it is loaded."""
        self.ask("Page.navigate", url=path.as_uri())
        self.run("new Promise(done => document.readyState === 'complete' ? done() : onload = done)")

    def show(self, width: int = 1280, height: int = 900, **features: str) -> None:
        """Set the size of the window and media features, as ``prefers_color_scheme="dark"``."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        media = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.ask("Emulation.setEmulatedMedia", features=media)
        # the page hears of it before its next frame but one
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, expression: str) -> Any:
        """Evaluate JavaScript in the page, wait for its promise, and return its value."""
        result = self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"]))
        return result["result"].get("value")

    def press(self, key: str, selector: str, times: int = 1) -> None:
        """Focus an element and press a key on it."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        text = {"text": key} if len(key) == 1 else {}
        options = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key]}
        for _ in range(times):
            self.ask("Input.dispatchKeyEvent", type="keyDown", **options, **text)
            self.ask("Input.dispatchKeyEvent", type="keyUp", **options)

    def click(self, selector: str, x: float = 0.5, y: float = 0.5) -> None:
        """Scroll to an element and click on it, at these shares of its width and height."""
        box = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect(); "
            "return [b.left, b.top, b.width, b.height]; })()"
        )
        place = {"x": box[0] + x * box[2], "y": box[1] + y * box[3], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, **place)

    def write(self, text: str, selector: str) -> None:
        """Replace what a field holds, as by a keyboard."""
        self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select(); }})()"
        )
        self.ask("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """Write a picture of the whole page."""
        data = self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))


@contextmanager
def page_in_chromium(profile: Path) -> Iterator[Page]:
    """Start a browser with a profile of its own, and end it afterwards."""
    in_browser, to_browser = os.pipe()
    from_browser, out_browser = os.pipe()

    def place_pipes() -> None:
        """Chromium reads descriptor 3 and writes to 4; copies first, for one may be the other's number."""
        copies = os.dup(in_browser), os.dup(out_browser)
        os.dup2(copies[0], 3)
        os.dup2(copies[1], 4)

    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars", f"--user-data-dir={profile}"]
    with subprocess.Popen(
        command,
        close_fds=False,
        preexec_fn=place_pipes,  # pass_fds keeps numbers, and these two have to be 3 and 4
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as browser:
        os.close(in_browser)
        os.close(out_browser)
        try:
            yield Page(to_browser, from_browser)
        finally:
            browser.terminate()
            os.close(to_browser)
            os.close(from_browser)
