"""Draw the README's picture of a run: `python tests/make_picture.py`.

A real run of a manifest in the sandbox, with some faults on, caught in the middle; rich makes the SVG of what its terminal shows.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio
from rich.console import Console
from rich.text import Text

from batchgen import app
from batchgen.core.facts import RunAsked
from batchgen.core.messages import Glimpse, Step
from batchgen.report.live import Letters, Line, Room, live_lines
from batchgen.report.pulse import Pulse
from batchgen.settings import Flags, Settings, load

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / ".docs" / "run.svg"
WIDTH = 96
FAULTS = "fail=0.06,429=0.02,seed=5"


class Camera:
    """A watch that keeps the view as it was when `share` of the tasks were done."""

    def __init__(self, total: int, share: float, settings: Settings) -> None:
        self._pulse = Pulse(total, time.monotonic())
        self._from = total * share
        self._settings = settings
        self.lines: list[Line] = []

    def __call__(self, step: Step, glimpse: Glimpse) -> None:
        """Take a step."""
        now = time.monotonic()
        self._pulse.take(step, glimpse, now)
        if not self.lines and glimpse.saved >= self._from:
            self.lines = live_lines(self._pulse.facts(now), room=Room(WIDTH), now=time.time(), when=self._settings.local, letters=Letters())


def shoot(manifest: str, share: float = 0.6) -> list[Line]:
    """Run a manifest of the examples in the sandbox, and return what its terminal showed in the middle."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "manifests", Path(folder, "manifests"))
        path = Path(folder, "manifests", manifest)
        settings = load((path,), Flags(sandbox=True, faults=FAULTS), environ={}, cwd=Path(folder))
        checked = app.check((path,))
        camera = Camera(checked.task_count, share, settings)
        names = tuple(loaded.header.name for loaded in checked.manifests)
        anyio.run(partial(app.run, checked, settings, RunAsked("run", names), watch=camera))
    return camera.lines


def draw(lines: list[Line], title: str) -> str:
    """Return the SVG of these lines."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.assemble(*line), no_wrap=True, overflow="ellipsis")
    # Without the web font that rich names: a picture in a README fetches nothing.
    return re.sub(r"@font-face \{.*?\}", "", console.export_svg(title=title, unique_id="batchgen"), flags=re.DOTALL)


if __name__ == "__main__":
    PICTURE.write_text(draw(shoot("marketing.yaml"), "batchgen run manifests/marketing.yaml"), encoding="utf-8")
    sys.stderr.write(f"{PICTURE}\n")
