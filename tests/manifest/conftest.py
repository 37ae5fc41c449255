"""A folder to write manifests in, and short ways to check them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.catalogue import Catalogue
from batchgen.core.model import Task
from batchgen.errors import ManifestError, Problem
from batchgen.manifest import Checked, check

HEAD = "version: 1\nname: test\ndefaults:\n  model: kling-2-6\n"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 24


class Folder:
    """A manifest's folder."""

    def __init__(self, path: Path) -> None:
        """Work in `path`."""
        self.path = path

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file below the folder."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def check(self, *names: str) -> Checked:
        """Check manifests of this folder."""
        return check([self.path / name for name in names or ("m.yaml",)], Catalogue.shipped())

    def problems(self, *names: str) -> list[Problem]:
        """Check manifests in which something is wrong; the problems name files relative to the folder."""
        with pytest.raises(ManifestError) as caught:
            self.check(*names)
        prefix = f"{self.path}/"
        return [
            Problem(p.file.removeprefix(prefix), p.line, p.column, p.task, p.wrong.replace(prefix, ""), p.right)
            for p in caught.value.problems
        ]

    def said(self, *names: str) -> str:
        """Check manifests in which something is wrong and return all that is said."""
        return "\n".join(str(p) for p in self.problems(*names))

    def of_tasks(self, tasks: str, head: str = HEAD) -> Folder:
        """Write a manifest with these tasks."""
        self.write("m.yaml", head + "tasks:\n" + tasks)
        return self

    def tasks(self) -> list[Task]:
        """Check the manifest and return its tasks."""
        (manifest,) = self.check().manifests
        return list(manifest.tasks())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder."""
    return Folder(tmp_path)


@pytest.fixture
def png(folder: Folder) -> Callable[[str], Path]:
    """Write a PNG file."""
    return lambda name: folder.write(name, PNG)
