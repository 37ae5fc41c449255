"""Where settings come from, and which one wins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from batchgen.core.facts import RunAsked
from batchgen.core.policy import AccountBudget, OnLostAnswer, PollPolicy
from batchgen.errors import UsageError
from batchgen.settings import SANDBOX_ADDRESS, VENDOR, Flags, Settings, load


def read(folder: Path, text: str = "", *, flags: Flags | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Load the settings of a folder whose batchgen.yaml holds `text`."""
    (folder / "batchgen.yaml").write_text(text, encoding="utf-8")
    return load((), flags, environ=environ or {}, cwd=folder)


def test_defaults(tmp_path: Path) -> None:
    """Without any source the settings are those of the product's documentation."""
    settings = load((), environ={}, cwd=tmp_path)
    assert settings.workspace == tmp_path
    assert settings.ledger == str(tmp_path / ".batchgen/ledger.sqlite3")
    assert settings.outputs == tmp_path / "renders"
    assert settings.address == VENDOR
    assert (settings.requests_per_minute, settings.in_flight) == (60, 10)
    assert settings.poll == PollPolicy(2.5, 5, 30)
    assert (settings.replay_window, settings.render_timeout) == (24 * 3600, 2 * 3600)
    assert settings.on_lost_answer is OnLostAnswer.REPEAT


def test_file_over_defaults(tmp_path: Path) -> None:
    """Every key of batchgen.yaml reaches the settings."""
    text = """
requests_per_minute: 0.1
in_flight: 3
poll: {first: 1, every: 2, slowest: 90s}
keep_balance: 100
budget: {per_day: 5, per_month: 6}
timezone: Europe/Berlin
prices:
  z-image: 2
  kling-2-6:
    - {params: {duration: 10}, credits: 110}
    - {credits: 55}
replay_window: 1h30m
render_timeout: 90s
on_lost_answer: hold
ledger: books/l.db
outputs: out
"""
    settings = read(tmp_path, text)
    assert (settings.requests_per_minute, settings.in_flight) == (0.1, 3)
    assert settings.poll == PollPolicy(1, 2, 90)
    assert settings.account == AccountBudget(5, 6, 100)
    assert str(settings.zone) == "Europe/Berlin"
    assert settings.prices.of("z-image", {}) == 2
    assert settings.prices.of("kling-2-6", {"duration": "10"}) == 110
    assert settings.prices.of("kling-2-6", {"duration": 10}) == 110
    assert settings.prices.of("kling-2-6", {"duration": "5"}) == 55
    assert settings.prices.of("4o-image", {}) is None
    assert (settings.replay_window, settings.render_timeout) == (5400, 90)
    assert settings.on_lost_answer is OnLostAnswer.HOLD
    assert settings.ledger == str(tmp_path / "books/l.db")
    assert settings.outputs == tmp_path / "out"


def test_environment_over_file(tmp_path: Path) -> None:
    """The environment wins over the file, and its relative paths start at the current folder."""
    environ = {"BATCHGEN_LEDGER": "other.db", "BATCHGEN_OUTPUTS": "elsewhere", "RIVYA_BASE_URL": "http://127.0.0.1:8765/api/v1/"}
    settings = read(tmp_path, "ledger: a.db\noutputs: b", environ=environ)
    assert settings.ledger == str(tmp_path / "other.db")
    assert settings.outputs == tmp_path / "elsewhere"
    assert settings.address == "http://127.0.0.1:8765"
    assert settings.local_service


def test_flags_over_environment(tmp_path: Path) -> None:
    """A flag wins over everything; a database URL stays as it is."""
    flags = Flags(ledger="postgresql://u:secret@db/ledger")
    settings = read(tmp_path, "ledger: a.db", flags=flags, environ={"BATCHGEN_LEDGER": "other.db"})
    assert settings.ledger == "postgresql://u:secret@db/ledger"
    assert "secret" not in repr(settings)


def test_empty_variable_is_none(tmp_path: Path) -> None:
    """A variable that is set to nothing counts as not set."""
    settings = read(tmp_path, environ={"BATCHGEN_LEDGER": "", "RIVYA_BASE_URL": "", "RIVYA_API_KEY": ""})
    assert settings.address == VENDOR
    assert settings.ledger.startswith(str(tmp_path))
    assert not settings.key.usable


def test_sandbox_touches_nothing_real(tmp_path: Path) -> None:
    """A sandbox run has a ledger, books, renders, an address and a pace of its own, and no account budget."""
    text = "requests_per_minute: 1\nledger: real.db\nbudget: {per_day: 1}\nkeep_balance: 9\nsandbox: {credits: 7, faults: fail=1}"
    environ = {"BATCHGEN_LEDGER": "real2.db", "BATCHGEN_OUTPUTS": "real"}
    settings = read(tmp_path, text, flags=Flags(sandbox=True), environ=environ)
    assert settings.ledger == str(tmp_path / ".batchgen/sandbox/ledger.sqlite3")
    assert settings.books == tmp_path / ".batchgen/sandbox/account.sqlite3"
    assert settings.outputs == tmp_path / "renders-sandbox"
    assert settings.address == SANDBOX_ADDRESS
    assert settings.requests_per_minute == 60_000
    assert (settings.in_flight, settings.poll) == (50, PollPolicy(0.2, 0.2, 2))
    assert settings.account == AccountBudget()
    assert (settings.sandbox_credits, settings.faults) == (7, "fail=1")
    assert settings.local_service


def test_a_sandbox_run_tells_nobody_of_the_real_ones(tmp_path: Path) -> None:
    """Neither who is told, nor the dead man's switch, nor the figures: a rehearsal would pass for the night."""
    text = "notify: {urls: ['json://ops.example']}\nping: https://hc.example/real\nmetrics: real.prom\n"
    environ = {"BATCHGEN_NOTIFY": "json://ops2.example", "BATCHGEN_PING": "https://hc.example/real2"}
    assert not read(tmp_path, text, environ=environ).announce.silent
    assert read(tmp_path, text, flags=Flags(sandbox=True), environ=environ).announce.silent
    own = read(tmp_path, f"{text}sandbox: {{ping: 'https://hc.example/trial'}}", flags=Flags(sandbox=True), environ=environ).announce
    assert (own.urls, own.ping, own.metrics) == ((), "https://hc.example/trial", "")


def test_sandbox_pace_can_be_given(tmp_path: Path) -> None:
    """What stands under `sandbox:` wins over the sandbox's own pace, and --faults over both."""
    text = "sandbox: {requests_per_minute: 30, in_flight: 2, poll: {every: 1}, faults: fail=1}"
    settings = read(tmp_path, text, flags=Flags(sandbox=True, faults="429=1"))
    assert (settings.requests_per_minute, settings.in_flight, settings.faults) == (30, 2, "429=1")
    assert settings.poll.every == 1


def test_workspace_upward_from_manifest(tmp_path: Path) -> None:
    """The workspace is the nearest folder with a batchgen.yaml, upward from the manifest."""
    (tmp_path / "work/manifests/deep").mkdir(parents=True)
    (tmp_path / "work/batchgen.yaml").touch()
    settings = load([Path("work/manifests/deep/a.yaml")], environ={}, cwd=tmp_path)
    assert settings.workspace == tmp_path / "work"


def test_workspace_of_the_current_folder(tmp_path: Path) -> None:
    """A manifest without a workspace of its own runs in that of the current folder."""
    (tmp_path / "here/below").mkdir(parents=True)
    (tmp_path / "there").mkdir()
    (tmp_path / "here/batchgen.yaml").touch()
    assert load([tmp_path / "there/a.yaml"], environ={}, cwd=tmp_path / "here/below").workspace == tmp_path / "here"
    assert load((), environ={}, cwd=tmp_path / "here/below").workspace == tmp_path / "here"


def test_manifests_of_two_workspaces(tmp_path: Path) -> None:
    """One run has one ledger, so manifests of two workspaces are refused."""
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "batchgen.yaml").touch()
    with pytest.raises(UsageError, match="different workspaces"):
        load([Path("a/m.yaml"), Path("b/m.yaml")], environ={}, cwd=tmp_path)


def test_nul_in_a_path(tmp_path: Path) -> None:
    """A path that no system takes is refused in words."""
    with pytest.raises(UsageError, match="NUL"):
        load((), Flags(ledger="a\0b"), environ={}, cwd=tmp_path)


def test_policy_carries_what_was_asked(tmp_path: Path) -> None:
    """The policy joins the settings and what the run was asked for."""
    settings = read(tmp_path, "in_flight: 4\nkeep_balance: 2")
    policy = settings.policy(RunAsked("run", budget=9, max_tasks=3, until=5.0))
    assert (policy.in_flight, policy.account.keep_balance) == (4, 2)
    assert (policy.run_budget, policy.max_tasks, policy.until) == (9, 3, 5.0)


@pytest.mark.parametrize(
    ("zone", "day"), [("Pacific/Auckland", "2026-05-11"), ("UTC", "2026-05-10"), ("America/Los_Angeles", "2026-05-10")]
)
def test_calendar(tmp_path: Path, zone: str, day: str) -> None:
    """A day of a budget begins when it begins in the account's zone."""
    settings = read(tmp_path, f"timezone: {zone}")
    assert settings.calendar(1_778_428_800.0) == day  # 2026-05-10 16:00 UTC


def test_system_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `timezone` the system's zone counts, in an empty environment too."""
    monkeypatch.delenv("TZ", raising=False)
    assert read(tmp_path).calendar(1_778_428_800.0).startswith("2026-05-1")
