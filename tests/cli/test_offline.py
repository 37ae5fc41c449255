"""Commands that need neither a key nor a server: init, validate, plan, models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.cli.commands.init import WRITTEN
from tests.cli.calling import ROOT, Cli


def test_init(cli: Cli, workspace: Path) -> None:
    """A fresh workspace is complete, says what to do next, and its manifest is right."""
    called = cli("init", "new")
    assert called.code == 0
    assert "next: cd new && batchgen run manifests/first.yaml --sandbox" in called.out
    assert {str(path.relative_to("new")) for path in Path("new").rglob("*") if path.is_file()} == set(WRITTEN)
    assert cli("validate", "new/manifests").code == 0


def test_init_never_overwrites(cli: Cli, workspace: Path) -> None:
    """What is there already stays as it is, and is named."""
    Path("batchgen.yaml").write_text("in_flight: 3\n", encoding="utf-8")
    Path(".gitignore").symlink_to("nowhere")
    called = cli("init")
    assert called.code == 0
    assert "left as it is  batchgen.yaml" in called.out
    assert Path("batchgen.yaml").read_text(encoding="utf-8") == "in_flight: 3\n"
    assert not Path("nowhere").exists()
    assert "wrote" not in cli("init").out


def test_init_in_a_file(cli: Cli, workspace: Path) -> None:
    """A folder that is a file is refused in words."""
    Path("taken").touch()
    called = cli("init", "taken")
    assert called.code == 2
    assert "taken" in called.err


def test_settings_file_of_init_is_all_defaults(cli: Cli, workspace: Path) -> None:
    """Every line that init's batchgen.yaml shows can be switched on as it stands."""
    cli("init")
    text = Path("batchgen.yaml").read_text(encoding="utf-8")
    live = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ") and ":" in line.split("#")[1]]
    Path("batchgen.yaml").write_text("\n".join(line for line in live if not line.startswith("The ")), encoding="utf-8")
    assert cli("validate", "manifests").code == 0
    settings = json.loads(cli("schema", "batchgen").out)["properties"]
    assert {name for name in settings if not any(line.startswith(f"{name}:") for line in live)} == set()


def test_examples_are_right(cli: Cli) -> None:
    """The repository's examples are right, and the marketing one is 300 tasks."""
    called = cli("validate", str(ROOT / "manifests"), "--json")
    assert called.code == 0
    counts = {part["name"]: part["tasks"] for part in json.loads(called.out)["manifests"]}
    assert counts == {"marketing": 300, "minimal": 2, "references": 4}


def test_validate_says_everything(cli: Cli, workspace: Path) -> None:
    """All problems are said at once, each with its place; as JSON too; hostile text is harmless."""
    Path("bad.yaml").write_text(
        'version: 1\nname: bad\ntasks:\n  - {id: a, promt: x, model: kling-2-6}\n  - {id: "b\\e[2J", prompt: x, model: kling-9}\n',
        encoding="utf-8",
    )
    called = cli("validate", "bad.yaml")
    assert called.code == 2
    assert "bad.yaml:4" in called.err
    assert "bad.yaml:5" in called.err
    assert "Nothing was sent" in called.err
    assert "\x1b" not in called.err
    document = cli("validate", "bad.yaml", "--json")
    problems = document.document()["problems"]
    assert isinstance(problems, list)
    assert {problem["line"] for problem in problems} >= {4, 5}
    assert json.loads(document.err.splitlines()[-1])["exit_code"] == 2


def test_validate_checks_the_settings(cli: Cli, manifest: Callable[..., str]) -> None:
    """A mistake in batchgen.yaml is found with its place before anything runs."""
    path = manifest()
    Path("batchgen.yaml").write_text("in_fligth: 3\n", encoding="utf-8")
    called = cli("validate", path)
    assert called.code == 2
    assert "batchgen.yaml:1:1" in called.err
    assert "did you mean in_flight?" in called.err


def test_plan_without_a_ledger(cli: Cli, manifest: Callable[..., str], workspace: Path) -> None:
    """A plan needs neither key nor ledger, and writes nothing."""
    path = manifest(3, more="budget: {per_run: 60}\n")
    before = sorted(workspace.rglob("*"))
    called = cli("plan", path)
    assert called.code == 0
    assert "3 tasks to buy for about 165 credits" in called.out
    assert "per_run of spring" in called.out
    assert sorted(workspace.rglob("*")) == before
    assert cli("plan", path, "--json").document()["to_buy"] == 3
    assert cli("plan", path, "--only", "t1").out.count("t2") == 0


def test_dry_run_is_plan(cli: Cli, manifest: Callable[..., str]) -> None:
    """`run --dry-run` says what `plan` says, and needs no key."""
    path = manifest()
    assert cli("run", path, "--dry-run").out == cli("plan", path).out


def test_no_ledger(cli: Cli) -> None:
    """Commands that read the ledger say that there is none, and make none."""
    for arguments in (("status",), ("tasks",), ("show", "x"), ("report",), ("resume",)):
        called = cli(*arguments)
        assert called.code == 2, arguments
        assert "ledger" in called.err
    assert not Path(".batchgen").exists()


def test_models(cli: Cli) -> None:
    """The models that ship are listed; one is told about; an unknown one gets suggestions."""
    assert "kling-2-6" in cli("models", "--offline").out
    assert "one of 5, 10" in cli("models", "--offline", "kling-2-6").out
    called = cli("models", "--offline", "kling-26")
    assert called.code == 2
    assert "kling-2-6" in called.err


def test_models_without_an_answer(cli: Cli) -> None:
    """If the server does not answer, the catalogue that ships is shown, and that is said; no key is needed."""
    called = cli("models", "--json")
    assert called.code == 0
    assert called.document()["from_server"] is False
    assert "did not answer" in called.err


@pytest.mark.parametrize("key", ["", "a\nb"])
def test_no_key(cli: Cli, manifest: Callable[..., str], monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """Without a usable key a run exits 5, having bought nothing, and shows no key."""
    monkeypatch.setenv("RIVYA_API_KEY", key)
    for arguments in (("run", manifest(), "--yes"), ("credits",)):
        called = cli(*arguments)
        assert called.code == 5
        assert "RIVYA_API_KEY" in called.err
        assert "a\nb" not in called.err


def test_password_in_the_address(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address with a password is refused without showing it."""
    monkeypatch.setenv("RIVYA_BASE_URL", "https://me:hunter2@rivya.ai")
    called = cli("credits")
    assert called.code == 2
    assert "password" in called.err
    assert "hunter2" not in called.err


def test_service_not_there(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer gives exit 6, and nothing is lost."""
    monkeypatch.setenv("RIVYA_API_KEY", "rvya_sk_sandbox_x")
    called = cli("credits")
    assert called.code == 6
    assert "Nothing is lost" in called.err
