"""A workspace, a server that can be told to be rude, and whole runs through `app` in this process: real files, real HTTP, a real ledger."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchgen import app
from batchgen.core.facts import AttemptFacts, RunAsked, TaskHistory
from batchgen.core.messages import Ended, Glimpse, Step
from batchgen.core.policy import Policy, PollPolicy
from batchgen.ledger import Store
from batchgen.sandbox.account import Account
from batchgen.sandbox.app import build
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.serve import in_process
from batchgen.settings import Settings
from batchgen.settings.secret import ApiKey

KEY = "rvya_sk_sandbox_for_tests"
QUICK = PollPolicy(first=0.02, every=0.02, slowest=0.1)
ASSETS = Path(__file__).parents[2] / "manifests" / "assets"


class Impatient(Settings):
    """The settings of a person who waits for nothing: the pauses that a night can afford are cut to what a test can."""

    def policy(self, asked: RunAsked) -> Policy:
        """Return the policy with short patience."""
        return replace(super().policy(asked), outage_patience=0.3, missing_patience=0.3)


@dataclass(frozen=True, slots=True)
class Rudeness:
    """An answer of the test's own: to requests of `method` whose path begins so, the first `times` of them, after `skip`.

    With `after` the server does its work first, and the answer replaces the real one. A `status` of 0 drops the connection.
    """

    method: str
    path: str
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 10**9
    skip: int = 0
    after: bool = False


GENERATIONS, FILES, CREDITS = "/api/v1/generations", "/api/v1/files", "/api/v1/credits"
Edit = Callable[[str, dict[str, object]], dict[str, object]]
"""Change the JSON of an answer; it is told `METHOD path`."""


def refusal(code: str, status: int, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    """Return the documented error's status, body and headers."""
    error = {"error": {"code": code, "message": f"The server says {code}.", "requestId": f"req_{code}"}}
    return status, json.dumps(error).encode(), {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}


def rude(method: str, path: str, code: str, status: int, *, times: int = 10**9) -> Rudeness:
    """Answer with an error of the documented table."""
    said, body, headers = refusal(code, status)
    return Rudeness(method, path, said, body, headers, times=times)


@dataclass
class Server:
    """The sandbox with rudeness in front of it. Keeps what was asked, in order, as `METHOD path`."""

    inner: ASGIApp
    rules: list[Rudeness] = field(default_factory=list)
    edit: Edit | None = None
    asked: list[str] = field(default_factory=list)
    _met: dict[int, int] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = str(scope.get("path", ""))
        self.asked.append(f"{scope['method']} {path}")
        rule = self._rule(scope["method"], path)
        if rule is None:
            await self._answer(scope, receive, send)
            return
        if rule.after:
            await self.inner(scope, receive, _nowhere)
        await self._be_rude(rule, scope, receive, send)

    def _rule(self, method: str, path: str) -> Rudeness | None:
        for number, rule in enumerate(self.rules):
            if rule.method == method and path.startswith(rule.path):
                met = self._met[number] = self._met.get(number, 0) + 1
                if rule.skip < met <= rule.skip + rule.times:
                    return rule
        return None

    async def _be_rude(self, rule: Rudeness, scope: Scope, receive: Receive, send: Send) -> None:
        if not rule.status:
            scope["extensions"]["batchgen.drop"](False)  # noqa: FBT003 - the server's own function takes it so
            return
        headers = [(name.lower().encode(), value.encode()) for name, value in rule.headers.items()]
        await send({"type": "http.response.start", "status": rule.status, "headers": headers})
        await send({"type": "http.response.body", "body": rule.body})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.edit is None or not str(scope["path"]).startswith("/api/"):
            await self.inner(scope, receive, send)
            return
        start: Message = {}

        async def edited(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            assert self.edit is not None
            body = json.dumps(self.edit(f"{scope['method']} {scope['path']}", json.loads(message["body"]))).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        await self.inner(scope, receive, edited)

    def count(self, method: str, path: str) -> int:
        """Count requests whose path begins so."""
        return sum(line.startswith(f"{method} {path}") for line in self.asked)


async def _nowhere(message: Message) -> None:
    """Take an answer that nobody will see."""


def silent(step: Step, glimpse: Glimpse) -> None:
    """Watch a run without a word."""


@dataclass
class Place:
    """A workspace with everything a run needs."""

    folder: Path
    settings: Settings
    account: Account
    server: Server

    def be_patient(self) -> None:
        """Wait as long for the service as a real night does."""
        self.settings = Settings(**{f.name: getattr(self.settings, f.name) for f in fields(Settings)})

    def manifest(self, text: str, name: str = "m.yaml") -> Path:
        """Write a manifest."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def images(self, count: int, *, name: str = "m", more: str = "", prompt: str = "a red shoe") -> Path:
        """Write a manifest of images at 1 credit each, t0 ... `more` is YAML of the top level."""
        tasks = "".join(f"  - {{id: t{n}, prompt: {prompt} {n}}}\n" for n in range(count))
        return self.manifest(f"version: 1\nname: {name}\ndefaults: {{model: z-image}}\n{more}tasks:\n{tasks}", f"{name}.yaml")

    def asked(self, *paths: Path, **said: object) -> RunAsked:
        """Return what a run is asked for."""
        names = tuple(loaded.header.name for loaded in app.check(paths).manifests)
        return replace(RunAsked("run", names), **said)  # type: ignore[arg-type]  # the fields' own names

    def run(self, *paths: Path, **said: object) -> Ended:
        """Run manifests to the end, as the command line does."""
        asked = self.asked(*paths, **said)
        return anyio.run(partial(app.run, app.check(paths), self.settings, asked, watch=silent))

    def resume(self) -> Ended:
        """Go on with what is in the ledger."""
        return anyio.run(partial(app.resume, self.settings, watch=silent))

    def history(self, task: str = "t0") -> TaskHistory:
        """Return all about one task."""
        with app.reading(self.settings) as ledger:
            (found,) = ledger.history(task)
            return found

    def attempt(self, task: str = "t0") -> AttemptFacts:
        """Return a task's last attempt."""
        return self.history(task).attempts[-1]

    def states(self) -> dict[str, int]:
        """Count the ledger's tasks by state."""
        with app.reading(self.settings) as ledger:
            counts: dict[str, int] = {}
            for facts in ledger.manifests():
                for state, count in facts.by_state.items():
                    counts[state.value] = counts.get(state.value, 0) + count
            return {state: count for state, count in counts.items() if count}

    def money(self) -> tuple[int, int]:
        """Return the credits captured and held."""
        with app.reading(self.settings) as ledger:
            facts = ledger.money("2026-01-01")
            return facts.captured, facts.held

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Ask the ledger's file itself."""
        with sqlite3.connect(self.settings.ledger) as connection:
            rows = connection.execute(sql).fetchall()
        connection.close()
        return rows

    def spent(self) -> int:
        """Return what the server charged, less what it gave back."""
        books = self.account.books()
        assert isinstance(books["spent"], int)
        return books["spent"]

    def bought(self) -> int:
        """Count the purchases that the server knows."""
        tasks = self.account.books()["tasks"]
        assert isinstance(tasks, list)
        return len(tasks)

    def renders(self) -> set[str]:
        """Name every file in the outputs folder."""
        root = self.settings.outputs
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@contextmanager
def opened(folder: Path, *, faults: str = "render=0", rules: Sequence[Rudeness] = (), credits_: int = 1000) -> Iterator[Place]:
    """Serve a sandbox and make a workspace that points to it."""
    with Account(folder / "account.sqlite3", starting_credits=credits_) as account:
        server = Server(build(account, Faults.parse(faults)), list(rules))
        with in_process(server) as address:
            settings = Impatient(
                workspace=folder,
                ledger=str(folder / "ledger.sqlite3"),
                outputs=folder / "renders",
                address=address,
                key=ApiKey(KEY),
                requests_per_minute=60_000.0,
                poll=QUICK,
            )
            yield Place(folder, settings, account, server)


def empty_ledger(settings: Settings) -> Store:
    """Open the ledger for writing, making it if need be."""
    return Store.open(settings.ledger, settings.address)
