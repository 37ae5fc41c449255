"""curator: its OpenAI backend against a chat completion that answers when the render is done: it knows no other way to work."""

from __future__ import annotations

import litellm.litellm_core_utils.default_encoding  # noqa: F401 - lets tiktoken find the tokenizer that litellm ships, not fetch it
from bespokelabs import curator

from tests.benchmarks.peers.errand import asked


def main() -> None:
    """Ask for every render, and keep what was answered under the task's name."""
    said = asked()
    model = curator.LLM(
        model_name="gpt-4",
        backend="openai",
        backend_params={
            "base_url": f"{said.address}/v1",
            "api_key": "none",
            "max_concurrent_requests": said.in_flight,
            "max_requests_per_minute": int(said.rate * 60) or 10_000_000,
            "max_tokens_per_minute": 1_000_000_000_000,
        },
    )
    answers = model(said.names, working_dir=str(said.folder / "cache"))
    for name, row in zip(said.names, answers.dataset, strict=True):
        said.keep(name, row["response"].encode())


if __name__ == "__main__":
    main()
