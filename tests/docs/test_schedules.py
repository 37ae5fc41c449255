"""What the README shows for cron, systemd and Kubernetes: each is read as its own program reads it, and its command is really called."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
import yaml

from batchgen.cli.group import Commands
from batchgen.errors import ExitCode
from batchgen.runner import DRAIN
from tests import make_readme

TEXT = make_readme.README.read_text(encoding="utf-8")
PROGRAM = "/srv/venv/bin/batchgen"


def blocks(kind: str) -> list[str]:
    """Return the README's code blocks of a kind, of the section about nights."""
    section = TEXT[TEXT.index("## Every night") : TEXT.index("## Seeing and steering")]
    return re.findall(rf"^```{kind}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def understood(words: Sequence[str]) -> dict[str, object]:
    """Return what click reads from a command line; a wrong one raises."""
    group = Commands("batchgen")
    command = group.get_command(click.Context(group), words[1])
    assert command is not None
    return dict(command.make_context(words[1], list(words[2:])).params)


def crontab() -> tuple[dict[str, str], str]:
    """Return what the crontab sets, and its one command, as cron takes it: all behind the five fields."""
    (text,) = blocks("cron")
    *settings, job = text.splitlines()
    fields = job.split(maxsplit=5)
    assert all(re.fullmatch(r"[0-9*,/-]+", field) for field in fields[:5])
    return dict(line.split("=", 1) for line in settings), fields[5]


def unit(text: str) -> configparser.ConfigParser:
    """Read a unit of systemd."""
    read = configparser.ConfigParser(delimiters="=", comment_prefixes="#", interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign] # as the module's documentation says
    read.read_string(text)
    return read


def test_cron_is_silent_when_all_is_well(tmp_path: Path) -> None:
    """The command as cron calls it: by /bin/sh, without a terminal, with nearly nothing in the environment. What it says is mailed."""
    settings, command = crontab()
    assert "%" not in command, "cron makes a line break of it"
    (tmp_path / "srv/spring/manifests").mkdir(parents=True)
    (tmp_path / "srv/venv/bin").mkdir(parents=True)
    (tmp_path / PROGRAM[1:]).write_text(f'#!/bin/sh\nexec {sys.executable} -m batchgen "$@" --sandbox\n', encoding="utf-8")
    (tmp_path / PROGRAM[1:]).chmod(0o755)
    manifest = tmp_path / "srv/spring/manifests/m.yaml"
    manifest.write_text("version: 1\nname: m\ndefaults: {model: z-image}\ntasks: [A vase turns]\n", encoding="utf-8")
    environ = {"HOME": str(tmp_path), "LOGNAME": "batchgen", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"} | settings
    called = ["/bin/sh", "-c", command.replace("/srv/", f"{tmp_path}/srv/")]
    done = subprocess.run(called, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list((tmp_path / "srv/spring/renders-sandbox").rglob("*.png"))
    manifest.write_text("version: 1\nname: m\ntasks: []\n", encoding="utf-8")
    wrong = subprocess.run(called, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert wrong.returncode == 2
    assert "Nothing was sent and nothing was bought." in wrong.stderr


def test_systemd() -> None:
    """The service calls what batchgen understands, lets it drain, and takes a stop at a budget for no failure; the timer starts it."""
    service, timer = map(unit, blocks("ini"))
    said = service["Service"]
    assert understood(said["ExecStart"].split())["quiet"] is True
    assert said["ExecStart"].split()[0] == PROGRAM
    assert int(said["TimeoutStopSec"]) > DRAIN
    assert int(said["SuccessExitStatus"]) == ExitCode.STOPPED_EARLY
    assert said["Environment"].startswith("RIVYA_API_KEY_FILE=%d/")
    assert said["LoadCredential"].partition(":")[0] == said["Environment"].rpartition("/")[2]
    assert re.fullmatch(r"\*-\*-\* \d\d:\d\d", timer["Timer"]["OnCalendar"])


def test_kubernetes() -> None:
    """The job calls what batchgen understands, lets it drain, never runs twice at once, and tries again only what another try can help."""
    job = yaml.safe_load(next(block for block in blocks("yaml") if "CronJob" in block))
    outer = job["spec"]
    inner = outer["jobTemplate"]["spec"]
    pod = inner["template"]["spec"]
    (container,) = pod["containers"]
    assert understood(container["command"])["manifests"] == (Path("manifests"),)
    assert outer["concurrencyPolicy"] == "Forbid"
    assert pod["restartPolicy"] == "Never"
    assert pod["terminationGracePeriodSeconds"] > DRAIN
    (rule,) = inner["podFailurePolicy"]["rules"]
    helped = {ExitCode.LEDGER_BUSY, ExitCode.UNAVAILABLE, ExitCode.BUG, ExitCode.INTERRUPTED, ExitCode.TERMINATED}
    assert set(rule["onExitCodes"]["values"]) == set(ExitCode) - helped - {ExitCode.DONE}
    assert rule["onExitCodes"]["containerName"] == container["name"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    assert container["workingDir"] == mounts["work"]
    (key,) = container["env"]
    assert (key["name"], key["value"].startswith(f"{mounts['rivya']}/")) == ("RIVYA_API_KEY_FILE", True)


@pytest.mark.skipif(not os.path.exists("/usr/bin/systemd-analyze") and "BATCHGEN_CI" not in os.environ, reason="systemd is not here")  # noqa: PTH110 - a decorator's condition
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing wrong with them."""
    (tmp_path / "bin").mkdir()
    service, timer = blocks("ini")
    (tmp_path / "bin/batchgen").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "bin/batchgen").chmod(0o755)
    service = service.replace(PROGRAM, str(tmp_path / "bin/batchgen")).replace("User=batchgen", "User=daemon")
    for name, text in (("service", service), ("timer", timer)):
        (tmp_path / f"batchgen.{name}").write_text(text, encoding="utf-8")
    words = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "batchgen.service"), str(tmp_path / "batchgen.timer")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "batchgen" in line]) == (0, [])
