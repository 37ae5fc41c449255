"""The API's address and key, checked before anything is built with them. Pure.

The key must never stand in a message: these errors say what is wrong with it and never what it is.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from batchgen.errors import KeyRefused, UsageError

_KEY = re.compile(r"[\x21-\x7e]{1,4096}")
"""Visible ASCII: what a header can carry as it is (RFC 9110, 5.5)."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone: 127/8, ::1, localhost, *.localhost (RFC 6761, 6.3)."""
    name = host.lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_base_url(text: str) -> str:
    """Return the API's base URL without its last slash or `/api/v1`, which the client adds.

    Raises UsageError for one that would be unsafe or cannot be meant.
    """
    try:
        parts = urlsplit(text.strip())
        host, _port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError("the API's base URL cannot be read; write it like https://rivya.ai") from error
    if parts.username is not None or parts.password is not None:
        raise UsageError("the API's base URL holds a user name or password; take it out, the key goes into RIVYA_API_KEY")
    shown = text.strip()
    if re.search(r"[\x00-\x20\x7f-\x9f\\]", shown) or not host:
        raise UsageError(f"the API's base URL {shown!r} cannot be read; write it like https://rivya.ai")
    if parts.query or parts.fragment or "?" in shown or "#" in shown:
        raise UsageError(f"the API's base URL {shown!r} has a query or a fragment; end it before the ? or #")
    if parts.scheme not in ("http", "https"):
        raise UsageError(f"the API's base URL {shown!r} is not https; write it like https://rivya.ai")
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(
            f"the API's base URL {shown!r} is not https, so the key could be read on the way; only this machine (localhost) may be http"
        )
    return shown.rstrip("/").removesuffix("/api/v1")


def check_key(key: str) -> str:
    """Return the key. Raises KeyRefused, without the key in its words, for one that no server could accept."""
    if not key.strip():
        raise KeyRefused("the API key is empty; put it into the environment as RIVYA_API_KEY")
    if key != key.strip():
        raise KeyRefused("the API key begins or ends with a space or a line break; check how RIVYA_API_KEY is set")
    if not _KEY.fullmatch(key):
        raise KeyRefused("the API key holds a space, a control character or a letter outside ASCII, or is too long; copy it again")
    return key
