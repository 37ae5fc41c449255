"""Going on: resumed runs, edited manifests, finished ones."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest

from batchgen import app
from batchgen.core.facts import RunAsked
from batchgen.core.policy import PollPolicy
from batchgen.errors import ExitCode, UsageError
from batchgen.settings.secret import ApiKey
from tests.runner.place import GENERATIONS, Place, Rudeness, empty_ledger, opened, silent

TASKS = ["a lamp", "a bowl", "a chair", "a door"]


def written(place: Place, prompts: dict[str, str], *, before: str = "", more: str = "") -> Path:
    """Write a manifest of images, in this order, with a comment before each task."""
    tasks = "".join(f"{before}  - {{id: {name}, prompt: {prompt}}}\n" for name, prompt in prompts.items())
    return place.manifest(f"version: 1\nname: m\ndefaults: {{model: z-image}}\n{more}tasks:\n{tasks}")


FOUR = {f"t{n}": prompt for n, prompt in enumerate(TASKS)}
EDITS = {
    "insert": ({"new": "a shelf", **FOUR}, {"new"}),
    "append": ({**FOUR, "new": "a shelf"}, {"new"}),
    "delete": ({name: FOUR[name] for name in ("t0", "t2")}, set()),
    "reorder": ({name: FOUR[name] for name in ("t3", "t1", "t0", "t2")}, set()),
    "change": ({**FOUR, "t1": "a big bowl"}, {"t1"}),
    "rename": ({**{name: FOUR[name] for name in ("t0", "t1", "t2")}, "gate": FOUR["t3"]}, {"gate"}),
    "all at once": ({"new": "a shelf", "t3": FOUR["t3"], "t0": "a new lamp"}, {"new", "t0"}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edited_manifest(place: Place, edit: str) -> None:
    """Whatever is edited, only new and really changed tasks are bought, once each; all others keep what they have."""
    assert place.run(written(place, FOUR)).code == ExitCode.DONE
    before = {name: place.renders() for name in FOUR}
    after, bought = EDITS[edit]
    manifest = written(place, after, before="  # a comment\n\n")
    planned = app.plan(app.check([manifest]), place.settings, place.asked(manifest))
    assert planned.to_buy == len(bought)
    assert place.run(manifest).code == ExitCode.DONE
    prompts = [str(task["prompt"]) for task in _bought(place)]
    assert sorted(prompts) == sorted([*FOUR.values(), *(after[name] for name in bought)])
    assert before["t0"] <= place.renders()
    assert place.run(manifest).code == ExitCode.DONE
    assert place.bought() == 4 + len(bought)


def _bought(place: Place) -> list[dict[str, object]]:
    tasks = place.account.books()["tasks"]
    assert isinstance(tasks, list)
    return tasks


def test_back_and_forth(place: Place) -> None:
    """A task that is changed back is asked for again under an id of its own, and never mistaken for the old purchase."""
    for prompt in ("a lamp", "a bowl", "a lamp"):
        assert place.run(written(place, {"t0": prompt})).code == ExitCode.DONE
    keys = [attempt.key for attempt in place.history().attempts]
    assert (len(set(keys)), place.bought(), place.money()) == (3, 3, (3, 0))


def test_finished_manifest(place: Place) -> None:
    """A finished manifest is a no-op: no request at all, no key needed, exit 0."""
    manifest = written(place, FOUR)
    assert place.run(manifest).code == ExitCode.DONE
    asked = list(place.server.asked)
    place.settings = replace(place.settings, key=ApiKey())
    assert place.run(manifest).code == ExitCode.DONE
    assert place.resume().code == ExitCode.DONE
    assert place.server.asked == asked


def test_resumed_as_asked(place: Place) -> None:
    """Resume keeps --only, --max-tasks and --budget: what the night already spent counts, also when the manifest's file is gone."""
    manifest = place.images(12)
    assert place.run(manifest, only="t?", max_tasks=4, budget=3).code == ExitCode.STOPPED_EARLY
    manifest.unlink()
    for _ in range(2):
        again = place.resume()
        assert (again.code, place.bought(), place.money()) == (ExitCode.STOPPED_EARLY, 3, (3, 0))
    with app.reading(place.settings) as ledger:
        asked = [run.asked for run in ledger.runs(limit=3)]
    assert [(run.command, run.only, run.max_tasks, run.budget) for run in asked] == [
        ("resume", "t?", 4, 3),
        ("resume", "t?", 4, 3),
        ("run", "t?", 4, 3),
    ]


def test_only_is_kept(tmp_path: Path) -> None:
    """What --only left out of a run is left out of its resumption."""
    with opened(tmp_path, rules=[Rudeness("POST", GENERATIONS, 500, b"no", skip=1)]) as place:
        manifest = place.images(12)
        assert place.run(manifest, only="t1*").code == ExitCode.UNAVAILABLE
        place.server.rules.clear()
        assert place.resume().code == ExitCode.DONE
        assert place.states() == {"done": 3, "pending": 9}  # t1, t10, t11


def test_passed_deadline(place: Place) -> None:
    """A deadline that has passed was for that night: resume goes on without it."""
    manifest = place.images(2)
    assert place.run(manifest, until=time.time() - 5).code == ExitCode.STOPPED_EARLY
    assert place.resume().code == ExitCode.DONE


def test_a_duration_lengthens_no_night(tmp_path: Path) -> None:
    """Of the night's own end and a resumption's `--max-duration` the earlier one holds."""
    soon = time.time() + 3600.0
    with opened(tmp_path, rules=[Rudeness("POST", GENERATIONS, 500, b"no")]) as place:
        assert place.run(place.images(1), until=soon).code is ExitCode.UNAVAILABLE
        for given, held in ((7200.0, soon), (60.0, None)):
            before = time.time()
            assert anyio.run(partial(app.resume, place.settings, watch=silent, max_duration=given)).code is ExitCode.UNAVAILABLE
            with app.reading(place.settings) as ledger:
                until = ledger.runs()[0].asked.until
            assert until is not None
            assert until == held if held else before <= until - given <= time.time()


def test_another_run_has_a_budget_of_its_own(place: Place) -> None:
    """A new run starts its --budget afresh, a resumed one does not."""
    manifest = place.images(6)
    assert place.run(manifest, budget=2).code == ExitCode.STOPPED_EARLY
    assert place.run(manifest, budget=2).code == ExitCode.STOPPED_EARLY
    assert place.spent() == 4
    assert place.resume().code == ExitCode.STOPPED_EARLY
    assert place.spent() == 4


def test_total_budget_is_for_life(place: Place) -> None:
    """The manifest's total counts over all runs."""
    for _ in range(3):
        assert place.run(place.images(6, more="budget: {total: 4}\n")).code == ExitCode.STOPPED_EARLY
    assert (place.spent(), place.money()) == (4, (4, 0))
    assert place.run(place.images(6, more="budget: {total: 6}\n")).code == ExitCode.DONE


def test_in_flight_when_edited(tmp_path: Path) -> None:
    """What was in flight when the manifest was edited is finished and kept; then the new wish is bought, under the task's own name."""
    with opened(tmp_path, faults="render=0.4") as place:
        rule = Rudeness("GET", GENERATIONS, 500, b"no")
        place.server.rules.append(rule)
        assert place.run(written(place, {"t0": "a lamp"})).code == ExitCode.UNAVAILABLE
        assert place.states() == {"rendering": 1}
        place.server.rules.clear()
        assert place.run(written(place, {"t0": "a bowl"})).code == ExitCode.DONE
        assert [attempt.state for attempt in place.history().attempts] == ["succeeded", "succeeded"]
        assert place.renders() == {"m/t0.png", "m/t0.json", "m/t0.a1.png", "m/t0.a1.json"}
        assert (place.bought(), place.money()) == (2, (2, 0))


def test_in_flight_when_deleted(tmp_path: Path) -> None:
    """A task that left the manifest while in flight is finished, and nothing new is bought for it."""
    with opened(tmp_path, faults="render=0.4") as place:
        place.server.rules.append(Rudeness("GET", GENERATIONS, 500, b"no"))
        assert place.run(written(place, {"t0": "a lamp", "t1": "a bowl"}), max_tasks=1).code == ExitCode.UNAVAILABLE
        place.server.rules.clear()
        assert place.run(written(place, {"t1": "a bowl"})).code == ExitCode.DONE
        assert {"m/t0.png", "m/t1.png"} <= place.renders()
        assert (place.bought(), place.money()) == (2, (2, 0))


def test_two_manifests(place: Place) -> None:
    """One run works on several manifests, and resume finishes all of them."""
    first, second = place.images(4, name="one"), place.images(4, name="two", prompt="a blue shoe")
    assert place.run(first, second, max_tasks=5).code == ExitCode.STOPPED_EARLY
    assert place.states() == {"done": 5, "pending": 3}
    assert place.run(second, first).code == ExitCode.DONE
    assert (place.bought(), place.states()) == (8, {"done": 8})


def test_another_manifest_in_between(tmp_path: Path) -> None:
    """Resume finishes what other manifests have in flight, and buys nothing for them."""
    with opened(tmp_path, faults="render=0.4") as place:
        place.server.rules.append(Rudeness("GET", GENERATIONS, 500, b"no"))
        assert place.run(place.images(3, name="one"), max_tasks=1).code == ExitCode.UNAVAILABLE
        place.server.rules.clear()
        assert place.run(place.images(1, name="two")).code == ExitCode.DONE
        assert place.resume().code == ExitCode.DONE
        assert place.states() == {"done": 2, "pending": 2}
        assert place.bought() == 2


def test_still_rendering(tmp_path: Path) -> None:
    """A render that outlasts render_timeout is left as rendering with exit 3, and the next run fetches it."""
    with opened(tmp_path, faults="render=1.5") as place:
        place.settings = replace(place.settings, render_timeout=0.2)
        manifest = place.images(1)
        assert place.run(manifest).code == ExitCode.STOPPED_EARLY
        assert (place.states(), place.money()) == ({"rendering": 1}, (0, 1))
        place.settings = replace(place.settings, render_timeout=60.0, poll=PollPolicy(0.1, 0.1, 0.2))
        assert place.run(manifest).code == ExitCode.DONE
        assert (place.bought(), place.server.count("POST", GENERATIONS)) == (1, 1)


def test_replay_window(tmp_path: Path) -> None:
    """An attempt whose answer was lost and whose replay window has passed is not repeated: it is in doubt, exit 7."""
    with opened(tmp_path, rules=[Rudeness("POST", GENERATIONS, 0, after=True)]) as place:
        assert place.run(place.images(1)).code == ExitCode.UNAVAILABLE
        sent = place.server.count("POST", GENERATIONS)
        place.settings = replace(place.settings, replay_window=0.001)
        ended = place.resume()
        assert (ended.code, place.states(), place.money()) == (ExitCode.IN_DOUBT, {"blocked": 1}, (0, 1))
        assert place.server.count("POST", GENERATIONS) == sent


def test_changed_tasks_names(place: Place) -> None:
    """A changed task's new render takes the name; the older ones stay beside it, each with the sidecar that tells what it is."""
    for prompt in ("a lamp", "a bowl", "a chair"):
        assert place.run(written(place, {"t0": prompt})).code == ExitCode.DONE
    stems = {"m/t0": ("a chair", 3), "m/t0.a1": ("a lamp", 1), "m/t0.a2": ("a bowl", 2)}
    assert place.renders() == {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "json")}
    attempts = {attempt.number: attempt for attempt in place.history().attempts}
    for stem, (prompt, number) in stems.items():
        sidecar = json.loads((place.settings.outputs / f"{stem}.json").read_bytes())
        attempt = attempts[number]
        assert (sidecar["prompt"], sidecar["attempt"], sidecar["client_request_id"]) == (prompt, number, attempt.key)
        assert (sidecar["task_id"], sidecar["credits"], sidecar["file"]["path"]) == (attempt.task_id, 1, f"{stem}.png")
        assert attempt.outputs[0].path == f"{stem}.png"


def test_a_file_of_somebody_else(place: Place) -> None:
    """A file that is not ours is never overwritten: the render stands beside it."""
    mine = place.settings.outputs / "m" / "t0.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"holiday")
    assert place.run(written(place, {"t0": "a lamp"})).code == ExitCode.DONE
    assert mine.read_bytes() == b"holiday"
    assert place.attempt().outputs[0].path == "m/t0.a1.png"


def test_no_file_without_a_row(place: Place) -> None:
    """Every render on disk has a row in the ledger with its size, and the other way round; no part file stays."""
    assert place.run(place.images(6)).code == ExitCode.DONE
    rows = {str(path): size for path, size in place.query("SELECT path, size FROM outputs")}
    files = {name for name in place.renders() if not name.endswith(".json")}
    assert files == set(rows)
    assert all((place.settings.outputs / name).stat().st_size == size for name, size in rows.items())


def test_run_that_adopted_an_edit_in_part(place: Place) -> None:
    """A run of an edited manifest that died before its tasks were in the ledger is not resumed with the old ones."""
    manifest = place.images(1)
    assert place.run(manifest).code == ExitCode.DONE
    with empty_ledger(place.settings) as ledger:
        ledger.begin_run(ledger.runs()[0].asked, resumes=None, at=1.8e9)
    with pytest.raises(UsageError, match="batchgen run MANIFEST"):
        place.resume()


def test_run_that_never_began(place: Place) -> None:
    """A run that died before its tasks were in the ledger is not resumed as if it were finished: it must be started again."""
    with empty_ledger(place.settings) as ledger:
        ledger.begin_run(RunAsked("run", ("m",)), resumes=None, at=1.8e9)
    with pytest.raises(UsageError, match="batchgen run MANIFEST"):
        place.resume()
    assert place.run(place.images(1)).code == ExitCode.DONE
