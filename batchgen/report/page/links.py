"""Links from the page to files: relative, so that folder and page travel together."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


def folder_link(folder: Path, page: Path) -> str:
    """Return the link from a page to a folder, with a slash at its end.

    Symbolic links are left as they are named: a browser takes the `..` of a link by its letters, not by the disk.
    """
    try:
        relative = os.path.relpath(folder.absolute(), page.absolute().parent)
    except ValueError:  # another drive of Windows
        return folder.absolute().as_uri() + "/"
    return "" if relative == "." else file_link(Path(relative).as_posix()) + "/"


def file_link(path: str) -> str:
    """Return a path with `/` between its folders as a link. A colon is escaped too: `a:b` would be a scheme."""
    return quote(os.fsencode(path) if _encodable(path) else path.encode("utf-8", "replace"))


def _encodable(path: str) -> bool:
    """Say whether this path can be the name of a file here."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True
