from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import httpx2
import pytest

from batchgen.sandbox.account import Account

pytestmark = pytest.mark.anyio

Connect = Callable[..., httpx2.AsyncClient]


class Clock(Protocol):
    """The conftest's clock."""

    def advance(self, seconds: float) -> None:
        """Let time pass."""


KLING = {"model": "kling-2-6", "prompt": "a door opens", "client_request_id": "bg-1"}
FIRST = {"Idempotency-Key": "bg-1"}


async def create(client: httpx2.AsyncClient, headers: dict[str, str] | None = None, **change: object) -> dict[str, object]:
    """Create a generation that must be taken."""
    answer = await client.post("/api/v1/generations", json={**KLING, **change}, headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


async def balance(client: httpx2.AsyncClient) -> int:
    """Ask what is left."""
    return int((await client.get("/api/v1/credits")).json()["current_credits"])


async def test_a_create_answers_as_printed_in_the_documentation(connect: Connect) -> None:
    """The create response has exactly the documented fields, in their order."""
    body = await create(connect())
    assert list(body) == ["id", "status", "model", "reserved_credits", "final_credits", "created_at", "updated_at", "result", "error"]
    assert (body["status"], body["reserved_credits"], body["final_credits"], body["result"], body["error"]) == ("queued", 55, 0, None, None)
    assert str(body["created_at"]).endswith("Z")
    assert body["created_at"] == body["updated_at"]


async def test_the_life_of_a_task(connect: Connect, clock: Clock) -> None:
    """A task is queued, then processing, then succeeded, by the clock alone; its credits become final at the end."""
    client = connect("render=10")
    path = f"/api/v1/generations/{(await create(client))['id']}"
    seen = []
    for seconds in (0, 3, 7):
        clock.advance(seconds)
        body = (await client.get(path)).json()
        seen.append((body["status"], body["final_credits"], body["result"] is None))
    assert seen == [("queued", 0, True), ("processing", 0, True), ("succeeded", 55, False)]
    body = (await client.get(path)).json()
    assert body["result"]["primary_url"] == body["result"]["urls"][0]
    assert body["updated_at"] > body["created_at"]


async def test_a_failed_render_is_refunded(connect: Connect, clock: Clock) -> None:
    """A failed task says generation_failed without a requestId, costs nothing in the end, and gives back at its end, once."""
    client = connect("fail=1,render=10")
    path = f"/api/v1/generations/{(await create(client))['id']}"
    assert await balance(client) == 945
    clock.advance(11)
    assert [await balance(client), await balance(client)] == [1000, 1000]
    body = (await client.get(path)).json()
    assert body["error"] == {"code": "generation_failed", "message": "The generation failed."}
    assert (body["status"], body["final_credits"], body["result"]) == ("failed", 0, None)


async def test_a_stalled_render_never_finishes(connect: Connect, clock: Clock) -> None:
    """With `stall` a task stays in processing."""
    client = connect("stall=1")
    path = f"/api/v1/generations/{(await create(client))['id']}"
    clock.advance(10_000_000)
    assert (await client.get(path)).json()["status"] == "processing"


async def test_quick_by_default_and_not_all_at_once(connect: Connect, clock: Clock) -> None:
    """Untold, renders take 0.3 to 1.0 s and end one after the other."""
    client = connect()
    for n in range(10):
        await create(client, {"Idempotency-Key": f"k{n}"})
    books = (await client.get("/sandbox/books")).json()
    took = [task["ends_at"] - task["created_at"] for task in books["tasks"]]
    assert 0.29 < min(took) < max(took) < 1.01


@pytest.mark.parametrize(
    ("body", "credits"),
    [
        ({"params": {"duration": "5"}}, 55),
        ({"params": {"duration": "10"}}, 110),
        ({"model": "kling-3-0", "params": {"duration": "9"}}, 90),
        ({"model": "z-image"}, 1),
        ({"model": "seedream-4-0", "params": {"max_images": 4}}, 6),
        ({"model": "elevenlabs-sound-effect-v2", "prompt": "x" * 1001}, 6),
        ({"model": "elevenlabs-dialogue-v3", "prompt": None, "params": {"dialogue": [{"voice": "Adam", "text": "y" * 2001}]}}, 42),
    ],
)
async def test_prices(connect: Connect, body: dict[str, object], credits: int) -> None:
    """Base credits, twice them for twice the usual duration, by 1000 characters where metered."""
    asked = {key: value for key, value in {**KLING, **body}.items() if value is not None}
    answer = await connect().post("/api/v1/generations", json=asked)
    assert answer.json()["reserved_credits"] == credits


async def test_a_replay_answers_the_first_answer_and_costs_nothing(connect: Connect, clock: Clock) -> None:
    """The same key with the same body gives the first answer again, also after the render has ended."""
    client = connect()
    first = await create(client, FIRST)
    clock.advance(60)
    assert await create(client, FIRST) == first
    assert await balance(client) == 945
    books = (await client.get("/sandbox/books")).json()
    assert (len(books["tasks"]), books["idempotency_keys"], books["bought_more_than_once"]) == (1, {"bg-1": 2}, [])


async def test_a_replay_may_show_the_task_as_it_is(connect: Connect, clock: Clock) -> None:
    """With `current` a replay shows the task as it is now."""
    client = connect("current")
    first = await create(client, FIRST)
    clock.advance(60)
    again = await create(client, FIRST)
    assert (again["id"], again["status"]) == (first["id"], "succeeded")


async def test_without_a_key_every_request_is_a_purchase(connect: Connect) -> None:
    """client_request_id alone protects nobody; the books show the double purchase."""
    client = connect()
    assert (await create(client))["id"] != (await create(client))["id"]
    assert (await client.get("/sandbox/books")).json()["bought_more_than_once"] == ["bg-1"]


async def test_a_key_is_forgotten_after_its_memory(connect: Connect, clock: Clock) -> None:
    """With `memory` an old key buys again, whatever its body."""
    client = connect("memory=100")
    first = await create(client, FIRST)
    clock.advance(99)
    assert (await create(client, FIRST))["id"] == first["id"]
    clock.advance(2)
    second = await create(client, FIRST, prompt="another")
    assert second["id"] != first["id"]
    assert (await create(client, FIRST, prompt="another"))["id"] == second["id"]


async def test_a_late_key_lets_other_refusals_hide_a_purchase(connect: Connect) -> None:
    """With `late` the repeat of a purchase that emptied the account is refused for lack of credits, though it was made."""
    early, late = connect(), connect("late")
    for n in range(18):
        await create(early, {"Idempotency-Key": f"k{n}"})
    last = {"Idempotency-Key": "k17"}
    assert (await late.post("/api/v1/generations", json=KLING, headers=last)).json()["error"]["code"] == "insufficient_credits"
    assert (await create(early, last))["status"] == "queued"


async def test_a_late_key_still_replays_and_still_conflicts(connect: Connect) -> None:
    """With `late` and enough credits a replay and a conflict are what they always are."""
    client = connect("late")
    assert await create(client, FIRST) == await create(client, FIRST)
    other = await client.post("/api/v1/generations", json={**KLING, "prompt": "another"}, headers=FIRST)
    assert other.status_code == 409


async def test_a_refused_request_is_not_remembered(connect: Connect) -> None:
    """A key whose first use was refused may be used again with a right body."""
    client = connect()
    assert (await client.post("/api/v1/generations", json={**KLING, "prompt": ""}, headers=FIRST)).status_code == 400
    assert (await create(client, FIRST))["status"] == "queued"


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_the_status_of_a_create_can_be_chosen(connect: Connect, status: int) -> None:
    """The documentation does not say with which status a create succeeds."""
    assert (await connect(f"created={status}").post("/api/v1/generations", json=KLING)).status_code == status


async def test_many_results(connect: Connect, clock: Clock) -> None:
    """`max_images` gives that many links, each to different bytes."""
    client = connect()
    body = await create(client, model="seedream-4-0", params={"max_images": 3})
    clock.advance(2)
    urls = (await client.get(f"/api/v1/generations/{body['id']}")).json()["result"]["urls"]
    assert len({(await client.get(url)).content for url in urls}) == 3


async def test_the_models_are_public(connect: Connect) -> None:
    """GET /models needs no key and shows the API's own fields only."""
    body = (await connect(key="").get("/api/v1/models")).json()
    assert body["object"] == "list"
    assert len(body["data"]) == 48
    assert "params_complete" not in body["data"][0]


async def test_the_books_add_up(connect: Connect, clock: Clock, account: Account) -> None:
    """Every credit is explained by the charges; requests are counted by endpoint."""
    client = connect("fail=0.5,render=1")
    for n in range(10):
        await create(client, {"Idempotency-Key": f"k{n}"})
    clock.advance(2)
    books = account.books()
    assert books["balance"] == 1000 - int(str(books["spent"]))
    tasks = books["tasks"]
    assert isinstance(tasks, list)
    assert books["spent"] == sum(task["final_credits"] for task in tasks)
    assert 0 < int(str(books["spent"])) < 550
    assert books["requests"] == {"POST /api/v1/generations": 10}
