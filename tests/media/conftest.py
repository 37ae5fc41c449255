"""What the tests of downloads share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchgen.core.messages import Download


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is what batchgen runs on."""
    return "asyncio"


@pytest.fixture
def wish() -> Callable[..., Download]:
    """Make a request to download."""

    def make(url: str = "https://media.example/r", **changes: object) -> Download:
        fields: dict[str, object] = {
            "key": "bg-2",
            "index": 0,
            "url": url,
            "stem": "launch/hero",
            "attempt_number": 2,
            "model": "kling-2-6",
            "sidecar": '{"manifest": "launch", "task": "hero", "prompt": "grüße"}',
        }
        return Download(**{**fields, **changes})  # type: ignore[arg-type]  # a test names the fields it changes

    return make
