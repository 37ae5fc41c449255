from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runner.place import Place, opened


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio alone."""
    return "asyncio"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A workspace with a polite server."""
    with opened(tmp_path) as made:
        yield made
