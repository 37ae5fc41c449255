"""Looking at renders, fetching their files, edits meanwhile, and taking over what an earlier run left."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from batchgen.core.answers import Answer, Render, RenderStatus, Verdict
from batchgen.core.facts import FETCH_LATER
from batchgen.core.messages import AskStatus, DiskTrouble, Displaced, Download, Downloaded, OutputSaved, SendCreate, Step, Submitted
from batchgen.core.model import Manifest, Output, client_request_id
from batchgen.core.policy import Policy
from batchgen.core.retry import DOWNLOAD_TRIES, REFRESHES
from batchgen.core.retryafter import to_the_minute
from batchgen.core.states import AttemptState, TaskState
from batchgen.core.stops import Stop, StopKind
from batchgen.errors import ExitCode
from tests.core.test_engine_purchases import code
from tests.core.world import FAST, START, Run, Stage, World, a_book, a_task, bad, dies_at, drive, failed_render, says, some_tasks, trouble


def test_polls_keep_their_distance() -> None:
    """First after poll.first, then every 5 s, slower as the render grows old, never closer than poll.first."""
    world = World(render_time=600.0)
    drive(a_book(some_tasks(1)), world)
    times = world.times(AskStatus)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert times[0] >= START + world.latency + Policy().poll.first
    assert min(gaps) >= 5.0
    assert 25.0 < gaps[-1] <= 31.0


def test_a_render_without_end_is_left_to_the_next_run() -> None:
    """After render_timeout it stays `rendering` with its hold; the next run picks it up and nothing is bought twice."""
    world = World(render_time=10 * 3600.0)
    run = drive(a_book(some_tasks(1)), world)
    assert code(run) is ExitCode.STOPPED_EARLY
    assert run.book.states == {"t0": TaskState.RENDERING}
    again = drive(run.book, world, FAST, Stage(now=START + 11 * 3600.0))
    assert code(again) is ExitCode.DONE
    assert len(world.bought) == 1


def test_an_unknown_status_is_noted_once_and_waited_for() -> None:
    """A word that the documentation lacks is not final."""
    strange = says(RenderStatus.UNKNOWN, said="dreaming")
    world = World().script(AskStatus, strange, strange, strange)
    run = drive(a_book(some_tasks(1)), world)
    assert run.book.noted("unknown_status") == 1
    assert code(run) is ExitCode.DONE


def test_troubles_while_looking_are_retried() -> None:
    """Lost, busy and strange answers to a status question cost nothing but time."""
    world = World(render_time=0.0).script(AskStatus, bad(Verdict.LOST), bad(Verdict.BUSY), bad(Verdict.INVALID), bad(Verdict.UNSENT))
    run = drive(a_book(some_tasks(1)), world)
    assert code(run) is ExitCode.DONE
    assert run.book.noted("answer_lost") == 1


def test_a_status_that_never_comes_is_left() -> None:
    """Only the status questions fail: after outage_patience the paid render is left to the next run, exit 6."""
    world = World()
    world.always[AskStatus] = lambda _: bad(Verdict.INVALID)
    run = drive(a_book(some_tasks(1)), world)
    assert code(run) is ExitCode.UNAVAILABLE
    assert run.book.states == {"t0": TaskState.RENDERING}


def test_a_missing_render_is_asked_for_over_ten_minutes_and_then_blocked() -> None:
    """It is never bought again; its credits stay held."""
    world = World()
    world.always[AskStatus] = lambda _: bad(Verdict.MISSING, "not_found")
    run = drive(a_book(some_tasks(1)), world)
    assert 600.0 <= run.now - START < 700.0
    assert run.book.states == {"t0": TaskState.BLOCKED}
    assert run.book.of("t0")[0].used == 5
    assert code(run) is ExitCode.IN_DOUBT
    assert len(run.world.sent(SendCreate)) == 1


def test_a_render_that_is_found_again_is_fetched() -> None:
    """not_found for a while, then there."""
    world = World().script(AskStatus, *[bad(Verdict.MISSING)] * 5)
    assert code(drive(a_book(some_tasks(1)), world)) is ExitCode.DONE


def test_what_a_render_costs() -> None:
    """final_credits; reserved_credits where that is still 0; the hold where neither is said."""
    for reserved, final, cost in ((7, 6, 6), (7, 0, 7), (None, None, 5), (0, 0, 5), (3, 3, 3), (3, 9, 9)):
        queued = Answer(Verdict.OK, Render("task_x", RenderStatus.QUEUED, reserved=reserved, final=0))
        world = World().script(SendCreate, queued)
        world.always[AskStatus] = says(RenderStatus.SUCCEEDED, reserved=reserved, final=final, urls=("https://media.example/x",))
        run = drive(a_book(some_tasks(1)), world)
        assert run.book.of("t0")[0].used == cost, (reserved, final)


def test_results_that_are_not_named_yet_are_waited_for() -> None:
    """`urls` come "when available": a success without them is asked again, for missing_patience."""
    nameless = says(RenderStatus.SUCCEEDED, final=5)
    run = drive(a_book(some_tasks(1)), World(render_time=0.0).script(AskStatus, nameless, nameless, nameless))
    assert code(run) is ExitCode.DONE
    never = World()
    never.always[AskStatus] = nameless
    run = drive(a_book(some_tasks(1)), never)
    assert code(run) is ExitCode.UNAVAILABLE
    assert 600.0 <= run.now - START < 700.0
    assert run.book.states == {"t0": TaskState.RENDERED}
    assert run.ended is not None
    assert "the server names no result of a render that it finished" in run.ended.reason
    assert run.book.of("t0")[0].used == 5
    assert code(drive(run.book, never, FAST, Stage(now=run.now))) is ExitCode.UNAVAILABLE
    never.always.clear()
    assert code(drive(run.book, never, FAST, Stage(now=run.now))) is ExitCode.DONE


# ---------------------------------------------------------------- files


def test_every_file_of_a_render_is_saved() -> None:
    """A render with six results is done when all six are on disk."""
    run = drive(a_book(some_tasks(2)), World(files=6))
    assert len(run.book.of("t0")[0].outputs) == 6
    assert code(run) is ExitCode.DONE


@pytest.mark.parametrize("kind", [DiskTrouble.CUT, DiskTrouble.GONE])
@pytest.mark.parametrize("nth", [0, 1, 2])
def test_one_broken_transfer_of_several(kind: DiskTrouble, nth: int) -> None:
    """Whichever file of a render breaks, fresh URLs are asked for and only what is missing is fetched again."""
    world = World(files=3, render_time=0.0).script(Download, *[None] * nth, trouble(kind))
    run = drive(a_book(some_tasks(1)), world)
    assert code(run) is ExitCode.DONE
    sent = [r for r in world.sent(Download) if isinstance(r, Download)]
    assert [r.index for r in sent] == [0, 1, 2, nth]
    assert sent[-1].url != sent[nth].url, "a fresh URL"


def test_all_urls_gone_at_once_count_once() -> None:
    """Six expired URLs are one reason to ask for fresh ones, not six."""
    world = World(files=6, render_time=0.0).script(Download, *[trouble(DiskTrouble.GONE)] * 6 * REFRESHES)
    assert code(drive(a_book(some_tasks(1)), world)) is ExitCode.DONE


def test_transfers_that_never_succeed_are_left() -> None:
    """The paid render stays `rendered`; exit 6; the next run fetches it."""
    for kind, tries in ((DiskTrouble.CUT, DOWNLOAD_TRIES + 1), (DiskTrouble.GONE, REFRESHES + 1), (DiskTrouble.REFUSED, 1)):
        world = World()
        world.always[Download] = trouble(kind)
        run = drive(a_book(some_tasks(1)), world)
        assert len(world.sent(Download)) == tries
        assert run.book.states == {"t0": TaskState.RENDERED}
        assert code(run) is ExitCode.UNAVAILABLE
        world.always.clear()
        assert code(drive(run.book, world)) is ExitCode.DONE
        assert len(world.bought) == 1


def test_one_refused_result_does_not_lose_the_others() -> None:
    """The acceptable results of a render are saved; the run says that one is missing."""
    world = World(files=3).script(Download, trouble(DiskTrouble.REFUSED))
    run = drive(a_book(some_tasks(1)), world)
    assert sorted(run.book.of("t0")[0].outputs) == [1, 2]
    assert code(run) is ExitCode.UNAVAILABLE


def test_a_full_disk_stops_the_run() -> None:
    """Nothing new leaves, what is in the air lands; after space is made the next run goes on."""
    world = World().script(Download, trouble(DiskTrouble.DISK))
    run = drive(a_book(some_tasks(40)), world)
    assert code(run) is ExitCode.UNAVAILABLE
    assert code(drive(run.book, world)) is ExitCode.DONE
    assert len(world.bought) == 40


def test_a_retry_after_of_the_cdn_is_honoured() -> None:
    """The next look at a broken download's render waits for it."""
    world = World(render_time=0.0)
    world.script(Download, lambda r: Downloaded(r, trouble=DiskTrouble.CUT, message="503", retry_after=40.0))
    drive(a_book(some_tasks(1)), world)
    first, second = world.times(Download)
    assert second - first >= 40.0


@pytest.mark.parametrize(("asked", "obeyed"), [(7200.0, 7200.0), (315e6, 12 * 3600.0)])
def test_a_retry_after_of_the_cdn_that_is_too_long_is_left_to_a_later_run(asked: float, obeyed: float) -> None:
    """Hours are not slept through: the run ends with exit 6 and says until when. No run asks that server before; ten years are a fault."""
    world = World(render_time=0.0)
    world.script(Download, lambda r: Downloaded(r, trouble=DiskTrouble.CUT, message="503", retry_after=asked))
    run = drive(a_book(some_tasks(2)), world)
    assert (code(run), run.now < START + 3600.0) == (ExitCode.UNAVAILABLE, True)
    refused, other = world.times(Download)
    words = f"its server asks that no file be fetched before {to_the_minute(refused + obeyed + 0.1)}"
    assert run.ended is not None
    assert run.ended.reason == f"a paid render could not be fetched: 503; {words}"

    again = drive(run.book, world, stage=Stage(now=refused + 60.0))
    assert again.ended is not None
    assert (again.ended.code, again.ended.reason) == (ExitCode.UNAVAILABLE, f"a paid render could not be fetched: {words}")
    assert world.times(Download) == [refused, other]

    later = drive(run.book, world, stage=Stage(now=refused + obeyed - 3000.0))  # less than an hour is waited for
    assert code(later) is ExitCode.DONE
    assert world.times(Download)[2:] == [pytest.approx(refused + obeyed, abs=5.0)]
    assert world.times(Download)[2] >= refused + obeyed
    assert len(world.bought) == 2


def test_an_hour_that_the_cdn_asks_for_is_waited_for() -> None:
    """An hour to the second is no longer than a run waits: by the run that was asked, and by one that begins an hour before the instant."""
    world = World(render_time=0.0)
    world.script(Download, lambda r: Downloaded(r, trouble=DiskTrouble.CUT, message="503", retry_after=3600.0))
    assert code(drive(a_book(some_tasks(1)), world)) is ExitCode.DONE
    first, second = world.times(Download)
    assert second - first >= 3600.0

    world = World(render_time=0.0)
    world.script(Download, lambda r: Downloaded(r, trouble=DiskTrouble.CUT, message="503", retry_after=7200.0))
    run = drive(a_book(some_tasks(1)), world)
    (until,) = [float(note.detail) for note in run.book.notes if note.event == FETCH_LATER]
    assert code(drive(run.book, world, stage=Stage(now=until - 3600.0))) is ExitCode.DONE
    assert world.times(Download)[1] >= until


def test_a_displaced_output_is_written_down() -> None:
    """An older file of ours that made room, and one of a stranger that did not, are told."""
    output = Output(0, "m/t0.mp4", "0" * 64, 10, "video/mp4")
    world = World().script(Download, lambda r: Downloaded(r, output, Displaced("m/t0.mp4", "m/t0.a1.mp4"), message="saved aside"))
    assert drive(a_book(some_tasks(1)), world).book.noted("saved_aside") == 1


def test_downloads_are_limited() -> None:
    """At most `downloads` files are fetched at once."""
    world = World(files=5, render_time=0.0)
    run = drive(a_book(some_tasks(10)), world, replace(FAST, downloads=2), Stage(delay=lambda r: 7.0 if isinstance(r, Download) else 0.1))
    times = world.times(Download)
    assert max(sum(at <= other < at + 7.0 for other in times) for at in times) == 2
    assert code(run) is ExitCode.DONE


def test_nothing_is_bought_for_a_server_of_results_that_is_closed_for_hours() -> None:
    """What cannot be fetched stays among the renders that wait for their files: no run buys on beside so many, until they can be."""
    world = World(render_time=0.0)
    world.always[Download] = lambda r: Downloaded(r, trouble=DiskTrouble.CUT, message="503", retry_after=7200.0)
    policy = replace(FAST, in_flight=2, downloads=1)
    run = drive(a_book(some_tasks(20)), world, policy)
    assert code(run) is ExitCode.UNAVAILABLE
    most = policy.in_flight + policy.downloads + policy.in_flight  # those in flight when it became too many are rendered all the same
    assert 3 <= len(world.bought) <= most
    bought, asked = len(world.bought), len(world.times(Download))

    again = drive(run.book, world, policy, Stage(now=run.now + 60.0))
    assert again.ended is not None
    assert (again.ended.code, again.ended.stops) == (ExitCode.UNAVAILABLE, (Stop(StopKind.LATER, "m"),))
    assert (len(world.bought), len(world.times(Download))) == (bought, asked)

    del world.always[Download]
    assert code(drive(run.book, world, policy, Stage(now=run.now + 7200.0))) is ExitCode.DONE
    assert len(world.bought) == 20


def most_unsaved(run: Run, seconds: float) -> int:
    """Return the most renders that were bought and not saved at once, if each file takes `seconds`."""
    saved = [at + seconds for at in run.world.times(Download)]
    return max(n + 1 - sum(over <= at for over in saved) for n, at in enumerate(run.world.times(SendCreate)))


SLOW_FILES = Stage(delay=lambda request: 30.0 if isinstance(request, Download) else 0.1)
FEW_FILES = replace(FAST, in_flight=4, downloads=2)


def test_nothing_is_bought_while_files_lag_behind() -> None:
    """However long the manifest: no more renders wait for their files than may be in flight and fetched at once."""
    run = drive(a_book(some_tasks(60)), World(render_time=0.0), FEW_FILES, SLOW_FILES)
    assert code(run) is ExitCode.DONE
    assert len(run.world.bought) == 60
    assert 4 + 2 <= most_unsaved(run, 30.0) <= 4 + 2 + 4


def test_watchers_are_told_that_files_lag_behind() -> None:
    """Seen when a file has come and only more files are asked for."""

    def only_files(number: int, step: Step) -> str:
        came = any(isinstance(record, OutputSaved) for record in step.records)
        return "sent" if came and step.requests and all(isinstance(request, Download) for request in step.requests) else ""

    run = drive(a_book(some_tasks(60)), World(render_time=0.0), FEW_FILES, replace(SLOW_FILES, die=only_files))
    seen = run.engine.glimpse()
    assert seen.lagging
    assert re.fullmatch("[0-9]+ paid renders wait for their files", seen.waiting_for)


def test_little_is_bought_while_no_file_can_be_fetched() -> None:
    """A store of results that is away for good: renders are given up one after another, not bought by the hundred."""
    world = World(render_time=0.0, always={Download: trouble(DiskTrouble.CUT)})
    run = drive(a_book(some_tasks(60)), world, FEW_FILES, Stage(dice=lambda: 0.99))
    assert code(run) is ExitCode.UNAVAILABLE
    first = world.times(SendCreate)[0]
    assert sum(at < first + 60.0 for at in world.times(SendCreate)) <= 4 + 2 + 4


def test_a_rendered_task_that_the_server_forgot_is_fetched_from_the_urls_it_gave() -> None:
    """A paid render is not lost because its status is: the ledger has its URLs."""
    world = World().script(Download, trouble(DiskTrouble.DISK))
    run = drive(a_book(some_tasks(1)), world)
    world.always[AskStatus] = lambda _: bad(Verdict.MISSING)
    assert code(drive(run.book, world)) is ExitCode.DONE
    lost = drive(a_book(some_tasks(1)), World().script(Download, trouble(DiskTrouble.DISK)))
    lost.book.of("t0")[0].urls = ()
    run = drive(lost.book, world)
    assert code(run) is ExitCode.UNAVAILABLE
    assert run.ended is not None
    assert "the server does not know a render that it finished" in run.ended.reason


# ---------------------------------------------------------------- edits and leavers


def test_an_edit_while_in_flight() -> None:
    """The old attempt is finished and kept, then the new fingerprint is bought."""
    for stop_at in (3, 8):
        world = World()
        died = drive(a_book(some_tasks(1)), world, FAST, Stage(die=dies_at(stop_at, "sent")))
        died.book.adopt([a_task("t0", prompt="another")])
        run = drive(died.book, world)
        old, new = run.book.of("t0")
        assert (old.state, new.state) == (AttemptState.SUCCEEDED, AttemptState.SUCCEEDED)
        assert b"another" in new.body
        assert new.number == 2
        assert new.key == client_request_id("m", "t0", new.fingerprint, 1), "a ledger that forgot the old one would ask for the same"
        assert run.book.states == {"t0": TaskState.DONE}
        assert code(run) is ExitCode.DONE
        assert run.book.tasks[1].note == ""


def test_attempts_count_by_their_fingerprint() -> None:
    """Each retry at the new fingerprint has the next id of that fingerprint, in the run that bought the last one and in a later one."""
    run = drive(a_book(some_tasks(1, prompt="old")))
    run.book.adopt([a_task("t0", prompt="new")])
    world = World().script(AskStatus, *[lambda r: failed_render(r.task_id)] * 2)
    died = drive(run.book, world, FAST, Stage(now=START + 1000.0, die=lambda _, step: "after" if sends_the_third(step) else ""))
    drive(died.book, world, FAST, Stage(now=START + 2000.0))
    _, *bought = died.book.of("t0")
    assert [attempt.number for attempt in bought] == [2, 3, 4]
    assert [attempt.key for attempt in bought] == [client_request_id("m", "t0", bought[0].fingerprint, nth) for nth in (1, 2, 3)]


def sends_the_third(step: Step) -> bool:
    """Say whether a step writes the task's fourth attempt, the third at its new fingerprint."""
    return any(isinstance(record, Submitted) and record.number == 4 for record in step.records)


def test_an_edit_while_in_flight_whose_old_render_fails() -> None:
    """The failure of the old fingerprint is not held against the new one."""
    died = drive(a_book(some_tasks(1), Manifest("m", "m", retries=0)), World(), FAST, Stage(die=dies_at(8, "sent")))
    died.book.adopt([a_task("t0", prompt="another")])
    world = died.world.script(AskStatus, lambda r: failed_render(r.task_id))
    assert code(drive(died.book, world)) is ExitCode.DONE


@pytest.mark.parametrize("fails", [False, True])
def test_a_task_that_left_the_manifest_in_flight(fails: bool) -> None:
    """It is finished, and nothing new is bought for it."""
    died = drive(a_book(some_tasks(1)), World(), FAST, Stage(die=dies_at(8, "sent")))
    died.book.tasks[1].wanted = False
    if fails:
        died.world.script(AskStatus, lambda r: failed_render(r.task_id))
    run = drive(died.book, died.world)
    assert run.book.states == {"t0": TaskState.PENDING if fails else TaskState.DONE}
    assert len(run.world.bought) == 1
    assert code(run) is ExitCode.DONE


@pytest.mark.parametrize("where", ["before", "after", "sent"])
def test_a_run_can_die_anywhere(where: str) -> None:
    """Killed at each step in turn, before the commit, after it, or after the sends: the next run finishes, charged once."""
    whole = drive(a_book(some_tasks(3)), World(files=2)).steps
    assert whole > 15
    for step in range(1, whole):
        world = World(files=2)
        died = drive(a_book(some_tasks(3)), world, FAST, Stage(die=dies_at(step, where)))
        run = drive(died.book, world, FAST, Stage(now=died.now + 60.0))
        assert code(run) is ExitCode.DONE
        assert len(world.bought) == 3
        assert len(run.book.attempts) == 3
