"""The body of POST /files: one multipart form, streamed from disk and checked against the hash that the ledger knows.

The last piece of the file is held back until the hash over all of it is right. So a file that was changed after it was
hashed never arrives complete, and a reference can never be the wrong picture.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from anyio import to_thread

from batchgen.core.messages import SendUpload
from batchgen.errors import BatchgenError

PIECE = 256 * 1024
"""Bytes read at once. Larger pieces gain nothing over TLS records of 16 kB and cost memory for each upload."""


class LocalFileError(BatchgenError):
    """The reference on disk cannot be used. It never leaves `client`, which turns it into an answer."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the fault's code."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Form:
    """The form around a file's bytes."""

    content_type: str
    before: bytes
    after: bytes
    size: int

    @property
    def length(self) -> int:
        """Content-Length of the whole body, in bytes."""
        return len(self.before) + self.size + len(self.after)


def form_of(request: SendUpload) -> Form:
    """Lay out the form: the small fields first, so that a server can refuse before it reads the file.

    The boundary is made of the file's own hash, which its bytes cannot contain.
    """
    reference = request.reference
    boundary = f"batchgen-{reference.sha256}"
    fields = {"kind": str(reference.kind), "model": request.model, "client_request_id": request.client_request_id}
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items() if value
    )
    file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_quoted(reference.name)}"\r\n'
    before = f"{head}{file}Content-Type: {reference.mime}\r\n\r\n".encode("utf-8", "replace")
    return Form(f"multipart/form-data; boundary={boundary}", before, f"\r\n--{boundary}--\r\n".encode(), reference.size)


def _quoted(name: str) -> str:
    """A file name as browsers write it in a form (HTML, "multipart/form-data encoding algorithm")."""
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22") or "file"


async def stream(request: SendUpload, form: Form) -> AsyncGenerator[bytes, None]:
    """Yield the body. Raises LocalFileError if the file cannot be read or is not the one that was hashed."""
    path = request.reference.path
    file = await to_thread.run_sync(_open, path)
    try:
        if os.fstat(file).st_size != form.size:
            raise _changed(path)
        yield form.before
        digest, left = hashlib.sha256(), form.size
        while left:
            piece = await to_thread.run_sync(_read, file, path, min(PIECE, left))
            digest.update(piece)
            left -= len(piece)
            if not piece or (not left and digest.hexdigest() != request.reference.sha256):
                raise _changed(path)
            yield piece
        yield form.after
    finally:
        os.close(file)


def _open(path: str) -> int:
    """Open for reading; not waiting, since a pipe in the file's place would never answer."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise _unreadable(path, "it is not a regular file")
    return file


def _read(file: int, path: str, size: int) -> bytes:
    try:
        return os.read(file, size)
    except OSError as error:
        raise _unreadable(path, error) from error


def _changed(path: str) -> LocalFileError:
    return LocalFileError("local_file_changed", f"{path} was changed after it was checked; nothing was uploaded, run again")


def _unreadable(path: str, why: object) -> LocalFileError:
    reason = why.strerror if isinstance(why, OSError) and why.strerror else str(why)
    return LocalFileError("local_file_unreadable", f"{path} cannot be read: {reason}")
