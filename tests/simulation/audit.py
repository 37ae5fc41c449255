"""Is everything as promised? Asked of the ledger's rows in plain SQL, and of the world's own books; nothing of the product's code judges.

The numbers are those of the invariants in the architecture:

1 bytes leave only after a durable commit of exactly them   2 one live attempt a task        3 a key never has two bodies
4 every credit is explained, a hold is closed once          5 no budget is exceeded           6 an output's row means a complete file
7 every move is in the events                               8 final states have no way out
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from batchgen.core.model import Budget, Credits, Instant, Manifest
from batchgen.core.policy import Policy
from tests.simulation.disk import Disk
from tests.simulation.ledgers import LedgerFile
from tests.simulation.world import DAY, Purchase, World, day_of

REFUND_DAYS = 6
"""Days in which a run asks again about a failed purchase that kept credits: one less than the product says."""

LIVE = frozenset({"submitting", "accepted", "in_doubt"})
CLOSED = frozenset({"succeeded", "failed", "refused"})
WAYS: Mapping[str, frozenset[str]] = {
    "submitting": frozenset({"submitting", "accepted", "refused", "in_doubt"}),
    "accepted": frozenset({"succeeded", "failed", "in_doubt"}),
    "in_doubt": frozenset({"accepted", "refused", "submitting"}),  # by a person
    "succeeded": frozenset(),
    "failed": frozenset(),
    "refused": frozenset(),
}
"""Written down a second time on purpose."""


class Broken(AssertionError):
    """A promise does not hold."""


class Row(NamedTuple):
    """An attempt with its money."""

    id: int
    key: str
    state: str
    task: int
    manifest: str
    root: int
    day: str
    price_key: str
    reserved: Credits | None
    hold: Credits
    capture: Credits
    release: Credits
    refund: Credits

    @property
    def used(self) -> Credits:
        """What it takes of a budget: committed or held."""
        return self.hold - self.release - self.refund


_ROWS = """
SELECT a.id, a.client_request_id, a.state, a.task_id, f.name, r.root, a.day, a.price_key, a.reserved,
    SUM((m.kind = 'hold') * m.credits), SUM((m.kind = 'capture') * m.credits), SUM((m.kind = 'release') * m.credits),
    SUM((m.kind = 'refund') * m.credits)
FROM attempts a JOIN tasks t ON t.id = a.task_id JOIN manifests f ON f.id = t.manifest_id JOIN runs r ON r.id = a.run_id
    JOIN money m ON m.attempt_id = a.id
GROUP BY a.id
"""


_BUDGET_SAID = """
SELECT c.value FROM controls c JOIN runs r ON r.id = c.run_id
WHERE r.root = ? AND c.kind = 'budget' AND c.taken_at IS NOT NULL ORDER BY c.id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget: which attempts count, and how much they may use."""

    name: str
    credits: Credits
    manifest: str = ""
    root: int = 0
    span: str = ""  # the beginning of a day

    def counts(self, row: Row) -> bool:
        """Whether an attempt counts against it."""
        return (
            (not self.manifest or row.manifest == self.manifest)
            and (not self.root or row.root == self.root)
            and row.day.startswith(self.span)
        )


class Audit:
    """Looks on. Raises Broken."""

    def __init__(self, ledger: LedgerFile, world: World, disk: Disk) -> None:
        self._ledger = ledger
        self._world = world
        self._disk = disk
        self._bodies: dict[str, bytes] = {}
        self._first_holds: dict[str, Credits] = {}
        self._limits_of_run: tuple[int, Policy, Sequence[Manifest]] = (0, Policy(), ())
        self._lost_with_backup: set[str] = set()
        self.rows: list[Row] = []
        self.buys_nothing = ""  # why a run may not begin any attempt now
        self.asked_at: Instant = 0.0  # when the last run began that was not disturbed

    # ---------------------------------------------------------------- moments

    def run_begins(self, root: int, policy: Policy, manifests: Sequence[Manifest]) -> bool:
        """Take note of the budgets that apply from now on. True if --budget is what a person said: that stays when it is resumed."""
        said = self._ledger.raw.execute(_BUDGET_SAID, (root,)).fetchone()
        if said is not None and policy.run_budget != said[0]:
            raise Broken(f"a person set --budget to {said[0]:g}, and the resumed run has {policy.run_budget}")
        self._limits_of_run = (root, policy, manifests)
        self.buys_nothing = ""
        return said is not None

    def budget_said(self, credits: Credits) -> bool:
        """A person gives the run another --budget from now on. True if it is below what is spent or held already."""
        root, policy, manifests = self._limits_of_run
        self._limits_of_run = (root, replace(policy, run_budget=credits), manifests)
        return sum(row.used for row in self.rows if row.root == root) > credits

    def restored(self, rows_before: Iterable[Row]) -> None:
        """The ledger was put back: it cannot know of what came since."""
        self._read()
        kept = {row.key for row in self.rows}
        self._lost_with_backup |= {row.key for row in rows_before} - kept
        self._first_holds = {key: hold for key, hold in self._first_holds.items() if key in kept}

    def leaves(self, key: str, body: bytes) -> None:
        """A purchase is about to leave (1, 3)."""
        found = self._ledger.raw.execute("SELECT body, state FROM attempts WHERE client_request_id = ?", (key,)).fetchone()
        if found is None or bytes(found[0]) != body or found[1] != "submitting":
            raise Broken(f"a purchase leaves with bytes that are not in the ledger, key {key}, attempt {found and found[1]}")
        if self._bodies.setdefault(key, body) != body and key not in self._lost_with_backup:
            raise Broken(f"the key {key} leaves with another body")

    def committed(self, now: Instant) -> None:
        """A commit is durable (2, 4, 5)."""
        self._read()
        live = Counter(row.task for row in self.rows if row.state in LIVE)
        twice = [task for task, count in live.items() if count > 1]
        if twice:
            raise Broken(f"tasks with more than one live attempt: {twice}")
        for row in self.rows:
            _check_money(row)
        new = [row for row in self.rows if row.key not in self._first_holds]
        self._first_holds.update((row.key, row.hold) for row in new)
        if new and self.buys_nothing:
            raise Broken(f"bought although the run is {self.buys_nothing}: {new}")
        for limit in self._limits(now) if new else ():
            used = sum(row.used for row in self.rows if limit.counts(row))
            if used > limit.credits and any(limit.counts(row) for row in new):
                raise Broken(f"the budget {limit.name} of {limit.credits} credits is exceeded: {used}")

    def _read(self) -> None:
        self.rows = [Row(*found) for found in self._ledger.raw.execute(_ROWS)]

    def _limits(self, now: Instant) -> list[Limit]:
        root, policy, manifests = self._limits_of_run
        day = day_of(now)
        account = [
            ("--budget", policy.run_budget, "", root, ""),
            ("per_day", policy.account.per_day, "", 0, day),
            ("per_month", policy.account.per_month, "", 0, day[:7]),
        ]
        for manifest in manifests:
            budget: Budget = manifest.budget
            name = manifest.name
            account += [
                ("total", budget.total, name, 0, ""),
                ("per_run", budget.per_run, name, root, ""),
                ("per_day", budget.per_day, name, 0, day),
            ]
        return [Limit(name, credits, who, run, span) for name, credits, who, run, span in account if credits is not None]

    def exhausted(self, manifest: str, price: Credits, now: Instant) -> str:
        """Return the budget that leaves no room for `price` more, '' if there is room."""
        for limit in self._limits(now):
            if limit.manifest in {"", manifest} and sum(row.used for row in self.rows if limit.counts(row)) + price > limit.credits:
                return limit.name
        return ""

    # ---------------------------------------------------------------- after a crash, after a night

    def whole(self) -> None:
        """Check what takes longer (3, 6, 7, 8)."""
        raw = self._ledger.raw
        bodies = dict(raw.execute("SELECT client_request_id, body FROM attempts").fetchall())
        for key, body in bodies.items():
            if self._bodies.get(key, body) != body and key not in self._lost_with_backup:
                raise Broken(f"the ledger's body of {key} has changed")
        self._check_moves()
        for path, sha256 in raw.execute("SELECT path, sha256 FROM outputs"):
            if not self._disk.has(path, sha256):
                raise Broken(f"the ledger has the output {path}, the disk has not")
        other = raw.execute(
            "SELECT t.ident FROM tasks t JOIN attempts a ON a.task_id = t.id AND a.number = t.attempts"
            " WHERE t.wanted AND t.state = 'done' AND a.fingerprint <> t.fingerprint"
        ).fetchall()
        if other:
            raise Broken(f"done, but with a render of something else than the manifest wants: {other}")
        if raw.execute("PRAGMA foreign_key_check").fetchone():
            raise Broken("a foreign key leads nowhere")

    def _check_moves(self) -> None:
        """Follow the log (7, 8)."""
        raw = self._ledger.raw
        moves: defaultdict[tuple[str, int], list[tuple[str, str]]] = defaultdict(list)
        log = raw.execute("SELECT task_id, attempt_id, moved_from, moved_to FROM events WHERE moved_to <> '' ORDER BY id")
        for task, attempt, before, after in log:
            moves[("attempt", attempt) if attempt else ("task", task)].append((before, after))
        for number, state in raw.execute("SELECT id, state FROM attempts"):
            _check_way(f"attempt {number}", moves[("attempt", number)], "", state)
            for before, after in moves[("attempt", number)][1:]:
                if after not in WAYS[before]:
                    raise Broken(f"attempt {number} moved from {before} to {after}")
        for number, state in raw.execute("SELECT id, state FROM tasks"):
            _check_way(f"task {number}", moves[("task", number)], "pending", state)

    def books(self) -> None:
        """Compare the world's books with the ledger's: nothing twice, nothing lost, nothing unexplained.

        The rule for credits, by the attempt that has the purchase's key:

            succeeded           captured = what the account paid
            failed              captured less refunded = what the account paid, or more by what came back since a run last asked
            refused             nothing was paid
            live                held: nothing is captured, the purchase is open or in doubt
            none in the ledger  nothing was paid, unless an old backup was put back
        """
        self._read()
        bought: defaultdict[str, list[Purchase]] = defaultdict(list)
        known = {row.key: row for row in self.rows}
        by_key: dict[str, Purchase] = {}
        for purchase in self._world.purchases.values():
            bought[purchase.prompt].append(purchase)
            if purchase.key in by_key:
                raise Broken(f"double charge: the key {purchase.key} was charged twice")
            by_key[purchase.key] = purchase
            self._check_purchase(purchase, known.get(purchase.key))
        for prompt, purchases in bought.items():
            paid = [p.task_id for p in purchases if p.state != "failed"]
            if len(paid) > 1:
                raise Broken(f"double charge: {prompt} was bought as {paid}")
        self._check_surprises(by_key)
        for row in self.rows:
            if row.key not in by_key and (row.capture or row.state in {"accepted", "succeeded", "failed"}):
                raise Broken(f"unexplained credits: {row} was never bought")

    def _check_purchase(self, purchase: Purchase, row: Row | None) -> None:
        if row is None:
            if purchase.key not in self._lost_with_backup:
                raise Broken(f"unexplained credits: {purchase.task_id} was bought by an attempt that is not in the ledger")
            return
        spent = row.capture - row.refund
        if row.state == "refused":
            raise Broken(f"lost render: {purchase.task_id} was bought, its attempt is refused")
        if row.state in CLOSED and row.state != purchase.state:
            raise Broken(f"the attempt of {purchase.task_id} is {row.state}, the server says {purchase.state}")
        if row.state == "succeeded" and spent != purchase.net:
            raise Broken(f"unexplained credits: {purchase.task_id} cost {purchase.net}, captured {spent}")
        if row.state == "failed" and (spent < purchase.net or (spent > purchase.net and self._asked(purchase))):
            raise Broken(f"unexplained credits: {purchase.task_id} failed and kept {purchase.net}, captured {spent}")

    def _asked(self, purchase: Purchase) -> bool:
        """Whether a run that came to its end has asked about a failed purchase since its refund."""
        return purchase.refunded_at < self.asked_at < purchase.at + REFUND_DAYS * DAY

    def _check_surprises(self, by_key: Mapping[str, Purchase]) -> None:
        """More is held than at first only because the server took more, and that happens once for a price (5).

        An attempt that is in doubt does not keep the next one waiting, so each of those may surprise too.
        """
        surprised = [row for row in self.rows if row.hold > self._first_holds[row.key]]
        doubted = {number for (number,) in self._ledger.raw.execute("SELECT attempt_id FROM events WHERE event = 'doubted'")}
        for row in surprised:
            if row.key not in by_key or row.hold > by_key[row.key].price:
                raise Broken(f"more is held than anybody took: {row}")
        often = [price for price, count in Counter(row.price_key for row in surprised if row.id not in doubted).items() if count > 1]
        if often and not self._world.rules.later_prices and not self._lost_with_backup:
            raise Broken(f"an unseen price surprised more than once: {often}")

    def renders(self, *, calm: bool) -> None:
        """Every render that was paid is on disk, or known as on its way. When all is calm, only doubt excuses."""
        files = self._ledger.raw.execute("SELECT a.client_request_id FROM outputs o JOIN attempts a ON a.id = o.attempt_id")
        saved = Counter(key for (key,) in files)
        known = {row.key: row for row in self.rows}
        for purchase in self._world.purchases.values():
            row = known.get(purchase.key)
            if purchase.state != "succeeded" or row is None or saved[purchase.key] == purchase.results:
                continue
            if row.state not in LIVE and not (row.state == "succeeded" and self._task_of(row) == "rendered"):
                raise Broken(f"lost render: {purchase.task_id} is not on disk, its attempt is {row.state}")
            if calm and row.state != "in_doubt":
                raise Broken(f"lost render: {purchase.task_id} was not fetched although all is calm, its attempt is {row.state}")

    def _task_of(self, row: Row) -> str:
        return str(self._ledger.raw.execute("SELECT state FROM tasks WHERE id = ?", (row.task,)).fetchone()[0])

    def guards_hold(self) -> None:
        """A second writer cannot give a task a second live attempt, even with SQL of its own (2)."""
        live = next((row for row in self.rows if row.state in LIVE), None)
        if live is None:
            return
        columns = "task_id, run_id, fingerprint, body, submitted_at, price_key, day"
        connection = self._ledger.vandal
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                f"INSERT INTO attempts (client_request_id, number, state, {columns}) SELECT 'another', 999, 'submitting', {columns} FROM attempts WHERE id = ?",  # noqa: S608, E501 - our own words
                (live.id,),
            )
        except sqlite3.IntegrityError:
            return
        finally:
            connection.rollback()
        raise Broken("the ledger takes a second live attempt of a task")


def _check_money(row: Row) -> None:
    """A live attempt only holds; a closed one has captured and released exactly what it held (4)."""
    closed = row.capture + row.release
    if row.state in CLOSED and closed != row.hold:
        raise Broken(f"credits not closed: {row}")
    if row.state in LIVE and (closed or row.refund):
        raise Broken(f"credits of a live attempt closed: {row}")
    if row.hold < (row.reserved or 0):
        raise Broken(f"less is held than the server reserved: {row}")
    if row.refund > row.capture:
        raise Broken(f"more refunded than captured: {row}")


def _check_way(who: str, moves: Sequence[tuple[str, str]], start: str, state: str) -> None:
    """The moves in the log lead, without a gap, from the start to the state (7)."""
    at = start
    for before, after in moves:
        if before != at:
            raise Broken(f"{who} moved from {before}, but it was {at}")
        at = after
    if at != state:
        raise Broken(f"{who} is {state}, its events say {at}")
