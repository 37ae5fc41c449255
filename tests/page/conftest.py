"""A real browser, and a real night in the sandbox to look at with it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
)
ABSENT = "net::ERR_FILE_NOT_FOUND"
"""What Chromium says about a render that is not there; the page says it too, in its own words."""
SPRING = """\
version: 1
name: spring
defaults: {model: kling-2-6}
tasks:
  - {id: lamp, prompt: A lamp that is switched on}
  - {id: vase, prompt: A vase turns once, params: {aspect_ratio: 9:16}}
  - {id: still, model: nano-banana, prompt: A still life}
  - {id: tune, model: suno-music, prompt: A calm piano}
"""
DOOMED = """\
version: 1
name: doomed
defaults: {model: kling-2-6}
tasks:
  - {id: hopeless, prompt: It will not be}
"""
MANIFESTS = {"spring": ("", SPRING), "doomed": ("--faults fail=1,render=0.05", DOOMED)}
QUICK = "sandbox: {faults: render=0.05, poll: {first: 0.05, every: 0.05}}\n"


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after two runs in the sandbox: four renders of three kinds, and one failure. Its page is `report.html`."""
    folder = tmp_path_factory.mktemp("night")
    (folder / "batchgen.yaml").write_text(QUICK, encoding="utf-8")
    for name, (faults, text) in MANIFESTS.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        batchgen(folder, "run", f"{name}.yaml", "--sandbox", "--yes", *faults.split(), code=1 if faults else 0)
    batchgen(folder, "report", "--sandbox", "--html", "report.html")
    return folder


def batchgen(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Call the program in a process of its own: a browser that is driven keeps an event loop in this one."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run([sys.executable, "-m", "batchgen", *words], cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def until(shown: Page, truth: str) -> None:
    """Wait for an expression of JavaScript. The page's policy forbids what Playwright's own waiting does: to evaluate text."""
    looking = f"const look = () => ({truth}) ? resolve() : requestAnimationFrame(look); look(); setTimeout(() => reject('timeout'), 15000)"
    shown.evaluate(f"new Promise((resolve, reject) => {{ {looking} }})")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one module; other modules need the thread's event loop for themselves."""
    missing = "" if importlib.util.find_spec("playwright") else "playwright is not installed"
    missing = missing or ("" if CHROMIUM else "there is no Chromium here: apt-get install chromium")
    if missing and os.environ.get("BATCHGEN_CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  it may be missing

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page from disk, without a network. At the end nothing may have been said on its console."""
    said: list[str] = []
    contexts = []

    def open_page(file: Path, **options: object) -> Page:
        context = browser.new_context(offline=True, **options)  # type: ignore[arg-type]  # playwright's own options, passed through
        contexts.append(context)
        shown = context.new_page()
        shown.set_default_timeout(15_000)
        shown.on("console", lambda message: said.append(f"{message.type}: {message.text}") if ABSENT not in message.text else None)
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.goto(file.as_uri())
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
