"""The page as text: what is inside it, and what can never be."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.core.facts import TaskFacts
from batchgen.core.model import Output
from batchgen.core.states import TaskState
from batchgen.report.page import folder_link, write_page
from batchgen.report.page.cards import COLUMNS, Dealer
from batchgen.report.page.links import file_link
from tests.page.shelf import RUN, T0, Shelf, asked, busy_night, done, failed, page, utc


def block(text: str, name: str) -> str:
    """Return a data block's text."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found
    return found[1]


def tasks_of(text: str) -> list[dict[str, object]]:
    """Read the tasks as the page's script does."""
    rows: list[dict[str, object]] = []
    before: dict[str, object] = {}
    for row in json.loads(block(text, "tasks")):
        before = {name: before[name] if value == 0 and isinstance(before.get(name), (str, dict, list)) else value
                  for name, value in zip(COLUMNS, row, strict=True)}  # fmt: skip
        rows.append(before)
    return rows


def test_the_policy_names_the_one_script_and_the_one_style() -> None:
    """The hashes are those of what stands between the tags, and there is no other script, style or handler."""
    text = page(busy_night(20))
    for tag, kind in (("script", "script-src"), ("style", "style-src")):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{kind} &#39;sha256-{digest}&#39;" in text
    for rule in ("default-src", "base-uri", "form-action", "trusted-types"):
        assert f"{rule} &#39;none&#39;" in text
    assert not re.search(r"<[^>]+\s(on\w+|style)\s*=", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
    assert "http" not in re.sub(r"http-equiv|http://www\.w3\.org/2000/svg", "", text)


@pytest.mark.parametrize("hostile", ["</script>", "<!--", "&amp;", "\u2028\u2029", "\ud800\x00", '"\\'])
def test_data_keeps_hostile_text_and_stays_data(hostile: str) -> None:
    """Whatever a prompt holds, the block holds no tag and no line that JavaScript would break at, and gives the prompt back."""
    data = block(page(Shelf(lambda: [done(prompt=hostile, params={hostile: hostile})])), "tasks")
    assert not re.search("[<>&\u2028\u2029\ud800-\udfff\x00]", data)
    assert json.loads(data)[0][COLUMNS.index("prompt")] == hostile


def test_hostile_names_in_the_markup_are_escaped() -> None:
    """What the template itself prints, such as a run's reason, is text."""
    shelf = Shelf(all_runs=(replace(RUN, reason="<b>owned</b>\u202e"),))
    text = page(shelf)
    assert "&lt;b&gt;owned&lt;/b&gt;\\u202e" in text
    assert "<b>owned" not in text


def test_a_repeated_value_is_written_once() -> None:
    """Takes of one prompt cost a few letters each; an empty value or another one is never taken for a repetition."""
    prompts = ["long " * 100, "long " * 100, "other", "", "", "long " * 100]
    shelf = Shelf(lambda: [done(n, prompt=prompt, params={} if n == 3 else {"a": "b"}) for n, prompt in enumerate(prompts)])
    text = page(shelf)
    assert block(text, "tasks").count("long " * 100) == 2
    told = tasks_of(text)
    assert [task["prompt"] for task in told] == prompts
    assert [task["params"] for task in told] == [{"a": "b"}] * 3 + [{}] + [{"a": "b"}] * 2


def test_every_task_is_there_with_its_command() -> None:
    """What failed has the command that asks again for it alone; what is blocked the one that tells why; the rest has none."""
    tasks = [failed(1), replace(failed(2), state=TaskState.BLOCKED), done(3), failed(4, wanted=False), done(5, latest=None)]
    told = tasks_of(page(Shelf(lambda: tasks)))
    assert [task["command"] for task in told] == [
        "batchgen run manifests/spring.yaml --sandbox --retry-failed --only t1",
        "batchgen show t2 --manifest spring --sandbox",
        *("", "", ""),
    ]
    assert told[0]["fault"] == ["generation_failed", "the model gave up", "req-7", 200]
    assert told[2]["files"] == [["spring/t3.mp4", 0, "video/mp4", 12_345]]
    assert (told[2]["submitted"], told[2]["accepted"], told[2]["ended"]) == (round(T0 * 1000), 1000, 61_000)


def test_memory_does_not_grow_with_the_tasks(tmp_path: Path) -> None:
    """Tasks are written as they are read: ten times as many take no more memory, only a longer file."""
    peaks, sizes = [], []
    for count in (1_000, 10_000):
        shelf = Shelf(lambda count=count: many(count))  # type: ignore[misc]  # bound at once
        tracemalloc.start()
        with (tmp_path / "report.html").open("w", encoding="utf-8") as stream:
            assert write_page(shelf, asked(shelf), stream) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        sizes.append((tmp_path / "report.html").stat().st_size)
    assert peaks[1] < peaks[0] + 500_000
    assert sizes[1] / 10_000 < 450  # bytes per task, as the documentation says


def many(count: int) -> Iterator[TaskFacts]:
    """Yield tasks that differ in all that usually differs."""
    return (done(number) for number in range(count))


@pytest.mark.parametrize(
    ("folder", "link"),
    [
        ("/w/renders", "renders/"),
        ("/w", ""),
        ("/x/renders", "../x/renders/"),
        ("/w/a b#?%", "a%20b%23%3F%25/"),
        ("/w/javascript:x", "javascript%3Ax/"),
        ("/w/größe", "gr%C3%B6%C3%9Fe/"),
        ("/w/\udcff", "%FF/"),
    ],
)
def test_links_begin_at_the_page(folder: str, link: str) -> None:
    """The outputs' folder is named from the page's own, and nothing in a path can be taken for a scheme or a query."""
    assert folder_link(Path(folder), Path("/w/report.html")) == link


def test_a_path_that_no_disk_can_hold_is_still_a_link() -> None:
    """Half a surrogate pair in a path does not stop the page."""
    assert file_link("a/\ud800") == "a/%3F"


def test_posters_go_into_the_data() -> None:
    """A still picture follows its file; a task without files has none."""
    dealer = Dealer(utc, "", {}, lambda output: f"data:{output.path}")
    rows = [json.loads(line.lstrip(",\n")) for line in dealer.lines([done(1), done(2, latest=None)])]
    files = COLUMNS.index("files")
    assert [row[files] for row in rows] == [[["spring/t1.mp4", 0, "video/mp4", 12_345, "data:spring/t1.mp4"]], []]


def test_a_poster_of_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    """A missing, empty or damaged file has no still, and neither has a sound."""
    from batchgen.report.page.posters import posters  # noqa: PLC0415  slow to import

    (tmp_path / "empty.mp4").touch()
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    make = posters(tmp_path)
    kinds = [("gone.mp4", "video/mp4"), ("empty.mp4", "video/mp4"), ("bad.png", "image/png"), ("a.mp3", "audio/mpeg")]
    assert [make(Output(0, path, "", 1, mime)) for path, mime in kinds] == [""] * 4


def test_the_zone_is_the_accounts() -> None:
    """Times are those of the account's clock, wherever the page is opened."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415  only here

    dealer = Dealer(lambda at: utc(at).astimezone(ZoneInfo("Asia/Kolkata")), "", {})
    row = json.loads(next(dealer.lines([done()])))
    assert row[COLUMNS.index("submitted")] == round((T0 + 5.5 * 3600) * 1000)
