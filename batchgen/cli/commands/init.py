"""`batchgen init`: a workspace that runs as it is."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from batchgen.cli.group import closing
from batchgen.cli.options import FileName, talk
from batchgen.cli.screen import Screen
from batchgen.errors import ExitCode, UsageError
from batchgen.report.text import clean

WRITTEN = {
    "batchgen.yaml": "batchgen.yaml",
    "manifests/first.yaml": "first.yaml",
    "manifests/assets/product.png": "product.png",
    ".gitignore": "gitignore",
}
"""Where each file goes, and what it is called in the package (a `.gitignore` there would be obeyed)."""


@click.command("init", epilog=closing("batchgen init spring", ExitCode.DONE, ExitCode.WRONG_INPUT))
@click.argument("folder", metavar="[DIR]", default=".", type=FileName())
@talk
@click.pass_obj
def command(screen: Screen, folder: Path) -> ExitCode:
    """Write a workspace to start from: settings, a manifest that runs as it is, .gitignore.

    What is there already stays untouched.
    """
    try:
        written = [name for name, source in WRITTEN.items() if _write(folder / name, source)]
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be written: {error.strerror or error}") from error
    for name in WRITTEN:
        screen.out(f"{'wrote' if name in written else 'left as it is'}  {clean(str(folder / name))}")
    go = "" if folder.resolve() == Path.cwd() else f"cd {clean(str(folder))} && "
    screen.out(f"next: {go}batchgen run manifests/first.yaml --sandbox")
    return ExitCode.DONE


def _write(place: Path, source: str) -> bool:
    """Write a file unless something is there. True if it was written."""
    place.parent.mkdir(parents=True, exist_ok=True)
    content = files("batchgen.cli.start").joinpath(source).read_bytes()
    try:
        # `x` is the test and the writing in one: between two steps somebody else could write the file.
        with place.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True
