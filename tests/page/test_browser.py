"""The page in a real browser: what a person does with it in the morning."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchgen.core.answers import Fault
from batchgen.core.states import TaskState
from tests.page.conftest import batchgen, until
from tests.page.shelf import PAID, T0, Shelf, busy_night, done, failed, saved

if TYPE_CHECKING:
    from playwright.sync_api import Page

Opened = Callable[..., "Page"]


def cards(shown: Page) -> list[str]:
    """Return the ids on the contact sheet, in their order."""
    return shown.locator("#cards .title").all_text_contents()  # what is off the screen has no inner text


def test_the_sheet_shows_every_render_failures_first(opened: Opened, night: Path) -> None:
    """Every task has a card, and what failed stands first with the server's words and the command to retry."""
    shown = opened(night / "report.html")
    assert cards(shown) == ["hopeless", "lamp", "vase", "still", "tune"]
    trouble = shown.locator("#trouble")
    assert trouble.locator("h3").inner_text() == "1 task failed in doomed"
    assert "generation_failed" in trouble.inner_text()
    assert trouble.locator("code").last.inner_text() == "batchgen run doomed.yaml --sandbox --retry-failed --only hopeless"
    assert [shown.locator(f"#cards {kind}").count() for kind in ("video", "img", "audio")] == [2, 1, 1]


def test_a_video_plays_from_disk(opened: Opened, night: Path) -> None:
    """A click on the button plays the file that lies beside the page; nothing else plays then."""
    shown = opened(night / "report.html")
    # The clips have 5 s; none may come to its end before it was looked at.
    shown.evaluate("for (const one of document.querySelectorAll('#cards video')) one.loop = true")
    shown.get_by_role("button", name="Play lamp").click()
    until(shown, "document.querySelector('#cards video').currentTime > 0.05")
    shown.get_by_role("button", name="Play vase").click()
    until(shown, "document.querySelectorAll('#cards video')[1].currentTime > 0.05")
    assert shown.evaluate("[...document.querySelectorAll('#cards video')].map((one) => one.paused)") == [True, False]
    assert shown.evaluate("[...document.querySelectorAll('#cards video')].map((one) => one.videoHeight > one.videoWidth)") == [False, True]
    shown.get_by_role("button", name="Pause vase").click()


def test_pictures_and_sound_come_from_disk(opened: Opened, night: Path) -> None:
    """The image is decoded, and the sound has a length once it is asked for."""
    shown = opened(night / "report.html")
    until(shown, "document.querySelector('#cards img').naturalWidth > 0")
    shown.locator("#cards audio").scroll_into_view_if_needed()
    shown.evaluate("document.querySelector('#cards audio').preload = 'metadata'")
    until(shown, "document.querySelector('#cards audio').duration > 1")


def test_only_the_keyboard(opened: Opened, night: Path) -> None:
    """Search, open, go on, play and close without a mouse; afterwards the focus is back where it was."""
    shown = opened(night / "report.html")
    shown.keyboard.press("/")
    shown.keyboard.type("LAMP switched")
    until(shown, "document.querySelectorAll('#cards > li').length === 1")
    shown.get_by_role("button", name="lamp", exact=True).focus()
    shown.keyboard.press("Enter")
    details = shown.get_by_role("dialog", name="lamp")
    details.wait_for()
    details.locator("video").focus()
    shown.keyboard.press("Space")
    until(shown, "document.querySelector('dialog video').currentTime > 0.05")
    shown.keyboard.press("Escape")
    details.wait_for(state="hidden")
    until(shown, "document.activeElement.textContent === 'lamp'")
    # Its "close" event comes as a task of its own, after it is hidden.
    until(shown, "document.querySelectorAll('dialog video').length === 0")


def search(shown: Page, words: str) -> None:
    """Type words where the focus is not, and wait until they were searched for: the chips are made anew."""
    shown.evaluate("document.querySelector('#chips > *').dataset.old = 'yes'")
    typing = f"const field = document.getElementById('words'); field.value = '{words}'"
    shown.evaluate(f"(() => {{ {typing}; field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()")
    until(shown, "document.querySelector('#chips > *').dataset.old !== 'yes'")


def test_a_search_that_ends_behind_the_details(opened: Opened, night: Path) -> None:
    """The focus goes back to the card, though it was made anew meanwhile; without a card it goes to the renders."""
    shown = opened(night / "report.html")
    at_card, at_renders = "document.activeElement.textContent === 'lamp'", "document.activeElement.id === 'renders'"
    for words, focused in (("lamp switched", at_card), ("hopeless", at_renders)):
        shown.get_by_role("button", name="lamp", exact=True).focus()
        shown.keyboard.press("Enter")
        shown.get_by_role("dialog", name="lamp").wait_for()
        search(shown, words)
        shown.keyboard.press("Escape")
        until(shown, focused)
        search(shown, "")


def test_cards_stay_where_a_search_finds_the_same(opened: Opened, night: Path) -> None:
    """Nobody who types on loses the focus, or what plays."""
    shown = opened(night / "report.html")
    search(shown, "lamp")
    shown.evaluate("document.querySelector('#cards > li').dataset.mine = 'yes'")
    search(shown, "lamp switched")
    assert shown.locator("#cards > li").get_attribute("data-mine") == "yes"
    search(shown, "vase")
    assert shown.locator("#cards > li").get_attribute("data-mine") is None


def test_arrows_go_on_to_the_next_task(opened: Opened, night: Path) -> None:
    """In the details the arrows walk through what the filters left, and stop at its ends."""
    shown = opened(night / "report.html")
    shown.locator("#cards .title").first.click()
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        shown.keyboard.press(key)
        seen.append(shown.locator("#details-title").inner_text())
    assert seen == ["lamp", "vase", "lamp", "hopeless", "hopeless"]
    assert shown.get_by_role("button", name="Previous task").is_disabled()


def test_the_details_tell_everything(opened: Opened, night: Path) -> None:
    """Prompt, model, params, credits, times, ids and the file's link are all there."""
    shown = opened(night / "report.html")
    shown.locator("#cards .title", has_text="vase").click()
    told = shown.locator("dialog").inner_text()
    for words in ("A vase turns once", "kling-2-6", "spring, line 6", "aspect_ratio: 9:16", "55 spent", "task_", "bg-", "spring/vase.mp4"):
        assert words in told
    assert shown.locator("dialog a").get_attribute("href") == "renders-sandbox/spring/vase.mp4"


def test_a_card_and_its_details_tell_what_it_took(opened: Opened, tmp_path: Path) -> None:
    """Params, references, attempts and times are there for a task that has them; attempts and time on its card too."""
    task = done(1, attempts=2, latest=replace(PAID, lost=1))
    shown = opened(saved(tmp_path, Shelf(lambda: [task])))
    assert shown.locator("#cards .facts").inner_text().split("\n") == ["kling-2-6", "55 credits", "1 min", "2 attempts"]
    shown.locator("#cards .title").click()
    told = dict(zip(*(shown.locator(f"dialog {kind}").all_inner_texts() for kind in ("dt", "dd")), strict=True))
    assert told == {
        "Model": "kling-2-6",
        "Manifest": "spring, line 11",
        "Params": "duration: 5",
        "References": "lamp.png",
        "Credits": "55 spent",
        "Attempts": "2, 1 answer lost on the way",
        "Render time": "1 min",
        "Submitted": "2026-05-10 03:00:07",
        "Accepted": "2026-05-10 03:00:08",
        "Ended": "2026-05-10 03:01:08",
        "Run": "3",
        "Task id": "task-9",
        "client_request_id": "bg-1234",
    }


def test_every_order_sorts(opened: Opened, tmp_path: Path) -> None:
    """Each order puts the task first that it is made for; what is equal stays as in the manifest."""
    tasks = [
        done(0, id="d"),
        done(1, id="c", latest=replace(PAID, submitted_at=T0 + 900, accepted_at=T0 + 901, ended_at=T0 + 961)),
        done(2, id="b", latest=replace(PAID, ended_at=T0 + 300)),
        done(3, id="a", captured=99, attempts=2),
        failed(4, id="e"),
    ]
    shown = opened(saved(tmp_path, Shelf(lambda: tasks)))
    sorted_as = {}
    for order in shown.locator("#order option").all_inner_texts():
        shown.locator("#order").select_option(order)
        sorted_as[order] = "".join(cards(shown))
    assert sorted_as == {
        "failures first": "edcba",
        "newest first": "cbdae",
        "as in the manifest": "dcbae",
        "by name": "abcde",
        "longest render first": "bdcae",
        "most credits first": "adcbe",
        "most attempts first": "eadcb",
    }


def test_filters_narrow_and_orders_sort(opened: Opened, night: Path) -> None:
    """State, manifest, model and words each narrow the sheet; an order sorts it; the counts follow."""
    shown = opened(night / "report.html")
    shown.locator("[data-state=failed]").click()
    assert cards(shown) == ["hopeless"]
    assert shown.evaluate("document.activeElement.dataset.state") == "failed"
    shown.locator("[data-state=all]").click()
    shown.locator("#manifest").select_option("spring")
    shown.locator("#order").select_option("by name")
    assert cards(shown) == ["lamp", "still", "tune", "vase"]
    shown.locator("#model").select_option("nano-banana")
    assert cards(shown) == ["still"]
    assert shown.locator("[data-state=all] strong").inner_text() == "1"
    shown.locator("#model").select_option("")
    shown.locator("#order").select_option("most credits first")
    assert cards(shown)[:2] == ["lamp", "vase"]
    shown.locator("#words").fill("nothing like that")
    shown.get_by_text("Nothing fits. Take a filter away.").wait_for()


def test_folder_and_page_travel_together(opened: Opened, night: Path, tmp_path: Path) -> None:
    """Moved elsewhere, side by side, they still show the renders; the page alone says what is missing."""
    moved = tmp_path / "a:b #1 ü"
    moved.mkdir()
    shutil.copy(night / "report.html", moved)
    shown = opened(moved / "report.html")
    shown.get_by_text("Not on this disk").first.wait_for()
    shutil.copytree(night / "renders-sandbox", moved / "renders-sandbox")
    shown = opened(moved / "report.html")
    until(shown, "document.querySelector('#cards img')?.naturalWidth > 0")


def test_embedded_pictures_need_no_folder(opened: Opened, night: Path, tmp_path: Path) -> None:
    """With --embed the stills are inside: a page that is mailed alone shows them."""
    said = batchgen(night, "report", "--sandbox", "--html", str(tmp_path / "mail.html"), "--embed")
    assert "a page with 5 tasks" in said.stderr
    shown = opened(tmp_path / "mail.html")
    assert shown.locator("#cards video").first.get_attribute("poster", timeout=5000).startswith("data:image/jpeg;base64,")  # type: ignore[union-attr]
    until(shown, "document.querySelector('#cards img').naturalWidth > 0")


def test_ten_thousand_tasks(opened: Opened, tmp_path: Path) -> None:
    """Only one page of them has elements; search, filters and pages work on all."""
    shelf = busy_night(10_000)
    shown = opened(saved(tmp_path, shelf))
    assert shown.locator("#shown").inner_text() == "1 to 60 of 10,000 tasks"
    assert shown.locator("#cards > li").count() == 60
    shown.get_by_role("button", name="Next").click()
    assert cards(shown)[0] == "t60"
    shown.locator("#page").select_option("166")
    assert cards(shown)[-1] == "t9999"
    shown.locator("#words").fill("T777")
    shown.get_by_text("11 tasks").wait_for()
    assert cards(shown) == ["t777", *(f"t777{n}" for n in range(10))]


def test_a_hundred_thousand_tasks_open(opened: Opened, tmp_path: Path) -> None:
    """Ten times as many open as well, with no more elements, and are searched."""
    shown = opened(saved(tmp_path, Shelf(lambda: map(done, range(100_000)))))
    assert shown.locator("#shown").inner_text() == "1 to 60 of 100,000 tasks"
    assert shown.evaluate("document.querySelectorAll('*').length") < 4_000
    shown.locator("#words").fill("t99999")
    shown.get_by_text("1 task", exact=True).wait_for()
    assert cards(shown) == ["t99999"]


def test_a_thousand_failures_are_one_thing_to_look_at(opened: Opened, tmp_path: Path) -> None:
    """Failures of one cause are told once, with the command for all of them, and can be shown alone."""
    tasks = [*(failed(n) for n in range(1000)), replace(failed(2000), state=TaskState.BLOCKED), done(3000)]
    shown = opened(saved(tmp_path, Shelf(lambda: tasks)))
    assert shown.locator(".cause h3").all_inner_texts() == ["1,000 tasks failed in spring", "1 task blocked in spring"]
    assert "requestId of the first req-7" in shown.locator(".cause").first.inner_text()
    assert shown.locator(".cause code").nth(1).inner_text() == "batchgen run manifests/spring.yaml --sandbox --retry-failed"
    shown.get_by_role("button", name="show all 1,000").click()
    assert shown.locator("#shown").inner_text() == "1 to 60 of 1,000 tasks"


def test_in_doubt_is_said_in_plain_words(opened: Opened, tmp_path: Path) -> None:
    """What a blocked task waits for is said, not what the network said last; its credits are seen to be held."""
    note = "in doubt: the answer to its purchase was lost"
    lost = [replace(failed(n, Fault("no_answer", f"Cut{n}", "", 0)), state=TaskState.BLOCKED, held=55, note=note) for n in (1, 2)]
    shown = opened(saved(tmp_path, Shelf(lambda: [*lost, done(3)])))
    assert shown.locator(".cause h3").all_inner_texts() == ["2 tasks blocked in spring"]
    assert [shown.locator(f".cause {kind}").first.inner_text() for kind in (".said", ".faint")] == [note, "110 credits stay held"]
    assert shown.locator(".card .frame").first.inner_text() == note
    assert "0 credits 55 held" in " ".join(shown.locator(".card .facts").first.inner_text().split())
    assert "held" not in shown.locator(".card .facts").last.inner_text()
    shown.locator("#words").fill("cut2")
    shown.get_by_text("1 task", exact=True).wait_for()
    shown.locator("#cards .title").click()
    assert note in shown.locator("dialog").inner_text()
    assert "no_answer Cut2" in shown.locator("dialog").inner_text()


def test_a_very_long_prompt_is_clipped_until_asked_for(opened: Opened, tmp_path: Path) -> None:
    """A thousand lines are shown as a few, and whole on demand."""
    prompt = "\n".join(f"line {n}" for n in range(1000))
    shown = opened(saved(tmp_path, Shelf(lambda: [done(prompt=prompt)])))
    assert len(shown.locator(".card .prompt").inner_text()) < 500
    shown.locator("#cards .title").click()
    assert "line 999" not in shown.locator("dialog").inner_text()
    shown.get_by_role("button", name="Show all of it: 1,000 lines").click()
    assert "line 999" in shown.locator("dialog").inner_text()
    assert shown.get_by_role("button", name="Show less").get_attribute("aria-expanded") == "true"


@pytest.mark.parametrize("shelf", [Shelf(all_runs=()), Shelf()], ids=["empty ledger", "no tasks"])
def test_nothing_to_show(opened: Opened, tmp_path: Path, shelf: Shelf) -> None:
    """An empty ledger makes a page that says so."""
    shown = opened(saved(tmp_path, shelf))
    assert shown.locator("#shown").inner_text() == "There are no tasks yet."
    assert not shown.locator("#trouble").is_visible()
    assert not shown.locator("#manifest").is_visible()


def test_without_scripts_the_numbers_are_there(opened: Opened, tmp_path: Path) -> None:
    """Where scripts are switched off the page says so, and shows run, credits and charts."""
    shown = opened(saved(tmp_path, busy_night(100)), java_script_enabled=False)
    assert "which is switched off here" in shown.locator("noscript").inner_text()
    assert shown.locator("svg[role=img]").count() == 4


@pytest.mark.parametrize(
    "options",
    [{}, {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}],
    ids=["light", "dark", "phone"],
)
def test_nothing_serious_for_a_screen_reader(opened: Opened, night: Path, tmp_path: Path, options: dict[str, object]) -> None:
    """axe-core finds nothing serious or critical: not on the sheet with charts and failures, not in the details."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  where it is missing, `opened` has said so

    def problems(shown: Page) -> list[str]:
        found = Axe().run(shown).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in {"serious", "critical"}]

    busy = busy_night(8)
    many = Shelf(lambda: [*busy.tasks_of(), failed(900), failed(901), done(902, wanted=False)], sent=busy.sent, moves=busy.moves)
    for file in [saved(tmp_path, many), *([] if options else [night / "report.html"])]:
        shown = opened(file, **options, bypass_csp=True)
        assert problems(shown) == []
        shown.locator("#cards .title").first.click()
        assert problems(shown) == []


def test_in_the_dark(opened: Opened, night: Path) -> None:
    """Who has asked for dark pages gets light letters on a dark ground, and everybody else the reverse."""

    def lightness(shown: Page, what: str) -> float:
        of = f"getComputedStyle(document.body).{what}.match(/[\\d.]+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 765"
        return float(shown.evaluate(of))

    dark, light = opened(night / "report.html", color_scheme="dark"), opened(night / "report.html", color_scheme="light")
    for shown, bright in ((dark, "color"), (light, "backgroundColor")):
        least, most = sorted((lightness(shown, "backgroundColor"), lightness(shown, "color")))
        assert (least < 0.2, most > 0.8, most == lightness(shown, bright)) == (True, True, True)


def test_a_phone_needs_no_sideways_scrolling(opened: Opened, night: Path, tmp_path: Path) -> None:
    """On a narrow screen everything fits its width, no state is broken in two, and the charts' letters can be read."""
    shown = opened(night / "report.html", viewport={"width": 360, "height": 740})
    assert shown.evaluate("document.documentElement.scrollWidth") <= 360
    assert (
        shown.evaluate("Math.min(...[...document.querySelectorAll('.chart .tick')].map((one) => one.getBoundingClientRect().height))") > 9
    )
    shown = opened(saved(tmp_path, Shelf(lambda: [failed(id="bottle-01-marble-16:9-1")])), viewport={"width": 360, "height": 740})
    shown.locator("#cards .title").click()
    assert shown.locator("dialog .badge").bounding_box()["height"] < 30  # type: ignore[index]  # it is on the screen


def test_failures_leave_room_for_the_renders(opened: Opened, night: Path) -> None:
    """What has nothing to show has a lower frame than what has; the day begins with how much is done."""
    shown = opened(night / "report.html")
    lost, made = (shown.locator(f".card.{state} .frame").first.bounding_box() for state in ("failed", "done"))
    assert lost["height"] < 0.6 * made["height"]  # type: ignore[index]  # both are there
    assert shown.locator(".figures div").first.inner_text().split() == ["Tasks", "done", "4", "of", "5", "in", "all"]


def test_what_to_do_next_breaks_between_words(opened: Opened, night: Path) -> None:
    """No word of the command at the top goes over two lines, however narrow the page: half of an option would be typed wrong."""
    shown = opened(night / "report.html", viewport={"width": 390, "height": 740})
    assert "--retry-failed" in shown.locator(".next").inner_text().split()
    lines = shown.evaluate("[...document.querySelectorAll('.next bdi span')].map((one) => one.getClientRects().length)")
    assert set(lines) == {1}
    assert shown.evaluate("[...document.querySelectorAll('.next bdi span')].every((one) => one.offsetHeight < 30)")


def test_on_paper(opened: Opened, night: Path) -> None:
    """In print there are no tools, and no card is cut in two."""
    shown = opened(night / "report.html")
    shown.emulate_media(media="print", color_scheme="dark")
    assert not shown.locator("#tools").is_visible()
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.evaluate("getComputedStyle(document.querySelector('.card')).breakInside") == "avoid"
    assert re.match(rb"%PDF-", shown.pdf())
