"""What a verification says, member by member, and how an alteration is named and bounded, without files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ringfence.audit.errors import N_, BundleError
from ringfence.audit.verification.localise import (
    Bounds,
    bound_alteration,
    first_difference,
    name_alteration,
)
from ringfence.audit.verification.lookalike import look_alike, mixes_scripts, spelt
from ringfence.audit.verification.report import (
    BundleIncomplete,
    BundleRefused,
    Flaw,
    Gap,
    LogReport,
    Report,
)


def error(code: str) -> BundleError:
    return BundleError(code, N_("The manifest speaks of another log or size than the checkpoint."))


FLAW = Flaw(error=error("RF-A096"), event=3)
GAP = Gap(error=error("RF-A200"), missing="ringfence.example/holder/bank")
LOG = LogReport(name="holders/bank")


def sentence(code: str) -> str:
    return error(code).sentence()


def test_a_flaw_and_a_gap_for_programs() -> None:
    assert FLAW.to_json() == {"code": "RF-A096", "sentence": sentence("RF-A096"), "event": 3}
    assert replace(FLAW, event=0).to_json()["event"] == 0  # type: ignore[call-overload, index]
    assert replace(FLAW, event=None).to_json() == {"code": "RF-A096", "sentence": sentence("RF-A096")}
    told = {"code": "RF-A200", "sentence": sentence("RF-A200")}
    assert GAP.to_json() == {**told, "missing": "ringfence.example/holder/bank"}
    assert replace(GAP, missing="").to_json() == told
    assert (Gap(error=error("RF-A200")).missing, Gap(error=error("RF-A200")).elsewhere) == ("", False)


def test_a_log_for_programs() -> None:
    assert LogReport(name=".").to_json() == {
        "name": ".",
        "origin": "",
        "events": 0,
        "root": "",
        "key": "",
        "key_trusted": False,
        "simulation_events": 0,
        "freshness_shown": False,
        "anchored_to": {},
        "intact": True,
        "faults": [],
        "notices": [],
    }
    log = LogReport(name="holders/bank", origin="o", size=7, root="ab", key="k", trusted=True, simulation=2)
    log.fresh_to = 0
    log.anchored_to["coordinator"] = 5
    log.notices.append("a notice")
    log.fault(error("RF-A096"), 0)
    log.fault(error("RF-A097"))
    assert log.faults == [Flaw(error=log.faults[0].error, event=0), Flaw(error=log.faults[1].error)]
    assert log.to_json() == {
        "name": "holders/bank",
        "origin": "o",
        "events": 7,
        "root": "ab",
        "key": "k",
        "key_trusted": True,
        "simulation_events": 2,
        "freshness_shown": True,
        "fresh_to": 0,
        "anchored_to": {"coordinator": 5},
        "intact": False,
        "faults": [
            {"code": "RF-A096", "sentence": sentence("RF-A096"), "event": 0},
            {"code": "RF-A097", "sentence": sentence("RF-A097")},
        ],
        "notices": ["a notice"],
    }


def test_a_bundle_for_programs() -> None:
    report = Report(logs=(LOG,), faults=(FLAW,), gaps=(GAP, replace(GAP, missing="")), left_out=(GAP,))
    assert report.to_json() == {
        "format": "ringfence-verification/1",
        "verdict": "refused",
        "intact": False,
        "missing": ["ringfence.example/holder/bank"],
        "gaps": [GAP.to_json(), replace(GAP, missing="").to_json()],
        "left_out": [GAP.to_json()],
        "unknown": ["holders/bank"],
        "notices": [],
        "faults": [FLAW.to_json()],
        "logs": [LOG.to_json()],
    }
    whole = Report(logs=(LOG,), notices=("a notice",)).to_json()
    assert (whole["verdict"], whole["intact"], whole["notices"]) == ("intact", True, ["a notice"])


def test_the_verdict_is_the_worst_that_was_found() -> None:
    """One fault of one log refuses all; one gap is enough not to be intact; what was left out is neither."""
    spoilt = LogReport(name="a")
    spoilt.fault(error("RF-A081"))
    assert Report(logs=(LOG,)).verdict == "intact"
    assert Report(logs=(LOG,), left_out=(GAP,)).verdict == "intact"
    assert Report(logs=(LOG,), gaps=(GAP,)).verdict == "incomplete"
    for report in (
        Report(logs=(LOG, spoilt)),
        Report(logs=(LOG, spoilt), gaps=(GAP,)),
        Report(logs=(LOG,), faults=(FLAW,)),
        Report(logs=(), faults=(FLAW,), gaps=(GAP,)),
    ):
        assert report.verdict == "refused"
    both = Report(logs=(spoilt,), faults=(FLAW,))
    assert both.all_faults() == [FLAW, *spoilt.faults]
    refused, incomplete = BundleRefused(both), BundleIncomplete(Report(logs=(LOG,), gaps=(GAP,)))
    assert (refused.code, refused.report) == ("RF-A096", both)
    assert (incomplete.code, incomplete.report.gaps) == ("RF-A200", (GAP,))
    assert BundleRefused(Report(logs=(spoilt,))).code == "RF-A081"


def test_whose_a_log_is_shows_by_a_key_that_was_given() -> None:
    known = LogReport(name="a", origin="o/a", trusted=True)
    named = LogReport(name="b", origin="o/b")
    assert Report(logs=(known, named, LogReport(name="c"))).unknown == ["o/b", "c"]


# --- how events were altered -----------------------------------------------------------------------------


def table(letters: str) -> bytes:
    """A leaf hash for each letter."""
    return b"".join(bytes([ord(letter)]) * 32 for letter in letters)


@pytest.mark.parametrize(
    ("found", "stated", "expected"),
    [
        ("", "", None),
        ("abc", "abc", None),
        ("abc", "abd", 2),
        ("abc", "xbc", 0),
        ("abc", "axc", 1),
        ("abc", "ab", 2),
        ("ab", "abc", 2),
        ("", "a", 0),
        ("abcdefgh", "abcdefgx", 7),
        ("abcdefgh", "abcdxfgh", 4),
    ],
)
def test_the_first_difference(found: str, stated: str, expected: int | None) -> None:
    assert first_difference(table(found), bytearray(table(stated))) == expected


@pytest.mark.parametrize(
    ("found", "stated", "code", "event", "count"),
    [
        ("abc", "abcd", "RF-A081", 3, 1),
        ("", "ab", "RF-A081", 0, 2),
        ("abd", "abcd", "RF-A080", 2, 1),
        ("d", "abcd", "RF-A080", 0, 3),
        ("abcd", "abd", "RF-A082", 2, None),
        ("abcd", "abc", "RF-A082", 3, None),
        ("xabc", "abc", "RF-A082", 0, None),
        ("acbd", "abcd", "RF-A083", 1, None),
        ("dbca", "abcd", "RF-A083", 0, None),
        ("abxd", "abcd", "RF-A084", 2, None),
        ("abx", "abcd", "RF-A084", 2, None),
        ("abxyd", "abcd", "RF-A084", 2, None),
        ("aa", "aaa", "RF-A081", 2, 1),
    ],
)
def test_an_alteration_is_named_with_its_first_event(
    found: str, stated: str, code: str, event: int, count: int | None
) -> None:
    fault, first = name_alteration(table(found), table(stated))
    assert (fault.code, first) == (code, event)
    assert (fault.values["event"], fault.values["line"], fault.values.get("count")) == (
        event,
        event + 1,
        count,
    )


A, B, X = b"a" * 32, b"b" * 32, b"x" * 32


@pytest.mark.parametrize(
    ("claims", "roots", "count", "low", "high"),
    [
        ({}, {}, 5, 0, 4),
        ({3: A}, {3: A}, 5, 3, 4),
        ({3: A}, {3: X}, 5, 0, 2),
        ({2: A, 4: B}, {2: A, 4: X}, 9, 2, 3),
        ({2: A, 4: B, 6: A}, {2: A, 4: X, 6: X}, 9, 2, 3),
        ({2: A, 4: B}, {2: X, 4: B}, 9, 4, 8),
        ({2: A}, {}, 9, 0, 1),
        ({5: A}, {5: A}, 5, 5, 5),
        ({1: A}, {1: X}, 3, 0, 0),
    ],
)
def test_signed_roots_bound_the_first_bad_event(
    claims: dict[int, bytes], roots: dict[int, bytes], count: int, low: int, high: int
) -> None:
    """From the largest size that still holds up to the event before the least one beyond that does not."""
    assert bound_alteration(claims, roots, count) == Bounds(low=low, high=high)


# --- names that look alike -------------------------------------------------------------------------------

DRAWN = {
    "\u0430\u0432\u0441\u0501\u0435\u050d\u04bb\u043d\u0456\u0458\u043a\u04cf": "abcdeghhijkl",
    "\u043c\u043e\u0440\u051b\u0455\u0442\u0475\u051d\u0445\u0443": "mopqstvwxy",
    "\u0581\u0570\u0578\u0585\u057d": "ghnou",
    "\u03b1\u03b2\u03b5\u03b9\u03ba\u03bf\u03c1\u03c4\u03c5\u03bd\u03c9\u03c7\u03b3": "abeikoptuvwxy",
    "\u0261\u0131\u1d20": "giv",
    "01|": "oll",
    "\u0410\u0412\u0415\uff41\u00e4": "ABEaa",
}


@pytest.mark.parametrize(
    ("drawn", "latin"), [pair for left, right in DRAWN.items() for pair in zip(left, right, strict=True)]
)
def test_a_letter_is_taken_for_the_one_it_is_drawn_like(drawn: str, latin: str) -> None:
    assert look_alike(f"log/{drawn}2", f"log/{latin}2")
    assert look_alike(f"log/{latin}2", f"log/{drawn}2")
    assert not look_alike(f"log/{drawn}2", "log/z2")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("barn", "bam"),
        ("vvest", "west"),
        ("cloe", "doe"),
        ("Bank", "bank"),
        ("bIank", "blank"),
        ("BIN", "bin"),
    ],
)
def test_pairs_of_letters_and_capitals_are_taken_for_others(one: str, other: str) -> None:
    assert look_alike(one, other)


@pytest.mark.parametrize("hidden", ["\u200b", "\u00ad", "\u0301", "\u20dd", "\x07"])
def test_what_is_not_seen_makes_no_other_name(hidden: str) -> None:
    assert look_alike(f"ba{hidden}nk", "bank")


@pytest.mark.parametrize(
    ("one", "other"), [("bank", "bank"), ("bank", "banks"), ("bank-1", "bank-2"), ("a", "b")]
)
def test_the_same_name_and_another_one_do_not_look_alike(one: str, other: str) -> None:
    assert not look_alike(one, other)


@pytest.mark.parametrize(
    ("name", "mixed"),
    [
        ("bank", False),
        ("b\u0430nk", True),
        ("b\u03b1nk", True),
        ("b\u0561nk", True),
        ("b\u13a0nk", True),
        ("b\u2c81nk", True),
        ("b\ua4d0nk", True),
        ("b\uff41nk", True),
        ("b\U0001d41ank", True),
        ("\u0431\u0430\u043d\u043a", False),
        ("bank/\u0431\u0430\u043d\u043a", False),
        ("bank.\u0431", False),
        ("bank-\u0431", False),
        ("bank_\u0431", False),
        ("bank:\u0431", False),
        ("bank#\u0431", False),
        ("bank\u94f6\u884c", False),
        ("bank1\u0660", False),
        ("a/b\u0430/c", True),
    ],
)
def test_a_part_of_two_scripts_that_are_drawn_alike(name: str, mixed: bool) -> None:
    assert mixes_scripts(name) is mixed


def test_a_name_is_spelt_out_beyond_ascii() -> None:
    assert spelt("b\u0430nk-1") == "b\\u0430nk-1"
