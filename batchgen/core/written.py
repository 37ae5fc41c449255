"""A task as text: what the manifest makes of a row, and what the ledger keeps of it.

A million tasks of one entry differ in their prompt and in little else. So a spec is written in three pieces, of which the first
and the last are made once for many tasks; together they are its JSON, in the one spelling of `canonical_json`:

    head     {"model":...,"params":{...},"prompt":
    prompt   "..."
    tail     ,"references":[...]}

The fingerprint is over the same text with references that are only their identity.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import TypeAlias

from batchgen.core.model import MediaKind, Reference, Spec, Task, canonical_json

REMEMBERED = 1_000
"""Pairs of head and tail whose parts are kept read; tasks of one entry mostly share a few."""

Ready: TypeAlias = tuple[str, str, str, str, str, str, int]
"""A task of a manifest, checked: id, head, prompt (as JSON), tail, fingerprint, output, line. A bare tuple, because there are millions."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What was read when a manifest's rows were last walked. Paths are absolute; `digest` is over all of it, `models` counts tasks."""

    path: str
    digest: str
    read: tuple[str, ...]
    references: tuple[str, ...]
    models: Mapping[str, int]


def spec_head(model: str, params: Mapping[str, object]) -> str:
    """Return a spec's text up to its prompt."""
    return f'{{"model":{encode_basestring(model)},"params":{canonical_json(dict(params))},"prompt":'


def spec_tail(references: Sequence[Reference]) -> str:
    """Return a spec's text from behind its prompt."""
    written = [
        {"kind": r.kind, "mime": r.mime, "name": r.name, "path": r.path, "sha256": r.sha256, "size": r.size, "url": r.url}
        for r in references
    ]
    return f',"references":{canonical_json(written)}}}'


def identity_tail(references: Sequence[Reference]) -> str:
    """Return what stands in place of `spec_tail` in the text of which the fingerprint is made."""
    return f',"references":{canonical_json([r.identity for r in references])}}}'


def fingerprint_of(head: str, prompt: str, identities: str) -> str:
    """Return a fingerprint, as `Spec.fingerprint` gives it."""
    return hashlib.sha256(f"{head}{prompt}{identities}".encode("utf-8", "surrogatepass")).hexdigest()


def spec_text(spec: Spec) -> str:
    """Write a spec. Equal specs give equal text; half a surrogate pair, which no database takes, is written with escapes."""
    text = f"{spec_head(spec.model, spec.params)}{encode_basestring(spec.prompt)}{spec_tail(spec.references)}"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return _escaped(text)
    return text


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def spec_from(text: str) -> Spec:
    """Read a spec."""
    said = json.loads(text)
    references = tuple(Reference(**{**r, "kind": MediaKind(r["kind"])}) for r in said["references"])
    return Spec(said["model"], said["prompt"], said["params"], references)


def ready_of(ident: str, spec: Spec, output: str, line: int) -> Ready:
    """Write a task."""
    head, prompt, tail = parted(spec_text(spec))
    return ident, head, prompt, tail, spec.fingerprint, output, line


class Frames:
    """Reads specs of which head and tail come again and again: only the prompt is read for each."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._known: dict[tuple[str, str], Spec] = {}

    def frame(self, head: str, tail: str) -> Spec:
        """Return the spec with these parts, and with no prompt."""
        found = self._known.get((head, tail))
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[head, tail] = spec_from(f'{head}""{tail}')
        return found

    def spec(self, head: str, prompt: str, tail: str) -> Spec:
        """Return the whole spec."""
        frame = self.frame(head, tail)
        return Spec(frame.model, json.loads(prompt), frame.params, frame.references)

    def tasks(self, manifest: str, rows: Iterable[Ready]) -> Iterator[Task]:
        """Read the tasks of a manifest."""
        for position, (ident, head, prompt, tail, _, output, line) in enumerate(rows):
            yield Task(manifest, ident, self.spec(head, prompt, tail), output, position, line)


def parted(text: str) -> tuple[str, str, str]:
    """Take a spec's text apart into head, prompt and tail.

    What is looked for cannot stand inside a prompt, where quotes have a backslash before them, nor inside references.
    """
    end = text.rfind(_TAIL)
    begin = text.rfind(_PROMPT) + len(_PROMPT) - 1
    return text[:begin], text[begin:end], text[end:]


_PROMPT = ',"prompt":"'
_TAIL = ',"references":['
