"""Downloads, joined: look whether it is there, fetch, check, place. `core.ports.Media`.

Everything that touches the disk runs in worker threads, as does `owner`: a visit before the transfer and one after it, each
together with the visits of other downloads, and the blocks of a large result as they come. At most `Limits.at_once` transfers
run at a time; two downloads of one name never do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

import anyio

from batchgen.core.messages import DiskTrouble, Download, Downloaded
from batchgen.core.ports import Owner
from batchgen.media.address import Resolver, resolve
from batchgen.media.fetch import Fetcher
from batchgen.media.part import Part, Steps, forget
from batchgen.media.place import Claim, Content, Shelf, adopt, base_of, names_of, place
from batchgen.media.sniff import HEAD, kind_of
from batchgen.media.trouble import Trouble, of_disk
from batchgen.media.visits import Visits
from batchgen.transport import Wire


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_bytes` of one result; `at_once` transfers; `whole` seconds for one try, after which the rest is left to the next."""

    max_bytes: int = 5 * 1024**3
    at_once: int = 8
    whole: float = 3_600


class Downloads:
    """Fetches results into the outputs folder `root`. Close it, or use it in `async with`.

    `allow_loopback` is for the sandbox: only when the API itself is on this machine. `transport` and `resolver` replace
    the network in tests.
    """

    def __init__(
        self,
        root: Path,
        *,
        allow_loopback: bool = False,
        limits: Limits | None = None,
        transport: Wire | None = None,
        resolver: Resolver = resolve,
    ) -> None:
        self._limits = limits or Limits()
        self._root = root
        self._fetcher = Fetcher(allow_loopback=allow_loopback, max_bytes=self._limits.max_bytes, resolver=resolver, transport=transport)
        self._transfers = anyio.Semaphore(self._limits.at_once)
        self._visits = Visits()
        self._taken: dict[str, Claim] = {}
        self._names: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        self._visits.close()
        await self._fetcher.aclose()

    async def save(self, request: Download, owner: Owner) -> Downloaded:
        """Fetch a result into its place, durably. Trouble is part of the result, not raised."""
        lock = self._names.setdefault(f"{request.index} {request.stem}", anyio.Lock())
        claim = Claim(self._taken)
        async with lock:
            try:
                return await self._save(request, owner, claim)
            except Trouble as trouble:
                return Downloaded(request, trouble=trouble.kind, message=str(trouble), retry_after=trouble.retry_after)
            except OSError as error:
                return Downloaded(request, trouble=DiskTrouble.DISK, message=str(of_disk(error)))
            finally:
                claim.give_back()

    async def _save(self, request: Download, owner: Owner, claim: Claim) -> Downloaded:
        found = await self._visits.make(_look(Shelf(self._root, claim), request, owner))
        if isinstance(found, Downloaded):
            return found
        if not found.complete:
            await self._fetch(request.url, found)
        return await self._visits.make(_shelve(Shelf(self._root, claim), found, request, owner))

    async def _fetch(self, url: str, part: Part) -> None:
        async with self._transfers:
            try:
                with anyio.fail_after(self._limits.whole):
                    await self._fetcher.fetch(url, part)
            except TimeoutError as error:
                raise Trouble(DiskTrouble.CUT, f"not finished after {self._limits.whole:g} s; the rest is fetched next") from error


def _part_paths(shelf: Shelf, request: Download) -> Iterator[Path]:
    return (shelf.path(f"{name}.part") for name in names_of(request) if shelf.claim.take(name))


def _look(shelf: Shelf, request: Download, owner: Owner) -> Steps[Downloaded | Part]:
    """Return the file if an earlier try finished it, else the part that it grows in."""
    if found := adopt(shelf, request, owner):
        # a crash between the last rename and the note's removal left the note
        forget(shelf.path(f"{base_of(request)}.part"), key=request.key, index=request.index)
        return found
    yield from shelf.make_room_for(request.stem)
    return Part.claim(_part_paths(shelf, request), key=request.key, index=request.index)


def _complete(part: Part) -> Steps[Content]:
    """Check that a whole part is media. A page of text is thrown away: another try may bring the render."""
    kind = kind_of(part.head(HEAD), part.note.mime) if part.size else None
    if kind is None:
        what = f"{part.size} bytes that are a page of text and no media" if part.size else "an empty file"
        part.discard()
        raise Trouble(DiskTrouble.CUT, f"the server sent {what}")
    yield from part.settle()
    return Content(part.path, part.sha256, part.size, kind)


def _shelve(shelf: Shelf, part: Part, request: Download, owner: Owner) -> Steps[Downloaded]:
    try:
        content = yield from _complete(part)
        event = yield from place(shelf, request, content, owner)
    except (Trouble, OSError):
        part.abandon()
        raise
    part.named()
    return event
