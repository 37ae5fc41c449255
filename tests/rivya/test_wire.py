"""Bytes in, values out."""

from __future__ import annotations

import json

import pytest

from batchgen.core.answers import Answer, RenderStatus, Verdict
from batchgen.core.model import MediaKind, Reference, Spec, Upload
from batchgen.rivya.refusals import CODES, MESSAGE_LIMIT, Reply, clean
from batchgen.rivya.wire import BODY_LIMIT, compose, read_balance, read_file, read_models, read_render

NOW = 1_700_000_000.0


def reply(status: int, body: object = None, **headers: str) -> Reply:
    """Make an answer with a JSON body (or these very bytes)."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def render(status: int, body: object = None, *, asked: str = "") -> Answer[object]:
    """Read an answer as a generation, forgetting its type for short comparisons."""
    found = read_render(reply(status, body), NOW, asked=asked)
    return Answer(found.verdict, found.value, found.fault, found.retry_after)


def error(code: str, message: str = "said so", **more: object) -> dict[str, object]:
    """Make the documented error shape."""
    return {"error": {"code": code, "message": message, "requestId": "req_7", **more}}


# ---------------------------------------------------------------- compose


def test_body_has_every_documented_field() -> None:
    """A request is canonical JSON with references in order, a token where the upload has one, a URL untouched."""
    image = Reference(MediaKind.IMAGE, "image/png", "héro.png", sha256="aa", path="/secret/place.png", size=3)
    video = Reference(MediaKind.VIDEO, "video/mp4", "v.mp4", sha256="bb")
    far = Reference(MediaKind.IMAGE, "", "", url="https://x.example/a b?c=%20")
    uploads = {"aa": Upload("aa", "https://cdn/1"), "bb": Upload("bb", "https://cdn/2", duration_token="tok")}
    body = compose(Spec("kling-2-6", "🎬 slow", {"duration": "5"}, (image, video, far)), uploads, "bg-1")
    assert json.loads(body) == {
        "client_request_id": "bg-1",
        "model": "kling-2-6",
        "params": {
            "duration": "5",
            "referenceMediaItems": [
                {"kind": "image", "mimeType": "image/png", "name": "héro.png", "url": "https://cdn/1"},
                {"durationToken": "tok", "kind": "video", "mimeType": "video/mp4", "name": "v.mp4", "url": "https://cdn/2"},
                {"kind": "image", "url": "https://x.example/a b?c=%20"},
            ],
        },
        "prompt": "🎬 slow",
    }
    assert b"secret" not in body
    assert "🎬".encode() in body


def test_body_repeats_byte_for_byte() -> None:
    """The order in which params were written does not change the bytes."""
    one = compose(Spec("m", "p", {"a": 1, "b": 2}), {}, "k")
    assert one == compose(Spec("m", "p", {"b": 2, "a": 1}), {}, "k")
    assert one == b'{"client_request_id":"k","model":"m","params":{"a":1,"b":2},"prompt":"p"}'


def test_empty_prompt_is_left_out() -> None:
    """A model that builds its own prompt must not get an empty one."""
    assert json.loads(compose(Spec("m", "", {"dialogue": []}), {}, "k")) == {
        "model": "m",
        "params": {"dialogue": []},
        "client_request_id": "k",
    }


def test_half_an_emoji_is_still_json() -> None:
    """A lone surrogate, as a cut JSON line gives, is sent as JSON's escape."""
    assert json.loads(compose(Spec("m", "cut \ud83c", {}), {}, "k"))["prompt"] == "cut \ud83c"


def test_reference_without_upload_is_a_bug() -> None:
    """A body is never made around a hole."""
    with pytest.raises(LookupError, match=r"hero\.png"):
        compose(Spec("m", "p", {}, (Reference(MediaKind.IMAGE, "image/png", "hero.png", sha256="aa"),)), {}, "k")


# ---------------------------------------------------------------- the error table

TABLE = [
    ("public_api_disabled", 503, Verdict.DISABLED),
    ("api_key_missing", 401, Verdict.KEY),
    ("api_key_invalid", 401, Verdict.KEY),
    ("api_key_revoked", 401, Verdict.KEY),
    ("api_key_expired", 401, Verdict.KEY),
    ("api_scope_denied", 403, Verdict.KEY),
    ("rate_limited", 429, Verdict.BUSY),
    ("validation_failed", 400, Verdict.INVALID),
    ("not_found", 404, Verdict.MISSING),
    ("webhook_url_rejected", 400, Verdict.INVALID),
    ("chat_model_not_supported", 400, Verdict.INVALID),
    ("chat_session_conflict", 409, Verdict.INVALID),
    ("chat_attachment_not_supported", 400, Verdict.INVALID),
    ("idempotency_conflict", 409, Verdict.CONFLICT),
    ("insufficient_credits", 402, Verdict.FUNDS),
]


@pytest.mark.parametrize(("code", "status", "verdict"), TABLE)
def test_documented_errors(code: str, status: int, verdict: Verdict) -> None:
    """Every row of the vendor's table is understood, with the server's words and its request id."""
    found = render(status, error(code))
    assert (found.verdict, found.value) == (verdict, None)
    assert found.fault is not None
    assert (found.fault.code, found.fault.message, found.fault.request_id, found.fault.status) == (code, "said so", "req_7", status)


def test_table_is_whole() -> None:
    """No known code is without a row here."""
    assert {row[0] for row in TABLE} == set(CODES)


@pytest.mark.parametrize("status", [400, 402, 403, 409, 422, 500, 503])
def test_code_wins_over_status(status: int) -> None:
    """The status of insufficient_credits is undocumented, so its code alone decides."""
    assert render(status, error("insufficient_credits")).verdict is Verdict.FUNDS


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((s, Verdict.LOST) for s in (301, 302, 304, 307, 308, 408, 425, 499, 500, 501, 502, 503, 504, 520, 599, 600, 0)),
        *((s, Verdict.INVALID) for s in (400, 405, 406, 411, 413, 415, 418, 421, 422, 431, 451)),
        *((s, Verdict.KEY) for s in (401, 403)),
        *((s, Verdict.MISSING) for s in (404, 410)),
        (402, Verdict.FUNDS),
        (407, Verdict.UNSENT),
        (409, Verdict.CONFLICT),
        (429, Verdict.BUSY),
    ],
)
@pytest.mark.parametrize("body", [error("brand_new_code"), b"<html>no</html>", b"", None, [1], {"error": None}])
def test_unknown_codes_go_by_class(status: int, verdict: Verdict, body: object) -> None:
    """A code that we do not know, or no code, is read by its HTTP class."""
    assert render(status, body).verdict is verdict


def test_redirect_proves_nothing_even_with_a_code() -> None:
    """A redirect of the API is not followed, and says where it wanted to go."""
    found = read_render(Reply(302, {"location": "https://evil.example/"}, json.dumps(error("not_found")).encode()), NOW)
    assert found.verdict is Verdict.LOST
    found = read_render(Reply(302, {"location": "https://evil.example/"}), NOW)
    assert found.fault is not None
    assert "https://evil.example/" in found.fault.message


@pytest.mark.parametrize(
    "body",
    [
        {"error": "validation_failed", "message": "said so"},
        {"code": "validation_failed", "message": "said so"},
        {"error": {"code": "validation_failed", "message": "said so"}, "requestId": "req_7"},
    ],
)
def test_near_shapes_of_an_error(body: dict[str, object]) -> None:
    """An error that is nearly in the documented shape is understood too."""
    found = render(422, body)
    assert found.fault is not None
    assert (found.verdict, found.fault.code, found.fault.message) == (Verdict.INVALID, "validation_failed", "said so")


def test_request_id_from_headers() -> None:
    """The server's request id is kept also when only a header has it."""
    found = read_render(reply(502, b"<html>bad gateway</html>", x_request_id="req_h"), NOW)
    assert found.fault is not None
    assert (found.fault.code, found.fault.request_id) == ("http_502", "req_h")
    assert "<html>bad gateway" in found.fault.message


def test_message_is_kept_to_a_sane_length_and_made_harmless() -> None:
    """Colours, cursor moves, text that runs backwards and half emoji never reach a terminal or the ledger."""
    found = render(400, error("validation_failed", "\x1b[31mred\x00\u202e\ud800 ok" + "x" * 9_999))
    assert found.fault is not None
    assert found.fault.message.startswith("\ufffd[31mred\ufffd\ufffd\ufffd ok")
    assert len(found.fault.message) == MESSAGE_LIMIT
    assert clean(7) == ""


# ---------------------------------------------------------------- Retry-After


def test_retry_after_travels_with_any_refusal() -> None:
    """A 503 may say how long to wait as well as a 429."""
    assert read_render(reply(503, b"", retry_after="9"), NOW).retry_after == 9
    assert read_render(reply(429, error("rate_limited"), retry_after="9"), NOW).retry_after == 9


# ---------------------------------------------------------------- generations

CREATED = {
    "id": "task_z",
    "status": "queued",
    "model": "z-image",
    "reserved_credits": 1,
    "final_credits": 0,
    "created_at": "2026-05-11T00:00:00.000Z",
    "result": None,
    "error": None,
}


@pytest.mark.parametrize("status", [200, 201, 202, 207])
@pytest.mark.parametrize("body", [CREATED, {"data": CREATED}, {"task": CREATED, "ok": True}, {**CREATED, "new_field": [1]}])
def test_created(status: int, body: dict[str, object]) -> None:
    """A create is understood with any 2xx, in an envelope or not, with fields that we do not know."""
    found = read_render(reply(status, body), NOW)
    assert found.value is not None
    assert (found.verdict, found.value.task_id, found.value.status) == (Verdict.OK, "task_z", RenderStatus.QUEUED)
    assert (found.value.reserved, found.value.final, found.value.urls, found.value.error) == (1, 0, (), None)


@pytest.mark.parametrize("body", [{"id": "t"}, {"task_id": "t"}, {"taskId": "t"}, {"id": None, "taskId": "t"}])
def test_created_with_nothing_but_an_id(body: dict[str, object]) -> None:
    """An id is enough to poll by; everything else is then unknown, not made up."""
    found = read_render(reply(201, body), NOW)
    assert found.value is not None
    assert (found.value.task_id, found.value.status, found.value.reserved) == ("t", RenderStatus.UNKNOWN, None)


def test_numeric_id() -> None:
    """A number is an id too."""
    found = read_render(reply(200, {"id": 12}), NOW)
    assert found.value is not None
    assert found.value.task_id == "12"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>ok</html>",
        b"\xff\xfe\xff",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"id":' + b"9" * 5_000 + b"}",
        {"id": ""},
        {"id": True},
        {"id": ".."},
        {"id": "a\nb"},
        {"id": "\ud800"},
        {"id": "x" * 600},
        {"id": {"a": 1}},
        {"status": "queued"},
        {"data": None},
        error("validation_failed"),
        error("insufficient_credits"),
    ],
)
def test_success_without_a_usable_id_is_lost(body: object) -> None:
    """A create that names no usable task proves nothing, whatever its status and its words."""
    found = render(200, body)
    assert (found.verdict, found.value) == (Verdict.LOST, None)
    assert found.fault is not None
    assert found.fault.message


def test_answer_that_is_too_large_is_lost() -> None:
    """An answer that was not read to its end proves nothing, even if its beginning looks right."""
    found = read_render(Reply(200, {}, json.dumps(CREATED).encode(), complete=False), NOW)
    assert found.fault is not None
    assert (found.verdict, found.fault.code) == (Verdict.LOST, "answer_too_large")
    assert str(BODY_LIMIT) in found.fault.message


def test_succeeded() -> None:
    """Result URLs are the primary one and the others, each once, in order."""
    result = {"primary_url": "https://m/1", "urls": ["https://m/1", "https://m/2", "", None, 7, {"url": "https://m/3"}, "https://m/\ud800"]}
    found = read_render(reply(200, {**CREATED, "status": "succeeded", "result": result, "final_credits": 1}), NOW, asked="task_z")
    assert found.value is not None
    assert (found.value.status, found.value.urls, found.value.final) == (
        RenderStatus.SUCCEEDED,
        ("https://m/1", "https://m/2", "https://m/3"),
        1,
    )


@pytest.mark.parametrize(
    "result", ["https://m/1", ["https://m/1"], {"urls": ["https://m/1"]}, {"url": "https://m/1"}, {"primaryUrl": "https://m/1"}]
)
def test_other_shapes_of_a_result(result: object) -> None:
    """A result in a near shape is found too: it is paid."""
    found = read_render(reply(200, {**CREATED, "status": "succeeded", "result": result}), NOW)
    assert found.value is not None
    assert found.value.urls == ("https://m/1",)


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        ({"code": "generation_failed", "message": "The generation failed."}, "generation_failed", "The generation failed."),
        ("out of paint", "out of paint", "the server gave no reason"),
        ({"message": "no code"}, "generation_failed", "no code"),
        ([1], "generation_failed", "the server gave no reason"),
    ],
)
def test_failed(failure: object, code: str, message: str) -> None:
    """A failed generation's own error becomes a fault; the answer itself is OK."""
    found = read_render(reply(200, {**CREATED, "status": "failed", "error": failure}), NOW, asked="task_z")
    assert found.value is not None
    assert found.value.error is not None
    assert (found.verdict, found.value.status) == (Verdict.OK, RenderStatus.FAILED)
    assert (found.value.error.code, found.value.error.message) == (code, message)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("queued", RenderStatus.QUEUED),
        ("processing", RenderStatus.PROCESSING),
        ("Succeeded", RenderStatus.SUCCEEDED),
        (" FAILED ", RenderStatus.FAILED),
        ("cancelled", RenderStatus.UNKNOWN),
        ("unknown", RenderStatus.UNKNOWN),
        (None, RenderStatus.UNKNOWN),
        (4, RenderStatus.UNKNOWN),
    ],
)
def test_statuses(said: object, status: RenderStatus) -> None:
    """The four documented words count; another is unknown, is kept as it was spelt, and ends nothing."""
    found = read_render(reply(200, {**CREATED, "status": said}), NOW)
    assert found.value is not None
    assert found.value.status is status
    assert found.value.said == (said if isinstance(said, str) else "")


def test_status_answer_may_leave_the_id_out() -> None:
    """Whom we asked about is known; an object without id and status still says nothing."""
    found = read_render(reply(200, {"status": "processing"}), NOW, asked="task_z")
    assert found.value is not None
    assert found.value.task_id == "task_z"
    assert render(200, {"hello": 1}, asked="task_z").verdict is Verdict.LOST


@pytest.mark.parametrize(
    ("amount", "credits_"),
    [
        (55, 55),
        (55.0, 55),
        ("55", 55),
        (" 55.0 ", 55),
        (0, 0),
        (54.2, 55),
        ("54.2", 55),
        (55.0000000001, 55),
        (None, None),
        (True, None),
        (-1, None),
        ("NaN", None),
        ("many", None),
        ("1e999999999", None),
        (float("inf"), None),
        (10**16, None),
        ([], None),
    ],
)
def test_charges(amount: object, credits_: int | None) -> None:
    """A charge is whole credits, rounded up; what is no amount is unknown, never 0."""
    found = read_render(reply(200, {**CREATED, "reserved_credits": amount}), NOW)
    assert found.value is not None
    assert found.value.reserved == credits_


# ---------------------------------------------------------------- the other endpoints


@pytest.mark.parametrize(
    "body",
    [
        {"id": "f", "url": "https://c/1", "duration_token": "tok", "size": 3},
        {"file_id": "f", "fileUrl": "https://c/1", "durationToken": "tok"},
        {"data": {"fileId": "f", "url": "https://c/1", "duration_token": "tok"}},
        {"file": {"id": "f", "file_url": "https://c/1", "duration_token": None, "durationToken": "tok"}},
    ],
)
@pytest.mark.parametrize("status", [200, 201])
def test_file(status: int, body: dict[str, object]) -> None:
    """An upload's answer is undocumented, so each likely spelling is understood."""
    found = read_file(reply(status, body), NOW)
    assert found.value is not None
    assert (found.value.file_id, found.value.url, found.value.duration_token) == ("f", "https://c/1", "tok")


def test_image_without_token() -> None:
    """An image has no duration token."""
    found = read_file(reply(200, {"id": "f", "url": "https://c/1", "duration_token": None}), NOW)
    assert found.value is not None
    assert found.value.duration_token == ""


@pytest.mark.parametrize("body", [b"<html>", {"id": "f"}, {"id": "f", "url": ""}, {"id": "f", "url": 3}])
def test_file_without_url_is_lost(body: object) -> None:
    """An upload that cannot be referred to is of no use."""
    assert read_file(reply(200, body), NOW).verdict is Verdict.LOST


def test_file_refused() -> None:
    """The files endpoint shares the error table."""
    assert read_file(reply(404, error("not_found")), NOW).verdict is Verdict.MISSING
    assert read_file(reply(413, b"<html>too large</html>"), NOW).verdict is Verdict.INVALID


@pytest.mark.parametrize(
    ("body", "credits_"),
    [
        ({"current_credits": 123}, 123),
        ({"current_credits": "123.9"}, 123),
        ({"data": {"currentCredits": 5}}, 5),
        ({"current_credits": -4}, -4),
    ],
)
def test_balance(body: dict[str, object], credits_: int) -> None:
    """The balance is rounded down: half a credit buys nothing."""
    found = read_balance(reply(200, body), NOW)
    assert found.value is not None
    assert (found.value.credits, found.value.at) == (credits_, NOW)


@pytest.mark.parametrize("body", [{}, {"current_credits": None}, {"current_credits": "lots"}, b"ok"])
def test_balance_that_says_nothing(body: object) -> None:
    """No number is not a balance of 0."""
    assert read_balance(reply(200, body), NOW).verdict is Verdict.LOST


def test_models() -> None:
    """The list is handed on as parsed; what is no list is lost; errors are errors."""
    assert read_models(reply(200, {"object": "list", "data": [{"id": "z"}]}), NOW).value == [{"id": "z"}]
    assert read_models(reply(200, [{"id": "z"}]), NOW).value == [{"id": "z"}]
    assert read_models(reply(200, {"data": {}}), NOW).verdict is Verdict.LOST
    assert read_models(reply(503, error("public_api_disabled")), NOW).verdict is Verdict.DISABLED
