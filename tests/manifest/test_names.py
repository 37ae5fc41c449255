"""Ids, output names, templates, and what was seen before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.manifest.fill import escaped, template
from batchgen.manifest.names import check_id, check_output, folded, output_name, slug
from batchgen.manifest.seen import Seen

from .conftest import Folder


@pytest.mark.parametrize("text", ["a", "hero", "0", "cup-1:1-a+b", "C#m", "a=1,b=2", "größe", "日本", "हिन्दी", "_x", "a.b", "x" * 120])
def test_ids_may_be_words_of_any_script(text: str) -> None:
    """Letters, marks and digits, and the signs that params are made of."""
    assert check_id(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "../x",
        "/etc",
        "a/b",
        "a\\b",
        "..",
        ".hidden",
        "a b",
        "a\x00",
        "a\nb",
        "-x",
        "a.",
        "x" * 121,
        "ж" * 110,
        "🎬",
        "a\u202eb",
        "a*",
        "[a]",
        "$x",
        "\ud800",
    ],
)
def test_ids_that_no_path_or_shell_should_meet(text: str) -> None:
    """Everything else is refused."""
    assert check_id(text) != ""


@pytest.mark.parametrize("name", ["a", "a/b/c", "spring/hero-1-1", "größe/日本 1", "a.b/c.d", "x" * 200, "console", "com", "a/.b", "🎬/a"])
def test_outputs_that_are_fine(name: str) -> None:
    """Folders are made with slashes."""
    assert check_output(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "", "/a", "../a", "a/../b", "a/..", "./a", "a//b", "a/", "a\\b", "C\\x", "a\x00b", "a\nb", "a?", 'a"b', "a|b", "<a>",
        "con", "CON", "aux.txt", "a/NUL", "com1", "LPT9.x", "com\u00b9", "a.", "a ", " a", "a./b", "x" * 201, "ж" * 101,
        "/".join(["x" * 100] * 11), "a\u0085b", "a\u2028b", "nul .txt", "\ud800",
    ],
)  # fmt: skip
def test_outputs_that_some_disk_refuses(name: str) -> None:
    """Not inside the folder, not a name on Windows, too long, or not to be seen."""
    assert check_output(name) != ""


def test_outputs_are_stored_composed_and_without_colons() -> None:
    """The colon of 16:9 cannot stand in a file name on Windows."""
    assert output_name("t/e\u0301-16:9") == "t/é-16-9"


def test_names_fold_case_and_accents() -> None:
    """Equal on some disk is equal here."""
    assert folded("t/GRÖẞE") == folded("t/gro\u0308sse")
    assert folded("A/b") == folded("a/B")


@pytest.mark.parametrize(
    "output",
    ["../${task}", "/abs/${task}", "${task}/..", "CON", "a\\${task}", "${task}.", "'${task}?'", "x" * 300, '"a\\0b"'],
)
def test_bad_outputs_are_reported_with_their_place(folder: Folder, output: str) -> None:
    """In a task's own output."""
    (problem,) = folder.of_tasks(f"  - id: a\n    prompt: x\n    output: {output}\n").problems()
    assert (problem.line, problem.column, problem.task) == (8, 13, "a")


def test_outputs_that_differ_only_in_case_are_refused(folder: Folder) -> None:
    """On a Mac the second would overwrite the first."""
    folder.of_tasks("  - {id: hero, prompt: x}\n  - {id: Hero, prompt: x}\n  - {id: 'e\u0301', prompt: x}\n  - {id: é, prompt: y}\n")
    problems = folder.problems()
    assert [(p.line, p.task) for p in problems] == [(7, "Hero"), (9, "é")]
    assert "the id" in problems[1].wrong


def test_outputs_that_meet_through_the_colon_are_refused(folder: Folder) -> None:
    """Names are compared as they will be stored."""
    assert "is used twice" in folder.of_tasks("  - {id: 'a-1:1', prompt: x}\n  - {id: a-1-1, prompt: x}\n").said()


def test_output_templates_take_manifest_and_task(folder: Folder) -> None:
    """And the names of the row."""
    folder.of_tasks("  - {id: 'a-${s}', prompt: x, matrix: {s: [oak]}, output: 'x/${s}/${manifest}_${task}'}\n")
    assert [t.output for t in folder.tasks()] == ["x/oak/test_a-oak"]


def test_slugs_are_ids() -> None:
    """Short, and never without the fingerprint."""
    assert slug("A  Cup, of TEA!", "abcdef0123") == "a-cup-of-tea-abcdef01"
    assert slug("!!!", "abcdef0123") == "task-abcdef01"
    assert slug("x" * 300, "abcdef0123") == "x" * 40 + "-abcdef01"


@given(prompt=st.text(max_size=80))
def test_every_slug_is_a_valid_id(prompt: str) -> None:
    """Whatever the prompt."""
    assert check_id(slug(prompt, "0123456789")) == ""


@given(name=st.text(max_size=60))
def test_accepted_outputs_stay_inside(name: str) -> None:
    """No accepted name climbs out, is absolute, or is hidden in a component that cannot be."""
    stored = output_name(name)
    if not check_output(stored):
        parts = stored.split("/")
        assert all((part not in {"", ".", ".."} and "\\" not in part and part.isprintable()) or not part.isascii() for part in parts)


@given(text=st.text())
def test_escaped_text_comes_back(text: str) -> None:
    """Any text can be written so that nothing in it is filled."""
    made = template(escaped(text))
    assert made.names == ()
    assert made.fill({}) == text


NAMES = st.text(st.characters(exclude_characters="{}"), min_size=1, max_size=5)


@given(values=st.dictionaries(NAMES, st.text(max_size=10), min_size=1, max_size=4), between=st.lists(st.text(max_size=8), min_size=5))
def test_names_are_replaced_by_their_values(values: dict[str, str], between: list[str]) -> None:
    """Literal text between names stays, values come in as they are."""
    names = list(values)
    text = "".join(escaped(b).rstrip("$") + f"${{{n}}}" for b, n in zip(between, names, strict=False))
    assert template(text).fill(values) == "".join(b.rstrip("$") + values[n] for b, n in zip(between, names, strict=False))


@given(names=st.lists(st.text(max_size=4), max_size=3000))
def test_seen_is_a_dict_that_forgets_names(names: list[str]) -> None:
    """The first number that came with a name is given back."""
    seen, known = Seen(), dict[str, int]()
    for number, name in enumerate(names):
        before = known.get(name)
        assert seen.first(name, number) == before
        known.setdefault(name, number)
    assert len(seen) == len(known)


def test_seen_grows() -> None:
    """Ten thousand names in a table that began with a thousand slots."""
    seen = Seen()
    assert all(seen.first(str(n), n << 32) is None for n in range(10_000))
    assert all(seen.first(str(n), 0) == n << 32 for n in range(10_000))
