"""inspect_ai: a model of one's own, as its documentation shows it, whose answer is a render; an eval set, which goes on from its logs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from anyio import to_thread
from inspect_ai import Task, eval_set
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, ModelAPI, ModelOutput, RetryDecision, get_model, modelapi
from inspect_ai.solver import generate

from tests.benchmarks.peers.errand import Asked, Busy, asked


class Shop(ModelAPI):  # type: ignore[misc] # inspect_ai is not in the environment that is checked
    """Renders what it is asked for."""

    said: Asked

    async def generate(self, *, input: Sequence[Any], **_: object) -> ModelOutput:  # noqa: A002 - inspect_ai names it
        """Buy, wait and fetch; the prompt is the task's name."""
        name = str(input[-1].text)
        render = await to_thread.run_sync(self.said.buy, name)
        await to_thread.run_sync(self.said.finish, name, render)
        return ModelOutput.from_content(self.model_name, name)

    def should_retry(self, ex: Exception) -> object:
        """Say that a 429 is one; its own growing pauses follow."""
        return RetryDecision.rate_limit() if isinstance(ex, Busy) else False


def main() -> None:
    """Evaluate one task with a sample for each name."""
    said = Shop.said = asked()
    modelapi("shop")(Shop)
    samples = MemoryDataset([Sample(input=name, id=name) for name in said.names])
    pace = {"adaptive_connections": True} if said.rate else {"max_connections": said.in_flight, "max_samples": said.in_flight}
    good, logs = eval_set(
        Task(dataset=samples, solver=generate(), name="renders"),
        log_dir=str(said.folder / "logs"),
        model=get_model("shop/renders", config=GenerateConfig()),
        display="none",
        score=False,
        **pace,
    )
    if not good:
        sys.exit("; ".join(str(log.error.message if log.error else log.status) for log in logs))


if __name__ == "__main__":
    main()
