"""Result files: fetched, checked, put in place; and the sidecar beside each.

    address   which URLs may be fetched at all, and at which addresses
    fetch     the transfer
    part      the unfinished file and its note, which survive a crash
    sniff     what the bytes are
    place     names, sidecars, making room, the last rename
    trouble   why a download was not saved
    downloads all of it joined: `core.ports.Media`

A result is paid for, so nothing here throws bytes away that could be one, and nothing overwrites a file that we did
not write. The API key is not known in this package: it cannot be sent anywhere by it.

The modes of renders are left to the umask: they are made to be handed on. A sidecar names prompt and credits, as the ledger
does, so only its owner reads it.
"""

from batchgen.media.downloads import Downloads, Limits

__all__ = ["Downloads", "Limits"]
