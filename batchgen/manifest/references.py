"""References of a task: files, known by what is in them, and `https` URLs, passed on untouched.

A file's kind comes from its bytes: the server looks at the signature too, and refuses after the upload what is refused here
before it. Bytes are hashed once per process and content: the same file in ten thousand rows costs one reading. Different files are
read side by side, ahead of the rows that name them.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from time import perf_counter
from urllib.parse import SplitResult, unquote, urlsplit

from batchgen.catalogue import Model, ReferenceRules, shown
from batchgen.core.address import is_loopback
from batchgen.core.model import MediaKind, Reference
from batchgen.manifest.ahead import Readers
from batchgen.manifest.sniff import HEAD, Sniffed, describe, sniff

KEPT = 1 << 16
"""Files whose hash is remembered; some 20 MB. More distinct files than that are read again in the second pass."""

COMPARED = 100
"""Files of a folder that a missing one is compared with; a thousand rows may each miss one."""

SMALL = 1 << 17
"""Bytes up to which a file is read in one go."""

SLOW = 0.001
"""Seconds for a small file above which it is worth another thread; from the kernel's cache it takes a tenth."""

LONGEST_URL = 2_048
"""Characters; what every server and proxy takes."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|data:")
_BY_SUFFIX = {
    ".jpg": Sniffed(MediaKind.IMAGE, "image/jpeg"),
    ".jpeg": Sniffed(MediaKind.IMAGE, "image/jpeg"),
    ".png": Sniffed(MediaKind.IMAGE, "image/png"),
    ".webp": Sniffed(MediaKind.IMAGE, "image/webp"),
    ".mp4": Sniffed(MediaKind.VIDEO, "video/mp4"),
    ".m4v": Sniffed(MediaKind.VIDEO, "video/mp4"),
    ".mov": Sniffed(MediaKind.VIDEO, "video/quicktime"),
    ".webm": Sniffed(MediaKind.VIDEO, "video/webm"),
    ".mkv": Sniffed(MediaKind.VIDEO, "video/x-matroska"),
    ".mp3": Sniffed(MediaKind.AUDIO, "audio/mpeg"),
    ".m4a": Sniffed(MediaKind.AUDIO, "audio/mp4"),
    ".wav": Sniffed(MediaKind.AUDIO, "audio/wav"),
    ".aac": Sniffed(MediaKind.AUDIO, "audio/aac"),
    ".ogg": Sniffed(MediaKind.AUDIO, "audio/ogg"),
}
_SAME = {
    "audio/x-wav": "audio/wav",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "audio/mp3": "audio/mpeg",
    "image/jpg": "image/jpeg",
}
"""Other names that people and servers use for the same type."""


class Unusable(Exception):
    """A reference cannot be used; never leaves this package. `right` says what would be right."""

    def __init__(self, wrong: str, right: str = "") -> None:
        """Keep both sentences."""
        super().__init__(wrong)
        self.right = right


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reference as the manifest names it, filled. Empty strings are what it does not say."""

    file: str = ""
    url: str = ""
    kind: str = ""
    name: str = ""
    mime_type: str = ""

    @classmethod
    def read(cls, text: str) -> Wanted:
        """Read the short form: a path or a URL."""
        return cls(url=text) if _SCHEME.match(text) else cls(file=text)


class Finder:
    """Finds the references of one manifest."""

    def __init__(self, folder: str, readers: Readers, used: Callable[[str], object]) -> None:
        """Take what all of them share.

        Args:
            folder: absolute path of the manifest's folder.
            readers: who reads files ahead.
            used: is told the path of each file that is a reference.
        """
        self._folder, self._readers, self._used = folder, readers, used
        self._takes = 0.0  # seconds for a small file, in the mean of the last few, up to where that was found to be SLOW

    def expect(self, wanted: Iterable[Wanted], model: Model) -> None:
        """Have files read that will soon be asked for, where that is quicker: a small file is, from a slow disk or the network."""
        looks = ((_path(one, self._folder), partial(resolve, one, self._folder, model)) for one in wanted if one.file)
        self._readers.expect(look for look in looks if self._takes >= SLOW or _is_large(look[0]))

    def find(self, wanted: Wanted, model: Model) -> Reference:
        """Return the reference. Raises Unusable if it is not there, or nothing that the model takes."""
        if wanted.file:
            self._readers.wait(_path(wanted, self._folder))
        began = perf_counter()
        found = resolve(wanted, self._folder, model)
        if found.path:
            if found.size <= SMALL and self._takes < SLOW:
                self._takes += (perf_counter() - began - self._takes) / 8
            self._used(found.path)
        return found


def resolve(wanted: Wanted, folder: str, model: Model) -> Reference:
    """Return the reference. Raises Unusable if it is not there, or nothing that the model takes.

    Args:
        wanted: what the manifest says.
        folder: absolute path of the manifest's folder.
        model: whose rules apply; it takes references.
    """
    rules = model.references or ReferenceRules()
    if not wanted.name.isprintable():
        raise Unusable(f"the name {shown(wanted.name)} has a control character in it", "the server is told this name; use plain words")
    return _from_url(wanted, model, rules) if wanted.url else _from_file(wanted, folder, model, rules)


def _from_file(wanted: Wanted, folder: str, model: Model, rules: ReferenceRules) -> Reference:
    if not wanted.file:
        raise Unusable("the reference is empty", "name a file or a https URL")
    path = _path(wanted, folder)
    size, changed = _stat(path, wanted.file)
    try:
        head, digest = _beginning(path, size, changed)
        found = _claimed(wanted, head)
        _check_allowed(found, wanted.file, model, rules)
        limit = rules.kinds[found.kind].max_bytes
        if size > limit:
            wrong = f"{shown(wanted.file)} has {size:,} bytes; {model.id} takes {found.kind} files of up to {limit:,}"
            raise Unusable(wrong, "make it smaller")
        digest = digest or _digest(path, size, changed)
    except OSError as error:
        raise Unusable(f"{shown(wanted.file)} cannot be read: {error.strerror}") from error
    return Reference(found.kind, found.mime, wanted.name or os.path.basename(path), sha256=digest, path=path, size=size)  # noqa: PTH119 - as above


def _is_large(path: str) -> bool:
    try:
        return os.stat(path).st_size > SMALL  # noqa: PTH116 - see _path
    except (OSError, ValueError):
        return False


def _path(wanted: Wanted, folder: str) -> str:
    return os.path.normpath(os.path.join(folder, wanted.file))  # noqa: PTH118 - a Path costs ten times as much, and this is once a row


def _stat(path: str, written: str) -> tuple[int, int]:
    """Return size and time of change of a regular file that is not empty."""
    try:
        info = os.stat(path)  # noqa: PTH116 - see _path
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Unusable(f"there is no file {shown(written)}", _near(path)) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Unusable(f"{shown(written)} cannot be read: {reason}") from error
    if not stat.S_ISREG(info.st_mode):
        kind = "a folder" if stat.S_ISDIR(info.st_mode) else "no regular file"
        raise Unusable(f"{shown(written)} is {kind}", "name a file")
    if not info.st_size:
        raise Unusable(f"{shown(written)} is empty", "is the copying of it unfinished?")
    return info.st_size, info.st_mtime_ns


def _near(path: str) -> str:
    """Name the file beside it that was probably meant."""
    folder = Path(path).parent
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names only
    except OSError:
        return f"there is no folder {shown(str(folder))}; paths start at the manifest's folder"
    name = Path(path).name
    likely = [n for n in names if n[:2].casefold() == name[:2].casefold() or Path(n).suffix != Path(name).suffix]
    close = difflib.get_close_matches(name, likely[:COMPARED] or names[:COMPARED], n=1)
    return f"did you mean {close[0]}?" if close else "paths start at the manifest's folder"


@lru_cache(maxsize=KEPT)
def _beginning(path: str, size: int, changed: int) -> tuple[bytes, str]:  # noqa: ARG001 - the time is only part of the cache's key
    """Return the first bytes of a file, and its hash if it is small: opening it again would cost more than reading it whole."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - see _path
        data = file.read(SMALL + 1 if size <= SMALL else HEAD)
    whole = size <= SMALL and len(data) == size
    return data[:HEAD], hashlib.sha256(data).hexdigest() if whole else ""


@lru_cache(maxsize=KEPT)
def _digest(path: str, size: int, changed: int) -> str:  # noqa: ARG001 - size and time are only the cache's key
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - see _path
        return hashlib.file_digest(file, "sha256").hexdigest()


def _claimed(wanted: Wanted, head: bytes) -> Sniffed:
    """Return what the bytes are. Raises Unusable if that is no media, or not what the manifest says."""
    found = sniff(head)
    if found is None:
        what = describe(head)
        wrong = f"{shown(wanted.file)} is {what}" if what else f"{shown(wanted.file)} is no image, video or audio that the API takes"
        raise Unusable(wrong, "the file's content counts, not its name")
    if found.mime == "video/mp4" and wanted.kind == MediaKind.AUDIO:
        found = Sniffed(MediaKind.AUDIO, "audio/mp4")  # the container does not say in its first bytes whether there is a picture
    if wanted.kind and wanted.kind != found.kind:
        raise Unusable(f"{shown(wanted.file)} is {found.mime}, not {wanted.kind}", f"write kind: {found.kind}, or leave it out")
    if wanted.mime_type and _plain_mime(wanted.mime_type) != _plain_mime(found.mime):
        raise Unusable(f"{shown(wanted.file)} is {found.mime}, not {shown(wanted.mime_type)}", "leave mime_type out")
    return Sniffed(found.kind, wanted.mime_type) if wanted.mime_type else found


def _plain_mime(mime: str) -> str:
    return _SAME.get(mime.lower(), mime.lower())


@lru_cache
def _plain_mimes(mimes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_plain_mime(m) for m in mimes)


def _check_allowed(found: Sniffed, written: str, model: Model, rules: ReferenceRules) -> None:
    if found.kind not in rules.kinds:
        raise Unusable(f"{shown(written)} is {found.mime}; {model.id} takes no {found.kind}", f"it takes {', '.join(rules.kinds)}")
    allowed = rules.kinds[found.kind].mime_types
    if found.mime and _plain_mime(found.mime) not in _plain_mimes(allowed):
        raise Unusable(f"{shown(written)} is {found.mime}; {model.id} does not take it", f"it takes {', '.join(allowed)}")


def _from_url(wanted: Wanted, model: Model, rules: ReferenceRules) -> Reference:
    parts = _checked_url(wanted.url)
    guess = _BY_SUFFIX.get(os.path.splitext(parts.path)[1].lower())  # noqa: PTH122 - a URL's path is no path
    kind = MediaKind(wanted.kind) if wanted.kind else (guess.kind if guess else None)
    if kind is None:
        raise Unusable(f"what is at {shown(wanted.url)} cannot be told from its name", "write {url: ..., kind: image}")
    mime = wanted.mime_type or (guess.mime if guess and guess.kind == kind else "")
    _check_allowed(Sniffed(kind, mime), wanted.url, model, rules)
    last = parts.path.rsplit("/", 1)[-1]
    name = unquote(last) if unquote(last).isprintable() else last  # %00 and %0A stay as they are
    return Reference(kind, mime, wanted.name or name or parts.hostname or "", url=wanted.url)


def _checked_url(url: str) -> SplitResult:
    if len(url) > LONGEST_URL:
        raise Unusable(f"the URL {shown(url)} is longer than {LONGEST_URL} characters", "use a shorter one")
    if not url.isprintable() or " " in url:
        raise Unusable(f"the URL {shown(url)} has a space or control character in it", "write %20 for a space")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise Unusable(f"{shown(url)} is no URL: {error}") from error
    if parts.scheme.lower() != "https" and not (parts.scheme.lower() == "http" and is_loopback(host or "")):
        raise Unusable(f"the server does not fetch {shown(url)}", "use https, or name a file by its path")
    if parts.username is not None or parts.password is not None:
        raise Unusable("the URL has a user name or password in it", "the server would see and may keep it; use a URL without")
    if not host:
        raise Unusable(f"the URL {shown(url)} names no host")
    return parts
