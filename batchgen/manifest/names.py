"""Rules for ids and output names.

Both end up in paths, on whatever disk a team uses: a name that Windows, a network drive or a ZIP file cannot hold loses a paid
render years later. So the strictest common rules hold everywhere, and names that differ only in case or in the spelling of an
accent count as equal.
"""

from __future__ import annotations

import re
import unicodedata

from batchgen.catalogue import shown

LONGEST_ID = 120
LONGEST_COMPONENT = 200
"""UTF-8 bytes of one name in a path. File systems take 255; `.a12.mp4.part` and `.json` must still fit behind it."""

LONGEST_PATH = 1_000
"""UTF-8 bytes of an output's whole name; Linux takes 4,096 and macOS 1,024 with the outputs folder before it."""

_PLAIN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+@=,#-]*")
_SIGNS = frozenset("_.:+@=,#-")
_FORBIDDEN = re.compile(r'[<>"|?*\\\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)
_PLAIN_OUTPUT = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*/)*[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_RESERVED_PART = re.compile(rf"(?:^|/){_RESERVED.pattern}(?:[./]|$)", re.IGNORECASE)
_WORDS = re.compile(r"[^\W_]+")


def check_id(text: str) -> str:
    """Return what is wrong with a task's id, or an empty string."""
    if not text:
        return "the id is empty"
    if len(text) > LONGEST_ID or len(text.encode("utf-8", "surrogatepass")) > LONGEST_COMPONENT:
        return f"the id is {len(text)} characters long; {LONGEST_ID} characters or {LONGEST_COMPONENT} bytes are the limit"
    if not (_PLAIN_ID.fullmatch(text) or (_starts_well(text[0]) and all(_allowed(c) for c in text))):
        return "the id may have letters, digits and _ . : + @ = , # - and begins with a letter or digit"
    return "" if text[-1] != "." else "the id ends with a dot"


def _starts_well(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LN"


def _allowed(character: str) -> bool:
    return character in _SIGNS or unicodedata.category(character)[0] in "LMN"


def output_name(text: str) -> str:
    """Return the name under which an output is stored: composed accents, and `-` for the colon of `16:9`, which Windows refuses."""
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).replace(":", "-")


def check_output(name: str) -> str:
    """Return what is wrong with an output's name, or an empty string."""
    if not name:
        return "the output has no name"
    if len(name) <= LONGEST_COMPONENT and _PLAIN_OUTPUT.fullmatch(name) and not _RESERVED_PART.search(name):
        return ""  # what nearly every output looks like
    if name.startswith("/"):
        return "the output must not be an absolute path; it is a name below the outputs folder"
    bad = _FORBIDDEN.search(name)
    if bad:
        return f"the output has the character {shown(bad[0])}, which not every disk takes"
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_PATH:
        return f"the output's name is longer than {LONGEST_PATH} bytes"
    return next((wrong for part in name.split("/") if (wrong := _check_component(part))), "")


def _check_component(part: str) -> str:
    if not part:
        return "the output has an empty name between two slashes or at its end"
    if part in {".", ".."}:
        return f"the output must not contain {part} as a name; it stays inside the outputs folder"
    if part[-1] in ". " or part[0] == " ":
        return "a name in the output begins with a space or ends with a dot or space"
    if _RESERVED.fullmatch(part.split(".", 1)[0].rstrip()):
        return f"the name {part} in the output is reserved on Windows"
    if not part.isascii() and any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in part):
        return "the output has a control character"
    size = len(part.encode("utf-8"))
    return f"a name in the output is {size} bytes long; {LONGEST_COMPONENT} are the limit" if size > LONGEST_COMPONENT else ""


def folded(name: str) -> str:
    """Return a spelling that is equal for names which some disk takes for the same."""
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def slug(prompt: str, fingerprint: str) -> str:
    """Return the id of a task without one: the prompt's first words and the beginning of its fingerprint.

    Args:
        prompt: the task's prompt; only its first 200 characters are looked at.
        fingerprint: hex digits; the first eight are used.
    """
    words = _WORDS.findall(unicodedata.normalize("NFC", prompt[:200]).lower())
    while len(words) > 1 and len("-".join(words)) > 40:  # noqa: PLR2004 - about five words; a file name that can be read
        words.pop()
    return f"{'-'.join(words)[:40] or 'task'}-{fingerprint[:8]}"
