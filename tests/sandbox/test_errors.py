"""Every error of the table."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from batchgen.sandbox.account import Account

pytestmark = pytest.mark.anyio


Connect = Callable[..., httpx2.AsyncClient]
KLING = {"model": "kling-2-6", "prompt": "a door opens"}


def refused(answer: httpx2.Response, status: int, code: str) -> str:
    """Check the documented shape of an error; return its message."""
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (status, code), body
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "requestId"}
    assert body["error"]["requestId"].startswith("req_")
    return str(body["error"]["message"])


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        ("", 401, "api_key_missing"),
        ("sk-something-else", 401, "api_key_invalid"),
        ("rvya_sk_live_unknown", 401, "api_key_invalid"),
        ("rvya_sk_revoked_1", 401, "api_key_revoked"),
        ("rvya_sk_expired_1", 401, "api_key_expired"),
        ("rvya_sk_noscope", 403, "api_scope_denied"),
        ("rvya_sk_noscope_credits:read", 403, "api_scope_denied"),
    ],
)
async def test_keys(connect: Connect, key: str, status: int, code: str) -> None:
    """Each kind of bad key has its own error."""
    refused(await connect(key=key).get("/api/v1/credits"), status, code)


async def test_a_scheme_other_than_bearer_is_no_key(connect: Connect) -> None:
    """Only a Bearer header carries a key."""
    answer = await connect(key="").get("/api/v1/credits", headers={"Authorization": "Basic rvya_sk_sandbox"})
    refused(answer, 401, "api_key_missing")


async def test_scopes_are_looked_at_one_by_one(connect: Connect) -> None:
    """A key that lacks the files scopes may still ask for credits and generations."""
    client = connect(key="rvya_sk_noscope_files")
    refused(await client.post("/api/v1/files"), 403, "api_scope_denied")
    refused(await client.get("/api/v1/files/file_1"), 403, "api_scope_denied")
    assert (await client.get("/api/v1/credits")).json() == {"current_credits": 1000}
    refused(await connect(key="rvya_sk_noscope_generations").post("/api/v1/generations", json=KLING), 403, "api_scope_denied")
    refused(await connect(key="rvya_sk_noscope_generations").get("/api/v1/generations/task_1"), 403, "api_scope_denied")


async def test_disabled(connect: Connect) -> None:
    """public_api_disabled comes with 503, also for a bad key: nothing else is looked at."""
    refused(await connect("disabled=1", key="nonsense").post("/api/v1/generations", json=KLING), 503, "public_api_disabled")


async def test_rate_limited(connect: Connect) -> None:
    """A share of 429s carries Retry-After and is counted."""
    answer = await connect("429=1").get("/api/v1/credits")
    refused(answer, 429, "rate_limited")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await connect().get("/sandbox/books")).json()["rate_limited"] == 1


async def test_not_found(connect: Connect) -> None:
    """A task or file that is not there, and a path that is not there, are not_found."""
    client = connect()
    for path in ("/api/v1/generations/task_none", "/api/v1/files/file_none", "/api/v1/nothing"):
        refused(await client.get(path), 404, "not_found")
    refused(await client.delete("/api/v1/generations/task_none"), 405, "method_not_allowed")


async def test_conflict(connect: Connect) -> None:
    """The same key with another body is a conflict, and costs nothing."""
    client = connect()
    assert (await client.post("/api/v1/generations", json=KLING, headers={"Idempotency-Key": "k"})).status_code == 200
    other = await client.post("/api/v1/generations", json={**KLING, "prompt": "another"}, headers={"Idempotency-Key": "k"})
    refused(other, 409, "idempotency_conflict")
    assert (await client.get("/api/v1/credits")).json() == {"current_credits": 945}


async def test_insufficient(connect: Connect) -> None:
    """An account that cannot pay is told so, and keeps what it has."""
    client = connect()
    for n in range(18):
        assert (await client.post("/api/v1/generations", json=KLING)).status_code == 200, n
    message = refused(await client.post("/api/v1/generations", json=KLING), 402, "insufficient_credits")
    assert "55" in message
    assert (await client.get("/api/v1/credits")).json() == {"current_credits": 10}


async def test_insufficient_on_demand_and_with_a_failed_task_left_behind(connect: Connect) -> None:
    """`insufficient` refuses whatever the balance; `leftover` keeps a failed task that cost nothing."""
    refused(await connect("insufficient=1").post("/api/v1/generations", json=KLING), 402, "insufficient_credits")
    client = connect("leftover")
    dear = {"model": "seedance-2", "prompt": "x"}
    for _ in range(5):
        await client.post("/api/v1/generations", json=dear)
    refused(await client.post("/api/v1/generations", json=dear), 402, "insufficient_credits")
    books = (await client.get("/sandbox/books")).json()
    assert [task["status"] for task in books["tasks"]].count("failed") == 1
    assert books["balance"] == 125


REFERENCE = {"url": "https://example.com/a.png", "kind": "image"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": None}, "'model' is required"),
        ({"model": "kling-9"}, "does not exist"),
        ({"prompt": None}, "'prompt' is required"),
        ({"prompt": "  "}, "'prompt' is required"),
        ({"prompt": 5}, "'prompt' is required"),
        ({"prompt": "x" * 1001}, "1001 characters"),
        ({"prompt": "\U0001f600" * 501}, "1002 characters"),
        ({"files": []}, "top-level 'files'"),
        ({"seed": 1}, "Unknown field 'seed'"),
        ({"params": []}, "'params' must be an object"),
        ({"params": {"duration": 5}}, "one of the strings 5, 10"),
        ({"params": {"duration": "7"}}, "one of the strings 5, 10"),
        ({"params": {"sound": False}}, "one of the strings"),
        ({"params": {"durration": "5"}}, "not a parameter"),
        ({"client_request_id": "x" * 129}, "1 to 128"),
        ({"client_request_id": ""}, "1 to 128"),
        ({"client_request_id": 7}, "1 to 128"),
        ({"params": {"referenceMediaItems": {}}}, "must be a list"),
        ({"params": {"referenceMediaItems": [REFERENCE, REFERENCE]}}, "at most 1"),
        ({"params": {"referenceMediaItems": ["x"]}}, "must be an object"),
        ({"params": {"referenceMediaItems": [{"kind": "image"}]}}, "url' is required"),
        ({"params": {"referenceMediaItems": [{**REFERENCE, "url": "http://example.com/a.png"}]}}, "neither"),
        ({"params": {"referenceMediaItems": [{**REFERENCE, "url": "https://[::1"}]}}, "neither"),
        ({"params": {"referenceMediaItems": [{**REFERENCE, "url": "http://sandbox.test/uploads/file_0/a.png"}]}}, "neither"),
        ({"params": {"referenceMediaItems": [{**REFERENCE, "kind": "video"}]}}, "kind' must be image"),
        ({"params": {"referenceMediaItems": [{**REFERENCE, "mime_type": "image/png"}]}}, "mime_type' is not known"),
        ({"params": {"referenceMediaItems": [{**REFERENCE, "name": 1}]}}, "must be a text"),
        ({"model": "z-image", "params": {"referenceMediaItems": [REFERENCE]}}, "takes no reference"),
        ({"model": "grok-imagine-video", "params": {"duration": "6"}}, "must be a number"),
        ({"model": "grok-imagine-video", "params": {"duration": True}}, "must be a number"),
        ({"model": "grok-imagine-video", "params": {"duration": 31}}, "out of range"),
        ({"model": "kling-v2-1-master", "params": {"negative_prompt": 1}}, "must be a text"),
        ({"model": "elevenlabs-turbo-2-5"}, "'params.voice' is required"),
        ({"model": "elevenlabs-dialogue-v3", "prompt": None}, "'params.dialogue' is required"),
        ({"model": "elevenlabs-dialogue-v3", "params": {"dialogue": [{"voice": "Adam"}]}}, "objects with a 'text'"),
    ],
)
async def test_validation(connect: Connect, change: dict[str, object], said: str) -> None:
    """Every kind of wrong body is validation_failed, says what is wrong, and costs nothing."""
    client = connect()
    body = {key: value for key, value in {**KLING, **change}.items() if value is not None}
    assert said in refused(await client.post("/api/v1/generations", json=body), 400, "validation_failed")
    assert (await client.get("/api/v1/credits")).json() == {"current_credits": 1000}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"nul",
        b"\xff\xfe",
        b'{"model": "kling-2-6", "prompt": "\\ud800"}',
        b'{"model": "grok-imagine-video", "prompt": "x", "params": {"duration": NaN}}',
        b"[" * 100_000,
    ],
)
async def test_bodies_that_are_not_json_objects(connect: Connect, body: bytes) -> None:
    """A body that is broken in any way is refused in the documented shape."""
    answer = await connect().post("/api/v1/generations", content=body, headers={"Content-Type": "application/json"})
    refused(answer, 400, "validation_failed")


async def test_the_content_type_is_required(connect: Connect) -> None:
    """A create without `Content-Type: application/json` is refused."""
    refused(await connect().post("/api/v1/generations", content=b"{}"), 400, "validation_failed")


async def test_a_key_that_no_header_should_carry(connect: Connect) -> None:
    """An endless idempotency key is refused."""
    answer = await connect().post("/api/v1/generations", json=KLING, headers={"Idempotency-Key": "k" * 256})
    refused(answer, 400, "validation_failed")


async def test_lenient_ignores_unknown_params(connect: Connect) -> None:
    """With `lenient` unknown params are dropped instead of refused."""
    answer = await connect("lenient").post("/api/v1/generations", json={**KLING, "params": {"durration": "5"}})
    assert answer.status_code == 200


async def test_full_books_answer_500_and_charge_nothing(connect: Connect, account: Account) -> None:
    """When the books cannot be written, every request is answered in the documented shape and nothing is kept."""
    client = connect()
    await client.get("/api/v1/credits")
    with account.transaction() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
    with account._books._lock:
        account._books._db.execute(f"PRAGMA max_page_count={pages}")
    large = {**KLING, "prompt": "x" * 1000}
    answers = [await client.post("/api/v1/generations", json=large, headers={"Idempotency-Key": f"{n}" * 200}) for n in range(10)]
    codes = {answer.json()["error"]["code"] for answer in answers if answer.status_code == 500}
    assert codes == {"internal_error"}
    sold = [answer for answer in answers if answer.status_code == 200]
    assert account.credits() == 1000 - 55 * len(sold)
