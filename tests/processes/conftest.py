from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.program import SECRET, WORKSPACE, Program


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A workspace whose processes use their own sandbox; at the end the key is looked for in everything written and said."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "batchgen.yaml").write_text(WORKSPACE)
    made = Program(folder, {"RIVYA_API_KEY": SECRET})
    yield made
    made.kill()
    made.check_secret()
