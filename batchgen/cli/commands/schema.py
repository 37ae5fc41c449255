"""`batchgen schema`: the JSON Schemas of manifests, settings and documents."""

from __future__ import annotations

import click

from batchgen.cli.group import closing
from batchgen.cli.options import talk
from batchgen.cli.screen import Screen
from batchgen.errors import ExitCode
from batchgen.report.schemas import schema_names, schema_of
from batchgen.report.text import to_json

EXAMPLE = """\
batchgen schema > manifests/manifest.schema.json
# and as the first line of a manifest:
# yaml-language-server: $schema=manifest.schema.json"""


@click.command("schema", epilog=closing(EXAMPLE, ExitCode.DONE, ExitCode.WRONG_INPUT))
@click.argument("name", default="manifest", metavar="[NAME]", type=click.Choice(schema_names()))
@talk
@click.pass_obj
def command(screen: Screen, name: str) -> ExitCode:
    """Print a JSON Schema, for editors that complete and check while you type.

    NAME is manifest (that of manifests, with the params of every model), batchgen (that of batchgen.yaml), or one of the
    documents that --json prints.
    """
    if name == "manifest":
        # Imported here because only this one needs the catalogue.
        from batchgen.catalogue import Catalogue  # noqa: PLC0415
        from batchgen.report.completing import with_models  # noqa: PLC0415

        screen.out(to_json(with_models(schema_of(name), Catalogue.shipped()), indent=2))
    else:
        screen.document(schema_of(name))
    return ExitCode.DONE
