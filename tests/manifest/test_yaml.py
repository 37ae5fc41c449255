"""YAML texts as people write them, and as nobody should."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.errors import ManifestError, Problem
from batchgen.manifest.build import DEEPEST, PARSER, Builder, PythonParser
from batchgen.manifest.nodes import MappingNode, Node, Scalar, SequenceNode, to_json
from batchgen.manifest.problems import Gathered, Refused, Reporter
from batchgen.manifest.source import Source

from .conftest import HEAD, Folder

TASK = "  - id: a\n    prompt: x\n"


def built(path: Path, text: str, *, parser: object = None) -> tuple[Node, list[Problem]]:
    """Build a whole text."""
    path.write_text(text, encoding="utf-8", newline="")
    gathered = Gathered()
    kind = PythonParser if parser is PythonParser else PARSER
    with Builder(Source(str(path), "m.yaml"), Reporter("m.yaml", gathered.add), kind) as builder:
        node = builder.node(builder.root())
        builder.end()
    return node, gathered.found


@pytest.mark.parametrize(
    "text", ["16:9", "1:1", "no", "on", "Yes", "5", "false", "1e3", "0o17", "012", "2024-01-01", "~", "null", "1_000", ".inf", "="]
)
def test_unquoted_text_arrives_as_it_was_written(folder: Folder, text: str) -> None:
    """Prompts and ids are what the person wrote, whatever YAML makes of such words."""
    folder.of_tasks(f"  - id: id-{text.replace('~', 'x').replace('=', 'e')}\n    prompt: {text}\n")
    (task,) = folder.tasks()
    assert task.spec.prompt == text


@pytest.mark.parametrize("text", ["16:9", "no", "5", "false", "1e3", "0o17", "2024-01-01"])
def test_ids_arrive_as_they_were_written(folder: Folder, text: str) -> None:
    """An unquoted id is text."""
    folder.of_tasks(f"  - id: {text}\n    prompt: x\n")
    assert [t.id for t in folder.tasks()] == [text]


def test_a_plain_string_task_may_look_like_a_number(folder: Folder) -> None:
    """A plain task's prompt is text, too."""
    folder.of_tasks("  - 16:9\n  - 5\n")
    assert [t.spec.prompt for t in folder.tasks()] == ["16:9", "5"]


@pytest.mark.parametrize("start", ["\ufeff", ""])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_bom_and_crlf_are_fine(folder: Folder, start: str, end: str) -> None:
    """Files from Windows editors are read like others."""
    folder.write("m.yaml", start + (HEAD + "tasks:\n" + TASK).replace("\n", end))
    assert [t.id for t in folder.tasks()] == ["a"]


def test_keys_after_tasks_count(folder: Folder) -> None:
    """The header's keys may stand below the tasks."""
    folder.write("m.yaml", "tasks:\n" + TASK + HEAD)
    assert [t.spec.model for t in folder.tasks()] == ["kling-2-6"]


def test_json_is_a_manifest(folder: Folder) -> None:
    """JSON is YAML."""
    folder.write(
        "m.yaml",
        '{"version": 1, "name": "j", "tasks": [{"id": "a", "prompt": "x", "model": "z-image", "params": {"aspect_ratio": "1:1"}}]}',
    )
    assert folder.tasks()[0].spec.params == {"aspect_ratio": "1:1"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"\n\n", "is empty"),
        (b"just text\n", "it does not begin with keys"),
        (b"- a\n- b\n", "it does not begin with keys"),
        (b"version: 1\nname: \xff\xfe\n", "m.yaml:2: is not UTF-8 text"),
        ("version: 1\n".encode("utf-16"), "is UTF-16"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is image/png data, not text"),
        (b"version: 1\nname: a\x00b\n", "m.yaml:2: has a control character (U+0000)"),
        (b"version: 1\nname: a\x1b[31mb\n", "m.yaml:2: has a control character (U+001B)"),
        (b"version: 1\nname: x\ntasks:\n\t- id: a\n", "indent with spaces, not with tabs"),
        (b"version: 1\nname: [x\ntasks:\n", "this is not YAML"),
        (b"version: 1\n---\nversion: 1\n", "m.yaml:2:1: a second document begins here"),
        (b"version: 1\nname: !!python/object:os.system x\n", "the tag"),
        (b"version: 1\nname: *nothing\n", "the alias *nothing stands for nothing"),
        (b"a: &a [*a]\n", "the alias *a stands for nothing"),
        (b"? [a, b]\n: 1\n", "a key must be one word"),
        (b"version: 1\nname: x\ntasks: {a: 1}\n", "tasks must be a list"),
        (b"version: 1\nname: x\ntasks: []\n", "there are no tasks"),
        (b"version: 1\nname: x\ntasks:\n", "tasks must be a list"),
        (b"version: 1\nname: x\n", "tasks is missing"),
    ],
)
def test_what_is_no_manifest_is_refused_with_its_place(folder: Folder, content: bytes, said: str) -> None:
    """Every kind of wrong file has a sentence of its own."""
    folder.write("m.yaml", content)
    assert said in folder.said()


def test_unquoted_braces_in_a_flow_mapping_get_a_hint(folder: Folder) -> None:
    """The commonest YAML mistake with ${} is explained."""
    folder.of_tasks("  - id: a\n    prompt: x\n    params: {aspect_ratio: ${x}}\n")
    assert 'put "${...}" into quotes' in folder.said()


def test_duplicate_keys_name_both_lines(folder: Folder) -> None:
    """A key that stands twice is an error at every level."""
    folder.write("m.yaml", HEAD + "name: again\ntasks:\n  - id: a\n    prompt: x\n    prompt: y\n    params: {duration: 5, duration: 10}\n")
    problems = [p for p in folder.problems() if "second time" in p.wrong]
    assert [p.line for p in problems] == [5, 9, 10]
    assert [p.wrong.rsplit(" ", 1)[1] for p in problems] == ["2", "8", "10"]


def test_ten_megabytes_in_one_line_are_refused(folder: Folder) -> None:
    """A line that no person wrote is refused before it is parsed."""
    folder.write("m.yaml", HEAD + "tasks: [" + "x, " * 3_500_000 + "]\n")
    assert "has a line of more than 1,048,576 bytes" in folder.said()


def test_a_quote_left_open_does_not_eat_the_file(folder: Folder) -> None:
    """A scalar of many lines is bounded, too."""
    folder.write("m.yaml", HEAD + 'tasks:\n  - id: a\n    prompt: "open\n' + "    more words here\n" * 300_000)
    assert "has a value of more than 4,194,304 bytes" in folder.said()


@pytest.mark.parametrize("piece", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused(folder: Folder, piece: str) -> None:
    """100,000 levels cost neither the stack nor minutes."""
    folder.write("m.yaml", "version: 1\nx:\n  " + piece * 100_000)
    assert f"nested more than {DEEPEST} levels" in folder.said()


def test_an_alias_bomb_is_refused(folder: Folder) -> None:
    """Aliases count as often as they are used."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    folder.write("m.yaml", "\n".join(lines) + "\n")
    assert "counting aliases as often as they are used" in folder.said()


def test_what_is_held_in_memory_whole_has_its_limits(folder: Folder) -> None:
    """A list of hundreds of thousands of values, and text by the megabyte, stand in no header; rows belong into a file of rows."""
    folder.write("m.yaml", f"name: [{'x,' * 200_000}]\n")
    assert "more than 200,000 values in one part" in folder.said()
    folder.write("m.yaml", "".join(f"a{i}: {'x' * 1_000_000}\n" for i in range(17)))
    assert "more than 16,777,216 characters in one part" in folder.said()


def test_a_merge_bomb_is_refused(folder: Folder) -> None:
    """Merges count as often as they are used."""
    lines = ["a0: &a0 {x: 1, y: 2}"] + [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 30)}]}}" for i in range(1, 12)]
    folder.write("m.yaml", "\n".join(lines) + "\n")
    assert "counting aliases as often as they are used" in folder.said()


def test_a_chain_of_aliases_cannot_build_depth(folder: Folder) -> None:
    """Depth through aliases counts as depth."""
    folder.write("m.yaml", "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200)))
    assert "levels deep" in folder.said()


def test_anchors_and_merges_work_in_the_header(folder: Folder) -> None:
    """Merged keys give way to written ones, and to those merged before."""
    head = "version: 1\nname: test\nbudget: &b {total: 10, per_run: 5}\nlimits: {in_flight: 3}\n"
    folder.write(
        "m.yaml", head + "defaults:\n  model: kling-2-6\n  params: {<<: {duration: 10, sound: true}, duration: 5}\ntasks:\n" + TASK
    )
    assert folder.tasks()[0].spec.params == {"duration": "5", "sound": "true"}


@pytest.mark.parametrize("line", ["prompt: &p x", "prompt: *p", "params: {<<: {duration: 5}}"])
def test_anchors_and_merges_are_refused_inside_tasks(folder: Folder, line: str) -> None:
    """Tasks are read one by one, so they share nothing."""
    folder.write("m.yaml", HEAD + "output: &p ${task}\ntasks:\n  - id: a\n    " + line + "\n")
    assert "inside tasks" in folder.said()


@pytest.mark.parametrize("where", ["missing.yaml", "folder/x.yaml"])
def test_missing_files_are_named(folder: Folder, where: str) -> None:
    """A manifest that is not there is a problem like others."""
    assert f"{where}: there is no such file" in folder.said(where)


def test_a_named_pipe_is_refused_at_once(folder: Folder) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(folder.path / "m.yaml")
    assert "not a regular file" in folder.said()


def test_problems_go_to_the_screen_without_control_characters(folder: Folder) -> None:
    """What a hostile file says is quoted, not sent to the terminal."""
    folder.of_tasks('  - id: "a\\u001b[31m"\n    prompt: x\n')
    assert "\x1b" not in folder.said()
    assert "\\x1b[31m" in folder.said()


def simple(node: Node) -> object:
    """Strip the places."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, SequenceNode):
        return [simple(item) for item in node.items]
    return {name: simple(entry.value) for name, entry in node.entries.items()}


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cn"], exclude_characters="\ufeff"), max_size=30)
TREES = st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12)


@given(tree=TREES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_dumper_writes_comes_back(tmp_path: Path, tree: object) -> None:
    """Text survives a round trip through YAML, by the C parser and by the Python one alike."""
    text = yaml.safe_dump({"root": tree}, allow_unicode=True, default_style='"')
    node, problems = built(tmp_path / "t.yaml", text)
    assert (simple(node), problems) == ({"root": tree}, [])
    assert built(tmp_path / "t.yaml", text, parser=PythonParser)[0] == node


PLAIN = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 .:/,+_-]{0,20}", fullmatch=True).filter(
    lambda t: ": " not in t and t == t.strip() and t[-1] != ":"
)


@given(text=PLAIN)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_plain_text_comes_back_as_written(tmp_path: Path, text: str) -> None:
    """No unquoted word changes."""
    node, _ = built(tmp_path / "t.yaml", f"key: {text}\n")
    assert simple(node) == {"key": text}


def test_typed_fields_follow_yaml_1_2(tmp_path: Path) -> None:
    """Where a meaning is asked for, it is that of YAML 1.2 core."""
    node, _ = built(tmp_path / "t.yaml", "[0o17, 0x1F, 012, 1e3, True, no, ~, '5', 16:9, -.inf, 1_000, 2024-01-01]\n")
    assert to_json(node) == [15, 31, 12, 1000.0, True, "no", None, "5", "16:9", float("-inf"), "1_000", "2024-01-01"]


def test_places_count_from_one(tmp_path: Path) -> None:
    """Every node knows its line and column."""
    node, _ = built(tmp_path / "t.yaml", "a:\n  - b: c\n")
    assert isinstance(node, MappingNode)
    inner = node.get("a")
    assert isinstance(inner, SequenceNode)
    assert (inner.items[0].line, inner.items[0].column) == (2, 5)


def test_a_source_stops_at_its_trouble(tmp_path: Path) -> None:
    """After a byte that is no text nothing more is handed on."""
    path = tmp_path / "t.yaml"
    path.write_bytes(b"a: 1\n" * 20_000 + b"\xff")
    source = Source(str(path), "t.yaml")
    while source.read():
        pass
    assert source.trouble is not None
    assert source.trouble.line == 20_001
    source.close()


def test_manifest_errors_are_raised_not_the_inner_kind(folder: Folder) -> None:
    """The package's own exception never leaves it."""
    folder.write("m.yaml", "{")
    with pytest.raises(ManifestError) as caught:
        folder.check()
    assert not isinstance(caught.value, Refused)
