"""The runner's one rule: commit, durably, and only then send."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

import anyio
import pytest

from batchgen import app
from batchgen.core.answers import Answer, Balance, Render, RenderStatus, StoredFile, Verdict
from batchgen.core.engine import Engine
from batchgen.core.messages import AttemptMoved, Download, Downloaded, Ended, Record, SendUpload, Submitted
from batchgen.core.model import Instant, Output
from batchgen.core.policy import Given
from batchgen.core.ports import Owner
from batchgen.errors import ExitCode, Unavailable
from batchgen.ledger import Store
from batchgen.rivya.client import Client
from batchgen.rivya.wire import compose
from batchgen.runner import Runner, SystemClock
from batchgen.settings import Settings
from tests.runner.place import Place, opened, silent

BeforeCommit = Callable[[Sequence[Record]], None]


class WatchedStore(Store):
    """The real ledger, which remembers its commits and may be told to fail or to wait."""

    before: BeforeCommit = staticmethod(lambda _: None)
    commits: list[Sequence[Record]]

    @classmethod
    def at(cls, place: Place) -> Self:
        """Open it."""
        store = cls.open(place.settings.ledger, place.settings.address)
        store.commits = []
        return store

    def commit(self, run: int | None, records: Sequence[Record]) -> None:
        """Commit, after whatever the test does first."""
        self.before(records)
        super().commit(run, records)
        self.commits.append(records)


@dataclass
class WatchedApi:
    """The real client, or answers of the test's own; checks each purchase against the file of the ledger before it leaves."""

    place: Place
    inner: Client | None = None
    gate: anyio.Event | None = None
    full: int = 0
    sent: list[str] = field(default_factory=list)
    waiting: int = 0

    async def upload(self, request: SendUpload) -> Answer[StoredFile]:
        """POST /files."""
        assert self.inner
        return await self.inner.upload(request)

    async def file(self, file_id: str) -> Answer[StoredFile]:
        """GET /files/{id}."""
        assert self.inner
        return await self.inner.file(file_id)

    async def create(self, body: bytes, key: str) -> Answer[Render]:
        """POST /generations."""
        found = self.place.query(f"SELECT state, body FROM attempts WHERE client_request_id = '{key}'")  # noqa: S608 - a key of ours
        assert found == [("submitting", body)], "the ledger's file does not hold what is about to be sent"
        (held,) = self.place.query(
            f"SELECT sum(credits) FROM money JOIN attempts a ON a.id = attempt_id WHERE client_request_id = '{key}' AND kind = 'hold'"  # noqa: S608
        )
        assert held[0], "nothing is held for what is about to be sent"
        assert json.loads(body)["client_request_id"] == key
        self.sent.append(key)
        if self.inner:
            return await self.inner.create(body, key)
        await self._gather()
        return Answer(Verdict.OK, Render(f"task_{key}", RenderStatus.SUCCEEDED, 1, 1, ("https://cdn.test/x.png",)))

    async def _gather(self) -> None:
        """Wait until as many as the test wants are in the air."""
        assert self.gate
        self.waiting += 1
        if self.waiting >= self.full or len(self.sent) == 1:
            self.gate.set()
        await self.gate.wait()
        if len(self.sent) == 1:
            self.gate, self.waiting = anyio.Event(), 0

    async def status(self, task_id: str) -> Answer[Render]:
        """GET /generations/{id}."""
        assert self.inner
        return await self.inner.status(task_id)

    async def balance(self) -> Answer[Balance]:
        """GET /credits."""
        assert self.inner
        return await self.inner.balance()

    async def models(self) -> Answer[list[object]]:
        """GET /models."""
        assert self.inner
        return await self.inner.models()


class TimedEngine(Engine):
    """The real engine, which remembers what it was told about requests: `sent` and when, `left` with when it was sent and when it left."""

    told: list[tuple[str, Instant, Instant]]

    def sent(self, at: Instant) -> None:
        """Hear that a request was sent."""
        self.told.append(("sent", at, at))
        super().sent(at)

    def left(self, sent: Instant, at: Instant) -> None:
        """Hear that its bytes left."""
        self.told.append(("left", sent, at))
        super().left(sent, at)


class NoDisk:
    """Saves nothing and says that it did."""

    async def save(self, request: Download, owner: Owner) -> Downloaded:
        """Say that the file is there."""
        return Downloaded(request, Output(request.index, f"{request.stem}.png", "a" * 64, 1, "image/png"))


@dataclass
class Drive:
    """One run, joined by the test as `app` does it."""

    place: Place
    store: WatchedStore
    run: int
    engine: TimedEngine

    async def to_the_end(self, api: WatchedApi) -> Ended:
        """Run."""
        clock = SystemClock(wall=lambda: 1.8e9, monotonic=anyio.current_time)
        return await Runner(self.engine, self.store, api, NoDisk(), clock=clock, watch=silent, run_id=self.run).drive()


@contextmanager
def driving(place: Place, manifest: Path) -> Iterator[Drive]:
    """Open, adopt and begin."""
    checked, asked = app.check([manifest]), place.asked(manifest)
    with WatchedStore.at(place) as store, store.lock(command="run", at=1.8e9):
        begun = store.begin_run(asked, resumes=None, at=1.8e9)
        (loaded,) = checked.manifests
        store.adopt(loaded.header, app.actions(loaded, store, asked), run=begun.id, at=1.8e9)
        store.adopted(begun.id)
        opening = store.open_run([loaded.header.name], run=begun.id, today="2027-01-15", only="")
        given = Given(app.quoter(place.settings), compose, place.settings.calendar, lambda: 0.0)
        policy = Settings.policy(place.settings, asked)  # with the patience of a night: a busy machine is no outage
        engine = TimedEngine(opening, policy, given)
        engine.told = []
        yield Drive(place, store, begun.id, engine)


def through_the_client(drive: Drive) -> tuple[Ended, WatchedApi]:
    """Drive a run over real HTTP."""

    async def go() -> tuple[Ended, WatchedApi]:
        async with Client(drive.place.settings.address, drive.place.settings.key.reveal()) as client:
            api = WatchedApi(drive.place, client)
            return await drive.to_the_end(api), api

    return anyio.run(go)


def test_nothing_leaves_before_its_commit(tmp_path: Path) -> None:
    """At the moment when a purchase leaves, another connection reads its exact bytes, its key and its hold from the ledger's file."""
    with opened(tmp_path, faults="render=0.05,drop_before=0.05,drop_after=0.1,seed=3") as place, driving(place, place.images(25)) as drive:
        ended, api = through_the_client(drive)
    assert ended.code == ExitCode.DONE
    assert len(set(api.sent)) == 25
    assert len(api.sent) > 25  # some were repeated, with the same key


def test_the_rate_counts_from_when_bytes_leave(place: Place) -> None:
    """The engine hears of each request when it is sent, after its commit, and again when its bytes left: not when it was decided."""
    with driving(place, place.images(5)) as drive:
        drive.store.before = lambda records: drive.engine.told.extend(("commit", 0.0, 0.0) for r in records if isinstance(r, Submitted))
        ended, _ = through_the_client(drive)
        told = drive.engine.told
    assert ended.code == ExitCode.DONE
    asked = sum(" /api/" in line for line in place.server.asked)
    sent, left = ([moments for what, *moments in told if what == which] for which in ("sent", "left"))
    assert (len(sent), len(left)) == (asked, asked)
    assert sorted(before for before, _ in left) == sorted(at for at, _ in sent), "each is told again, by when it was sent"
    assert all(before <= at for before, at in left)
    assert [what for what, *_ in told][:3] == ["commit", "sent", "left"]


@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8])
def test_a_commit_that_fails_sends_nothing(tmp_path: Path, nth: int) -> None:
    """If the ledger cannot write, what it should have written is not sent, the run ends with the ledger's words, and the next goes on."""
    with opened(tmp_path, faults="render=0.05") as place:
        place.settings = replace(place.settings, in_flight=2)
        manifest = place.images(6)
        with driving(place, manifest) as drive:
            drive.store.before = full_at(drive.store, nth)
            with pytest.raises(Unavailable, match="the disk is full"):
                through_the_client(drive)
            committed = {key for (key,) in place.query("SELECT client_request_id FROM attempts")}
            assert {task["client_request_id"] for task in _bought(place)} <= committed
        assert place.run(manifest).code == ExitCode.DONE
        assert (place.bought(), place.money()) == (6, (6, 0))


def full_at(store: WatchedStore, nth: int) -> BeforeCommit:
    """Fail from the nth commit on."""

    def full(_: Sequence[Record]) -> None:
        if len(store.commits) + 1 >= nth:
            raise Unavailable("the disk is full")

    return full


def _bought(place: Place) -> list[dict[str, object]]:
    tasks = place.account.books()["tasks"]
    assert isinstance(tasks, list)
    return tasks


def test_answers_are_committed_together(place: Place) -> None:
    """Answers that come while a commit is on its way are taken by one step and written by one commit."""
    place.settings = replace(place.settings, in_flight=20)
    with driving(place, place.images(21)) as drive:

        async def go() -> Ended:
            return await drive.to_the_end(WatchedApi(place, gate=anyio.Event(), full=20))

        assert anyio.run(go).code == ExitCode.DONE
        accepted = [sum(isinstance(r, AttemptMoved) and r.after == "accepted" for r in records) for records in drive.store.commits]
        assert max(accepted) >= 15, accepted
        assert len(drive.store.commits) <= 6 * 21


def test_commits_per_task_are_few(tmp_path: Path) -> None:
    """With 20 in flight over real HTTP, a task costs at most six commits: one for its send, one for its answer, some for looking."""
    with opened(tmp_path, faults="render=0.05") as place:
        place.settings = replace(place.settings, in_flight=20)
        with driving(place, place.images(60)) as drive:
            ended, _ = through_the_client(drive)
            assert ended.code == ExitCode.DONE
            assert len(drive.store.commits) <= 6 * 60


def test_the_loop_goes_on_while_the_ledger_writes(place: Place) -> None:
    """The ledger writes in one thread that is not the event loop's: a slow disk does not stop answers from being heard."""
    threads: set[int] = set()
    with driving(place, place.images(3)) as drive:
        drive.store.before = lambda _: threads.add(threading.get_ident())
        ended, _ = through_the_client(drive)
    assert ended.code == ExitCode.DONE
    assert threading.get_ident() not in threads


def test_the_run_is_ended_in_the_ledger_also_when_it_breaks(place: Place) -> None:
    """A run that was broken off has no end in the ledger, and the next one resumes it all the same."""
    with driving(place, place.images(2)) as drive:
        drive.store.before = full_at(drive.store, 1)
        with pytest.raises(Unavailable):
            through_the_client(drive)
    assert place.query("SELECT exit_code FROM runs") == [(None,)]
    assert anyio.run(partial(app.resume, place.settings, watch=silent)).code == ExitCode.DONE
    assert place.bought() == 2
