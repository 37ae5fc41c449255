"""Who is measured: the tools, their pinned versions, their environments. Nothing is installed unless it is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.servers import ROOT

INSTALL_LIMIT = 1200.0
"""Seconds for one tool's installation."""

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there: what a tool would tell its makers gets no further."""

QUIET: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "TELEMETRY_ENABLED": "false",  # curator
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OTEL_SDK_DISABLED": "true",
    "http_proxy": NOWHERE,
    "https_proxy": NOWHERE,
    "no_proxy": "127.0.0.1",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PYTHONPATH": str(ROOT),
}


class Unavailable(Exception):
    """A tool cannot be measured here."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool. `requests` is how many requests that count against the limit a task needs; 1 is a call that waits for its render."""

    name: str
    module: str
    pins: tuple[str, ...] = ()
    requests: int = 2
    debian: str = ""
    results: str = "out/t*"
    """Where its results lie in its folder, one file a task."""

    differs: str = ""
    """What could not be made the same, for the table."""

    def words(self, home: Path) -> list[str]:
        """Return how it is started."""
        python = home / self.name / "bin" / "python" if self.pins else Path(sys.executable)
        return [str(python), "-m", self.module]

    def environ(self, home: Path, folder: Path) -> dict[str, str]:
        """Return an environment without anybody's keys, in which a call out of this machine fails."""
        found = f"{home / self.name / 'usr' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**QUIET, "PATH": found, "HOME": str(folder)}


_ROOM = "tests.benchmarks.peers"

BATCHGEN = Peer(
    "batchgen",
    f"{_ROOM}.with_batchgen",
    results="renders/**/*.png",
    differs="checks each file and syncs it and its sidecar to the disk; keys of its own always",
)

PEERS: tuple[Peer, ...] = (
    Peer(
        "script",
        f"{_ROOM}.with_script",
        differs="a pool of 20 threads, no record but the files; 5 tasks a second by its own clock, growing pauses after 429",
    ),
    Peer(
        "GNU parallel",
        f"{_ROOM}.with_parallel",
        debian="parallel",
        differs="each task a shell with three curls; joblog and resume; a delay of 0.2 s as its rate",
    ),
    Peer(
        "huey",
        f"{_ROOM}.with_huey",
        ("huey==3.5.4",),
        differs="SQLite, 20 threads; a pipeline of three tasks; its rate limit at 10 requests a second, 10 retries after 429",
    ),
    Peer(
        "DBOS",
        f"{_ROOM}.with_dbos",
        ("dbos==3.4.0",),
        differs="SQLite, one workflow of three steps a task; its limiter at 5 workflows a second, steps retried after 429",
    ),
    Peer(
        "inspect_ai",
        f"{_ROOM}.with_inspect",
        ("inspect-ai==0.3.285",),
        differs="a model of one's own; knows no rate: its adaptive connections; an eval set resumed from its logs",
    ),
    Peer(
        "curator",
        f"{_ROOM}.with_curator",
        ("bespokelabs-curator==0.1.31",),
        requests=1,
        differs="create only: one blocking chat completion a task, no poll, no download; 600 requests a minute",
    ),
)


def install(peer: Peer, home: Path) -> None:
    """Put a tool into its own environment under `home`, once. Raises Unavailable with the reason."""
    place = home / peer.name
    if peer.debian and shutil.which(peer.debian) is None and not place.exists():
        _from_debian(peer.debian, place)
    note, pins = place / "installed", "\n".join(peer.pins)
    if pins and not (note.exists() and note.read_text(encoding="utf-8") == pins):
        _call([sys.executable, "-m", "venv", "--clear", str(place)], home)
        _call([str(place / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *peer.pins], home)
        note.write_text(pins, encoding="utf-8")


def _from_debian(package: str, place: Path) -> None:
    """Unpack a package without installing it."""
    if shutil.which("apt-get") is None:
        raise Unavailable(f"{package} is not installed and there is no apt-get")
    parts = place.with_suffix(".part")
    parts.mkdir(parents=True, exist_ok=True)
    _call(["apt-get", "download", package], parts)
    for file in parts.glob("*.deb"):
        _call(["dpkg", "-x", str(file), str(place)], parts)
    shutil.rmtree(parts)


def _call(words: list[str], cwd: Path) -> None:
    try:
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{words[0]} took longer than {INSTALL_LIMIT:.0f} s") from None
    except OSError as reason:
        raise Unavailable(f"not installed: {reason}") from None
    if done.returncode:
        raise Unavailable(f"not installed: {last_line(done.stderr) or words[0]}")


def last_line(text: str) -> str:
    """Return the last line that says something, short enough for a cell."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:120].replace("|", "/") if lines else ""
