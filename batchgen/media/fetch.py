"""The transfer of a result into its part file.

Its clients are not the API's: they know no key, keep no connection (one TLS handshake for a render is nothing, and a
connection that was checked for one host must not serve another), take no cookies and follow redirects by hand, each
checked like the first URL. Bytes are asked for as they are (`identity`), so that lengths and ranges mean something.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import cached_property
from urllib.parse import urljoin
from urllib.request import getproxies, proxy_bypass

import anyio
from anyio import to_thread

from batchgen.core.messages import DiskTrouble
from batchgen.core.retryafter import retry_after
from batchgen.media.address import Resolver, Target, check, shown
from batchgen.media.part import BLOCK, Note, Part
from batchgen.media.sniff import PAGES, plain_type
from batchgen.media.trouble import Trouble
from batchgen.transport import CUT_OFF, NOT_CONNECTED, Http, InvalidUrl, Patience, Response, Route, Url, Wire, http

HOPS = 5
"""Redirects that are followed; storage services use one or two."""

TRIED_ADDRESSES = 4
"""Addresses of a host that are tried in turn."""

PATIENCE = Patience(connect=10, read=60, write=60, pool=60)
"""Seconds, each per step of a transfer; the whole is bounded by `Limits.whole`."""

GONE = frozenset({400, 401, 403, 404, 410})
"""A storage service's ways to say that a signed URL has run out."""

OK, PARTIAL, BEYOND_THE_END = 200, 206, 416

INFLATED = 1024 * 1024
"""Bytes that a compressed piece is decoded to at once, whatever it would grow to."""

AUTO = 32
"""zlib's flag for "gzip or zlib, by what the bytes say"."""

_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)")


class _StartOverError(Exception):
    """The part cannot be continued with what the server has now."""


class Fetcher:
    """Fetches URLs into parts. `transport` replaces the network and `resolver` the name service in tests."""

    def __init__(self, *, allow_loopback: bool, max_bytes: int, resolver: Resolver, transport: Wire | None) -> None:
        self._allow_loopback = allow_loopback
        self._max_bytes = max_bytes
        self._resolver = resolver
        self._transport = transport

    async def aclose(self) -> None:
        """Close what was opened."""
        for client in ("_direct", "_through_proxy"):
            if client in self.__dict__:
                await self.__dict__[client].aclose()

    async def fetch(self, url: str, part: Part) -> None:
        """Fill a part to its end. Raises Trouble; what arrived before it stays in the part, durably, if it can be continued."""
        for _ in range(HOPS + 1):
            target = await check(url, self._resolver, allow_loopback=self._allow_loopback, proxied=self._proxied)
            location = await self._fetch_here(target, part)
            if location is None:
                return
            url = _joined(url, location)
        raise Trouble(DiskTrouble.REFUSED, f"the result's URL redirects more than {HOPS} times")

    async def _fetch_here(self, target: Target, part: Part) -> str | None:
        try:
            return await self._at_some_address(target, part)
        except _StartOverError:
            await to_thread.run_sync(part.discard)
        try:
            return await self._at_some_address(target, part)
        except _StartOverError as error:
            raise Trouble(DiskTrouble.CUT, f"{target.host} answers ranges that were not asked for") from error

    async def _at_some_address(self, target: Target, part: Part) -> str | None:
        """Try the checked addresses in turn until one takes the connection."""
        addresses = target.addresses[:TRIED_ADDRESSES] or (None,)
        for address in addresses:
            try:
                return await self._ask(target, address, part)
            except NOT_CONNECTED as error:
                last: Exception = error
            except InvalidUrl as error:
                raise Trouble(DiskTrouble.REFUSED, f"the result's URL cannot be read: {error}") from error
            except CUT_OFF as error:
                raise Trouble(DiskTrouble.CUT, f"the transfer from {target.host} broke off: {_words(error)}") from error
        raise Trouble(DiskTrouble.CUT, f"no connection to {target.host}: {_words(last)}") from last

    async def _ask(self, target: Target, address: str | None, part: Part) -> str | None:
        """Send one request; return where it redirects to, or None when the part is complete."""
        named = Url(target.url)
        url = named.copy_with(host=address) if address else named
        headers = {"Host": named.netloc.decode("ascii"), **_range_of(part)}
        extensions = {"sni_hostname": named.raw_host.decode("ascii")} if address and named.scheme == "https" else {}
        client = self._direct if address else self._through_proxy
        async with client.stream("GET", url, headers=headers, extensions=extensions) as response:
            if response.has_redirect_location:
                return response.headers["location"]
            await self._take(response, part, target)
            return None

    async def _take(self, response: Response, part: Part, target: Target) -> None:
        if response.status_code == BEYOND_THE_END:
            if part.size and _total_in(response) == part.size:
                part.note = replace(part.note, total=part.size)
                return
            raise _StartOverError
        if response.status_code not in (OK, PARTIAL):
            raise _status_trouble(response, target)
        note = _note_of(response, part)
        if note.mime in PAGES:
            raise Trouble(DiskTrouble.CUT, f"{target.host} sent a page of text ({note.mime}) and no media")
        if note.total is not None and note.total > self._max_bytes:
            raise _too_big(note.total, self._max_bytes)
        if response.status_code == PARTIAL:
            _check_continues(response, part, note)
            part.note = replace(note, durable=part.note.durable, etag=note.etag or part.note.etag)
        else:
            part.begin(note)
        whole = await self._pour(response, part)
        if not whole and note.total is not None and part.size != note.total:
            raise Trouble(DiskTrouble.CUT, f"{target.host} sent {part.size} of {note.total} bytes")

    async def _pour(self, response: Response, part: Part) -> bool:
        """Write the body in blocks, in a thread; what is left when it breaks off is written and made durable too.

        True: the part holds all of a small one. It is written where it gets its name, which saves a change of threads, and
        the connection is free meanwhile.
        """
        rest, whole = bytearray(), False
        try:
            async for piece in _body(response):
                rest += piece
                if part.size + len(rest) > self._max_bytes:
                    rest.clear()
                    await to_thread.run_sync(part.discard)
                    raise _too_big(part.size, self._max_bytes)
                if len(rest) >= BLOCK:
                    block = bytes(rest)
                    rest.clear()
                    await to_thread.run_sync(part.append, block)
            whole = part.hold(bytes(rest))
        finally:
            if not whole:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(_finish, part, bytes(rest))
        return whole

    def _proxied(self, scheme: str, host: str) -> bool:
        """Whether the environment sends requests for a host through a proxy. No proxy can reach this machine for us."""
        here = host == "localhost" or host.endswith(".localhost")
        return self._transport is None and not here and bool(_proxy_for(scheme)) and not proxy_bypass(host)

    @cached_property
    def _direct(self) -> Http:
        """Connects to checked addresses and to nothing else, so no proxy; but SSL_CERT_FILE holds."""
        return self._build(proxy=None)

    @cached_property
    def _through_proxy(self) -> Http:
        """Connects to the proxy and to nothing else: names that were not checked here must not be resolved here."""
        return self._build(proxy=_proxy_for("https"))

    def _build(self, *, proxy: str | None) -> Http:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        return http(headers, PATIENCE, Route(proxy=proxy), self._transport)


def _proxy_for(scheme: str) -> str | None:
    proxies = getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    return found if not found or "://" in found else f"http://{found}"


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise Trouble(DiskTrouble.CUT, "the result's URL redirects to one that cannot be read") from error


def _finish(part: Part, rest: bytes) -> None:
    if rest:
        part.append(rest, last=True)
    part.sync(noted=not part.complete or part.size > BLOCK)  # a small whole one gets its name at once, or is fetched again


def _body(response: Response) -> AsyncIterator[bytes]:
    """The bytes as they are on the server; decoded only if it insists on compressing them.

    Without a chunk size: with one, the library keeps what it gathers to itself, and loses it when the transfer breaks off.
    """
    return _inflated(response) if _encoded(response) else response.aiter_raw()


async def _inflated(response: Response) -> AsyncIterator[bytes]:
    """Decode in pieces of bounded size: the library would make 64 MB in one step of 64 kB that are all zeros."""
    encoding = response.headers["content-encoding"].strip().lower()
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Trouble(DiskTrouble.REFUSED, f"the server compresses the result as {encoding[:40]!r}, although it was asked not to")
    inflater = zlib.decompressobj(zlib.MAX_WBITS | AUTO)
    try:
        async for piece in response.aiter_raw():
            rest = piece
            while rest:
                yield inflater.decompress(rest, INFLATED)
                rest = inflater.unconsumed_tail
        yield inflater.flush()
    except zlib.error as error:
        raise Trouble(DiskTrouble.CUT, "the compressed result cannot be decoded") from error
    if not inflater.eof:
        raise Trouble(DiskTrouble.CUT, "the compressed result ends too early")


def _encoded(response: Response) -> bool:
    return response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")


def _range_of(part: Part) -> dict[str, str]:
    """Ask for the rest only, if it can be known to belong to the bytes that are here.

    A weak ETag is no condition (RFC 9110, 13.1.5); it is compared in the answer instead.
    """
    known = part.note.etag or part.note.modified or part.note.total is not None
    if not part.size or not known:
        return {}
    strong = part.note.etag if not part.note.etag.startswith("W/") else ""
    condition = strong or part.note.modified
    return {"Range": f"bytes={part.size}-", **({"If-Range": condition} if condition else {})}


def _note_of(response: Response, part: Part) -> Note:
    """What the answer says about the bytes. Of a compressed body neither length nor version can be used later."""
    mime = plain_type(response.headers.get("content-type", "")) or (part.note.mime if response.status_code == PARTIAL else "")
    note = Note(part.note.client_request_id, part.note.index, mime=mime)
    if _encoded(response):
        return note
    total = _total_in(response) if response.status_code == PARTIAL else _number(response.headers.get("content-length"))
    return replace(note, etag=response.headers.get("etag", "")[:500], modified=response.headers.get("last-modified", "")[:100], total=total)


def _check_continues(response: Response, part: Part, note: Note) -> None:
    """Raise unless a 206 begins where the part ends, in the same version of the bytes."""
    found = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
    starts_here = bool(found and found[1] and int(found[1]) == part.size) and part.size > 0
    other_version = bool(note.etag and part.note.etag and note.etag != part.note.etag)
    other_length = None not in (note.total, part.note.total) and note.total != part.note.total
    if not starts_here or other_version or other_length or _encoded(response):
        raise _StartOverError


def _total_in(response: Response) -> int | None:
    found = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
    return _number(found[2]) if found else None


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch("[0-9]{1,18}", text) else None


def _status_trouble(response: Response, target: Target) -> Trouble:
    status = response.status_code
    message = f"HTTP {status} for {shown(target.url)}"
    return Trouble(DiskTrouble.GONE if status in GONE else DiskTrouble.CUT, message, retry_after=retry_after(response.headers, time.time()))


def _too_big(size: int, most: int) -> Trouble:
    return Trouble(DiskTrouble.REFUSED, f"the result is larger than {most} bytes" + (f": {size}" if size > most else ""))


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
