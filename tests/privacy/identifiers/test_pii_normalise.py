"""Folding keeps every offset, and is NFKC."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.privacy.identifiers.normalise import fold, nfkc

TRICKY = st.text(
    alphabet=st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("ｶﾞ１２３４＠．①ﬁ㎏\u1100\u1161\u11a8e\u0301\u0327\u200b\u3000\u0958\u09be가각張王"),
    ),
    max_size=24,
)


@settings(max_examples=500, deadline=None)
@given(TRICKY)
def test_nfkc_with_offsets_is_nfkc(text: str) -> None:
    normalised, starts, ends = nfkc(text)
    assert normalised == unicodedata.normalize("NFKC", text)
    assert len(normalised) == len(starts) == len(ends)


@settings(max_examples=500, deadline=None)
@given(TRICKY)
def test_offsets_are_ordered_and_cover_where_characters_came_from(text: str) -> None:
    folded = fold(text)
    previous = (0, 0)
    for place in range(len(folded.text)):
        start, end = folded.original(place, place + 1)
        assert 0 <= start < end <= len(text)
        assert previous <= (start, end)
        assert folded.text[place] in fold(text[start:end]).text
        previous = (start, end)


@settings(max_examples=300, deadline=None)
@given(TRICKY, TRICKY)
def test_a_number_keeps_its_place_between_any_texts(before: str, after: str) -> None:
    wide = "".join(chr(0xFF10 + int(c)) for c in "13800138001")
    text = f"{before} {wide} {after}"
    folded = fold(text)
    at = folded.text.index("13800138001", len(fold(before + " ").text) - 1)
    start, end = folded.original(at, at + 11)
    assert text[start:end] == wide


def test_what_readers_see_alike_becomes_one() -> None:
    assert fold("１３８\u200b００\u00ad１３\u2060８").text == "138001 38".replace(" ", "")
    assert fold("a\u2013b\u2212c\u00a0d\u3000e").text == "a-b-c d e"
    assert fold("\u0661\u0662\u0663\u06f4\u096b").text == "12345"


def test_ascii_is_left_alone() -> None:
    folded = fold("plain 123")
    assert folded.text == "plain 123"
    assert folded.starts is None
    assert folded.original(2, 5) == (2, 5)
