from __future__ import annotations

import pytest

from batchgen.errors import UsageError
from batchgen.sandbox.faults import Faults, Mishap, describe


def test_every_documented_fault_is_read() -> None:
    """A list of faults becomes a value; shares, seconds, counts and switches are read as such."""
    faults = Faults.parse("slow=0.2, fail=0.05,drop_before=0.05,429=0.05,5xx=0.05,html=0.02,cut=0.2,late,rate=60,seed=7")
    assert (faults.slow, faults.busy, faults.broken, faults.late, faults.rate, faults.seed) == (0.2, 0.05, 0.05, 1, 60, 7)


def test_no_text_is_no_fault() -> None:
    """An empty text gives a server at its best."""
    assert Faults.parse("") == Faults()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drop_befor=0.1", "did you mean 'drop_before'"),
        ("zzz=1", "known are slow"),
        ("fail=2", "fail=2 is not a share from 0 to 1"),
        ("fail=-0.1", "not a share"),
        ("slow=soon", "slow=soon is not seconds"),
        ("slow=inf", "not seconds"),
        ("slow", "slow= is not seconds"),
        ("rate=1.5", "not a whole number"),
        ("late=0.5", "not 0 or 1"),
        ("rate=٣", "rate=٣ is not a whole number"),
        ("fail=0.٣", "not a share"),
        ("rate=1_0", "not a whole number"),
        ("seed=nan", "not a whole number"),
        ("fail=0.1,fail=0.2", "'fail' is given twice"),
        ("drop_before=0.6,5xx=0.6", "drop_before, 5xx add up to more than 1"),
        ("fail=0.6,stall=0.6", "fail and stall"),
        ("created=204", "200, 201 or 202"),
        ("window=0", "more than 0"),
    ],
)
def test_a_wrong_fault_is_explained(text: str, said: str) -> None:
    """A name or value that is not understood is an error that says what would be."""
    with pytest.raises(UsageError, match=said):
        Faults.parse(text)


def test_draws_repeat_and_differ_by_seed() -> None:
    """The same seed, subject and number give the same fate; another seed gives another night."""
    one, other = Faults.parse("5xx=0.5,seed=1"), Faults.parse("5xx=0.5,seed=2")
    night = [one.fate("POST key", nth, create=True) for nth in range(100)]
    assert night == [one.fate("POST key", nth, create=True) for nth in range(100)]
    assert night != [other.fate("POST key", nth, create=True) for nth in range(100)]


def test_shares_are_met() -> None:
    """Over many requests each mishap comes about as often as asked."""
    faults = Faults.parse("drop_after=0.2,429=0.1")
    met = [faults.fate(f"GET {n}", 1, create=False).mishap for n in range(5000)]
    assert 900 < met.count(Mishap.DROP_AFTER) < 1100
    assert 420 < met.count(Mishap.BUSY) < 580


def test_only_creates_lack_credits() -> None:
    """`insufficient` is about creates."""
    faults = Faults.parse("insufficient=1")
    assert faults.fate("GET x", 1, create=False).mishap is None
    assert faults.fate("POST x", 1, create=True).mishap is Mishap.INSUFFICIENT


def test_help_knows_every_fault() -> None:
    """The help lists each fault once, with what it takes and does."""
    names = [name for name, _, _ in describe()]
    assert len(names) == len(set(names)) > 20
    assert all(kind and said for _, kind, said in describe())
