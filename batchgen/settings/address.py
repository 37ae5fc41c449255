"""The server's address: where the key is sent, so it is looked at closely."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from batchgen.errors import UsageError

BASE_URL = "RIVYA_BASE_URL"


def check_address(text: str) -> str:
    """Return the address as `scheme://host[:port][/path]` without `/api/v1`. Raises UsageError, never showing a password."""
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise UsageError(f"{BASE_URL} holds a blank, a line break or a character that no address has; write it as https://HOST")
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise UsageError(f"{BASE_URL} is not an address ({error}); write it as https://HOST") from error
    wrong = _wrong_with(parts)
    if wrong:
        raise UsageError(f"{BASE_URL} {wrong}")
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/").removesuffix("/api/v1")
    return f"{parts.scheme}://{shown}{port}{path}"


def _wrong_with(parts: SplitResult) -> str:
    """Say what is wrong with an address, without its parts that may be secret."""
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        return "is not an address of a server; write it as https://HOST"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or a password; write it without them: the key is the only credential"
    if parts.query or parts.fragment:
        return "holds a `?` or a `#`; write only https://HOST"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return f"would send the key unencrypted to {parts.hostname}; write https:// (http:// only for this machine itself)"
    return ""


def is_loopback(host: str) -> bool:
    """True if the host is this machine by its name or number; a name that merely resolves to it is not trusted."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
