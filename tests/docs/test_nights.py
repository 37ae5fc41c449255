"""What the README gives to cron, systemd and Kubernetes works as it stands."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from batchgen.cli.main import main
from batchgen.errors import ExitCode
from batchgen.runner import DRAIN
from batchgen.settings.document import read_document
from tests import make_readme
from tests.docs.parsing import parsed

TEXT = make_readme.README.read_text(encoding="utf-8")
BATCHGEN = Path(sys.executable).with_name("batchgen")
VERIFIES = shutil.which("systemd-analyze")
MARGIN = 10.0
"""Seconds between the end of a drain and the kill that would follow."""


def blocks(language: str) -> list[str]:
    """Return the README's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def unit(words: str) -> configparser.ConfigParser:
    """Return the one systemd unit that has these words."""
    (text,) = (block for block in blocks("systemd") if words in block)
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says to do
    found.read_string(text)
    return found


def night(arguments: list[str]) -> dict[str, Any]:
    """Read a nightly command line as the program does; it must keep silent when all is well, and end before the day."""
    context = parsed(arguments)
    assert context.info_name == "run"
    assert (context.params["quiet"], context.params["until"]) == (True, (6, 0))
    return context.params


TIME = re.compile(r"((?:[\d*/,-]+ ){5})(.+)")
LINES = [line for block in blocks("cron") for line in block.splitlines()]
CALLED = [match[2] for line in LINES if (match := TIME.fullmatch(line))]


def test_crontab() -> None:
    """Each line is a setting or five fields and a command, without the % that cron takes for the end of a line."""
    assert all(TIME.fullmatch(line) or re.fullmatch(r"[A-Z_]+=\S+", line) for line in LINES)
    assert len(CALLED) == 3
    assert not any("%" in line for line in LINES)
    night(shlex.split(CALLED[0].split(" && ")[1])[1:])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace as `init` writes it, in which the night was bought."""
    assert main(["init", str(tmp_path / "spring")]) == 0
    return tmp_path / "spring"


def as_cron(command: str, workspace: Path) -> subprocess.CompletedProcess[str]:
    """Run a crontab's command as cron does: by /bin/sh, with next to no environment, no terminal, in the home folder; in the sandbox."""
    command = command.replace("/srv/spring", shlex.quote(str(workspace))).replace("/srv/venv/bin/batchgen", shlex.quote(str(BATCHGEN)))
    words = ["/usr/bin/env", "-i", f"HOME={workspace.parent}", "LOGNAME=batchgen", "PATH=/usr/bin:/bin", "SHELL=/bin/sh"]
    return subprocess.run(
        [*words, "/bin/sh", "-c", f"{command} --sandbox"],
        cwd=workspace.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_cron_mails_nothing_when_all_is_well(workspace: Path) -> None:
    """The crontab's commands, one after another, in the bare environment of cron: done, and nothing to mail."""
    for command in CALLED:
        done = as_cron(command, workspace)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (workspace / "night.html").exists()


def test_cron_mails_what_is_wrong(workspace: Path) -> None:
    """A manifest that is wrong is mailed, with what to do."""
    (workspace / "manifests" / "second.yaml").write_text("version: 1\nname: [\n", encoding="utf-8")
    done = as_cron(CALLED[0], workspace)
    assert done.returncode == ExitCode.WRONG_INPUT
    assert "second.yaml:3" in done.stderr
    assert "next: correct the file" in done.stderr


def test_systemd_service() -> None:
    """The service runs as long as the night lasts, is stopped only after a drain, and takes a budget's end for no failure."""
    service = unit("[Service]")["Service"]
    night(shlex.split(service["ExecStart"])[1:])
    assert (service["Type"], service["TimeoutStartSec"]) == ("oneshot", "infinity")
    assert float(service["TimeoutStopSec"]) > DRAIN + MARGIN
    assert int(service["SuccessExitStatus"]) == ExitCode.STOPPED_EARLY
    credential = service["LoadCredential"].split(":")[0]
    assert service["Environment"] == f"RIVYA_API_KEY_FILE=%d/{credential}"


def test_systemd_timer() -> None:
    """The timer starts the service of its name each night, and is wanted by what starts timers."""
    timer = unit("[Timer]")
    assert re.fullmatch(r"\*-\*-\* [0-2]\d:[0-5]\d", timer["Timer"]["OnCalendar"])
    assert timer["Install"]["WantedBy"] == "timers.target"
    assert "batchgen.service" in TEXT
    assert "batchgen.timer" in TEXT


@pytest.mark.skipif(not VERIFIES and "BATCHGEN_CI" not in os.environ, reason="systemd is not here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing wrong with them."""
    program = tmp_path / "batchgen"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    for name, text in (("service", "[Service]"), ("timer", "[Timer]")):
        (shown,) = (block for block in blocks("systemd") if text in block)
        shown = shown.replace("/srv/venv/bin/batchgen", str(program)).replace("User=batchgen", "User=daemon")
        (tmp_path / f"batchgen.{name}").write_text(shown, encoding="utf-8")
    words = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "batchgen.service"), str(tmp_path / "batchgen.timer")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "batchgen" in line]) == (0, [])


def test_kubernetes() -> None:
    """The CronJob runs one at a time, is killed only after a drain, and is repeated only where that helps."""
    (job,) = (found for block in blocks("yaml") if isinstance(found := yaml.safe_load(block), dict) and found.get("kind") == "CronJob")
    spec = job["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    night(container["command"][1:])
    assert (spec["concurrencyPolicy"], pod["restartPolicy"]) == ("Forbid", "Never")
    assert pod["terminationGracePeriodSeconds"] > DRAIN + MARGIN
    (rule,) = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    again = {ExitCode.DONE, ExitCode.LEDGER_BUSY, ExitCode.UNAVAILABLE, ExitCode.INTERRUPTED, ExitCode.TERMINATED}
    assert set(rule["onExitCodes"]["values"]) == set(ExitCode) - again
    (key,) = container["env"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert key == {"name": "RIVYA_API_KEY_FILE", "value": f"{mounts['key']}/key"}
    assert {volume["name"] for volume in pod["volumes"]} == set(mounts)
    assert mounts["workspace"] == container["workingDir"]


def test_a_night_that_talks_is_no_night() -> None:
    """The checks above can fail: an option that is not there, and a run that is not quiet."""
    with pytest.raises(click.ClickException):
        night(["run", "manifests/", "--silent"])
    with pytest.raises(AssertionError):
        night(["run", "manifests/", "--until", "06:00"])


def test_who_is_told(tmp_path: Path) -> None:
    """The settings that tell somebody are ones that the program takes."""
    (text,) = (block for block in blocks("yaml") if block.startswith("notify:"))
    file = tmp_path / "batchgen.yaml"
    file.write_text(text, encoding="utf-8")
    assert set(read_document(file).values) == {"notify", "ping", "metrics"}
