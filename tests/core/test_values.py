"""Keys, fingerprints, prices, pauses, fates, sidecars, globs and a person's decisions: values in, values out."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from itertools import product
from pkgutil import iter_modules
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen import core
from batchgen.core.answers import NOT_DONE, Verdict
from batchgen.core.desk import Desk
from batchgen.core.facts import AttemptFacts
from batchgen.core.flights import Flights
from batchgen.core.glob import matches
from batchgen.core.landings import SLOW
from batchgen.core.lanes import Lane
from batchgen.core.looks import Looks
from batchgen.core.messages import AskStatus, AttemptMoved, Ended, MoneyKind, MoneyMoved, TaskMoved
from batchgen.core.model import Reference, Spec, canonical_json, client_request_id
from batchgen.core.policy import OnLostAnswer, Quote
from batchgen.core.pricing import Prices, model_of, paid, price_key
from batchgen.core.resolve import NOTES, Decision, InDoubt, resolve
from batchgen.core.retry import CAP, FLOOR, Fate, backoff, judge_create
from batchgen.core.sidecar import sidecar, utc
from batchgen.core.states import AttemptState, TaskState
from batchgen.core.stops import Refusal, Stop, StopKind
from batchgen.core.uploads import upload_key
from batchgen.core.verdict import verdict
from batchgen.errors import ExitCode, IllegalMove
from tests.core.world import FAST, START, Stage, World, a_book, a_task, base_price, drive, reference

TEXT = st.text(st.characters(codec=None), max_size=20)

# ---------------------------------------------------------------- identities


@given(TEXT, TEXT, TEXT, st.integers(1, 9))
def test_client_request_id_is_pure(manifest: str, task: str, fingerprint: str, number: int) -> None:
    """The same four give the same id, always well-formed; another number gives another."""
    key = client_request_id(manifest, task, fingerprint, number)
    assert key == client_request_id(manifest, task, fingerprint, number)
    assert key != client_request_id(manifest, task, fingerprint, number + 1)
    assert len(key) == 43
    assert key.isascii()


def test_client_request_id_never_changes() -> None:
    """A ledger restored from an old backup must ask for the same purchase: this value is frozen for ever."""
    assert client_request_id("m", "t", "f" * 64, 1) == "bg-73ac351f72e3e7a63eceec227f1c1be295218e85"


def test_half_a_surrogate_pair_has_an_id_too() -> None:
    """JSON can say half a pair; such a name is one of its own, and no reason to stop."""
    assert len({client_request_id("m", name, "f" * 64, 1) for name in ("\ud800", "\udfff", "?")}) == 3


def test_the_fingerprint_is_what_is_asked() -> None:
    """Model, prompt, params and references' content count; a file's path and name do not, nor the order of params."""
    spec = Spec("m", "p", {"a": "1", "b": 2}, (reference("a"),))
    assert spec.fingerprint == replace(spec, params={"b": 2, "a": "1"}).fingerprint
    assert spec.fingerprint == replace(spec, references=(replace(reference("a"), path="/else", name="z"),)).fingerprint
    others = [
        replace(spec, model="n"),
        replace(spec, prompt="q"),
        replace(spec, params={"a": 1, "b": 2}),
        replace(spec, references=(reference("b"),)),
        replace(spec, references=()),
        replace(spec, prompt="\ud800"),
    ]
    assert len({spec.fingerprint, *(o.fingerprint for o in others)}) == 7


def test_a_reference_is_its_content_or_its_url() -> None:
    """The identity of a file is its hash, that of a link its URL."""
    assert reference("a").identity == "a" * 64
    assert Reference(reference("a").kind, "image/png", "x", url="https://x").identity == "https://x"


def test_canonical_json_refuses_what_is_no_json() -> None:
    """NaN has no spelling."""
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


@pytest.mark.parametrize(
    ("task", "only", "meant"),
    [("hero", "", True), ("hero", "h*", True), ("hero", "H*", False), ("hero", "her", False), ("a[1]", "a[[]1]", True)],
)
def test_globs(task: str, only: str, meant: bool) -> None:
    """The whole id, case counts, empty means all."""
    assert matches(task, only) is meant


# ---------------------------------------------------------------- retries


@given(st.integers(1, 5000), st.floats(0.0, 0.9999), st.none() | st.floats(0.0, 9999.0))
def test_backoff(tries: int, roll: float, after: float | None) -> None:
    """Full jitter under a capped exponential, never less than the floor nor than Retry-After."""
    pause = backoff(tries, lambda: roll, after=after)
    assert pause >= max(FLOOR, after or 0.0)
    assert pause == max(FLOOR, after or 0.0, roll * min(CAP, 2.0 ** min(tries - 1, 60)))


@pytest.mark.parametrize(("verdict", "lost", "hold"), list(product(Verdict, [0, 1], OnLostAnswer)))
def test_what_an_answer_to_a_create_proves(verdict: Verdict, lost: int, hold: OnLostAnswer) -> None:
    """The whole table."""
    fate = judge_create(verdict, lost=lost, on_lost=hold)
    if verdict is Verdict.OK:
        expected = Fate.ACCEPTED
    elif verdict is Verdict.LOST:
        expected = Fate.IN_DOUBT if hold is OnLostAnswer.HOLD else Fate.AGAIN
    elif verdict in NOT_DONE:
        expected = Fate.AGAIN
    elif verdict in {Verdict.CONFLICT, Verdict.TAKEN}:
        expected = Fate.IN_DOUBT
    elif not lost:
        expected = Fate.REFUSED
    else:
        expected = Fate.LEFT if verdict in {Verdict.KEY, Verdict.FUNDS} else Fate.IN_DOUBT
    assert fate is expected


# ---------------------------------------------------------------- prices

ONE, TWO, OTHER = Spec("m", "p"), Spec("m", "p", {"d": "10"}), Spec("n", "p")


def quoter(spec: Spec) -> Quote:
    """Quote 5 as the catalogue; 8 as the settings for model `n`."""
    return Quote(price_key(spec.model, spec.params), 8 if spec.model == "n" else 5, stated=spec.model == "n")


def test_a_price_has_one_name() -> None:
    """The model and its params, in one order."""
    assert price_key("m", {"b": 1, "a": "x"}) == "m?a=x&b=1"
    assert model_of("m?a=x&b=1") == "m"
    assert model_of(price_key("m", {"mood": "why? so"})) == "m"


def test_quotes() -> None:
    """What the server reserved last; never less than the settings state; 0 is no price."""
    prices = Prices(quoter, {"m?": 3, "m?d=10": 0})
    assert [prices.quote(s).credits for s in (ONE, TWO, OTHER)] == [3, 5, 8]
    assert prices.unseen("m?d=10")
    prices.saw("m?d=10", 0)
    assert prices.unseen("m?d=10")
    prices.saw("n?", 2)
    assert prices.quote(OTHER).credits == 8
    prices.saw("n?", 20)
    assert prices.quote(OTHER) == Quote("n?", 20, stated=True)


def test_one_probe_for_each_model() -> None:
    """While an unseen price is being found out, no other unseen price of that model goes out; ones that are sure do."""
    prices = Prices(quoter, {"m?seen=1": 4})
    prices.confirm("m?seen=1", "key0")
    prices.probe("m?", "key1")
    prices.probe("m?d=10", "key2")
    assert [prices.must_wait(k) for k in ("m?", "m?d=10", "m?seen=1", "n?")] == [True, True, False, False]
    prices.found("m?", "key2")
    assert prices.must_wait("m?"), "only the probe itself ends the waiting"
    prices.saw("m?", 5)
    prices.found("m?", "key1")
    assert not prices.must_wait("m?d=10")
    prices.probe("m?", "key3")
    assert not prices.must_wait("m?d=10"), "a price that is sure needs no probe"


def test_a_price_of_an_earlier_run_is_confirmed_by_one_purchase() -> None:
    """What was seen before counts once this run has bought of the model; an unseen price that is being found out goes on alone."""
    prices = Prices(quoter, {"m?": 5, "m?d=10": 9})
    prices.probe("m?", "key1")
    assert prices.must_wait("m?d=10")
    prices.confirm("m?", "key1")
    assert not prices.must_wait("m?d=10")
    prices.probe("m?d=10", "key2")
    assert not prices.must_wait("m?"), "nothing is left to be found out"
    prices.probe("m?new=1", "key3")
    prices.confirm("m?new=1", "key3")
    assert prices.must_wait("m?other=1"), "no bill for it yet"


def test_a_price_that_rises_makes_the_models_others_unsure() -> None:
    """A list that changed for one changed for all; other models' prices stand, and a lower price counts from the next run on."""
    prices = Prices(quoter, {"m?": 5, "m?d=10": 9, "n?": 8})
    prices.saw("m?", 4)
    for key in ("m?", "n?"):
        prices.confirm(key, "key0")
    prices.probe("m?d=10", "key1")
    assert prices.quote(ONE).credits == 5
    assert not prices.must_wait("m?"), "nothing has become dearer, so there was nothing to find out"
    prices.saw("m?", 6)
    prices.probe("m?d=10", "key2")
    assert [prices.must_wait(key) for key in ("m?", "m?d=10", "n?")] == [False, True, False]
    assert [prices.quote(spec).credits for spec in (ONE, TWO)] == [6, 9], "what it was is the best guess"
    prices.saw("m?d=10", 11)
    prices.found("m?d=10", "key2")
    assert not prices.must_wait("m?d=10")
    prices.probe("m?", "key3")
    assert prices.must_wait("m?new=1"), "it rose once more"


def test_two_models_that_rise_are_both_unsure() -> None:
    """The rise of one takes nothing back of what the rise of another said."""
    prices = Prices(quoter, {"m?": 5, "m?d=10": 9, "n?": 8})
    for key in ("m?", "n?"):
        prices.confirm(key, "key0")
    prices.saw("m?", 6)
    prices.saw("n?", 20)
    prices.probe("m?d=10", "key1")
    assert prices.must_wait("m?d=10")


@pytest.mark.parametrize(("final", "reserved", "cost"), [(6, 7, 6), (0, 7, 7), (None, 7, 7), (0, None, 5), (0, 0, 5)])
def test_what_was_paid(final: int | None, reserved: int | None, cost: int) -> None:
    """final_credits; reserved_credits where that says 0; else what was held (5)."""
    assert paid(final, reserved, 5) == cost


# ---------------------------------------------------------------- sidecars


def test_a_sidecar_tells_what_was_bought() -> None:
    """From the exact body, without the duration tokens, with times in UTC."""
    items = [{"url": "https://x", "durationToken": "secret"}]
    body = canonical_json({"model": "m", "prompt": "p", "params": {"d": "5", "referenceMediaItems": items}, "client_request_id": "k"})
    text = sidecar(body.encode(), manifest="mm", task="tt", facts={"credits": 5}, times={"accepted_at": START})
    assert json.loads(text) == {
        "batchgen": 1,
        "manifest": "mm",
        "task": "tt",
        "model": "m",
        "prompt": "p",
        "params": {"d": "5"},
        "references": [{"url": "https://x"}],
        "client_request_id": "k",
        "credits": 5,
        "accepted_at": "2027-01-15T08:00:00.000Z",
    }


def test_a_sidecar_is_for_people_too() -> None:
    """One fact a line, and a prompt in its own letters."""
    text = sidecar('{"prompt":"Häuser"}'.encode(), manifest="m", task="t", facts={}, times={})
    assert text.startswith('{\n  "batchgen": 1,\n  "manifest": "m",')
    assert '\n  "prompt": "Häuser",\n' in text


def test_an_uploads_id_never_changes() -> None:
    """The server knows a repeat by it, also one from a later version of this program."""
    assert upload_key(reference("a")) == "bg-file-ffe054fe7ae0cb6dc65c3af9b61d5209f439851d"
    assert upload_key(reference("a"), 1) != upload_key(reference("a"))


def test_a_sidecar_of_a_body_without_params() -> None:
    """Nothing but a prompt is enough."""
    assert json.loads(sidecar(b'{"prompt":"p"}', manifest="m", task="t", facts={}, times={}))["params"] == {}
    assert utc(0.0) == "1970-01-01T00:00:00.000Z"


# ---------------------------------------------------------------- a person's decisions

DOUBT = AttemptFacts(
    number=1,
    key="k",
    state=AttemptState.IN_DOUBT,
    fingerprint="f",
    run=1,
    submitted_at=START,
    accepted_at=None,
    ended_at=None,
    task_id="",
    held=5,
    captured=0,
    released=0,
    reserved=None,
    final=None,
    lost=1,
    fault=None,
    outputs=(),
    body=b"{}",
)


def test_accepted() -> None:
    """The attempt goes on with the task id that was found; its hold stays."""
    moved, task = resolve(InDoubt(7, DOUBT), Decision.ACCEPTED, at=START + 9.0, task_id="task_1")
    assert isinstance(moved, AttemptMoved)
    assert isinstance(task, TaskMoved)
    assert (moved.after, moved.task_id, moved.submitted_at) == (AttemptState.ACCEPTED, "task_1", None)
    assert (task.row, task.after, task.note) == (7, TaskState.RENDERING, NOTES[Decision.ACCEPTED])


def test_not_accepted() -> None:
    """The hold is released and the task is due again."""
    moved, money, task = resolve(InDoubt(7, DOUBT), Decision.NOT_ACCEPTED, at=START)
    assert isinstance(moved, AttemptMoved)
    assert isinstance(task, TaskMoved)
    assert moved.after is AttemptState.REFUSED
    assert money == MoneyMoved("k", MoneyKind.RELEASE, 5, START)
    assert task.after is TaskState.PENDING


def test_resend() -> None:
    """The same bytes go out again, with a replay window of their own."""
    moved, task = resolve(InDoubt(7, DOUBT), Decision.RESEND, at=START + 9.0)
    assert isinstance(moved, AttemptMoved)
    assert isinstance(task, TaskMoved)
    assert (moved.after, moved.submitted_at) == (AttemptState.SUBMITTING, START + 9.0)
    assert task.after is TaskState.RENDERING


def test_only_what_is_in_doubt_is_decided() -> None:
    """A decision about any other attempt is refused."""
    with pytest.raises(IllegalMove):
        resolve(InDoubt(7, replace(DOUBT, state=AttemptState.ACCEPTED)), Decision.RESEND, at=START)


def test_core_is_pure() -> None:
    """No module of the core can reach the clock, the dice, the disk or the network: it has none of them in its names."""
    outside = {"os", "pathlib", "time", "random", "asyncio", "anyio", "logging", "httpx2", "sqlalchemy", "yaml"}
    for info in iter_modules(core.__path__):
        module = import_module(f"batchgen.core.{info.name}")
        known = {value.__name__ for value in vars(module).values() if isinstance(value, ModuleType)}
        assert not known & outside, info.name


def test_a_timer_that_was_set_anew_rings_once() -> None:
    """The last instant counts, and an attempt that was left does not ring at all."""
    book = a_book([a_task("t0"), a_task("t1", position=1)])
    drive(book, World(), FAST, Stage(die=lambda n, _: "sent" if n == 6 else ""))
    facts = book.opening(START).live
    desk = Desk.__new__(Desk)
    desk.prices, desk.looks, desk.now = Prices(base_price, {}), Looks(FAST.poll, {}), START
    flights, lane = Flights(desk), Lane(book.manifests["m"])
    for fact in facts:
        flights.resume(fact, lane)
    first, second = flights.lives()
    flights.schedule(first, START + 5.0)
    flights.leave(second)
    flights.wake()
    assert flights.next_poll(sure=False) is None
    desk.now = START + 5.0
    flights.wake()
    assert flights.next_poll(sure=False) == AskStatus(first.key, first.task_id)
    assert flights.next_poll(sure=False) is None


def test_the_first_reason_to_halt_stands() -> None:
    """What stops a run first is what it says."""
    desk = Desk.__new__(Desk)
    desk.halted = None
    desk.halt(Ended(ExitCode.KEY_REFUSED, "first"))
    desk.halt(Ended(ExitCode.UNAVAILABLE, "second"))
    assert desk.halted == Ended(ExitCode.KEY_REFUSED, "first")


def test_the_first_reason_for_work_left_is_told_and_all_are_kept() -> None:
    """The end names one reason in words; as data it has each manifest's, each once."""
    desk = Desk.__new__(Desk)
    desk.work_left, desk.stops = "", []
    for why, manifest in ((SLOW, "m"), (SLOW, "m"), (SLOW, "n"), (Refusal(StopKind.FUNDS, "too few credits"), "m")):
        desk.leave(why, manifest)
    assert desk.work_left == SLOW.words
    assert desk.stops == [Stop(StopKind.LATER, "m"), Stop(StopKind.LATER, "n"), Stop(StopKind.FUNDS, "m")]


@pytest.mark.parametrize(
    ("in_doubt", "work_left", "ended"),
    [
        (1, "", (ExitCode.IN_DOUBT, "1 attempt is in doubt")),
        (2, "too little is left", (ExitCode.IN_DOUBT, "2 attempts are in doubt")),
        (0, "too little is left", (ExitCode.STOPPED_EARLY, "too little is left")),
        (0, "", (ExitCode.DONE, "everything asked for is done")),
    ],
)
def test_a_run_ends_with_a_sentence_and_with_all_that_stopped_it(in_doubt: int, work_left: str, ended: tuple[ExitCode, str]) -> None:
    """The sentence tells the most urgent; what stopped work is kept whatever that is."""
    desk = Desk.__new__(Desk)
    desk.undelivered, desk.in_doubt, desk.work_left, desk.failed, desk.blocked = "", in_doubt, work_left, 0, 0
    desk.stops = [Stop(StopKind.TOTAL, "m", "m", 9, 7, 4), Stop(StopKind.FUNDS, "n")]
    assert verdict(desk, []) == Ended(*ended, stops=(Stop(StopKind.TOTAL, "m", "m", 9, 7, 4), Stop(StopKind.FUNDS, "n")))
