"""References on their way to the server, and creates that are refused because the server forgot one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchgen.core.answers import Answer, RenderStatus, StoredFile, Verdict
from batchgen.core.messages import AskStatus, CheckUpload, Request, SendCreate, SendUpload
from batchgen.core.model import Manifest, MediaKind, Reference, Upload
from batchgen.core.policy import Policy
from batchgen.core.states import TaskState
from batchgen.core.submissions import AHEAD
from batchgen.core.uploads import upload_key
from batchgen.errors import ExitCode
from tests.core.book import Book
from tests.core.world import FAST, START, Stage, World, a_book, a_task, bad, drive, reference, some_tasks

GONE = bad(Verdict.INVALID, "reference_not_found")
LOST = bad(Verdict.LOST, "timeout")


def with_old_upload(book: Book, content: str = "a", file_id: str = "file_old") -> Book:
    """Let an earlier run have uploaded a reference."""
    book.uploads[content * 64] = Upload(content * 64, f"https://files.example/{content}/old", file_id, uploaded_at=START - 1e6)
    return book


def test_each_content_is_uploaded_once() -> None:
    """Three tasks that share a reference make one upload, before the first create."""
    run = drive(a_book(some_tasks(3, reference())))
    assert [type(r) for _, r in run.world.log if isinstance(r, SendUpload | SendCreate)] == [SendUpload, SendCreate, SendCreate, SendCreate]
    assert run.ended is not None
    assert run.ended.code is ExitCode.DONE
    assert run.book.uploads["a" * 64].url.encode() in run.book.of("t0")[0].body


def test_an_upload_of_an_earlier_run_is_used() -> None:
    """What the server has is not uploaded again."""
    run = drive(with_old_upload(a_book(some_tasks(2, reference()))))
    assert run.world.sent(SendUpload) == []
    assert run.world.sent(CheckUpload) == []


def test_https_references_are_passed_on_untouched() -> None:
    """A URL needs no upload."""
    linked = Reference(MediaKind.IMAGE, "image/png", "x.png", url="https://example.org/x.png")
    run = drive(a_book([a_task("t0", linked)]))
    assert run.world.sent(SendUpload) == []
    assert b"https://example.org/x.png" in run.book.of("t0")[0].body


def test_a_task_waits_for_all_its_references() -> None:
    """A create leaves only after each of its references is on the server."""
    run = drive(a_book([a_task("t0", reference("a"), reference("b"))]))
    assert len(run.world.sent(SendUpload)) == 2
    assert all(run.book.uploads[c * 64].url.encode() in run.book.of("t0")[0].body for c in "ab")


def test_an_upload_without_an_answer_is_repeated_under_the_same_id() -> None:
    """A lost or unsent upload is repeated with the id that its content has."""
    world = World().script(SendUpload, LOST, bad(Verdict.UNSENT), bad(Verdict.BUSY, retry_after=3.0))
    run = drive(a_book(some_tasks(1, reference())), world)
    sent = run.world.sent(SendUpload)
    assert len(sent) == 4
    assert {r.client_request_id for r in sent if isinstance(r, SendUpload)} == {upload_key(reference())}
    times = run.world.times(SendUpload)
    assert times[3] - times[2] >= 3.0
    assert run.book.states == {"t0": TaskState.DONE}


def test_an_upload_whose_key_the_server_knows_otherwise_gets_another() -> None:
    """A conflict says nothing against the file, and an upload costs nothing: it is sent under the next key, and no task is blocked."""
    world = World().script(SendUpload, bad(Verdict.CONFLICT, "idempotency_conflict"), LOST, bad(Verdict.CONFLICT, "idempotency_conflict"))
    run = drive(a_book(some_tasks(2, reference())), world)
    sent = [request.client_request_id for request in world.sent(SendUpload) if isinstance(request, SendUpload)]
    assert sent == [upload_key(reference(), nth) for nth in (0, 1, 1, 2)]
    assert len(set(sent)) == 3
    assert run.book.states == {"t0": TaskState.DONE, "t1": TaskState.DONE}


def test_a_refused_reference_blocks_its_tasks_and_only_them() -> None:
    """Every task that uses a reference which the server refuses is blocked; the others go on; the reference is tried once."""
    tasks = [a_task(f"t{n}", *([reference("b")] if n < 30 else []), position=n) for n in range(32)]
    world = World().script(SendUpload, bad(Verdict.INVALID, "file_too_large"))
    world.always[SendUpload] = lambda _: bad(Verdict.INVALID, "file_too_large")
    run = drive(a_book(tasks), world)
    assert [run.book.states[f"t{n}"] for n in (0, 29, 30, 31)] == [TaskState.BLOCKED, TaskState.BLOCKED, TaskState.DONE, TaskState.DONE]
    assert len(run.world.sent(SendUpload)) == 1
    assert "file_too_large" in run.book.tasks[1].note
    assert run.ended is not None
    assert run.ended.code is ExitCode.SOME_FAILED


def test_what_one_model_refuses_another_may_take() -> None:
    """The server checks an upload against its task's model: a refusal blocks the tasks of that model alone."""
    tasks = [a_task("t0", reference(), position=0, model="small"), a_task("t1", reference(), position=1, model="big")]
    world = World()
    world.always[SendUpload] = lambda r: bad(Verdict.INVALID) if r.model == "small" else world.own(START, r)
    run = drive(a_book(tasks), world)
    assert run.book.states == {"t0": TaskState.BLOCKED, "t1": TaskState.DONE}


def test_a_reference_refused_while_its_task_waits_for_another() -> None:
    """A task that waits for its first reference is blocked by the refusal of its second."""
    world = World()
    world.always[SendUpload] = lambda r: bad(Verdict.INVALID) if r.reference.sha256[0] == "b" else world.own(START, r)
    run = drive(a_book([a_task("t0", reference("a"), reference("b"))]), world)
    assert run.book.states == {"t0": TaskState.BLOCKED}
    assert len(run.world.sent(SendUpload)) == 2


def test_an_upload_that_the_service_never_takes_is_left() -> None:
    """After outage_patience the tasks stay pending and the run says that the service is not available."""
    world = World(render_time=3600.0)
    world.always[SendUpload] = lambda _: LOST
    tasks = [a_task("t0", position=0), *(a_task(f"t{n}", reference(), position=n) for n in range(1, 40))]
    run = drive(a_book(tasks), world, FAST, Stage(dice=lambda: 0.9))
    assert run.book.states["t0"] is TaskState.DONE
    assert run.book.states["t1"] is TaskState.PENDING
    assert run.ended is not None
    assert run.ended.code is ExitCode.UNAVAILABLE
    assert run.now - START < 3700.0, "given up once, not once for each task"


def test_uploads_that_wait_for_the_rate_do_not_spin() -> None:
    """While references wait for the rate, the run sleeps until the rate allows one (the driver fails on a wake-up in the past)."""
    tasks = [a_task(f"t{n}", reference(str(n)), position=n) for n in range(9)]
    run = drive(a_book(tasks), World(), Policy(requests_per_minute=60.0))
    assert set(run.book.states.values()) == {TaskState.DONE}
    assert run.steps < 200


def test_uploads_stop_when_buying_stops() -> None:
    """Nothing is uploaded after --until, and the run neither spins nor stalls over what was wanted."""
    tasks = [a_task(f"t{n}", reference(str(n)), position=n) for n in range(9)]
    run = drive(a_book(tasks), World(), Policy(requests_per_minute=60.0, until=START + 2.5))
    assert len(run.world.sent(SendUpload)) <= 3
    assert run.ended is not None
    assert run.ended.code is ExitCode.STOPPED_EARLY


def test_no_credits_said_to_an_upload_is_no_fault_of_the_reference() -> None:
    """insufficient_credits at an upload leaves its tasks due: exit 3 if no credits come back, and on with it if they do."""
    world = World(balance=0)
    world.always[SendUpload] = lambda _: bad(Verdict.FUNDS)
    run = drive(a_book(some_tasks(2, reference())), world)
    assert set(run.book.states.values()) == {TaskState.PENDING}
    assert run.ended is not None
    assert run.ended.code is ExitCode.STOPPED_EARLY
    rich = World().script(SendUpload, bad(Verdict.FUNDS))
    assert set(drive(a_book(some_tasks(2, reference())), rich).book.states.values()) == {TaskState.DONE}


# ---------------------------------------------------------------- forgotten uploads


def test_a_forgotten_upload_is_sent_again_and_the_task_bought_anew() -> None:
    """The old attempt is refused, nothing charged; the next has a new number, a new key and the new URL."""
    world = World().script(SendCreate, GONE)
    run = drive(with_old_upload(a_book([a_task("t0", reference())])), world)
    first, second = run.book.of("t0")
    assert (first.state, first.used, second.number) == ("refused", 0, 2)
    assert run.book.uploads["a" * 64].url.encode() in second.body
    assert run.book.states == {"t0": TaskState.DONE}
    assert len(run.world.sent(CheckUpload)) == 1


def test_an_upload_without_a_file_id_is_sent_again_without_asking() -> None:
    """What cannot be asked about is uploaded again."""
    world = World().script(SendCreate, GONE)
    run = drive(with_old_upload(a_book([a_task("t0", reference())]), file_id=""), world)
    assert run.world.sent(CheckUpload) == []
    assert run.book.states == {"t0": TaskState.DONE}


def test_references_that_the_server_still_knows_are_not_the_cause() -> None:
    """If all references are known, the request itself was refused: the task fails with the server's message."""
    book = with_old_upload(a_book([a_task("t0", reference())]))
    world = World(stored={"file_old": "https://files.example/a/old"}).script(SendCreate, bad(Verdict.INVALID, "validation_failed"))
    run = drive(book, world)
    assert run.book.states == {"t0": TaskState.FAILED}
    assert "validation_failed" in run.book.tasks[1].note


def test_fresh_uploads_are_no_suspects() -> None:
    """A create with references uploaded in this run that is refused fails at once."""
    run = drive(a_book([a_task("t0", reference())]), World().script(SendCreate, GONE))
    assert run.world.sent(CheckUpload) == []
    assert run.book.states == {"t0": TaskState.FAILED}


def test_many_tasks_with_a_forgotten_reference() -> None:
    """However many tasks share it and whenever their answers come, each is bought once with the new URL and none fails."""

    def strict(world: World) -> None:
        world.always[SendCreate] = lambda r: GONE if b"/old" in r.body else world.buy(START, r.key, r.body)

    def slow(request: Request) -> float:
        return 0.2 + len(world.sent(SendCreate)) * 0.9 if isinstance(request, SendCreate) else 0.3

    for delay in (None, slow):
        world = World(render_time=0.0)
        strict(world)
        run = drive(with_old_upload(a_book(some_tasks(25, reference()))), world, FAST, Stage(delay=delay))
        assert set(run.book.states.values()) == {TaskState.DONE}
        assert len(run.world.sent(SendUpload)) == 1


def test_tasks_that_were_ready_wait_again_when_their_reference_is_forgotten() -> None:
    """A task is not sent with an upload that another's refusal has proved gone; it waits for the new one."""
    book = drive(a_book([a_task("first")])).book
    book.adopt([a_task(f"t{n}", reference(), position=n + 1) for n in range(9)])
    world = World()
    world.always[SendCreate] = lambda r: GONE if b"/old" in r.body else world.buy(START, r.key, r.body)
    run = drive(with_old_upload(book), world, replace(FAST, in_flight=1))
    assert set(run.book.states.values()) == {TaskState.DONE}
    assert len(run.world.sent(SendUpload)) == 1
    assert sum(len(run.book.of(f"t{n}")) for n in range(9)) < 15


def test_a_task_with_two_references_is_innocent_if_one_was_forgotten() -> None:
    """Also when the forgotten one is back on the server before the other was looked at."""
    tasks = [a_task("t0", reference("a"), position=0), a_task("t1", reference("a"), reference("b"), position=1)]
    book = with_old_upload(with_old_upload(a_book(tasks), "a"), "b", "file_b")
    world = World(stored={"file_b": "https://files.example/b/old"})
    world.always[SendCreate] = lambda r: GONE if b"/a/old" in r.body else world.buy(START, r.key, r.body)

    def delay(request: Request) -> float:
        return 9.0 if isinstance(request, CheckUpload) and request.upload.file_id == "file_b" else 0.2

    run = drive(book, world, replace(FAST, in_flight=2), Stage(delay=delay))
    assert set(run.book.states.values()) == {TaskState.DONE}


def test_a_check_that_the_server_does_not_answer_means_upload_again() -> None:
    """Uploading again costs nothing, so no time is lost with asking twice."""
    world = World().script(SendCreate, GONE).script(CheckUpload, LOST)
    run = drive(with_old_upload(a_book([a_task("t0", reference())])), world)
    assert run.book.states == {"t0": TaskState.DONE}


def test_a_page_does_not_bring_a_forgotten_upload_back() -> None:
    """Two tasks accused over the same reference lead to one check and one upload."""
    world = World().script(SendCreate, GONE, GONE)
    run = drive(with_old_upload(a_book(some_tasks(2, reference()))), world)
    assert len(run.world.sent(CheckUpload)) == 1
    assert len(run.world.sent(SendUpload)) == 1
    assert set(run.book.states.values()) == {TaskState.DONE}
    assert run.ended is not None
    assert run.ended.code is ExitCode.DONE, "neither of them waits for anything any more"


def test_a_lane_that_stopped_meanwhile_lets_its_waiting_tasks_go() -> None:
    """Tasks that wait for an upload or a verdict when their manifest is stopped stay pending."""
    tasks = [a_task("t0", position=0), a_task("t1", reference("b"), position=1), a_task("t2", reference("a"), position=2)]
    book = with_old_upload(a_book(tasks, Manifest("m", "m", retries=0, canary=3)))
    world = World(render_time=0.0).script(SendCreate, None, GONE)
    world.script(AskStatus, lambda r: Answer(Verdict.OK, replace(world.look(START, r.task_id), status=RenderStatus.FAILED, final=0)))

    def delay(request: Request) -> float:
        return 30.0 if isinstance(request, SendUpload | CheckUpload) else 0.2

    run = drive(book, world, FAST, Stage(delay=delay))
    assert run.book.states == {"t0": TaskState.FAILED, "t1": TaskState.PENDING, "t2": TaskState.PENDING}
    assert run.ended is not None
    assert run.ended.code is ExitCode.SOME_FAILED


def test_the_duration_token_of_an_upload_is_kept() -> None:
    """What the server says about a file is written down."""
    world = World().script(SendUpload, Answer(Verdict.OK, StoredFile("https://files.example/x", "f", "token")))
    run = drive(a_book(some_tasks(1, reference())), world)
    assert run.book.uploads["a" * 64].duration_token == "token"


@pytest.mark.parametrize(("own", "run", "most"), [(1, 100, 1 + AHEAD), (None, 1, 2 + AHEAD)])
def test_references_are_uploaded_only_so_far_ahead(own: int | None, run: int, most: int) -> None:
    """While the first of many renders, the references of the next AHEAD are on the server, and no more: a night may end early."""
    tasks = [a_task(f"t{n}", reference(f"{n:x}"), position=n) for n in range(16)]
    world = World()
    drive(a_book(tasks, Manifest("m", "m", in_flight=own)), world, replace(FAST, in_flight=run))
    assert sum(at < START + world.render_time for at in world.times(SendUpload)) == most
