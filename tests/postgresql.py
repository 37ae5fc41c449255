"""A PostgreSQL server for the tests that want one: where `initdb` and `psycopg` are installed, and always in CI."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

INITDB = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)
"""Debian keeps it off the path."""
HAS_POSTGRESQL = bool(INITDB and importlib.util.find_spec("psycopg"))
DATABASES = ["sqlite", *(["postgresql"] if HAS_POSTGRESQL or "BATCHGEN_CI" in os.environ else [])]
"""`.ci/run` tries both or fails."""


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A real server without a network port, as a user who is not root (it refuses root); its URL."""
    assert INITDB
    folder = Path(tempfile.mkdtemp(prefix="bg-pg-"))
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    os.chown(folder, account.pw_uid, account.pw_gid)
    binaries = Path(INITDB).resolve().parent

    def call(*words: str) -> None:
        subprocess.run(words, check=True, user=account.pw_uid, group=account.pw_gid, cwd=folder, stdout=subprocess.DEVNULL, timeout=60)

    data = str(folder / "data")
    call(str(binaries / "initdb"), "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
    options = f"-c listen_addresses='' -c fsync=off -k {folder}"
    call(str(binaries / "pg_ctl"), "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start")
    yield f"postgresql+psycopg://tester@/postgres?host={folder}"
    call(str(binaries / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder)


needs_postgresql = pytest.mark.skipif("postgresql" not in DATABASES, reason="PostgreSQL's server (`initdb`) or psycopg is not installed")
