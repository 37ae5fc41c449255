"""Every error of the API's table, end to end: what the ledger says afterwards, and what the next run does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from batchgen.errors import ExitCode
from tests.runner.place import ASSETS, FILES, GENERATIONS, Place, Rudeness, opened, refusal, rude


@dataclass(frozen=True, slots=True)
class After:
    """What one such answer to the purchase of a single task leaves behind."""

    code: ExitCode
    task: str
    attempt: str
    held: int = 0
    resumed: ExitCode = ExitCode.DONE  # how the next run ends when the server is polite again
    retry: bool = False  # the task is due again only with --retry-failed


TABLE: dict[tuple[str, int], After] = {
    ("api_key_missing", 401): After(ExitCode.KEY_REFUSED, "pending", "refused"),
    ("api_key_invalid", 401): After(ExitCode.KEY_REFUSED, "pending", "refused"),
    ("api_key_revoked", 401): After(ExitCode.KEY_REFUSED, "pending", "refused"),
    ("api_key_expired", 401): After(ExitCode.KEY_REFUSED, "pending", "refused"),
    ("api_scope_denied", 403): After(ExitCode.KEY_REFUSED, "pending", "refused"),
    ("insufficient_credits", 402): After(ExitCode.STOPPED_EARLY, "pending", "refused"),
    ("insufficient_credits", 400): After(ExitCode.STOPPED_EARLY, "pending", "refused"),
    ("validation_failed", 400): After(ExitCode.SOME_FAILED, "failed", "refused", resumed=ExitCode.SOME_FAILED, retry=True),
    ("not_found", 404): After(ExitCode.SOME_FAILED, "failed", "refused", resumed=ExitCode.SOME_FAILED, retry=True),
    ("webhook_url_rejected", 400): After(ExitCode.SOME_FAILED, "failed", "refused", resumed=ExitCode.SOME_FAILED, retry=True),
    ("chat_model_not_supported", 400): After(ExitCode.SOME_FAILED, "failed", "refused", resumed=ExitCode.SOME_FAILED, retry=True),
    ("chat_session_conflict", 409): After(ExitCode.SOME_FAILED, "failed", "refused", resumed=ExitCode.SOME_FAILED, retry=True),
    ("chat_attachment_not_supported", 400): After(ExitCode.SOME_FAILED, "failed", "refused", resumed=ExitCode.SOME_FAILED, retry=True),
    ("a_code_of_tomorrow", 422): After(ExitCode.SOME_FAILED, "failed", "refused", resumed=ExitCode.SOME_FAILED, retry=True),
    ("idempotency_conflict", 409): After(ExitCode.IN_DOUBT, "blocked", "in_doubt", held=1, resumed=ExitCode.IN_DOUBT),
    ("a_conflict_of_tomorrow", 409): After(ExitCode.IN_DOUBT, "blocked", "in_doubt", held=1, resumed=ExitCode.IN_DOUBT),
    ("public_api_disabled", 503): After(ExitCode.UNAVAILABLE, "rendering", "submitting", held=1),
    ("a_failure_of_tomorrow", 500): After(ExitCode.UNAVAILABLE, "rendering", "submitting", held=1),
}


@pytest.mark.parametrize(("code", "status"), TABLE)
def test_purchase_answered_with(tmp_path: Path, code: str, status: int) -> None:
    """The purchase meets an error: task, attempt, credits, the server's words and requestId are in the ledger; nothing is paid twice."""
    expected = TABLE[code, status]
    with opened(tmp_path, rules=[rude("POST", GENERATIONS, code, status)]) as place:
        manifest = place.images(1)
        ended = place.run(manifest)
        attempt, held = place.attempt(), place.money()[1]
        assert (ended.code, place.states(), attempt.state, held) == (expected.code, {expected.task: 1}, expected.attempt, expected.held)
        said = [(event.fault.code, event.fault.request_id, event.fault.status) for event in place.history().events if event.fault]
        assert (code, f"req_{code}", status) in said
        place.server.rules.clear()
        assert place.resume().code == expected.resumed
        if expected.retry:
            assert place.run(manifest, retry_failed=True).code == ExitCode.DONE
        bought = 0 if expected.resumed is ExitCode.IN_DOUBT else 1
        assert (place.bought(), place.money()) == (bought, (bought, expected.held if not bought else 0))


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b'{"id": "task_', b"", b"[]", b'{"status": "queued"}', b"\xff\xfe\x00"])
def test_success_that_says_nothing(tmp_path: Path, body: bytes) -> None:
    """A 200 that is not understood proves nothing: the same bytes go out again with the same key, and one purchase is made."""
    rule = Rudeness("POST", GENERATIONS, 200, body, {"content-type": "application/json"}, times=1, after=True)
    with opened(tmp_path, rules=[rule]) as place:
        place.be_patient()
        ended = place.run(place.images(1))
        assert (ended.code, place.states(), place.bought(), place.money()) == (ExitCode.DONE, {"done": 1}, 1, (1, 0))
        assert (len(place.history().attempts), place.attempt().lost) == (1, 1)


def test_rate_limited(tmp_path: Path) -> None:
    """After a 429 nothing leaves before Retry-After is over; no request is lost and nothing is refused."""
    status, body, headers = refusal("rate_limited", 429, retry_after="0")
    with opened(tmp_path, rules=[Rudeness("POST", GENERATIONS, status, body, headers, times=2)]) as place:
        place.be_patient()
        ended = place.run(place.images(2))
        assert (ended.code, place.bought()) == (ExitCode.DONE, 2)
        assert place.query("SELECT count(*) FROM events WHERE event = 'slow_down' AND fault_code = 'rate_limited'") == [(2,)]
        assert place.query("SELECT max(lost), count(*) FROM attempts") == [(0, 2)]


@pytest.mark.parametrize("code", ["insufficient_credits", "validation_failed"])
def test_refused_after_a_lost_answer(tmp_path: Path, code: str) -> None:
    """A refusal after a lost answer is no proof: poor accounts leave it submitting, invalid requests put it in doubt; never a second id."""
    rules = [Rudeness("POST", GENERATIONS, 0, after=True, times=1), rude("POST", GENERATIONS, code, 400)]
    with opened(tmp_path, rules=rules) as place:
        place.be_patient()
        ended = place.run(place.images(1))
        expected = {
            "insufficient_credits": (ExitCode.STOPPED_EARLY, {"rendering": 1}, "submitting"),
            "validation_failed": (ExitCode.IN_DOUBT, {"blocked": 1}, "in_doubt"),
        }
        assert (ended.code, place.states(), place.attempt().state) == expected[code]
        assert (place.money(), place.bought()) == ((0, 1), 1)
        place.server.rules.clear()
        again = place.resume()
        assert again.code == (ExitCode.DONE if code == "insufficient_credits" else ExitCode.IN_DOUBT)
        assert place.bought() == 1


POLLS = {
    ("not_found", 404): (ExitCode.IN_DOUBT, {"blocked": 1}),
    ("api_key_revoked", 401): (ExitCode.KEY_REFUSED, {"rendering": 1}),
    ("public_api_disabled", 503): (ExitCode.UNAVAILABLE, {"rendering": 1}),
    ("validation_failed", 400): (ExitCode.UNAVAILABLE, {"rendering": 1}),
    ("internal_error", 500): (ExitCode.UNAVAILABLE, {"rendering": 1}),
}


@pytest.mark.parametrize(("code", "status"), POLLS)
def test_poll_answered_with(tmp_path: Path, code: str, status: int) -> None:
    """Looking at a render meets an error: the purchase stays in the ledger with its credits held, and is never made again."""
    # Longer than the purchase's answer may take: else that would bring the render.
    with opened(tmp_path, faults="render=2", rules=[rude("GET", GENERATIONS, code, status)]) as place:
        ended = place.run(place.images(1))
        assert (ended.code, place.states()) == POLLS[code, status]
        assert place.money() == (0, 1)
        place.server.rules.clear()
        again = place.resume()
        assert again.code == (ExitCode.IN_DOUBT if code == "not_found" else ExitCode.DONE)
        assert (place.bought(), place.server.count("POST", GENERATIONS)) == (1, 1)


def test_unknown_status(tmp_path: Path) -> None:
    """A status that nobody documented is no end: it is noted once and looked at again."""
    looked = 0

    def dreaming(request: str, document: dict[str, object]) -> dict[str, object]:
        nonlocal looked
        looked += request.startswith("GET")
        return {**document, "status": "dreaming", "result": None} if looked < 4 else document

    with opened(tmp_path) as place:
        place.server.edit = dreaming
        ended = place.run(place.images(1))
        assert (ended.code, place.bought()) == (ExitCode.DONE, 1)
        notes = place.query("SELECT event, detail FROM events WHERE event = 'unknown_status'")
        assert notes == [("unknown_status", "dreaming")]


UPLOADS = {
    ("validation_failed", 400): (ExitCode.SOME_FAILED, {"blocked": 1}),
    ("payload_too_large", 413): (ExitCode.SOME_FAILED, {"blocked": 1}),
    ("api_scope_denied", 403): (ExitCode.KEY_REFUSED, {"pending": 1}),
    ("insufficient_credits", 402): (ExitCode.STOPPED_EARLY, {"pending": 1}),
    ("internal_error", 500): (ExitCode.UNAVAILABLE, {"pending": 1}),
    ("public_api_disabled", 503): (ExitCode.UNAVAILABLE, {"pending": 1}),
}


@pytest.mark.parametrize(("code", "status"), UPLOADS)
def test_upload_answered_with(tmp_path: Path, code: str, status: int) -> None:
    """An upload meets an error: nothing is bought or held, and where it was no fault of the file the next run goes on."""
    with opened(tmp_path, rules=[rude("POST", FILES, code, status)]) as place:
        ended = place.run(referring(place))
        assert (ended.code, place.states(), place.bought(), place.money()) == (*UPLOADS[code, status], 0, (0, 0))
        place.server.rules.clear()
        blocked = "blocked" in UPLOADS[code, status][1]
        assert place.resume().code == (ExitCode.SOME_FAILED if blocked else ExitCode.DONE)
        if blocked:
            assert code in place.history().task.note
            assert place.run(referring(place), retry_failed=True).code == ExitCode.DONE
        assert (place.bought(), place.money()) == (1, (55, 0))


def test_forgotten_upload(tmp_path: Path) -> None:
    """A reference that the server has forgotten is uploaded again, and the task is bought once, by a further attempt."""
    with opened(tmp_path, faults="render=0,forget=1000") as place:
        assert place.run(referring(place)).code == ExitCode.DONE
        place.account.now = lambda: time.time() + 2000
        assert place.run(referring(place, "another vase")).code == ExitCode.DONE
        states = [attempt.state for attempt in place.history().attempts]
        assert (states, place.bought(), place.money()) == (["succeeded", "refused", "succeeded"], 2, (110, 0))
        assert place.server.count("POST", FILES) == 2


def referring(place: Place, prompt: str = "a vase") -> Path:
    """Write a manifest with one reference; 55 credits."""
    task = f"{{id: t0, prompt: {prompt}, references: ['{ASSETS}/vase.png']}}"
    return place.manifest(f"version: 1\nname: m\ndefaults: {{model: kling-2-6}}\ntasks:\n  - {task}\n")
