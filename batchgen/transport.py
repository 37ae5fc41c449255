"""The HTTP library, and what its exceptions prove about a request. No other module imports it.

So another library is a change in this place. What it must keep: each way in which a request can break is told apart by
whether bytes of it may have left, and whoever sends is told when they have.

httpx2 is the maintained successor of httpx, with its API. aiohttp takes a fraction of its processor time (measured by
`python -m tests.benchmarks.transports`), but its transport for httpx reports a connection that broke after the whole
request had arrived as ConnectTimeout, as if nothing had been sent.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import MappingProxyType

import anyio
import httpx2

from batchgen import __version__
from batchgen.core.answers import Verdict

Wire = httpx2.AsyncBaseTransport
"""What replaces the network in tests."""

Http = httpx2.AsyncClient
Response = httpx2.Response
Url = httpx2.URL
InvalidUrl = httpx2.InvalidURL

OUTCOMES: Mapping[type[Exception], Verdict] = MappingProxyType(
    {
        httpx2.ConnectError: Verdict.UNSENT,  # DNS, TCP or TLS: no byte of the request left
        httpx2.ConnectTimeout: Verdict.UNSENT,
        httpx2.PoolTimeout: Verdict.UNSENT,
        httpx2.ProxyError: Verdict.UNSENT,  # the proxy refused the tunnel
        httpx2.UnsupportedProtocol: Verdict.UNSENT,
        httpx2.InvalidURL: Verdict.UNSENT,
        httpx2.ReadTimeout: Verdict.LOST,
        httpx2.WriteTimeout: Verdict.LOST,
        httpx2.TimeoutException: Verdict.LOST,
        httpx2.ReadError: Verdict.LOST,
        httpx2.WriteError: Verdict.LOST,
        httpx2.CloseError: Verdict.LOST,
        httpx2.NetworkError: Verdict.LOST,
        httpx2.LocalProtocolError: Verdict.LOST,
        httpx2.RemoteProtocolError: Verdict.LOST,
        httpx2.ProtocolError: Verdict.LOST,
        httpx2.DecodingError: Verdict.LOST,
        httpx2.TooManyRedirects: Verdict.LOST,
        httpx2.SSEError: Verdict.LOST,
        httpx2.TransportError: Verdict.LOST,
        httpx2.RequestError: Verdict.LOST,
        httpx2.HTTPStatusError: Verdict.LOST,
        httpx2.HTTPError: Verdict.LOST,
        httpx2.CookieConflict: Verdict.LOST,
        httpx2.StreamConsumed: Verdict.LOST,
        httpx2.StreamClosed: Verdict.LOST,
        httpx2.ResponseNotRead: Verdict.LOST,
        httpx2.RequestNotRead: Verdict.LOST,
        httpx2.StreamError: Verdict.LOST,
    }
)
"""What each of the library's exceptions proves about the request; a test walks it and fails on one that is missing."""

NOT_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout)
"""No connection came about: another address of the same host may do."""

BELOW = (ssl.SSLError, ConnectionError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
"""What the layers under the library may let through (a TLS record that does not decrypt); nothing is proven then."""

CUT_OFF = (httpx2.HTTPError, *BELOW)
"""What a transfer to the disk breaks off with; any other OSError is the disk's."""

BROKEN: tuple[type[Exception], ...] = (*OUTCOMES, *BELOW, OSError)
"""All that the network can do to a request that touches no disk; anything else is a bug."""


@dataclass(slots=True)
class Sending:
    """Hears what a request is doing: give `hear` to it as its `trace` extension.

    `left` is called once its head has been handed to the system: the service may count it from there on.
    """

    left: Callable[[], None]
    begun: bool = False  # bytes of the request may have left

    async def hear(self, event: str, told: Mapping[str, object]) -> None:
        """Take what the library tells, as `http11.send_request_headers.started`. What opens a proxy's tunnel is not the request."""
        if event.endswith(".send_request_headers.started"):
            self.begun = getattr(told.get("request"), "method", b"") != b"CONNECT"
        elif self.begun and event.endswith(".send_request_headers.complete"):
            self.left()

    def outcome_of(self, error: Exception) -> Verdict:
        """Return what an exception proves about the request that it ended.

        UNSENT takes two witnesses: the exception's kind, and that the request's first byte was never handed over.
        """
        if self.begun:
            return Verdict.LOST
        return next((OUTCOMES[kind] for kind in type(error).__mro__ if kind in OUTCOMES), Verdict.LOST)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that each step of a request may take: to connect, until the next bytes come or go, to get a connection."""

    connect: float
    read: float
    write: float
    pool: float


@dataclass(frozen=True, slots=True)
class Route:
    """Where connections go and how many there are.

    `proxy` is a URL, or None for none; with `environment` the usual variables say which. `secure` is False where only
    http is spoken: then there is no certificate, and the authorities' take 70 ms to load. `most` connections at once,
    None for any number; `kept` of them stay open between requests.
    """

    environment: bool = False
    proxy: str | None = None
    secure: bool = True
    most: int | None = None
    kept: int = 0


def http(headers: Mapping[str, str], patience: Patience, route: Route, wire: Wire | None) -> Http:
    """Make a client that takes no cookies and follows no redirects. SSL_CERT_FILE and SSL_CERT_DIR hold.

    Raises ValueError, ImportError, OSError or InvalidUrl where the proxy or the certificates cannot be used.
    """
    return Http(
        headers={"User-Agent": f"batchgen/{__version__}", **headers},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        limits=httpx2.Limits(max_connections=route.most, max_keepalive_connections=route.kept),
        timeout=httpx2.Timeout(connect=patience.connect, read=patience.read, write=patience.write, pool=patience.pool),
        transport=wire,
        proxy=route.proxy,
        trust_env=route.environment,
        verify=httpx2.create_ssl_context() if route.secure else False,
    )
