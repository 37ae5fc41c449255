"""Text that means harm: prompts from anybody, messages from any server, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchgen.core.answers import Fault
from batchgen.core.model import Output
from tests.page.shelf import PAID, Shelf, done, failed, page, saved

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Opened = Callable[..., "Page"]
EVIL = (
    "<img src=x onerror=\"document.title='owned'\">",
    "</script><script>document.title='owned'</script>",
    "<!--<script>document.title='owned'",
    "javascript:document.title='owned'",
    "]]><svg/onload=document.title='owned'>",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "' onmouseover='document.title=`owned`' x='",
    "\u2028\u2029\x00\x1b[2J\ud800\ufeff",
)
ALL = "\n".join(EVIL)


def hostile() -> Shelf:
    """Return tasks that carry it in every field that comes from outside."""
    fault = Fault(ALL, ALL, ALL, 500)
    output = Output(0, "javascript:document.title='owned'", "ab" * 32, 9, "text/html")
    tasks = [
        failed(1, fault, id=EVIL[0], prompt=ALL, note=ALL),
        done(2, id=EVIL[1], manifest=ALL, model=ALL, prompt=ALL, params={ALL: ALL}, references=(ALL,)),
        done(3, prompt=EVIL[1], latest=replace(PAID, outputs=(output,), task_id=ALL, key=ALL)),
    ]
    return Shelf(lambda: tasks)


def test_hostile_text_is_only_text(opened: Opened, tmp_path: Path) -> None:
    """No prompt, id, model, param, message or path becomes an element, a script or a link that runs."""
    shown = opened(saved(tmp_path, hostile()))
    title = shown.title()
    for nth in range(3):
        shown.locator("#cards .title").nth(nth).click()
        assert EVIL[1] in shown.locator("dialog").inner_text()
        shown.keyboard.press("Escape")
    assert shown.title() == title != "owned"
    assert shown.evaluate("document.querySelectorAll('[onerror], [onload], [onmouseover], [src=x]').length") == 0
    assert shown.evaluate("document.querySelectorAll('script:not([type])').length") == 1
    links = shown.evaluate("[...document.querySelectorAll('a[href]')].map((one) => one.protocol)")
    assert set(links) == {"file:"}


@pytest.mark.parametrize(
    "attack",
    [
        "document.body.insertAdjacentHTML('beforeend', '<b>x</b>')",
        "document.body.innerHTML = '<img src=x onerror=1>'",
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.owned = 1'}))",
    ],
)
def test_the_page_cannot_be_talked_into_running_anything(browser: Browser, tmp_path: Path, attack: str) -> None:
    """Even from inside, the policy and Trusted Types refuse markup and code made of text."""
    shown = browser.new_page()
    shown.goto(saved(tmp_path, Shelf()).as_uri())
    tried = f"(() => {{ try {{ {attack}; return window.owned ? 'ran' : 'quiet' }} catch (error) {{ return 'refused' }} }})()"
    assert shown.evaluate(tried) == "refused"
    shown.close()


def test_the_policy_stops_markup_that_got_in(browser: Browser, tmp_path: Path) -> None:
    """If a hole put a hostile element into the file itself, the browser would still run and load nothing of it."""
    holed = page(Shelf()).replace("<main>", "<main>" + EVIL[0] + EVIL[1].removeprefix("</script>") + "<style>h1{color:red}</style>")
    file = tmp_path / "report.html"
    file.write_text(holed, encoding="utf-8")
    shown = browser.new_page()
    said: list[str] = []
    shown.on("console", lambda message: said.append(message.text))
    shown.goto(file.as_uri())
    assert shown.title() != "owned"
    assert shown.evaluate("getComputedStyle(document.querySelector('h1')).color") != "rgb(255, 0, 0)"
    assert sum("Content Security Policy" in words for words in said) >= 3
    shown.close()


def test_an_override_turns_nothing_but_itself(opened: Opened, tmp_path: Path) -> None:
    """A right-to-left override in an id is kept to its own box: what stands after it keeps its place."""
    shown = opened(saved(tmp_path, Shelf(lambda: [done(1, id="gnp\u202egpj.exe", prompt="\u202eevil"), done(2, id="plain")])))
    assert shown.evaluate("getComputedStyle(document.querySelector('#cards .title bdi')).unicodeBidi") == "isolate"
    assert shown.evaluate("getComputedStyle(document.querySelector('#cards .prompt')).unicodeBidi") in {"isolate", "plaintext"}
    boxes = shown.locator("#cards .facts").first.locator("span").all()
    assert boxes[0].bounding_box()["x"] < boxes[1].bounding_box()["x"]  # type: ignore[index]  # both are on the screen


def test_a_command_to_copy_hides_nothing(opened: Opened, tmp_path: Path) -> None:
    """In a command, what would turn or hide letters is spelt out, and words are quoted for the shell."""
    shown = opened(saved(tmp_path, Shelf(lambda: [failed(1, id="a\u202eb; rm -rf ~")])))
    assert shown.locator(".command code").inner_text().endswith(r"--only 'a\u202eb; rm -rf ~'")
