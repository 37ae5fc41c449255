"""Addresses on the network, as text. Pure: no name is resolved here.

The API's base URL is where the key is sent, so it is looked at closely.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from batchgen.errors import UsageError

BASE_URL = "RIVYA_BASE_URL"
"""The setting that names the API's address; errors name it too."""

_PASSWORD = re.compile(r"(?<=://)([^:/@]*):.*@")
_PASSWORD_ASKED = re.compile(r"(?i)(?<=[?&])(\w*passw(?:or)?d)=[^&]*")


def without_password(url: str) -> str:
    """Return a database's URL (or a path) as it may be shown: `***` for a password before the host, or in the query."""
    return _PASSWORD_ASKED.sub(r"\1=***", _PASSWORD.sub(r"\1:***@", url)) if "://" in url else url


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or number alone: 127/8, ::1, localhost, *.localhost (RFC 6761, 6.3).

    A number comes without brackets, as `urlsplit` gives it. A name that merely resolves to this machine is not trusted: it may
    resolve to another the next time.
    """
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_base_url(text: str) -> str:
    """Return the API's base URL as `scheme://host[:port][/path]`, in one spelling and without `/api/v1`, which the client adds.

    Raises UsageError, which never shows a password, for one that would be unsafe or cannot be meant.
    """
    wrong = f"{BASE_URL} cannot be read as an address; write it as https://HOST"
    if not (text.isascii() and text.isprintable()) or " " in text.strip() or "\\" in text:
        raise UsageError(wrong)
    try:
        parts = urlsplit(text.strip())
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise UsageError(wrong) from error
    if not parts.scheme or not parts.hostname:
        raise UsageError(wrong)
    _refuse(parts, text)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/').removesuffix('/api/v1')}"


def _refuse(parts: SplitResult, text: str) -> None:
    """Raise for an address that can be read but must not be used."""
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{BASE_URL} holds a user name or password; write it without them: the key is the only credential")
    if "?" in text or "#" in text:
        raise UsageError(f"{BASE_URL} holds a query or a fragment; end it before the ? or #")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise UsageError(f"{BASE_URL} is not https, so the key could be read on the way; only this machine (localhost) may be http")
