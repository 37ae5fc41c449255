"""Why a download was not saved, as an exception inside this package; `downloads` turns it into a message."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from types import MappingProxyType

from batchgen.core.messages import DiskTrouble
from batchgen.errors import BatchgenError

WORDS: Mapping[int, str] = MappingProxyType(
    {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EFBIG: "the file is larger than this disk or the process's limit allows",
        errno.EROFS: "the disk is read-only",
        errno.EACCES: "no permission to write there",
        errno.EPERM: "no permission to write there",
        errno.ENAMETOOLONG: "the name is too long for this disk",
        errno.ENOTDIR: "a file stands where a folder should be",
        errno.EEXIST: "a file stands where a folder should be",
        errno.EISDIR: "a folder stands where a file should be",
        errno.EMFILE: "too many files are open",
        errno.EIO: "the disk reports an input/output error",
    }
)
"""What a person calls the errors that a disk gives; others keep the system's words."""


class Trouble(BatchgenError):
    """A download that ended without a file."""

    def __init__(self, kind: DiskTrouble, message: str, *, retry_after: float | None = None) -> None:
        """Keep what to do about it."""
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


def of_disk(error: OSError) -> Trouble:
    """Return the trouble that an error of the file system is."""
    words = WORDS.get(error.errno or 0) or error.strerror or str(error)
    place = f"{error.filename}: " if error.filename else ""
    return Trouble(DiskTrouble.DISK, f"{place}{words}")
