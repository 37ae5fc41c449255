"""Every exit code, from whole runs: real files, real HTTP, a real ledger."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest

from batchgen import app
from batchgen.core.policy import AccountBudget, OnLostAnswer
from batchgen.core.resolve import Decision
from batchgen.errors import ExitCode, KeyRefused, LedgerBusy, LedgerError, ManifestError, PlanRefused, UsageError
from batchgen.settings.secret import ApiKey
from tests.runner.place import CREDITS, FILES, GENERATIONS, Place, Rudeness, empty_ledger, opened, refusal, rude, silent


def test_done(place: Place) -> None:
    """Code 0: every render is on disk, paid once, and the ledger agrees with the server."""
    ended = place.run(place.images(5))
    assert (ended.code, place.states()) == (ExitCode.DONE, {"done": 5})
    assert place.renders() == {f"m/t{n}.{suffix}" for n in range(5) for suffix in ("png", "json")}
    assert place.money() == (place.spent(), 0) == (5, 0)


def test_some_failed(tmp_path: Path) -> None:
    """Code 1: tasks that the server cannot render are retried, fail for good, and cost nothing."""
    with opened(tmp_path, faults="render=0,fail=1") as place:
        ended = place.run(place.images(3, more="retries: 1\n"))
        assert (ended.code, place.states()) == (ExitCode.SOME_FAILED, {"failed": 3})
        assert (place.money(), place.spent(), place.bought()) == ((0, 0), 0, 6)


def test_first_five_refused(tmp_path: Path) -> None:
    """Code 1: if the first submissions are all refused as invalid, the manifest stops and the rest stays pending."""
    with opened(tmp_path, rules=[rude("POST", GENERATIONS, "validation_failed", 400)]) as place:
        place.settings = replace(place.settings, in_flight=1)
        ended = place.run(place.images(9))
        assert (ended.code, place.states()) == (ExitCode.SOME_FAILED, {"failed": 5, "pending": 4})
        assert place.money() == (0, 0)


def test_ten_failures_in_a_row(tmp_path: Path) -> None:
    """Code 1: a manifest stops after ten failures in a row."""
    with opened(tmp_path, faults="render=0,fail=1") as place:
        place.settings = replace(place.settings, in_flight=1)
        ended = place.run(place.images(14, more="retries: 0\n"))
        assert (ended.code, place.states()) == (ExitCode.SOME_FAILED, {"failed": 10, "pending": 4})
        assert "in a row" in ended.reason


def test_wrong_manifest(place: Place) -> None:
    """Code 2: a wrong manifest is refused with its place, and nothing is sent."""
    with pytest.raises(ManifestError) as caught:
        place.run(place.manifest("version: 1\nname: m\ntasks: [{id: a, modle: z-image}]\n"))
    assert (caught.value.exit_code, place.server.asked) == (ExitCode.WRONG_INPUT, [])


def test_not_a_ledger(place: Place) -> None:
    """Code 2: a file that is no ledger is left as it is, and nothing is sent."""
    Path(place.settings.ledger).write_bytes(b"my diary\n" * 1000)
    with pytest.raises(LedgerError) as caught:
        place.run(place.images(1))
    assert (caught.value.exit_code, place.server.asked) == (ExitCode.WRONG_INPUT, [])
    assert Path(place.settings.ledger).read_bytes() == b"my diary\n" * 1000


def test_another_account(place: Place) -> None:
    """Code 2: a ledger belongs to the address where it was begun; another address is refused."""
    assert place.run(place.images(1)).code == ExitCode.DONE
    place.settings = replace(place.settings, address="https://elsewhere.test")
    with pytest.raises(LedgerError) as caught:
        place.run(place.images(2))
    assert caught.value.exit_code == ExitCode.WRONG_INPUT


def test_nothing_to_resume(place: Place) -> None:
    """Code 2: a ledger without a run has nothing to go on with."""
    empty_ledger(place.settings).close()
    with pytest.raises(UsageError) as caught:
        place.resume()
    assert caught.value.exit_code == ExitCode.WRONG_INPUT


BUDGETS: Mapping[str, tuple[str, Callable[[Place], None], Mapping[str, object]]] = {
    "total": ("budget: {total: 3}\n", lambda _: None, {}),
    "per_run": ("budget: {per_run: 3}\n", lambda _: None, {}),
    "per_day": ("budget: {per_day: 3}\n", lambda _: None, {}),
    "--budget": ("", lambda _: None, {"budget": 3}),
    "account's per_day": ("", lambda place: _account(place, AccountBudget(per_day=3)), {}),
    "account's per_month": ("", lambda place: _account(place, AccountBudget(per_month=3)), {}),
    "keep_balance": ("", lambda place: _account(place, AccountBudget(keep_balance=997)), {}),
    "--max-tasks": ("", lambda _: None, {"max_tasks": 3}),
}


def _account(place: Place, budget: AccountBudget) -> None:
    place.settings = replace(place.settings, account=budget)


@pytest.mark.parametrize("budget", BUDGETS)
def test_stopped_early(place: Place, budget: str) -> None:
    """Code 3: every budget lets through what it allows to the last credit and no more, and the end names it."""
    more, prepare, said = BUDGETS[budget]
    prepare(place)
    ended = place.run(place.images(8, more=more), **said)
    assert (ended.code, place.states()) == (ExitCode.STOPPED_EARLY, {"done": 3, "pending": 5})
    assert budget in ended.reason
    assert place.spent() == 3


def test_until(place: Place) -> None:
    """Code 3: from --until on nothing is submitted."""
    ended = place.run(place.images(3), until=time.time() - 1)
    assert (ended.code, place.bought()) == (ExitCode.STOPPED_EARLY, 0)
    assert "--until" in ended.reason


def test_insufficient_credits(tmp_path: Path) -> None:
    """Code 3: when the account runs dry the rest stays pending with nothing held, and the next run goes on."""
    with opened(tmp_path, credits_=4) as place:
        manifest = place.images(9)
        ended = place.run(manifest)
        assert (ended.code, place.states(), place.money()) == (ExitCode.STOPPED_EARLY, {"done": 4, "pending": 5}, (4, 0))
        assert place.run(manifest).code == ExitCode.STOPPED_EARLY
        assert place.spent() == 4


def test_busy_ledger(place: Place) -> None:
    """Code 4: a second run names the holder and sends nothing."""
    with empty_ledger(place.settings) as ledger, ledger.lock(command="run", at=time.time()), pytest.raises(LedgerBusy) as caught:
        place.run(place.images(1))
    assert f"process {os.getpid()}" in str(caught.value)
    assert (caught.value.exit_code, place.server.asked) == (ExitCode.LEDGER_BUSY, [])


def test_a_person_decides_nothing_under_a_run(tmp_path: Path) -> None:
    """`resolve` waits outside as well: the run may be about to repeat the purchase that is decided about."""
    with opened(tmp_path, rules=[Rudeness("POST", GENERATIONS, 0)]) as place:
        place.settings = replace(place.settings, on_lost_answer=OnLostAnswer.HOLD)
        assert place.run(place.images(1)).code is ExitCode.IN_DOUBT
        with app.reading(place.settings) as ledger, ledger.lock(command="run", at=time.time()), pytest.raises(LedgerBusy):
            app.decide(place.settings, "t0", "", Decision.NOT_ACCEPTED)
        assert place.query("SELECT state FROM attempts") == [("in_doubt",)]
        app.decide(place.settings, "t0", "", Decision.NOT_ACCEPTED)
        assert place.query("SELECT state FROM attempts") == [("refused",)]


KEYS = {
    "api_key_revoked": "rvya_sk_revoked_x",
    "api_key_expired": "rvya_sk_expired_x",
    "api_key_invalid": "sk_of_another_vendor",
    "api_scope_denied": "rvya_sk_noscope_generations:create",
}


@pytest.mark.parametrize("code", KEYS)
def test_key_refused(place: Place, code: str) -> None:
    """Code 5: every refusal of the key stops the run at once, holds nothing, and the tasks stay pending."""
    place.settings = replace(place.settings, key=ApiKey(KEYS[code]))
    ended = place.run(place.images(30))
    assert (ended.code, place.states(), place.money()) == (ExitCode.KEY_REFUSED, {"pending": 30}, (0, 0))
    assert code in ended.reason
    assert place.server.count("POST", GENERATIONS) <= 24
    assert KEYS[code] not in ended.reason


def test_key_without_scope_for_uploads(place: Place) -> None:
    """Code 5: a key that may not upload blocks no task."""
    place.settings = replace(place.settings, key=ApiKey("rvya_sk_noscope_files"))
    ended = place.run(_with_reference(place))
    assert (ended.code, place.states()) == (ExitCode.KEY_REFUSED, {"pending": 1})


def test_key_without_scope_for_polls(tmp_path: Path) -> None:
    """Code 5: a key that may buy but not look leaves what it bought as rendering, and a better key fetches it."""
    with opened(tmp_path, faults="render=0.05") as place:
        better, place.settings = place.settings, replace(place.settings, key=ApiKey("rvya_sk_noscope_generations:read"))
        ended = place.run(place.images(1))
        assert (ended.code, place.states(), place.money()) == (ExitCode.KEY_REFUSED, {"rendering": 1}, (0, 1))
        place.settings = better
        assert place.resume().code == ExitCode.DONE
        assert (place.bought(), place.money()) == (1, (1, 0))


def test_key_missing(place: Place) -> None:
    """Code 5: without a key nothing is sent."""
    place.settings = replace(place.settings, key=ApiKey())
    with pytest.raises(KeyRefused, match="RIVYA_API_KEY") as caught:
        place.run(place.images(1))
    assert (caught.value.exit_code, place.server.asked) == (ExitCode.KEY_REFUSED, [])


def test_key_missing_says_the_server(tmp_path: Path) -> None:
    """Code 5: a proxy that eats the header shows as api_key_missing."""
    with opened(tmp_path, rules=[rude("POST", GENERATIONS, "api_key_missing", 401)]) as place:
        ended = place.run(place.images(1))
        assert (ended.code, place.states()) == (ExitCode.KEY_REFUSED, {"pending": 1})


@pytest.mark.parametrize("status", [0, 500, 503])
def test_unavailable(tmp_path: Path, status: int) -> None:
    """Code 6: a service that gives no good answer for too long ends the run; what may have been bought stays submitting."""
    with opened(tmp_path, rules=[Rudeness("POST", GENERATIONS, status, b"sorry")]) as place:
        ended = place.run(place.images(2))
        assert (ended.code, place.states()) == (ExitCode.UNAVAILABLE, {"rendering": 2} if place.money()[1] == 2 else place.states())
        assert place.money()[0] == 0
        place.server.rules.clear()
        assert place.resume().code == ExitCode.DONE
        assert (place.bought(), place.spent(), place.money()) == (2, 2, (2, 0))


def test_disabled(tmp_path: Path) -> None:
    """Code 6: public_api_disabled is waited for, then the run ends and says so."""
    with opened(tmp_path, rules=[rude("POST", GENERATIONS, "public_api_disabled", 503)]) as place:
        ended = place.run(place.images(1))
        assert (ended.code, place.spent()) == (ExitCode.UNAVAILABLE, 0)
        assert "public_api_disabled" in ended.reason


def test_no_server(place: Place) -> None:
    """Code 6: nobody listens there."""
    place.settings = replace(place.settings, address="http://127.0.0.1:9")
    ended = place.run(place.images(1))
    assert (ended.code, place.money()[0]) == (ExitCode.UNAVAILABLE, 0)


def test_render_cannot_be_fetched(place: Place) -> None:
    """Code 6: a paid render whose link is refused is kept as rendered; the next run fetches it and buys nothing."""

    def elsewhere(request: str, document: dict[str, object]) -> dict[str, object]:
        return {**document, "result": {"urls": ["http://10.0.0.1/x.png"]}} if document.get("result") else document

    place.server.edit = elsewhere
    manifest = place.images(1)
    ended = place.run(manifest)
    assert (ended.code, place.states(), place.money()) == (ExitCode.UNAVAILABLE, {"rendered": 1}, (1, 0))
    place.server.edit = None
    assert place.run(manifest).code == ExitCode.DONE
    assert (place.bought(), place.states()) == (1, {"done": 1})


def test_outputs_folder_is_a_file(place: Place) -> None:
    """Code 6: a disk that takes no file stops the run; after that is put right nothing is bought twice."""
    place.settings.outputs.write_text("in the way")
    manifest = place.images(2)
    ended = place.run(manifest)
    assert ended.code == ExitCode.UNAVAILABLE
    place.settings.outputs.unlink()
    assert place.run(manifest).code == ExitCode.DONE
    assert (place.bought(), place.spent()) == (2, 2)


def test_in_doubt_by_conflict(tmp_path: Path) -> None:
    """Code 7: idempotency_conflict is never answered with a new id; the credits stay held and the task waits for a person."""
    with opened(tmp_path, rules=[rude("POST", GENERATIONS, "idempotency_conflict", 409, times=1)]) as place:
        ended = place.run(place.images(3))
        assert (ended.code, place.states(), place.money()) == (ExitCode.IN_DOUBT, {"done": 2, "blocked": 1}, (2, 1))
        sent = place.server.count("POST", GENERATIONS)
        assert place.resume().code == ExitCode.IN_DOUBT
        assert place.server.count("POST", GENERATIONS) == sent


@pytest.mark.parametrize("when", ["in the same run", "long after"])
def test_in_doubt_by_a_render_of_another(tmp_path: Path, when: str) -> None:
    """Code 7: a server that answers a purchase with the render of an earlier one; whether it took credits for it is not known."""
    first: list[object] = []

    def same(request: str, document: dict[str, object]) -> dict[str, object]:
        if request.startswith("POST /api/v1/generations") and (identity := document.get("id")):
            first.append(identity)
            return {**document, "id": first[0]}
        return document

    with opened(tmp_path, faults="render=0.3") as place:
        place.server.edit = same
        if when == "long after":
            assert place.run(place.images(1)).code == ExitCode.DONE
        ended = place.run(place.images(3))
        assert (ended.code, place.states(), place.money()) == (ExitCode.IN_DOUBT, {"done": 1, "blocked": 2}, (1, 2))
        assert "which is the render of bg-" in place.history("t2").task.note
        assert place.resume().code == ExitCode.IN_DOUBT
        assert len(first) == 3


def test_in_doubt_by_wish(tmp_path: Path) -> None:
    """Code 7: with on_lost_answer hold a lost answer is never repeated by ourselves."""
    with opened(tmp_path, rules=[Rudeness("POST", GENERATIONS, 0, after=True, times=1)]) as place:
        place.settings = replace(place.settings, on_lost_answer=OnLostAnswer.HOLD)
        ended = place.run(place.images(1))
        assert (ended.code, place.states(), place.money()) == (ExitCode.IN_DOUBT, {"blocked": 1}, (0, 1))
        assert (place.server.count("POST", GENERATIONS), place.bought()) == (1, 1)


def test_balance_cannot_be_asked(tmp_path: Path) -> None:
    """With keep_balance nothing is bought while the balance is not known."""
    status, body, headers = refusal("public_api_disabled", 503)
    with opened(tmp_path, rules=[Rudeness("GET", CREDITS, status, body, headers)]) as place:
        _account(place, AccountBudget(keep_balance=10))
        ended = place.run(place.images(1))
        assert (ended.code, place.bought()) == (ExitCode.UNAVAILABLE, 0)


def test_upload_never_taken(tmp_path: Path) -> None:
    """Code 6: an upload that the service never takes leaves its tasks pending."""
    with opened(tmp_path, rules=[Rudeness("POST", FILES, 502, b"<html>")]) as place:
        ended = place.run(_with_reference(place))
        assert (ended.code, place.states(), place.bought()) == (ExitCode.UNAVAILABLE, {"pending": 1}, 0)


def _with_reference(place: Place) -> Path:
    """Write a manifest with one reference."""
    assets = Path(__file__).parents[2] / "manifests" / "assets"
    text = (
        f"version: 1\nname: m\ndefaults: {{model: kling-2-6}}\ntasks:\n  - {{id: t0, prompt: a vase, references: ['{assets}/vase.png']}}\n"
    )
    return place.manifest(text)


def test_plan_reads_without_a_key(place: Place) -> None:
    """A plan sends nothing and needs no key."""
    place.settings = replace(place.settings, key=ApiKey())
    manifest = place.images(2)
    app.plan(app.check([manifest]), place.settings, place.asked(manifest))
    assert place.server.asked == []


def test_a_plan_that_two_runs_found_unused(place: Place) -> None:
    """Whoever gets the ledger second looks again, and buys nothing: both had looked before one of them held it."""
    manifest = place.images(2)
    checked = app.check([manifest])
    kept = app.keep(checked, place.settings, place.asked(manifest))
    do = partial(app.run, checked, place.settings, kept.asked(until=None), watch=silent, kept=kept)
    assert anyio.run(do).code is ExitCode.DONE
    with pytest.raises(PlanRefused, match="the plan was used already, by run 1"):
        anyio.run(do)
    assert (place.bought(), place.query("SELECT count(*) FROM runs")) == (2, [(1,)])
