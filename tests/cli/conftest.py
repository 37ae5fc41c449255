"""The command line called in-process, in a folder of its own, without a key and without the user's environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.cli.main import main
from tests.cli.calling import Called, Cli


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, made the current one."""
    for name in ("RIVYA_API_KEY", "RIVYA_API_KEY_FILE", "RIVYA_BASE_URL", "BATCHGEN_LEDGER", "BATCHGEN_OUTPUTS"):
        monkeypatch.delenv(name, raising=False)
    # Whoever forgets --sandbox in a test meets a port where nobody answers, and not the vendor.
    monkeypatch.setenv("RIVYA_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call the command line as `batchgen ARGUMENTS...`."""

    def call(*arguments: str) -> Called:
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return Called(code, said.out, said.err)

    return call


@pytest.fixture
def manifest(workspace: Path) -> Callable[..., str]:
    """Write a manifest with so many tasks, and return its path."""

    def write(count: int = 2, name: str = "spring", more: str = "") -> str:
        tasks = "\n".join(f"  - {{id: t{n}, prompt: Clip number {n}}}" for n in range(1, count + 1))
        text = f"version: 1\nname: {name}\n{more}defaults: {{model: kling-2-6}}\ntasks:\n{tasks}\n"
        (workspace / f"{name}.yaml").write_text(text, encoding="utf-8")
        return f"{name}.yaml"

    return write
