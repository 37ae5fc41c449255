"""Manifests: from text to tasks.

`check` reads YAML, CSV and JSON lines, looks at every reference, and either raises with every problem or gives manifests whose tasks
are read from the files again, one by one. Deliberately absent: prices, the ledger, the network; a URL is never opened.
"""

from batchgen.manifest.load import Checked, LoadedManifest, called, check
from batchgen.manifest.shape import schema_path
from batchgen.manifest.walk import Sight, recognised

__all__ = ["Checked", "LoadedManifest", "Sight", "called", "check", "recognised", "schema_path"]
