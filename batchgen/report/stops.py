"""What a person must do before another run goes on with what the last one left: a command that changes nothing is no advice."""

from __future__ import annotations

from collections.abc import Mapping

from batchgen.core.stops import Stop, StopKind
from batchgen.report.text import clean, number

SETTINGS = "batchgen.yaml"
_ANEW = frozenset({StopKind.RUN, StopKind.DAY, StopKind.MONTH})
"""Budgets that begin anew by themselves: one that allows less than the next task costs stops every run all the same."""
_BALANCE = {StopKind.KEEP_BALANCE: f"buy credits, or lower keep_balance in {SETTINGS}", StopKind.FUNDS: "buy credits"}


def lifted(stop: Stop, files: Mapping[str, str]) -> str:
    """Return what lifts a stop; '' if the next run goes on by itself. `files` are the manifests' by name, as they are reached from here."""
    file = clean(files.get(stop.owner, stop.owner)) or SETTINGS
    match stop.kind:
        case StopKind.TOTAL:
            return f"raise budget.total in {file} to {number(stop.used + stop.asked)} or more"
        case StopKind.RUN if not stop.owner:
            return ""  # --budget: the next run is given another, or none
        case kind if kind in _ANEW and stop.asked > stop.limit:
            return f"raise budget.per_{kind} in {file} to {number(stop.asked)} or more"
        case StopKind.DAY | StopKind.MONTH:
            return f"wait for another {stop.kind}, or raise budget.per_{stop.kind} in {file}"
        case _:
            return _BALANCE.get(stop.kind, "")
