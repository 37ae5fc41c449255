"""Which URLs may be fetched, and at which addresses.

A result URL comes from outside. It must not make us read this machine, its neighbours or the cloud's metadata service:
https only, no credentials, and every address that the host resolves to must be a public one. The connection is then made
to an address that was checked, not to the name again, which could answer differently a moment later (DNS rebinding).
The one exception is the sandbox: with `allow_loopback` (the API itself is on this machine) loopback is allowed, also over http.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import anyio

from batchgen.core.messages import DiskTrouble
from batchgen.media.trouble import Trouble

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host, as text. Raises OSError if there are none."""

NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""Addresses that stand for an IPv4 one (RFC 6052): judged by that one."""

PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be fetched, at one of these addresses; no addresses: at the name, through a proxy."""

    url: str
    host: str
    addresses: tuple[str, ...]


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def check(url: str, resolver: Resolver, *, allow_loopback: bool, proxied: Callable[[str, str], bool]) -> Target:
    """Return where a URL may be fetched. Raises Trouble: REFUSED for what is not acceptable, CUT if the host is not found now.

    Behind a proxy (`proxied(scheme, host)`) names are the proxy's to resolve and its rules hold; literal addresses are still checked.
    """
    parts, host, port = _split(url)
    literal = _address(host)
    if literal is None and proxied(parts.scheme, host):
        if parts.scheme != "https":
            raise _refused(url, "it is not https")
        return Target(url, host, ())
    try:
        found = [str(literal)] if literal else await resolver(host, port)
    except (OSError, UnicodeError) as error:
        raise Trouble(DiskTrouble.CUT, f"the host {host} of the result was not found: {error}") from error
    addresses = [_address(text) for text in found]
    if not addresses:
        raise Trouble(DiskTrouble.CUT, f"the host {host} of the result has no address")
    loopback = all(address is not None and address.is_loopback for address in addresses)
    if parts.scheme != "https" and not (loopback and allow_loopback):
        raise _refused(url, "it is not https")
    if not (loopback and allow_loopback) and not all(address is not None and is_public(address) for address in addresses):
        raise _refused(url, f"{host} is at a private address ({', '.join(found)})")
    return Target(url, host, tuple(str(address) for address in addresses))


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one of the open internet; one that wraps another is judged by that."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def shown(url: str) -> str:
    """Return a URL for a message: without its query, which in a signed URL is a password."""
    return "".join(c if c.isprintable() else "\ufffd" for c in url.split("?", 1)[0])[:300]


def _split(url: str) -> tuple[SplitResult, str, int]:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise _refused(url, "it cannot be read") from error
    if parts.scheme not in PORTS:
        raise _refused(url, "it is not https")
    if parts.username is not None or parts.password is not None:
        raise Trouble(DiskTrouble.REFUSED, f"the result's URL at {host} is refused: it holds a user name or password")
    if not host or not url.isprintable() or any(c in url for c in " \\"):
        raise _refused(url, "it cannot be read")
    return parts, host, port


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.split("%", 1)[0])
    except ValueError:
        return None


def _refused(url: str, why: str) -> Trouble:
    return Trouble(DiskTrouble.REFUSED, f"the result's URL {shown(url)} is refused: {why}")
