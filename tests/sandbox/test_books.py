from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import httpx2
import pytest

from batchgen.errors import UsageError
from batchgen.sandbox import SANDBOX_KEY
from batchgen.sandbox.account import Account
from batchgen.sandbox.app import build
from batchgen.sandbox.serve import in_process

SERVE = """
import sys
from pathlib import Path
from batchgen.sandbox.account import Account
from batchgen.sandbox.app import build
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.serve import serve
with Account(Path(sys.argv[1])) as account:
    serve(build(account, Faults.parse(sys.argv[2])), ready=lambda url: print(url, flush=True))
"""

BUY = """
import sys
from batchgen.sandbox.account import Account
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.purchase import Asked, buy
with Account(sys.argv[1]) as account:
    for n in range(int(sys.argv[2])):
        buy(account, Faults(), Asked(b'{"model": "z-image", "prompt": "x"}', f"key-{n}"), lambda task: {"id": task.id})
        account.count("GET /x", "x")
"""

KLING = {"model": "kling-2-6", "prompt": "a door opens"}


@contextmanager
def serving(books: Path, faults: str = "") -> Iterator[tuple[subprocess.Popen[str], httpx2.Client]]:
    """Run the sandbox in a process of its own."""
    command = [sys.executable, "-W", "error", "-c", SERVE, str(books), faults]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            url = _line(child.stdout)
            with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {SANDBOX_KEY}"}) as client:
                yield child, client
        finally:
            child.kill()


@contextmanager
def hosted(books: Path) -> Iterator[str]:
    """Serve the books from a thread, at the port that served them last if it is free."""
    with Account(books) as account, in_process(build(account), port=account.port) as url:
        account.port = int(url.rpartition(":")[2])
        yield url


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()


def buy(client: httpx2.Client, key: str) -> dict[str, object]:
    """Create a generation that must be taken."""
    answer = client.post("/api/v1/generations", json=KLING, headers={"Idempotency-Key": key})
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


def test_the_books_outlive_a_killed_server(books: Path) -> None:
    """After SIGKILL the next server knows every task, key, file and credit, and the renders have gone on meanwhile."""
    with serving(books, "render=0.05") as (child, client):
        bought = [buy(client, f"k{n}") for n in range(5)]
        file = client.post("/api/v1/files", files={"file": b"\x89PNG\r\n\x1a\n"}, data={"kind": "image"}).json()
        child.send_signal(signal.SIGKILL)
        child.wait()
    with serving(books) as (_, client):
        assert [buy(client, f"k{n}") for n in range(5)] == bought
        assert client.get(f"/api/v1/files/{file['id']}").status_code == 200
        assert client.get("/api/v1/credits").json() == {"current_credits": 100_000 - 5 * 55}
        shown = client.get("/sandbox/books").json()
        assert [task["status"] for task in shown["tasks"]] == ["succeeded"] * 5
        assert (len(shown["charges"]), shown["bought_more_than_once"]) == (5, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_cleanly(books: Path, number: signal.Signals) -> None:
    """SIGINT and SIGTERM end the server with exit code 0 and without a word."""
    with serving(books) as (child, client):
        assert client.get("/api/v1/models").status_code == 200
        child.send_signal(number)
        assert child.communicate(timeout=20) == ("", "")
        assert child.returncode == 0


def test_two_processes_may_share_the_books(books: Path) -> None:
    """Processes that open new books at once and buy with the same keys charge each key once and count every request."""
    command = [sys.executable, "-W", "error", "-c", BUY, str(books), "40"]
    children = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for child in children:
        assert child.communicate(timeout=60)[1] == ""
    with Account(books) as account:
        shown = account.books()
    assert shown["balance"] == 100_000 - 40
    assert shown["idempotency_keys"] == {f"key-{n}": 3 for n in range(40)}
    assert shown["requests"] == {"GET /x": 120}


def test_two_apps_over_one_account_agree(books: Path) -> None:
    """What one server sold, another over the same books replays."""
    headers = {"Authorization": f"Bearer {SANDBOX_KEY}"}
    with hosted(books) as one, hosted(books) as other:
        assert one != other
        with httpx2.Client(base_url=one, headers=headers) as first, httpx2.Client(base_url=other, headers=headers) as second:
            assert buy(first, "k") == buy(second, "k")


def test_the_port_is_taken_again(books: Path) -> None:
    """A server over the same books comes back at the same address, so that links in earlier answers still work."""
    with hosted(books) as first:
        pass
    with hosted(books) as second:
        assert first == second


def test_starting_credits_count_once(books: Path) -> None:
    """Opening an account again does not fill it up."""
    for credits in (10, 20):
        with Account(books, starting_credits=credits) as account:
            assert account.credits() == 10


def _text(path: Path) -> None:
    path.write_text("this is no database, although it is long enough to be taken for one\n" * 20)


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE other (x)")


def _newer(path: Path) -> None:
    Account(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=99")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_text, "not a database"),
        (_foreign, "another program's database"),
        (_newer, "version 99"),
        (Path.mkdir, "unable to open"),
    ],
)
def test_files_that_are_no_books(tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    """A file that cannot be used is named, with the reason and what to do, and is left as it was."""
    path = tmp_path / "books.sqlite3"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(UsageError, match=f"books.sqlite3: .*{said}.*start afresh"):
        Account(path)
    assert before == (path.read_bytes() if path.is_file() else None)


def test_an_error_inside_a_transaction_keeps_nothing(books: Path) -> None:
    """A transaction that raises is undone, and the books go on working."""

    def fail() -> None:
        with account.transaction() as db:
            db.execute("UPDATE purse SET balance = 1")
            raise KeyError

    with Account(books) as account:
        with pytest.raises(KeyError):
            fail()
        assert account.credits() == 100_000


def test_the_books_are_plain_json(books: Path) -> None:
    """What the books show can be written as JSON."""
    with Account(books) as account:
        assert json.loads(json.dumps(account.books()))["balance"] == 100_000
