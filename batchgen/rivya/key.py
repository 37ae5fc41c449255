"""The API's key, checked before anything is built with it. Pure.

It must never stand in a message: these errors say what is wrong with it and never what it is.
"""

from __future__ import annotations

import re

from batchgen.errors import KeyRefused

_KEY = re.compile(r"[\x21-\x7e]{1,4096}")
"""Visible ASCII: what a header can carry as it is (RFC 9110, 5.5)."""


def check_key(key: str) -> str:
    """Return the key. Raises KeyRefused, without the key in its words, for one that no server could accept."""
    if not key.strip():
        raise KeyRefused("the API key is empty; put it into the environment as RIVYA_API_KEY")
    if key != key.strip():
        raise KeyRefused("the API key begins or ends with a space or a line break; check how RIVYA_API_KEY is set")
    if not _KEY.fullmatch(key):
        raise KeyRefused("the API key holds a space, a control character or a letter outside ASCII, or is too long; copy it again")
    return key
