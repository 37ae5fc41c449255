"""Does a run do as a person told it? Judged by what it does and by the ledger's rows, not by what it says."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.core.messages import Request, SendUpload
from batchgen.core.model import Instant
from batchgen.core.steering import Control, ControlKind
from tests.simulation.audit import Audit, Broken
from tests.simulation.ledgers import LedgerFile
from tests.simulation.rate import RateWatch
from tests.simulation.troubles import Tally, Trouble

TOLD = {
    ControlKind.PAUSE: Trouble.PAUSED,
    ControlKind.GO: Trouble.LET_GO,
    ControlKind.DRAIN: Trouble.DRAINED,
    ControlKind.BUDGET: Trouble.BUDGET_SAID,
    ControlKind.RATE: Trouble.RATE_SAID,
}


@dataclass(slots=True)
class Orders:
    """What a run was told, and has to do from the step on that hears it."""

    audit: Audit
    ledger: LedgerFile
    rate: RateWatch
    tally: Tally
    paused: bool = False
    drained: bool = False

    def heard(self, control: Control, now: Instant) -> None:
        """The run hears it in the step that is about to be made."""
        match control.kind:
            case ControlKind.DRAIN:
                self.drained = True
            case ControlKind.BUDGET:
                below = self.audit.budget_said(int(control.value))
                self.tally.injected[Trouble.BUDGET_BELOW] += below
            case ControlKind.RATE:
                self.rate.set(now, control.value)
            case _:  # PAUSE, GO
                self.paused = control.kind is ControlKind.PAUSE
        self.audit.buys_nothing = "drained" if self.drained else "paused" if self.paused else ""

    def check_taken(self, control: Control) -> None:
        """The step that heard it has been made, and committed if there was anything to commit."""
        taken = self.ledger.raw.execute("SELECT taken_at FROM controls WHERE id = ?", (control.id,)).fetchone()
        if taken is None or taken[0] is None:
            raise Broken(f"the run heard `{control}`, and the ledger does not say that it obeyed")
        self.tally.injected[TOLD[control.kind]] += 1

    def leaves(self, request: Request) -> None:
        """A request is about to leave. New attempts are the audit's to see, which reads them from the ledger."""
        if self.drained:
            raise Broken(f"{request} leaves after `drain`")
        if self.paused and isinstance(request, SendUpload):
            raise Broken(f"{request} leaves while the run is paused")

    def over(self, run: int) -> None:
        """The run has ended, or died: what it has not obeyed by now nobody will."""
        query = "SELECT count(*) FROM controls WHERE run_id = ? AND taken_at IS NULL"
        self.tally.injected[Trouble.UNOBEYED] += self.ledger.raw.execute(query, (run,)).fetchone()[0]
