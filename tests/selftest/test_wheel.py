"""What is installed is the whole program: the promises hold from a wheel, in a folder that is no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from this tree and install it, alone, into a folder; what it depends on is there already."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    return site


def call(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call the installed program from an empty folder, with nothing else in the environment."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site), "HOME": str(folder), "TMPDIR": str(folder)}
    return subprocess.run([sys.executable, "-P", *words], cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_it_is_the_installed_one(installed: Path, tmp_path: Path) -> None:
    """Else this file would prove nothing."""
    said = call(
        installed, tmp_path, "-c", "import batchgen, batchgen.cli.main; print(batchgen.__file__, batchgen.cli.main.__file__)"
    ).stdout
    assert [Path(file).is_relative_to(installed) for file in said.split()] == [True, True]


def test_the_promises_hold_from_a_wheel(installed: Path, tmp_path: Path) -> None:
    """`selftest` kills and starts processes of the installed program, and leaves nothing behind."""
    done = call(installed, tmp_path, "-m", "batchgen", "selftest", "--quick", "--json", "--seed", "11")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["holds"] is True
    assert list(tmp_path.iterdir()) == []


def test_a_first_workspace_runs_from_a_wheel(installed: Path, tmp_path: Path) -> None:
    """What `init` writes, the schemas and the page's templates are in the wheel."""
    assert call(installed, tmp_path, "-m", "batchgen", "init", "spring").returncode == 0
    home = tmp_path / "spring"
    assert call(installed, home, "-m", "batchgen", "run", "manifests/first.yaml", "--sandbox", "--yes", "--quiet").returncode == 0
    assert call(installed, home, "-m", "batchgen", "report", "--sandbox", "--html", "report.html").returncode == 0
    assert json.loads(call(installed, home, "-m", "batchgen", "schema", "plan").stdout)["$schema"]
    assert "<html" in (home / "report.html").read_text(encoding="utf-8")
