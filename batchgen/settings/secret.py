"""The API key: from the environment only, and never in a text that somebody might print.

A missing or malformed key is no error until somebody needs it: `validate`, `status` and the sandbox work without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from batchgen.errors import KeyRefused

KEY = "RIVYA_API_KEY"
KEY_FILE = "RIVYA_API_KEY_FILE"
LONGEST = 4096
"""Bytes of a key file that are read: a key has some dozens; a larger file is not one."""


class ApiKey:
    """A key, or the reason why there is none. Its repr and str show neither the key nor its length."""

    __slots__ = ("_trouble", "_value")

    def __init__(self, value: str = "", *, trouble: str = "") -> None:
        self._value = value
        self._trouble = trouble or _trouble_with(value)

    def __repr__(self) -> str:
        return "ApiKey(absent)" if self._trouble else "ApiKey(hidden)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and (self._value, self._trouble) == (other._value, other._trouble)

    def __hash__(self) -> int:
        return hash((self._value, self._trouble))

    def __reduce__(self) -> str:
        """Refuse to be pickled: a copy of the key would leave the process."""
        raise TypeError("an API key is not pickled")

    @property
    def usable(self) -> bool:
        """True if `reveal` would return a key."""
        return not self._trouble

    def reveal(self) -> str:
        """Return the key, for the Authorization header alone. Raises KeyRefused, saying why, if there is none."""
        if self._trouble:
            raise KeyRefused(self._trouble)
        return self._value


def _trouble_with(value: str) -> str:
    """Say what is wrong with a key without showing it; empty if it can be sent in a header."""
    if not value:
        return f"there is no API key: set {KEY} (or {KEY_FILE}, a file that holds it)"
    if not (value.isascii() and value.isprintable() and " " not in value):
        return f"{KEY} holds a line break, a blank or another character that no key has; set it again, without them"
    return ""


def read_key(environ: Mapping[str, str]) -> ApiKey:
    """Read the key from the environment, or from the file that it names. Never raises: the trouble waits in the value."""
    if environ.get(KEY):
        return ApiKey(environ[KEY])
    path = environ.get(KEY_FILE)
    if not path:
        return ApiKey()
    try:
        with Path(path).open("rb") as file:
            text = file.read(LONGEST).decode("utf-8")
    except OSError as error:
        return ApiKey(trouble=f"{KEY_FILE} names {path!r}, which cannot be read: {error.strerror or error}")
    except (UnicodeDecodeError, ValueError):
        return ApiKey(trouble=f"{KEY_FILE} names {path!r}, which does not hold a key")
    # Editors and secret stores end a file with a line break; inside the environment one is a mistake.
    return ApiKey(text.strip()) if text.strip() else ApiKey(trouble=f"{KEY_FILE} names {path!r}, which is empty")
