"""DBOS: a workflow of three steps for each task, in a queue; its system database is SQLite, as it is where none is named."""

from __future__ import annotations

from collections.abc import Callable

from dbos import DBOS, SetWorkflowID

from tests.benchmarks.peers.errand import Asked, asked


def workflow(said: Asked) -> Callable[[str], None]:
    """Return the workflow; each step is recorded when it is done, and tried again with growing pauses where it met a 429."""

    def buy(name: str) -> str:
        return said.buy(name)

    def done(render: str) -> str:
        return said.done(render)

    def fetch(name: str, url: str) -> None:
        said.fetch(name, url)

    again = DBOS.step(retries_allowed=True, max_attempts=10)
    bought, finished, fetched = again(buy), again(done), again(fetch)

    def render(name: str) -> None:
        fetched(name, finished(bought(name)))

    flow: Callable[[str], None] = DBOS.workflow()(render)
    return flow


def main() -> None:
    """Start every workflow under its task's name: one that was started is not started again, and one that was cut off goes on."""
    said = asked()
    place = f"sqlite:///{said.folder}/dbos.sqlite"
    DBOS(config={"name": "renders", "system_database_url": place, "log_level": "ERROR", "application_version": "1"})
    flow = workflow(said)
    DBOS.launch()
    limiter = {"limit": int(said.rate), "period": 1.0} if said.rate else None
    DBOS.register_queue("renders", worker_concurrency=said.in_flight, limiter=limiter, polling_interval_sec=0.05)
    handles = []
    for name in said.names:
        with SetWorkflowID(name):
            handles.append(DBOS.enqueue_workflow("renders", flow, name))
    for handle in handles:
        handle.get_result()
    DBOS.destroy()


if __name__ == "__main__":
    main()
