"""Every identifier, by every sign that may part its places, beside everything that may stand next to it.

Each is found whole: no place of it is left outside what was found, in a short cell and in a long text alike.
"""

from __future__ import annotations

import pytest

from ringfence.privacy.identifiers.masking import Redact, mask_text
from ringfence.privacy.identifiers.normalise import fold
from ringfence.privacy.identifiers.patterns import scan
from ringfence.privacy.identifiers.pii import Scanner

ANY = ("", " ", "  ", "\t", "-", "_", ".", "/", ":", "·", " - ", " / ", "--", "\u3000", "－", "．", "＿", "–")
SIGNS = ("-", ".", "_", "/", " - ")
WHOLE = ("",)
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "CN_MOBILE": (("138", "1234", "5678"), ANY),
    "CN_MOBILE with 86": (("86", "138", "1234", "5678"), ANY),
    "CREDIT_CARD": (("4111", "1111", "1111", "1111"), ANY),
    "CREDIT_CARD of 15": (("3782", "822463", "10005"), ANY),
    "CREDIT_CARD of 19": (("6228", "4804", "0256", "4890", "018"), ANY),
    "CN_RESIDENT_ID": (("110105", "19491231", "002X"), ANY),
    "CN_RESIDENT_ID in fours": (("4405", "2418", "8001", "0100", "14"), ANY),
    "IBAN": (("DE89", "3704", "0044", "0532", "0130", "00"), ANY),
    "CN_USCC": (("9135", "0100", "M000", "100Y", "43"), ("", " ", "  ", *SIGNS)),
    "US_SSN": (("460", "89", "9847"), (" ", "  ", *SIGNS)),
    "PHONE, America": (("212", "555", "0142"), SIGNS),
    "PHONE, Beijing": (("010", "6234", "5678"), (" ", "  ", *SIGNS)),
    "PHONE, Shenzhen": (("0755", "8888", "6666"), (" ", "-", " - ", "_")),
    "PHONE, brackets": (("(010)", "62345678"), ("", " ", "-")),
    "PHONE, abroad": (("+44", "20", "7946", "0018"), ("", " ", "  ", *SIGNS)),
    "PHONE, Manchester": (("0161", "496", "0000"), (" ", "  ", *SIGNS)),
    "PHONE, hotline": (("400", "810", "9999"), ("-", " - ")),
    "EMAIL": (("wang.fang@example.cn",), WHOLE),
    "EMAIL, letters before": (("müller@example.de",), WHOLE),
    "EMAIL, letters behind": (("info@bücher.example",), WHOLE),
    "EMAIL, Cyrillic": (("почта@пример.рф",), WHOLE),
    "EMAIL, Chinese": (("张伟@例子.中国",), WHOLE),
    "IP_ADDRESS": (("203.0.113.7",), WHOLE),
    "CN_PASSPORT": (("E12345678",), WHOLE),
    "CN_PLATE": (("京A12345",), WHOLE),
    "MAC_ADDRESS": (("00:1B:44:11:3A:B7",), WHOLE),
    "UK_NINO": (("AB123456C",), WHOLE),
    "CN_MOBILE as a float": (("13812345678.0",), WHOLE),
    "CN_MOBILE by exponent": (("1.3812345678e10",), WHOLE),
    "CREDIT_CARD by exponent": (("6.228480402564890018E+18",), WHOLE),
}
BEFORE = ("", "1,", "1，", "a ", "客户", "=", "3、", "[", '"', "9 ", "：", "x,", "_", "|")
AFTER = ("", ",", "，", "。", "元", "x", "X", "a", "abc", "的", ",5", "，5", "、6", "_", "|", ";", '"', ".")
CASES = [(kind, sign.join(parts)) for kind, (parts, signs) in PARTS.items() for sign in signs]


def left_over(text: str, start: int, end: int) -> list[int]:
    """Places of `text[start:end]` that nothing found covers."""
    folded = fold(text)
    covered: set[int] = set()
    for span in scan(folded.text):
        covered.update(range(*folded.original(span.start, span.end)))
    return [place for place in range(start, end) if text[place].isalnum() and place not in covered]


@pytest.mark.parametrize(("kind", "written"), CASES, ids=[f"{k} {w!r}" for k, w in CASES])
def test_it_is_found_whole_whatever_stands_beside_it(kind: str, written: str) -> None:
    for before in BEFORE:
        for after in AFTER:
            text = before + written + after
            assert not left_over(text, len(before), len(before) + len(written)), (kind, text)


@pytest.mark.parametrize(("kind", "written"), CASES, ids=[f"{k} {w!r}" for k, w in CASES])
def test_a_short_cell_and_a_long_text_show_the_same(kind: str, written: str) -> None:
    """What Presidio adds in long texts hides nothing that the fast path finds and masks nothing by half."""
    text = f"1，{written}，的"
    long = "备注：普通的一句话，没有数字。" * 5 + text
    assert Scanner().find_cell(text), kind
    masked = mask_text(long, Redact()).text
    digits = [c for c in masked.removeprefix("备注：普通的一句话，没有数字。" * 5 + "1，") if c.isdigit()]
    assert not digits, masked
    assert masked.endswith("]，的"), masked


@pytest.mark.parametrize(
    "text",
    [
        "版本1.2.3.4",
        "版本：1.2.3.4",
        "v1.2.3.4",
        "1.2.3.4版",
        "build 10.0.19045.3",
        "score 615 620 6250",
        "bins [200 300 4000]",
        "bins [3580 9247 1667 281 2792]",
        "weights [138, 1234, 5678]",
        "4111, 1111, 1111, 1110",
        "3.14159265359",
        "0.1381234567812",
        "1.38e10",
        "6.02214076e23",
        "2024/01/02 12:30:45",
        "13,812,345,678 yuan",
        "SKU-00123456",
        "0012345678",
        "run_2026_1127_2315",
        "a@b",
        "react@18.2.0",
    ],
)
def test_figures_are_left_alone(text: str) -> None:
    assert Scanner().find_cell(text) == []
    assert Scanner().find(text) == []


def test_a_list_of_figures_is_a_number_beside_a_word_only() -> None:
    for text, expected in (
        ("615 620 6250", []),
        ("call 615 620 6250", ["PHONE"]),
        ("138,1234,5678", []),
        ("mobile 138,1234,5678", ["CN_MOBILE"]),
        ("4111,1111,1111,1111", []),
        ("card 4111,1111,1111,1111", ["CREDIT_CARD"]),
    ):
        assert [f.kind for f in Scanner().find_cell(text)] == expected, text


def test_a_card_between_the_letters_of_a_digest_is_found() -> None:
    assert [f.kind for f in Scanner().find_cell("abcd4111111111111111abcd")] == ["CREDIT_CARD"]
    assert Scanner().find_cell("9f86d081884c7d659a2feaa0c55ad015") == []


@pytest.mark.parametrize(
    "digest", ["d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd807fe"]
)
def test_a_card_that_is_joined_to_a_digest_is_found(digest: str) -> None:
    """Both together are as long as a longer digest."""
    for text in (f"{digest}4111111111111111", f"4111111111111111{digest}"):
        assert [found.kind for found in Scanner().find_cell(text)] == ["CREDIT_CARD"]


@pytest.mark.parametrize(
    "number",
    ["4111111111111111", "913301067399400040", "110101199003077379", "6222021200013709121"],
)
def test_a_number_that_a_digest_holds_by_chance_is_none(number: str) -> None:
    """One digest in some thousand holds digits that check as a card, a credit code or a resident's number."""
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for place in (1, 7, 40):
        text = f"sha256:{digest[:place]}c{number}d{digest[place + len(number) + 2 :]}"
        assert len(text) == 71
        assert Scanner().find_cell(text) == []
        assert Scanner().find(f"model {text} was released") == []
    padded = f"{'0f' * 20}{number}".ljust(64, "f")
    assert len(Scanner().find_cell(number)) == 1
    assert len(Scanner().find_cell(padded)) == 1


@pytest.mark.parametrize(
    "sentence",
    [
        "released; 95 % interval {0} – {1}. {2} exact, in a simulation only",
        "interval {0} - {1}, {2} exact",
        "{0} {1} {2}",
        "AUC {0}. {1}. {2} the table",
    ],
)
def test_figures_among_words_are_no_number_of_anybody(sentence: str) -> None:
    """One draw in sixteen checked as a credit code that words went on, one in 25 was a number to dial."""
    for step in range(300):
        figures = [f"0.{(577 * step + 331 * place) % 1000:03}" for place in range(3)]
        text = sentence.format(*figures)
        assert Scanner().find_cell(text) == [], text
        assert Scanner().find(text) == [], text


def test_a_credit_code_with_signs_between_its_places_is_found() -> None:
    for text in (
        "91 350100 M000100Y43",
        "9135-0100-M000-100Y-43",
        "9 1 3 5 0 1 0 0 M 0 0 0 1 0 0 Y 4 3",
        "91.350100.m000100y43",
        "code 91_350100_M000100Y4_3 of the shop",
    ):
        assert [found.kind for found in Scanner().find_cell(text)] == ["CN_USCC"], text
