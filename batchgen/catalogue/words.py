"""Words for messages: what a person wrote, shown safely, and what they may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 60
"""Characters of a value that a message repeats: enough to recognise it, never a screenful."""

LISTED = 24
"""Names that a message lists whole; ElevenLabs has 20 voices. Longer lists are cut."""

COMPARED = 80
"""Characters that are compared for nearness: difflib is quadratic, and a 200,000-character cell may be hostile."""


def shown(text: str) -> str:
    """Quote `text` for a message: one line, no control or invisible character, cut after SHOWN characters."""
    cut = text[:SHOWN]
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
    return f'"{safe}"' if len(text) <= SHOWN else f'"{safe}..." ({len(text)} characters)'


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known name that is nearest to `word`, or an empty string."""
    by_folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word[:COMPARED].casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Say what would be right: the nearest known name, and the list of them where it is short."""
    names = list(known)
    close = nearest(word, names)
    parts = [f"did you mean {close}?"] if close else []
    if names and (len(names) <= LISTED or not close):
        parts.append("known: " + ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else ""))
    return " ".join(parts)
