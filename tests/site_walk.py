"""A walk through the pages of the built site in Chromium, which may ask nobody but a server on this machine.

The server gives out the site and one more page. That page opens each page of the site in a frame, looks at it at the
widths of a desktop and of a telephone, light and dark, asks the search for words, and posts what it found.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

WALKER = """<!DOCTYPE html><meta charset="utf-8"><body><script>
const pages = PAGES, queries = QUERIES, widths = [1280, 390], themes = ["light", "dark"];
const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
const open = async (path) => {
  const frame = document.createElement("iframe");
  frame.height = 900;
  frame.width = widths[0];
  const loaded = new Promise(resolve => frame.onload = resolve);
  frame.src = "/" + path;
  document.body.replaceChildren(frame);
  await loaded;
  return frame;
};
const until = async (condition) => { for (let i = 0; i < 200 && !condition(); i++) await pause(50); };
const look = async (path) => {
  const frame = await open(path), view = frame.contentWindow, page = frame.contentDocument;
  if (page.querySelector(".math")) {
    await until(() => view.MathJax && view.MathJax.startup && view.MathJax.startup.promise);
    await view.MathJax.startup.promise;
  }
  const overflow = {};
  for (const width of widths) for (const theme of themes) {
    frame.width = width;
    page.documentElement.dataset.theme = theme;
    await pause(30);
    const parts = [page.documentElement, ...page.querySelectorAll(".bd-article-container")];  // which scrolls by itself
    overflow[`${width} ${theme}`] = Math.max(...parts.map(part => part.scrollWidth - part.clientWidth));
  }
  return {
    overflow,
    formulas: page.querySelectorAll(".math").length,
    set: page.querySelectorAll("mjx-container").length,
    faults: page.querySelectorAll("mjx-merror, [data-mjx-error]").length,
    broken: [...page.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src),
    unnamed: [...page.images].filter(image => !image.hasAttribute("alt")).map(image => image.src),
    elsewhere: view.performance.getEntriesByType("resource").map(entry => entry.name)
      .filter(name => !name.startsWith(location.origin) && !name.startsWith("data:")),
  };
};
const search = async (query) => {
  const frame = await open("search.html?q=" + encodeURIComponent(query)), page = frame.contentDocument;
  const links = () => [...page.querySelectorAll("#search-results ul.search li > a")];
  await until(() => links().length);
  // Results come one by one, each from a timer, which a browser may let run once a second.
  for (let before = 0; links().length > before && links().length < 10; await pause(1200)) before = links().length;
  return links().map(link => link.getAttribute("href"));
};
(async () => {
  const found = {pages: {}, searches: {}};
  try {
    for (const path of pages) found.pages[path] = await look(path);
    for (const query of queries) found.searches[query] = await search(query);
  } catch (error) { found.error = String(error.stack || error); }
  await fetch("/found", {method: "POST", body: JSON.stringify(found)});
})();
</script>"""


class Handler(SimpleHTTPRequestHandler):
    """Files of the site, the walking page, and a place to post what it found."""

    def __init__(self, *args: Any, walker: str, found: list[dict], done: threading.Event, **options: Any):
        self.walker, self.found, self.done = walker, found, done
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        if self.path != "/walker":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.walker.encode())

    def do_POST(self) -> None:
        self.found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()
        self.done.set()

    def log_message(self, *args: Any) -> None:
        """Nothing."""


def walk(site: Path, pages: list[str], queries: list[str], folder: Path, seconds: float = 900) -> dict:
    """What was found on `pages`, paths in `site`, and by `queries`; and the lines that the browser's console got."""
    found: list[dict] = []
    done = threading.Event()
    walker = WALKER.replace("PAGES", json.dumps(pages)).replace("QUERIES", json.dumps(queries))
    handler = partial(Handler, walker=walker, found=found, done=done, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, open(folder / "log", "w+") as log:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
        command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=1400,1000"]
        command += ["--remote-debugging-port=0", f"--user-data-dir={folder / 'profile'}"]
        browser = subprocess.Popen(
            [*command, f"http://127.0.0.1:{server.server_port}/walker"], stderr=log, stdout=subprocess.DEVNULL
        )
        try:
            assert done.wait(seconds), "the walk has not ended"
        finally:
            browser.terminate()
            browser.wait(timeout=30)
            server.shutdown()
        log.seek(0)
        console = [
            line.strip() for line in log if "CONSOLE" in line and '"[PST]: ' not in line
        ]  # the theme's log
    return {**found[0], "console": console}
