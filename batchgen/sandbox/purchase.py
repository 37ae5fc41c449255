"""What POST /generations decides, in one transaction: replay, refusal or a new task that is paid.

Prices, which the documentation gives only as base credits: a FIXED model costs its base, twice that when the asked
duration is at least twice the model's default (kling-2-6: 10 s for twice 5 s); a METERED one costs its base for every
1,000 characters begun. Where a model has `max_images`, that many results cost no more.

Idempotency, which the documentation only names: a key is remembered with the hash of the body's exact bytes. The same
key and body answer again what they answered first (`Faults.current`: the task as it is now); the same key with another
body is `idempotency_conflict`. The key is looked at first of all, or last with `Faults.late`. A refused request is not
remembered. Without a key every request is a new purchase; `client_request_id` is only kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace

from batchgen.catalogue import Billing, Model
from batchgen.core.model import Credits
from batchgen.sandbox.account import Account, Task, Uploaded, new_id
from batchgen.sandbox.checks import FindFile, Wanted, check_generation
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.library import choose, seconds_of
from batchgen.sandbox.refusal import Refusal, invalid

_METER = 1000
_QUICKEST = 0.3
_SPREAD = 0.7  # so that renders take 0.3 to 1.0 s and finish out of order
_QUEUED = 0.2  # share of a render's time that it waits in the queue
_KEY_LIMIT = 255
_UPLOAD = re.compile(r"/uploads/(file_[0-9a-f]+)(?:/|$)")
"""Our uploads are known by their path, so that they stay known when the sandbox comes up on another port."""

View = Callable[[Task], dict[str, object]]
"""Show a task as the API does."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came: the body's bytes, and the idempotency key ("" for none)."""

    body: bytes
    key: str

    @property
    def digest(self) -> str:
        """SHA-256 of the body."""
        return hashlib.sha256(self.body).hexdigest()


def price(wanted: Wanted) -> Credits:
    """Say what a generation costs, by the rules at the top."""
    base = wanted.model.base_credits or 0
    if wanted.model.billing is Billing.METERED:
        return base * max(1, math.ceil(_characters(wanted) / _METER))
    usual = seconds_of(_defaults(wanted.model))
    asked = seconds_of(wanted.params)
    return base * (2 if usual and asked and asked >= 2 * usual else 1)


def _defaults(model: Model) -> dict[str, object]:
    return {param.key: param.default for param in model.params.values()}


def _characters(wanted: Wanted) -> int:
    """Count what is spoken: the prompt, and the texts of a dialogue."""
    lines = wanted.params.get("dialogue")
    spoken = [str(line.get("text", "")) for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    return len(wanted.prompt) + sum(map(len, spoken))


def buy(account: Account, faults: Faults, asked: Asked, view: View) -> dict[str, object]:
    """Answer a create. Raises Refusal; nothing is charged then."""
    if asked.key:
        _check_key(account, asked.key)
    with account.transaction() as db:
        if not faults.late and (answer := _replay(account, db, faults, asked, view)):
            return answer
        wanted = check_generation(_parse(asked.body), _finder(account, db, faults), lenient=bool(faults.lenient))
        task = _task(account, faults, wanted, asked)
        poor = account.balance(db) < task.reserved
        if faults.late and not poor and (answer := _replay(account, db, faults, asked, view)):
            return answer
        if not poor:
            return _sell(account, db, task, asked, view)
        if faults.leftover:
            leftover = replace(task, reserved=0, starts_at=task.created_at, ends_at=task.created_at, fails=True)
            account.keep_task(db, leftover, paid=False)
    raise Refusal("insufficient_credits", f"The account lacks credits: this generation needs {task.reserved}.")


def _check_key(account: Account, key: str) -> None:
    """Count the key, and refuse one that no header should carry. Raises Refusal."""
    if len(key) > _KEY_LIMIT:
        raise invalid(f"Idempotency-Key is longer than {_KEY_LIMIT} characters.")
    account.saw_key(key)


def _parse(body: bytes) -> object:
    """Read JSON. Raises Refusal."""
    try:
        parsed: object = json.loads(body, parse_constant=_no_constant)
        json.dumps(parsed, ensure_ascii=False).encode()  # half a surrogate pair is a ValueError here, and unspeakable later
    except (ValueError, RecursionError) as error:
        raise invalid("The body is not JSON.") from error
    return parsed


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads but JSON does not have."""
    raise ValueError(name)


def _replay(account: Account, db: sqlite3.Connection, faults: Faults, asked: Asked, view: View) -> dict[str, object] | None:
    """Answer a known key again; None for a new one. Raises Refusal for a conflict."""
    known = account.find_key(db, asked.key, memory=faults.memory) if asked.key else None
    if known is None:
        return None
    digest, task_id, answer = known
    if digest != asked.digest:
        raise Refusal("idempotency_conflict", "The Idempotency-Key was used with another request body.")
    task = account.find_task(db, task_id)
    if faults.current and task:
        return view(task)
    first: dict[str, object] = json.loads(answer)
    return first


def _finder(account: Account, db: sqlite3.Connection, faults: Faults) -> FindFile:
    """Look uploads up inside the transaction."""

    def find(url: str) -> Uploaded | None:
        match = _UPLOAD.search(url)
        return account.find_file(db, match[1], forget=faults.forget) if match else None

    return find


def _task(account: Account, faults: Faults, wanted: Wanted, asked: Asked) -> Task:
    """Make the task: its fate, its end and its results are fixed here."""
    task_id = new_id("task")
    now = account.now()
    subject = asked.key or wanted.client_request_id or task_id
    lot = faults.draw("render", subject)
    seconds = faults.render if faults.render >= 0 else _QUICKEST + _SPREAD * faults.draw("seconds", subject)
    return Task(
        id=task_id,
        model=wanted.model.id,
        prompt=wanted.prompt,
        client_request_id=wanted.client_request_id,
        idempotency_key=asked.key or None,
        reserved=price(wanted),
        created_at=now,
        starts_at=now + _QUEUED * seconds,
        ends_at=None if faults.fail <= lot < faults.fail + faults.stall else now + seconds,
        fails=lot < faults.fail,
        results=_results(wanted, task_id),
    )


def _results(wanted: Wanted, task_id: str) -> tuple[str, ...]:
    """Choose the files of the results: one, or as many as `max_images` asks."""
    defaults = _defaults(wanted.model)
    many = wanted.params.get("max_images")
    number = int(many) if isinstance(many, int | float) else 1
    return tuple(choose(wanted.model.category, wanted.params, defaults, f"{task_id} {index}") for index in range(number))


def _sell(account: Account, db: sqlite3.Connection, task: Task, asked: Asked, view: View) -> dict[str, object]:
    """Take the credits, remember the key, and give the first answer."""
    account.keep_task(db, task)
    answer = view(task)
    if asked.key:
        account.keep_key(db, asked.key, (asked.digest, task.id, json.dumps(answer)))
    return answer
