"""Names, sidecars and making room, with a crash between any two steps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.core.messages import DiskTrouble, Displaced, Download, Downloaded
from batchgen.core.ports import Owner
from batchgen.media.place import TRIES, Claim, Content, Shelf, adopt, place
from batchgen.media.sniff import Kind
from batchgen.media.trouble import Trouble

Wish = Callable[..., Download]
NEW = b"new render"
OLD = b"old render"


def nobody(path: str) -> tuple[str, int] | None:
    """A ledger that knows no outputs."""
    return None


def knows(**owned: tuple[bytes, int]) -> Owner:
    """A ledger that knows these files of launch/ (with _ for the dot)."""
    known = {f"launch/{name.replace('_', '.')}": (sha(content), number) for name, (content, number) in owned.items()}
    return known.get


def sha(content: bytes) -> str:
    """Hash as the ledger does."""
    return hashlib.sha256(content).hexdigest()


def run(root: Path, request: Download, owner: Owner, *, result: tuple[bytes, str] = (NEW, ".mp4"), steps: int = 99) -> Downloaded | None:
    """Try once as `downloads` does: adopt, else fetch (here: write the part) and place; die after `steps` steps."""
    shelf = Shelf(root)
    content, suffix = result
    if found := adopt(shelf, request, owner):
        return found
    list(shelf.make_room_for(request.stem))
    part = shelf.path(f"{request.stem}.part")
    part.write_bytes(content)
    rest = place(shelf, request, Content(part, sha(content), len(content), Kind("video/mp4", suffix)), owner)
    for _ in range(steps):
        try:
            next(rest)
        except StopIteration as done:
            event: Downloaded = done.value
            return event
    return None


def files(root: Path) -> dict[str, bytes]:
    """What is in the folder but sidecars and parts."""
    return {path.name: path.read_bytes() for path in (root / "launch").iterdir() if path.suffix not in (".json", ".part")}


def sidecar(root: Path, name: str) -> dict[str, object]:
    """Read a sidecar."""
    found: dict[str, object] = json.loads((root / "launch" / name).read_text("utf-8"))
    return found


def test_first_render(tmp_path: Path, wish: Wish) -> None:
    """A render takes its name; the sidecar holds the given document, the attempt and the file's facts."""
    event = run(tmp_path, wish(), nobody)
    assert event is not None
    assert event.output is not None
    assert (event.output.path, event.output.sha256, event.output.size) == ("launch/hero.mp4", sha(NEW), len(NEW))
    assert (event.trouble, event.displaced, event.message) == (None, None, "")
    assert sidecar(tmp_path, "hero.json") == {
        "manifest": "launch",
        "task": "hero",
        "prompt": "grüße",
        "client_request_id": "bg-2",
        "file": {"index": 0, "path": "launch/hero.mp4", "sha256": sha(NEW), "size": len(NEW), "mime": "video/mp4"},
    }
    assert "grüße" in (tmp_path / "launch/hero.json").read_text("utf-8")


def test_repeat_adopts(tmp_path: Path, wish: Wish) -> None:
    """A file that is there already, by its sidecar and its hash, is not fetched again."""
    first = run(tmp_path, wish(), nobody)
    assert adopt(Shelf(tmp_path), wish(), nobody) == first
    (tmp_path / "launch/hero.mp4").write_bytes(b"damaged")
    assert adopt(Shelf(tmp_path), wish(), nobody) is None


def test_further_results_are_numbered(tmp_path: Path, wish: Wish) -> None:
    """The second file of a result is NAME-2, with a sidecar of its own."""
    run(tmp_path, wish(), nobody)
    event = run(tmp_path, wish(index=1), nobody, result=(b"second", ".mp4"))
    assert event is not None
    assert event.output is not None
    assert (event.output.index, event.output.path) == (1, "launch/hero-2.mp4")
    assert set(files(tmp_path)) == {"hero.mp4", "hero-2.mp4"}
    assert adopt(Shelf(tmp_path), wish(index=1), nobody) == event


@pytest.mark.parametrize("foreign", ["hero.mp4", "hero.json"])
def test_files_of_others_are_never_overwritten(tmp_path: Path, wish: Wish, foreign: str) -> None:
    """A file that the ledger does not know keeps its name and bytes, and the result goes beside it, every time the same."""
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / foreign).write_bytes(b"mine")
    event = run(tmp_path, wish(), nobody)
    assert event is not None
    assert event.output is not None
    assert event.output.path == "launch/hero.a2.mp4"
    assert "hero.a2.mp4" in event.message
    assert (tmp_path / "launch" / foreign).read_bytes() == b"mine"
    assert run(tmp_path, wish(), nobody) == event


def test_names_beside_are_not_overwritten_either(tmp_path: Path, wish: Wish) -> None:
    """When the name beside is taken too, the next is used."""
    (tmp_path / "launch").mkdir()
    for name in ("hero.mp4", "hero.a2.mp4", "hero.a2.2.mp4"):
        (tmp_path / "launch" / name).write_bytes(b"mine")
    event = run(tmp_path, wish(), nobody)
    assert event is not None
    assert event.output is not None
    assert event.output.path == "launch/hero.a2.3.mp4"
    assert list(files(tmp_path).values()).count(b"mine") == 3


def test_link_and_folder_in_the_way(tmp_path: Path, wish: Wish) -> None:
    """A link to nowhere or a folder at the name is somebody else's."""
    (tmp_path / "launch" / "hero.mp4").mkdir(parents=True)
    (tmp_path / "launch" / "hero.a2.mp4").symlink_to("/nowhere")
    event = run(tmp_path, wish(), nobody)
    assert event is not None
    assert event.output is not None
    assert event.output.path == "launch/hero.a2.2.mp4"


OLD_WISH = {"key": "bg-1", "attempt_number": 1}
CASES = [
    pytest.param(".mp4", OLD, id="other bytes"),
    pytest.param(".mp4", NEW, id="the same bytes"),
    pytest.param(".png", OLD, id="another suffix"),
]


@pytest.mark.parametrize(("suffix", "old"), CASES)
@pytest.mark.parametrize("dies", [[], [1], [2], [3], [4], [5], [1, 1], [2, 1], [2, 3], [3, 3], [4, 3], [1, 2, 3, 4, 5]])
def test_older_render_makes_room(tmp_path: Path, wish: Wish, suffix: str, old: bytes, dies: list[int]) -> None:
    """The older output and its sidecar move to NAME.aM, the new one takes the name; also after a crash after any step, again and again."""
    run(tmp_path, wish(**OLD_WISH), nobody, result=(old, suffix))
    owner = knows(**{f"hero_{suffix[1:]}": (old, 1)})
    for steps in dies:
        run(tmp_path, wish(), owner, steps=steps)
    event = run(tmp_path, wish(), owner)
    assert event is not None
    assert event.output is not None
    assert event.output.path == "launch/hero.mp4"
    assert event.displaced == Displaced(f"launch/hero{suffix}", f"launch/hero.a1{suffix}")
    assert files(tmp_path) == {"hero.mp4": NEW, f"hero.a1{suffix}": old}
    assert sidecar(tmp_path, "hero.json")["client_request_id"] == "bg-2"
    moved = sidecar(tmp_path, "hero.a1.json")
    assert moved["client_request_id"] == "bg-1"
    assert isinstance(moved["file"], dict)
    assert moved["file"]["path"] == f"launch/hero.a1{suffix}"


@pytest.mark.parametrize("suffix", [".mp4", ".png"])
def test_displacement_is_told_until_the_ledger_knows(tmp_path: Path, wish: Wish, suffix: str) -> None:
    """Once the ledger has the new places, a repeat has nothing more to tell."""
    run(tmp_path, wish(**OLD_WISH), nobody, result=(OLD, suffix))
    run(tmp_path, wish(), knows(**{f"hero_{suffix[1:]}": (OLD, 1)}))
    event = run(tmp_path, wish(), knows(**{"hero_mp4": (NEW, 2), f"hero_a1_{suffix[1:]}": (OLD, 1)}))
    assert event is not None
    assert (event.displaced, event.trouble) == (None, None)


@pytest.mark.parametrize("dies", [[], [1], [2], [3], [4], [1, 2], [2, 3]])
def test_older_render_without_sidecar(tmp_path: Path, wish: Wish, dies: list[int]) -> None:
    """An older output whose sidecar was deleted makes room all the same."""
    run(tmp_path, wish(**OLD_WISH), nobody, result=(OLD, ".mp4"))
    (tmp_path / "launch/hero.json").unlink()
    for steps in dies:
        run(tmp_path, wish(), knows(hero_mp4=(OLD, 1)), steps=steps)
    event = run(tmp_path, wish(), knows(hero_mp4=(OLD, 1)))
    assert event is not None
    assert event.displaced == Displaced("launch/hero.mp4", "launch/hero.a1.mp4")
    assert files(tmp_path) == {"hero.mp4": NEW, "hero.a1.mp4": OLD}


def test_older_render_that_is_gone(tmp_path: Path, wish: Wish) -> None:
    """An older output that a person deleted is not said to have moved."""
    run(tmp_path, wish(**OLD_WISH), nobody, result=(OLD, ".mp4"))
    (tmp_path / "launch/hero.mp4").unlink()
    event = run(tmp_path, wish(), knows(hero_mp4=(OLD, 1)))
    assert event is not None
    assert event.displaced is None
    assert files(tmp_path) == {"hero.mp4": NEW}


def test_older_render_fetched_again_stays_beside(tmp_path: Path, wish: Wish) -> None:
    """An older attempt's file does not push a newer one out of its name."""
    run(tmp_path, wish(), nobody)
    event = run(tmp_path, wish(**OLD_WISH), knows(hero_mp4=(NEW, 2)), result=(OLD, ".mp4"))
    assert event is not None
    assert event.output is not None
    assert event.output.path == "launch/hero.a1.mp4"
    assert files(tmp_path)["hero.mp4"] == NEW


def test_retouched_render_is_kept(tmp_path: Path, wish: Wish) -> None:
    """A file of ours that no longer has our bytes is set aside when the render is fetched again."""
    run(tmp_path, wish(), nobody)
    (tmp_path / "launch/hero.mp4").write_bytes(b"retouched")
    for position in ("", ".2"):
        event = run(tmp_path, wish(), knows(hero_mp4=(NEW, 2)))
        assert event is not None
        assert event.output is not None
        assert event.output.path == "launch/hero.mp4"
        assert files(tmp_path)[f"hero.changed{position}.mp4"] == b"retouched"
        (tmp_path / "launch/hero.mp4").write_bytes(b"retouched")


def test_lost_sidecar_is_written_again(tmp_path: Path, wish: Wish) -> None:
    """Our own intact file without its sidecar is taken as it is."""
    run(tmp_path, wish(), nobody)
    (tmp_path / "launch/hero.json").unlink()
    run(tmp_path, wish(), knows(hero_mp4=(NEW, 2)))
    assert files(tmp_path) == {"hero.mp4": NEW}
    assert sidecar(tmp_path, "hero.json")["client_request_id"] == "bg-2"


def test_another_tasks_file_is_not_an_older_render(tmp_path: Path, wish: Wish) -> None:
    """The first file of task hero-2 is not pushed away by the second file of task hero."""
    run(
        tmp_path,
        wish(stem="launch/hero-2", key="bg-x", attempt_number=1, sidecar='{"manifest": "launch", "task": "hero-2"}'),
        nobody,
        result=(OLD, ".mp4"),
    )
    event = run(tmp_path, wish(index=1), knows(**{"hero-2_mp4": (OLD, 1)}))
    assert event is not None
    assert event.output is not None
    assert event.output.path == "launch/hero-2.a2.mp4"
    assert files(tmp_path)["hero-2.mp4"] == OLD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"client_request_id": "bg-2"}',
        '{"client_request_id": "bg-2", "file": {"index": 0, "path": "../../etc/passwd", "sha256": "x", "size": 1, "mime": "a/b"}}',
        '{"client_request_id": "bg-2", "file": {"index": 0, "path": 7, "sha256": [], "size": "1", "mime": null, "displaced": 3}}',
        '{"client_request_id": "bg-9", "file": {"index": 0, "path": "launch/other.mp4"}}',
    ],
)
def test_hostile_sidecars(tmp_path: Path, wish: Wish, text: str) -> None:
    """A sidecar that is damaged or forged leads nowhere, and the render is saved."""
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch/hero.json").write_text(text)
    event = run(tmp_path, wish(), nobody)
    assert event is not None
    assert event.output is not None
    assert (tmp_path / event.output.path).read_bytes() == NEW


@pytest.mark.parametrize("stem", ["../out", "/etc/out", "a/../../out", "", "a\0b"])
def test_names_that_lead_outside(tmp_path: Path, wish: Wish, stem: str) -> None:
    """No output leaves the outputs folder by its name."""
    with pytest.raises(Trouble) as caught:
        run(tmp_path / "renders", wish(stem=stem), nobody)
    assert caught.value.kind is DiskTrouble.DISK
    assert not list(tmp_path.rglob("out*"))


def test_links_that_lead_outside(tmp_path: Path, wish: Wish) -> None:
    """A link inside the outputs folder does not lead a render out of it; one that stays inside may be used."""
    root, outside = tmp_path / "renders", tmp_path / "outside"
    (root / "inside").mkdir(parents=True)
    outside.mkdir()
    (root / "launch").symlink_to(outside)
    with pytest.raises(Trouble, match="outside"):
        run(root, wish(), nobody)
    assert not list(outside.iterdir())
    (root / "launch").unlink()
    (root / "launch").symlink_to(root / "inside")
    assert run(root, wish(), nobody) is not None
    assert (root / "inside/hero.mp4").read_bytes() == NEW


def test_sidecar_that_is_no_object(tmp_path: Path, wish: Wish) -> None:
    """A document that is no JSON object is kept whole under a name."""
    run(tmp_path, wish(sidecar="plain words"), nobody)
    assert sidecar(tmp_path, "hero.json")["document"] == "plain words"


def crowd(root: Path, pattern: str, first: str) -> None:
    """Put a stranger's file at every name that is tried."""
    (root / "launch").mkdir(exist_ok=True)
    for name in (first, *(pattern.format(n) for n in range(2, TRIES))):
        (root / "launch" / name).write_bytes(b"mine")


def test_no_name_left(tmp_path: Path, wish: Wish) -> None:
    """When every name is taken, it is said and nothing is overwritten."""
    crowd(tmp_path, "hero.a2.{}.mp4", "hero.a2.mp4")
    (tmp_path / "launch/hero.mp4").write_bytes(b"mine")
    with pytest.raises(Trouble, match="every name"):
        run(tmp_path, wish(), nobody)
    assert set(files(tmp_path).values()) == {b"mine"}


def test_no_name_left_for_an_older_render(tmp_path: Path, wish: Wish) -> None:
    """An older render is not overwritten when it cannot make room."""
    run(tmp_path, wish(**OLD_WISH), nobody, result=(OLD, ".mp4"))
    crowd(tmp_path, "hero.a1.{}.mp4", "hero.a1.mp4")
    with pytest.raises(Trouble, match="make room"):
        run(tmp_path, wish(), knows(hero_mp4=(OLD, 1)))
    assert files(tmp_path)["hero.mp4"] == OLD


def test_no_name_left_for_a_changed_render(tmp_path: Path, wish: Wish) -> None:
    """A retouched render is not overwritten when it cannot be set aside."""
    run(tmp_path, wish(), nobody)
    (tmp_path / "launch/hero.mp4").write_bytes(b"retouched")
    crowd(tmp_path, "hero.changed.{}.mp4", "hero.changed.mp4")
    with pytest.raises(Trouble, match="was changed"):
        run(tmp_path, wish(), knows(hero_mp4=(NEW, 2)))
    assert files(tmp_path)["hero.mp4"] == b"retouched"


def test_what_another_download_is_about_to_write_is_in_the_way(tmp_path: Path) -> None:
    """Its names are taken by a strange file for everybody else until it is over; nothing of it need be on the disk."""
    taken: dict[str, Claim] = {}
    first, second = Claim(taken), Claim(taken)
    assert first.take("a.b")
    assert first.take("a.b")
    assert not second.take("a.b")
    mine, theirs = Shelf(tmp_path, first), Shelf(tmp_path, second)
    assert (mine.exists("a.b.png"), mine.sidecar("a.b")) == (False, None)
    assert (theirs.exists("a.b.png"), theirs.sidecar("a.b")) == (True, {})
    assert not theirs.exists("a.png")
    first.give_back()
    assert (theirs.exists("a.b.png"), theirs.sidecar("a.b")) == (False, None)
    assert second.take("a.b")
