"""One night, drawn from a seed: an account, manifests, weather, processes that die and are started again, and then a calm morning.

`Night(seed).run()` raises `Broken` with the seed and the log if a promise does not hold. The same seed draws the same night.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from batchgen.core.facts import RunAsked
from batchgen.core.messages import Ended
from batchgen.core.model import Budget, Credits, Manifest, StopAfter
from batchgen.core.policy import AccountBudget, OnLostAnswer, Policy
from batchgen.core.resolve import Decision
from batchgen.errors import ExitCode
from tests.simulation.audit import Audit, Broken
from tests.simulation.disk import Disk
from tests.simulation.ledgers import LedgerFile
from tests.simulation.manuscript import CATALOGUE, Manuscript, quoter
from tests.simulation.network import Network
from tests.simulation.process import Process, decide
from tests.simulation.scene import Errand, Fuse, Scene
from tests.simulation.steering import plan
from tests.simulation.timeline import Timeline
from tests.simulation.troubles import Tally, Trouble, Weather
from tests.simulation.world import DAY, Rules, World

MORNING = 1_795_000_000.0
"""Some instant: every night begins within two days from here."""

HOUR = 3600.0
T = TypeVar("T")


@dataclass(slots=True)
class Night:
    """A night to be run."""

    seed: int
    ledger: LedgerFile
    tally: Tally = field(default_factory=Tally)
    careless: bool = False  # the replay window is longer than the server's memory: what must not be
    steered: float = 0.25  # the share of runs that a person steers
    process: type[Process] = Process
    rng: Random = field(init=False)
    scene: Scene = field(init=False)
    manuscripts: list[Manuscript] = field(init=False)
    policy: Policy = field(init=False)
    references: int = field(init=False)
    restores: bool = field(init=False)
    backup: bytes | None = None
    started: bool = False
    spent_elsewhere: int = 0  # as counted when the night began

    def __post_init__(self) -> None:
        """Draw what stays the same all night."""
        self.spent_elsewhere = self.tally.injected[Trouble.SPENT_ELSEWHERE]
        rng = self.rng = Random(self.seed)  # noqa: S311 - a simulation, no secret
        start = MORNING + rng.uniform(0, 2 * DAY)
        timeline, weather = Timeline(start), Weather.draw(rng, self.tally)
        self.restores = rng.random() < 0.08
        self.references = rng.choice((0, 0, 1, 2, 3))
        self.policy = self._policy(start)
        world = World(timeline, weather, self._rules(start), 0)
        self.manuscripts = [self._manuscript(f"m{n + 1}") for n in range(1 if rng.random() < 0.8 else 2)]
        world.balance = self._balance()
        disk = Disk(weather)
        self.ledger.new()
        self.scene = Scene(
            rng,
            timeline,
            world,
            Network(timeline, world, weather, rng),
            disk,
            self.ledger,
            Audit(self.ledger, world, disk),
            self.tally,
            quoter(stated=rng.random() < 0.3),
        )

    # ---------------------------------------------------------------- drawing

    def _maybe(self, chance: float, value: T) -> T | None:
        return value if self.rng.random() < chance else None

    def _policy(self, start: float) -> Policy:
        rng = self.rng
        return Policy(
            requests_per_minute=rng.choice((20.0, 60.0, 60.0, 600.0)),
            in_flight=rng.choice((1, 3, 10)),
            account=AccountBudget(
                per_day=self._maybe(0.1, rng.randint(5, 120)),
                per_month=self._maybe(0.1, rng.randint(20, 200)),
                keep_balance=self._maybe(0.15, rng.randint(0, 50)),
            ),
            on_lost_answer=OnLostAnswer.HOLD if rng.random() < 0.12 else OnLostAnswer.REPEAT,
            replay_window=rng.choice((HOUR, 6 * HOUR, DAY)),
            render_timeout=rng.choice((600.0, HOUR)),
            outage_patience=rng.choice((120.0, 900.0)),
            missing_patience=rng.choice((60.0, 600.0)),
        )

    def _rules(self, start: float) -> Rules:
        rng, policy = self.rng, self.policy
        prices = dict(CATALOGUE)
        if rng.random() < 0.15:
            prices = {name: max(1, round(price * rng.choice((0.5, 1.0, 1.5, 3.0)))) for name, price in prices.items()}
            self.tally.injected[Trouble.PRICE_DIFFERS] += prices != CATALOGUE
        changes = rng.random() < 0.12
        memory = 365 * DAY if self.restores else rng.choice((policy.replay_window + HOUR, policy.replay_window + HOUR, 365 * DAY))
        return Rules(
            prices=prices,
            later_prices={name: price + rng.choice((0, 5)) for name, price in prices.items()} if changes else {},
            changes_at=(start // DAY + 1) * DAY,
            key_first=rng.random() < 0.5,
            key_memory=policy.replay_window / 20 if self.careless else memory,
            remembers_refusals=rng.random() < 0.4 and not self.restores,
            in_work=rng.choice((0.0, 0.0, 0.0, 3.0)),
            success=rng.choice((200, 201, 202)),
            same_upload=rng.random() < 0.7,
            file_life=365 * DAY if self.restores else rng.choice((600.0, 6 * HOUR, 365 * DAY, 365 * DAY)),
            reference_code=rng.choice(((400, "validation_failed"), (404, "not_found"))),
            shows_after=rng.choice((0.0, 0.0, 2.0)),
            shared=rng.random() < 0.3 and not self.restores,
            tells=rng.choice(("both", "both", "reserved", "final")),
            renders_take=rng.choice(((1.0, 10.0), (5.0, 300.0), (60.0, 1200.0))),
        )

    def _manuscript(self, name: str) -> Manuscript:
        rng = self.rng
        count = 30 if rng.random() < 0.01 else rng.choice((1, 1, 2, 2, 2, 3, 3, 4, 5, 7))
        header = Manifest(
            name,
            f"/{name}.yaml",
            Budget(
                total=self._maybe(0.15, rng.randint(5, 12 * count)),
                per_run=self._maybe(0.12, rng.randint(5, 12 * count)),
                per_day=self._maybe(0.12, rng.randint(5, 12 * count)),
            ),
            in_flight=rng.choice((None, None, 1, 3)),
            canary=rng.choice((0, 0, 0, 1, 2)),
            retries=rng.choice((0, 1, 2, 2)),
            stop_after=StopAfter(in_a_row=rng.choice((1, 2, 10, 10))),
        )
        manuscript = Manuscript(header, [])
        manuscript.lines = [manuscript.write_line(rng, self.references) for _ in range(count)]
        return manuscript

    def _balance(self) -> Credits:
        worth = sum(20 for manuscript in self.manuscripts for _ in manuscript.lines)
        return 100_000 if self.restores or self.rng.random() < 0.75 else self.rng.randint(0, worth)

    # ---------------------------------------------------------------- the story

    def run(self) -> None:
        """Run it. Raises Broken."""
        began = self.scene.timeline.now
        try:
            for _ in range(self.rng.choice((3, 4) if self.restores else (1, 1, 1, 1, 1, 2, 2, 4))):
                self._disturbed()
            self._morning()
        except Exception as error:
            log = "\n".join(self.scene.lines(200))
            raise Broken(f"night {self.seed}: {error!r}\n{log}\nreplay it: BATCHGEN_SEED={self.seed} pytest tests/simulation") from error
        self.tally.nights += 1
        self.tally.seconds += self.scene.timeline.now - began

    def _disturbed(self) -> None:
        """Start a process into the weather; then time passes, and somebody may have worked on the manifests."""
        rng, scene = self.rng, self.scene
        self._plan_troubles()
        fuse = Fuse(rng.choice((None, None, rng.randint(1, 25), rng.randint(1, 60), rng.randint(1, 300))))
        if self.restores and self.backup is None:
            fuse = Fuse(rng.randint(3, 30))  # an early backup, so that much is forgotten
        self._start(self._errand(), fuse)
        self._check()
        scene.timeline.sleep_until(scene.timeline.now + rng.choice((0.0, 5.0, 60.0, 600.0, 2 * HOUR, DAY, 3 * DAY)))
        scene.world.key_works = True
        self._between()

    def _plan_troubles(self) -> None:
        """Draw what the service will be like while the next process runs."""
        scene, weather, rng = self.scene, self.scene.world.weather, self.rng
        now = scene.timeline.now

        def later(seconds: float, name: str, value: object) -> None:
            scene.timeline.at(now + seconds, lambda: setattr(scene.network if name == "outage_until" else scene.world, name, value))

        begins = rng.choice((0.0, 5.0, 60.0, 300.0))
        lasts = rng.choice((5.0, 120.0, 1800.0))
        # A restored ledger may repeat a purchase that it forgot, as if for the first time. A key that is refused then proves nothing about
        # it, which the ledger cannot know: a known limit, as are refusals that the server remembers.
        if not self.restores and weather.strikes(Trouble.KEY_REVOKED):
            later(begins, "key_works", False)  # noqa: FBT003 - a value to set
        if weather.strikes(Trouble.DISABLED):
            later(begins, "disabled_until", now + begins + lasts)
        if not self.restores and rng.random() < 0.06 and not weather.calm:
            scene.timeline.at(now + rng.choice((1.0, 20.0, 120.0)), scene.world.spend_elsewhere)
        if rng.random() < self.steered:
            plan(scene)
        if weather.strikes(Trouble.OUTAGE):
            later(begins, "outage_until", now + begins + lasts)

    def _errand(self) -> Errand:
        rng = self.rng
        if self.started and rng.random() < (0.7 if self._budget_said() else 0.25):
            return Errand(RunAsked("resume"), self.policy)
        chosen = [m for m in self.manuscripts if len(self.manuscripts) == 1 or rng.random() < 0.8] or self.manuscripts[:1]
        asked = RunAsked(
            "run",
            tuple(m.header.name for m in chosen),
            only=rng.choice(("", "", "", "", "t[1-3]")),
            retry_failed=rng.random() < 0.15,
            budget=self._maybe(0.1, rng.randint(5, 100)),
            max_tasks=self._maybe(0.1, rng.randint(1, 4)),
            until=self._maybe(0.05, self.scene.timeline.now + rng.uniform(1, HOUR)),
        )
        signal = None
        if self.scene.world.weather.strikes(Trouble.SIGNAL, times=2):
            signal = rng.choice((0.0, 1.0, 20.0, 300.0))
        return Errand(asked, self._policy_for(asked), [m.edition() for m in chosen], signal)

    def _budget_said(self) -> bool:
        """Whether a person gave the last run another budget, which stays with it when it is resumed."""
        said = "SELECT 1 FROM controls WHERE kind = 'budget' AND taken_at IS NOT NULL AND run_id = (SELECT max(id) FROM runs)"
        return self.ledger.raw.execute(said).fetchone() is not None

    def _policy_for(self, asked: RunAsked) -> Policy:
        return replace(self.policy, run_budget=asked.budget, max_tasks=asked.max_tasks, until=asked.until)

    def _start(self, errand: Errand, fuse: Fuse) -> tuple[Ended | None, int]:
        self.tally.runs += 1
        process = self.process(self.scene, errand, fuse)
        ended = process.live()
        self.started = self.started or bool(self.ledger.raw.execute("SELECT count(*) FROM runs").fetchone()[0])
        return ended, process.creates

    def _between(self) -> None:
        """What people do between two runs."""
        rng, scene = self.rng, self.scene
        if self.started and rng.random() < 0.4:
            self._decide_doubts()
        if rng.random() < 0.4:
            self.tally.injected[Trouble.EDITED] += 1
            for _ in range(rng.randint(1, 3)):
                rng.choice(self.manuscripts).edit(rng, self.references)
        if self.restores:
            self._keep_backups()
        elif rng.random() < 0.2:
            scene.world.balance += rng.randint(0, 100)

    def _decide_doubts(self) -> None:
        """A person looks every attempt in doubt up at the vendor, an hour later, when nothing of it can be on its way any more."""
        scene = self.scene
        doubts = self.ledger.raw.execute(
            "SELECT t.ident, f.name, a.client_request_id FROM attempts a JOIN tasks t ON t.id = a.task_id"
            " JOIN manifests f ON f.id = t.manifest_id WHERE a.state = 'in_doubt'"
        ).fetchall()
        if doubts:
            scene.timeline.sleep_until(scene.timeline.now + HOUR)
        for task, manifest, key in doubts:
            bought = next((p.task_id for p in scene.world.purchases.values() if p.key == key), "")
            finding = (Decision.ACCEPTED, bought) if bought else (Decision.NOT_ACCEPTED, "")
            if scene.world.rules.key_memory >= 365 * DAY and self.rng.random() < 0.3:
                finding = (Decision.RESEND, "")
            self.tally.injected[Trouble.DOUBT] += 1
            decide(scene, task, manifest, finding)

    def _keep_backups(self) -> None:
        """Make a backup, or put one back: also one that knows nothing of what was bought before and after the manifest was edited."""
        if self.backup is None:
            self.backup = self.ledger.backup()
        elif self.rng.random() < 0.7 and not self.scene.world.weather.calm:
            self.tally.injected[Trouble.RESTORED] += 1
            self.scene.say("-- the ledger is put back from a backup")
            before = list(self.scene.audit.rows)
            self.ledger.restore(self.backup)
            self.scene.audit.restored(before)
            self.scene.closed_until = 0.0

    def _check(self) -> None:
        audit = self.scene.audit
        audit.whole()
        audit.books()
        audit.renders(calm=False)
        audit.guards_hold()
        keep = self.policy.account.keep_balance
        others = self.tally.injected[Trouble.SPENT_ELSEWHERE] > self.spent_elsewhere
        if keep is not None and not others and self.scene.world.lowest_bought < keep and not self._surprises:
            raise Broken(f"keep_balance {keep}: the balance fell to {self.scene.world.lowest_bought}")

    # ---------------------------------------------------------------- the morning after

    def _morning(self) -> None:
        """When faults stop, a few further runs finish everything, and one more has nothing to do."""
        scene = self.scene
        scene.world.calm_down()
        decides = self.rng.random() < 0.7
        most = sum(len(m.lines) for m in self.manuscripts) + 6
        before: object = None
        hasty = self.rng.random() < 0.8  # else as often as anything changes
        for _ in range(most):
            scene.timeline.sleep_until((scene.timeline.now // DAY + 1) * DAY + 60)
            if decides and self.started:
                self._decide_doubts()
            began = scene.timeline.now
            ended, _ = self._start(self._everything(), Fuse())
            assert ended is not None
            scene.audit.asked_at = began
            after = self._standing()
            if not after[0] or after == before or (hasty and all(self._reason(*task) for task in after[0])):
                break
            before = after
        else:
            raise Broken(f"not finished after {most} calm runs: {self._standing()}")
        self._check()
        # What a person would be told must be no false alarm either; in every fourth night, since it takes an eighth of a night's time.
        broken = scene.ledger.open().check() if self.seed % 4 == 0 else ()
        if broken:
            raise Broken(f"ledger check: {broken}")
        scene.audit.renders(calm=True)
        self._nothing_left_but_for_a_reason()
        self._finished_is_no_op(ended)

    def _everything(self) -> Errand:
        names = tuple(m.header.name for m in self.manuscripts)
        return Errand(RunAsked("run", names), self.policy, [m.edition() for m in self.manuscripts])

    def _standing(self) -> tuple[list[tuple[object, object, object]], int]:
        """Return the unfinished tasks, and how many moves there were."""
        raw = self.ledger.raw
        rows = raw.execute(
            "SELECT f.name, t.ident, t.state FROM tasks t JOIN manifests f ON f.id = t.manifest_id"
            " WHERE t.state IN ('rendering', 'rendered') OR (t.state = 'pending' AND t.wanted)"
        ).fetchall()
        return rows, int(raw.execute("SELECT count(*) FROM events WHERE moved_to <> ''").fetchone()[0])

    def _reason(self, manifest: object, _ident: object, state: object) -> str:
        """Return the budget that explains why a task is left, or ''."""
        rules = self.scene.world.rules
        dearest = max(*rules.prices.values(), *rules.later_prices.values(), *CATALOGUE.values())
        return self.scene.audit.exhausted(str(manifest), dearest, self.scene.timeline.now) if state == "pending" else ""

    def _nothing_left_but_for_a_reason(self) -> None:
        for task in self._standing()[0]:
            if not self._reason(*task):
                raise Broken(f"task {task} is left although all is calm and no budget forbids it")

    def _finished_is_no_op(self, ended: Ended) -> None:
        if ended.code is not ExitCode.DONE or self.rng.random() > 0.12:
            return
        owed = sum(row.state == "failed" and row.capture > row.refund for row in self.scene.audit.rows)
        requests = self.scene.network.sent
        again, creates = self._start(self._everything(), Fuse())
        if again is None or again.code is not ExitCode.DONE or creates or self.scene.network.sent - requests > owed:
            raise Broken(f"a finished manifest is no no-op: {again}, {self.scene.network.sent - requests} requests")

    # ---------------------------------------------------------------- facts

    @property
    def _surprises(self) -> bool:
        rules = self.scene.world.rules
        return bool(rules.later_prices) or rules.prices != CATALOGUE


def run_nights(seeds: Sequence[int], tally: Tally, *, careless: bool = False) -> Night:
    """Run the nights of these seeds, one after the other, on one ledger file. Return the last."""
    ledger = LedgerFile()
    gc.freeze()  # else what was imported is searched for garbage again and again
    try:
        for seed in seeds:
            night = Night(seed, ledger, tally, careless)
            night.run()
    finally:
        ledger.remove()
    return night
