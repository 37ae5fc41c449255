"""Values kept as text come back as they were."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.facts import RunAsked
from batchgen.core.model import Budget, Manifest, MediaKind, Reference, Spec, StopAfter
from batchgen.core.written import spec_from, spec_text
from batchgen.ledger import documents
from batchgen.ledger.columns import Utc, Words

SQLITE = sa.create_engine("sqlite://").dialect

texts = st.text(st.characters())  # half surrogate pairs and NUL too
credits = st.none() | st.integers(0, 10**12)
references = st.builds(Reference, st.sampled_from(MediaKind), texts, texts, texts, texts, texts, st.integers(0, 10**12))
values = st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))
specs = st.builds(Spec, texts, texts, st.dictionaries(texts, values), st.lists(references).map(tuple))


@given(specs)
def test_a_spec(spec: Spec) -> None:
    """A spec and its fingerprint survive, and the text is one that a database takes."""
    text = spec_text(spec)
    assert "\x00" not in text
    text.encode("utf-8")
    assert spec_from(text) == spec
    assert spec_from(text).fingerprint == spec.fingerprint


@given(st.builds(Budget, credits, credits, credits), credits, st.builds(StopAfter, st.integers(0, 99), st.floats(0, 1)))
def test_a_manifest(budget: Budget, in_flight: int | None, stop_after: StopAfter) -> None:
    """A header survives."""
    manifest = Manifest("m", "/m.yaml", budget, in_flight, 3, 1, stop_after)
    assert documents.manifest_from("m", "/m.yaml", documents.manifest_text(manifest)) == manifest


@given(texts, st.lists(texts).map(tuple), credits)
def test_how_a_run_was_asked_for(command: str, manifests: tuple[str, ...], budget: int | None) -> None:
    """`resume` repeats exactly what was asked."""
    asked = RunAsked(command, manifests, "x*", retry_failed=True, budget=budget, max_tasks=3, until=1.5)
    assert documents.asked_from(documents.asked_text(asked)) == asked


@given(st.integers(0, 4_102_444_800_000_000))
def test_instants(microseconds: int) -> None:
    """An instant survives to the microsecond, and its text sorts as time does."""
    column, at = Utc(), microseconds / 1e6
    text = column.process_bind_param(at, SQLITE)
    assert text
    assert len(text) == 27
    back = column.process_result_value(text, SQLITE)
    assert back is not None
    assert abs(back - at) < 1e-6
    later = column.process_bind_param(at + 1, SQLITE)
    assert later
    assert text < later


@given(texts)
def test_words_from_outside(text: str) -> None:
    """Any text can be bound; ordinary text comes back as it was."""
    bound = Words().process_bind_param(text, SQLITE)
    assert bound is not None
    assert "\x00" not in bound
    connection = sqlite3.connect(":memory:")
    try:
        assert connection.execute("SELECT ?", (bound,)).fetchone() == (bound,)
    finally:
        connection.close()
    if "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text):
        assert bound == text


def test_how_an_older_batchgen_asked() -> None:
    """A run of before plans were kept has no cuts; half a surrogate pair and NUL come back as they were."""
    asked = RunAsked("half \ud83d and nul \x00", ("spring",), cuts=(("spring", 4),))
    text = documents.asked_text(asked)
    text.encode("utf-8")
    assert documents.asked_from(text) == asked
    assert documents.asked_from('{"command":"run","manifests":["spring"]}') == RunAsked("run", ("spring",))


@pytest.mark.parametrize(("text", "kept"), [("nul \x00", "nul \\x00"), ("half \ud83d", "half \\ud83d"), ("fünf", "fünf"), ("five", "five")])
def test_what_a_database_refuses_is_escaped(text: str, kept: str) -> None:
    """And only that."""
    assert Words().process_bind_param(text, SQLITE) == kept


@pytest.mark.usefixtures("in_tokyo")
def test_instants_are_utc_wherever_the_machine_is() -> None:
    """The text says Z and means it."""
    assert Utc().process_bind_param(1_763_000_000.0, SQLITE) == "2025-11-13T02:13:20.000000Z"
