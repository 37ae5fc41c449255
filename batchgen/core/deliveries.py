"""From a render that succeeded to its files on disk.

The files of a render are fetched in rounds: all that are missing go out, and when the last of them has ended the round
is judged as a whole. So one bad result of six neither ends the others nor counts six times.
"""

from __future__ import annotations

from collections.abc import Callable

from batchgen.core.answers import Render
from batchgen.core.desk import Desk
from batchgen.core.facts import FETCH_LATER
from batchgen.core.flights import Flights
from batchgen.core.live import Live
from batchgen.core.messages import DiskTrouble, Downloaded, Ended, OutputSaved
from batchgen.core.pacing import LONGEST
from batchgen.core.retry import DOWNLOAD_TRIES, LONGEST_WAIT, REFRESHES, backoff
from batchgen.core.retryafter import to_the_minute
from batchgen.core.states import TaskEvent
from batchgen.errors import ExitCode


class Deliveries:
    """Takes the ends of downloads, and fresh URLs."""

    def __init__(self, desk: Desk, flights: Flights, afresh: Callable[[Live], None]) -> None:
        """`afresh` takes a task that is due again although its render is saved: the manifest has changed since."""
        self._desk = desk
        self._flights = flights
        self._afresh = afresh

    def fetch(self, live: Live) -> None:
        """Fetch what is missing."""
        if live.urls:
            self._flights.want_files(live)
        else:
            self._undelivered(live, "the server names no result of a render that it finished")

    def taken_over(self, live: Live) -> None:
        """Leave the files of an earlier run's render alone, if their server asked for that for longer than a run waits."""
        if live.not_before - self._desk.now > LONGEST_WAIT:
            self._undelivered(live, f"its server asks that no file be fetched before {to_the_minute(live.not_before)}")

    def refreshed(self, live: Live, render: Render) -> None:
        """Take fresh URLs of a render that succeeded before."""
        live.ended_at = live.ended_at or self._desk.now
        live.urls = render.urls or live.urls
        self.fetch(live)
        self._saved_all(live)

    def forgotten(self, live: Live) -> None:
        """The server does not know the render any more: the URLs that it gave once are what is left to try."""
        if live.urls:
            self.fetch(live)
        else:
            self._undelivered(live, "the server does not know a render that it finished")

    def downloaded(self, event: Downloaded) -> None:
        """Take the end of a download."""
        live = self._flights.get(event.request.key)
        live.fetching -= 1
        self._flights.transferring -= 1
        if event.output is not None:
            live.transfers = 0
            live.saved.add(event.output.index)
            self._desk.write(OutputSaved(live.key, event.output, self._desk.now, event.displaced))
            if event.message:
                self._desk.note("saved_aside", key=live.key, detail=event.message)
        else:
            self._trouble(live, event)
        if not live.fetching and not live.left and not self._saved_all(live):
            self._another_round(live)

    def _saved_all(self, live: Live) -> bool:
        if not live.urls or not set(range(len(live.urls))) <= live.saved:
            return False
        if live.superseded and live.wanted:
            self._flights.move_task(live, TaskEvent.SUPERSEDED, "the manifest has changed since this render was bought")
            self._flights.remove(live)
            self._afresh(live)
        else:
            self._flights.move_task(live, TaskEvent.SAVED, "")
            self._desk.saved += 1
            self._flights.remove(live)
            live.lane.let_go(live.due.row)
        return True

    def _trouble(self, live: Live, event: Downloaded) -> None:
        self._desk.note(f"download_{event.trouble}", key=live.key, detail=event.message)
        live.trouble = event.message
        live.gone = live.gone or event.trouble is DiskTrouble.GONE
        live.fetch_after = max(live.fetch_after, event.retry_after or 0.0)
        if event.trouble is DiskTrouble.DISK:
            self._flights.leave(live)
            self._desk.halt(Ended(ExitCode.UNAVAILABLE, f"cannot write a result: {event.message}"))
        elif event.trouble is DiskTrouble.REFUSED:
            self._undelivered(live, event.message)

    def _another_round(self, live: Live) -> None:
        """Ask for fresh URLs, later. Old ones are not tried again: how long they live is not documented."""
        live.transfers += 1
        live.refreshes += live.gone
        if live.fetch_after > LONGEST_WAIT:
            until = self._desk.now + min(live.fetch_after, LONGEST)
            self._desk.note(FETCH_LATER, key=live.key, detail=repr(until))
            self._undelivered(live, f"{live.trouble}; its server asks that no file be fetched before {to_the_minute(until)}")
        elif live.transfers > DOWNLOAD_TRIES or live.refreshes > REFRESHES:
            self._undelivered(live, live.trouble)
        else:
            self._flights.schedule(live, self._desk.now + backoff(live.transfers, self._desk.dice, after=live.fetch_after))
        live.gone, live.fetch_after = False, 0.0

    def _undelivered(self, live: Live, why: str) -> None:
        self._flights.leave(live)
        self._desk.note("undelivered", key=live.key, detail=why)
        self._desk.undelivered = self._desk.undelivered or f"a paid render could not be fetched: {why}"
