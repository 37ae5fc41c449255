"""batchgen.yaml: every problem, with its place and what would be right."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from batchgen.core.policy import PollPolicy
from batchgen.errors import ManifestError, UsageError
from batchgen.settings.document import SANDBOX, TOP, read_document

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/batchgen.schema.json").read_text(encoding="utf-8"))

WRONG = [
    ("requests_per_minute: 0", "1:22", "not a number of requests a minute from 0.001 to 1,000,000,000; such as 60 or 0.5"),
    ("requests_per_minute: -1", "1:22", "not a number of requests"),
    ("requests_per_minute: .inf", "1:22", "not a number of requests"),
    ("requests_per_minute: .nan", "1:22", "not a number of requests"),
    ("requests_per_minute: true", "1:22", "not a number of requests"),
    ("requests_per_minute: fast", "1:22", "not a number of requests"),
    (f"requests_per_minute: 0.{'0' * 320}1", "1:22", "not a number of requests"),
    ("requests_per_minute: 0.0009", "1:22", "not a number of requests"),
    ("requests_per_minute: 1000000001", "1:22", "not a number of requests"),
    ("requests_per_minute: ٣", "1:22", '"٣" is not a number of requests a minute'),
    ("in_flight: ٣", "1:12", '"٣" is not a whole number from 1'),
    ("keep_balance: \uff13", "1:15", '"\uff13" is not a whole number of credits'),
    ("replay_window: ٢٤h", "1:16", '"٢٤h" is not a duration'),
    ("replay_window: ٢٤", "1:16", '"٢٤" is not a duration'),
    ("poll: {first: 1.٣}", "1:15", '"1.٣" is not a duration'),
    ("in_flight: 0", "1:12", "whole number from 1"),
    ("in_flight: 1.5", "1:12", "whole number from 1"),
    ("in_flight: [1]", "1:12", "not a plain value"),
    ("keep_balance: -5", "1:15", "whole number of credits"),
    ("budget: {per_day: 1e3}", "1:19", "whole number of credits"),
    ("budget: {per_week: 5}", "1:10", 'has no key "per_week"'),
    ("budget: 5", "1:9", "not a mapping"),
    ("timezone: Europe/Berln", "1:11", "did you mean Europe/Berlin"),
    ("timezone: ../../etc/passwd", "1:11", "not a time zone"),
    ("replay_window: soon", "1:16", "such as 24h"),
    ("render_timeout: 0s", "1:17", "not a duration"),
    ("render_timeout: 5x", "1:17", "not a duration"),
    ("render_timeout: 0.09s", "1:17", "not a duration from 0.1s to 3650d"),
    ("render_timeout: 3651d", "1:17", "not a duration"),
    ("render_timeout: 2", "1:17", '"2" has no unit; write 2h for hours, 2m for minutes or 2s for seconds'),
    ("replay_window: 86400", "1:16", "has no unit"),
    ("poll: {first: 0.009}", "1:15", "not a duration from 0.01s to 3650d"),
    ("on_lost_answer: retry", "1:17", "repeat or hold"),
    ("poll: {every: 9, slowest: 2}", "1:7", "slowest is below every"),
    ("poll: {firts: 9}", "1:8", "did you mean first"),
    ("prices: {kling-2-6: [{params: {x: 1}}]}", "1:22", "has no credits"),
    ("prices: {kling-2-6: [5]}", "1:22", "not a mapping"),
    ("prices: {kling-2-6: -1}", "1:21", "whole number of credits"),
    ("outputs: ''", "1:10", "empty"),
    ("sandbox: {credit: 5}", "1:11", "did you mean credits"),
    ("sandbox: {in_flight: 0}", "1:22", "sandbox.in_flight"),
    ("in_fligth: 5", "1:1", "did you mean in_flight"),
    ("in_flight: 5\nin_flight: 6", "2:1", "stands twice"),
    ("? [a]\n: 5", "1:3", "not plain text"),
    ("- a", "1:1", "not a mapping"),
    ("a: [", "1:5", "not YAML"),
    ("a:\n\tb: 1", "2:1", "not YAML"),
    ("a: \x07", "", "not YAML"),
    ("a: *b", "1:4", "not YAML"),
    ("[" * 2000, "", "not YAML"),
]


@pytest.mark.parametrize(("text", "place", "said"), WRONG, ids=[text[:24].replace("\x07", "BEL") for text, _, _ in WRONG])
def test_wrong(tmp_path: Path, text: str, place: str, said: str) -> None:
    """What is wrong is said with its line and column, and what would be right."""
    file = tmp_path / "batchgen.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        read_document(file)
    message = str(caught.value)
    assert message.startswith(f"{file}:{place}" if place else str(file))
    assert said in message


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Every problem is said in one go, in the file's order."""
    file = tmp_path / "batchgen.yaml"
    file.write_text("in_flight: 0\nrender_timeout: never\nsandbox: {x: 1, credits: -1}\n", encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        read_document(file)
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3, 3]


def test_not_utf8(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with the line."""
    file = tmp_path / "batchgen.yaml"
    file.write_bytes(b"in_flight: 5\noutputs: r\xe9nders\n")
    with pytest.raises(ManifestError, match=r"batchgen\.yaml:2: this is not UTF-8"):
        read_document(file)


def test_too_large(tmp_path: Path) -> None:
    """A file that is too large is refused without being parsed."""
    file = tmp_path / "batchgen.yaml"
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(UsageError, match="larger than"):
        read_document(file)


def test_unreadable(tmp_path: Path) -> None:
    """A file that cannot be read is an error with the system's reason."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_document(tmp_path)


def test_alias_bomb(tmp_path: Path) -> None:
    """Aliases are never copied, so that a bomb of them ends at once."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    file = tmp_path / "batchgen.yaml"
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ManifestError, match="has no key"):
        read_document(file)


@pytest.mark.parametrize("text", ["", "# nothing\n", "\ufeffin_flight: 5", "in_flight: 5\r\npoll: {first: 1}\r\n", "poll:\n"])
def test_right(tmp_path: Path, text: str) -> None:
    """An empty file, a byte order mark, CRLF and a key without a value are right."""
    file = tmp_path / "batchgen.yaml"
    file.write_bytes(text.encode())
    read_document(file)


def test_text_is_what_a_person_wrote(tmp_path: Path) -> None:
    """YAML 1.1's readings of `no` and `1:30` never come up."""
    file = tmp_path / "batchgen.yaml"
    file.write_text("outputs: no\nledger: 1:30\nprices: {kling-2-6: [{params: {sound: on}, credits: 010}]}", encoding="utf-8")
    values = read_document(file).values
    assert (values["outputs"], values["ledger"]) == ("no", "1:30")


def test_a_pause_is_seconds_or_has_a_unit(tmp_path: Path) -> None:
    """Between two looks it is always some seconds, so a number alone is clear there; other durations say their unit."""
    file = tmp_path / "batchgen.yaml"
    file.write_text("poll: {first: 0.01, every: 2.5s, slowest: 1m}\nreplay_window: 1h30m\nrender_timeout: 1s\n", encoding="utf-8")
    values = read_document(file).values
    assert (values["poll"], values["replay_window"], values["render_timeout"]) == (PollPolicy(0.01, 2.5, 60.0), 5400.0, 1.0)


def test_schema_knows_every_key() -> None:
    """The schema that editors use lists the keys that are read, no more and no fewer."""
    assert set(SCHEMA["properties"]) == set(TOP)
    assert set(SCHEMA["properties"]["sandbox"]["properties"]) == set(SANDBOX)


@pytest.mark.parametrize(
    "text", [text for text, place, said in WRONG if place and "not YAML" not in said and "twice" not in said and "? [" not in text]
)
def test_schema_refuses_what_is_wrong(text: str) -> None:
    """What the reading refuses the schema refuses too, save for what a schema cannot know."""
    beyond = (
        "prices: {runwya",
        "timezone: ",
        "render_timeout: 0",
        "render_timeout: 3651d",
        "poll: {every",
        "outputs: ''",
        "requests_per_minute: .nan",
        "budget: {per_day: 1e3}",
    )
    valid = jsonschema.Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text))
    assert valid is False or text.startswith(beyond)
