"""Masked texts and tables hold none of what was planted; each operator keeps its word."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.privacy.identifiers.customers import CustomerList
from ringfence.privacy.identifiers.masking import Generalise, Mask, Redact, Token, mask_frame, mask_text
from ringfence.privacy.identifiers.pii import Scanner, find

KEY = bytes(range(32))
PLANTED = [
    "13800138001",
    "１３８００１３８００２",
    "138 0013 8003",
    "zhang.wei@example.com",
    "11010519491231002X",
    "6228480402564890018",
    "4111-1111-1111-1111",
    "DE89 3704 0044 0532 0130 00",
    "91350100M000100Y43",
    "E12345678",
    "京A12345",
    "203.0.113.7",
    "460-89-9847",
]


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize(
    "operator", [Redact(), Mask(keep=0), Token(key=KEY), Generalise()], ids=lambda o: type(o).__name__
)
def test_no_operator_leaves_the_identifier(planted: str, operator: Any) -> None:
    text = f"客户资料{planted}请核对, filed under {planted}."
    masked = mask_text(text, operator)
    assert planted not in masked.text
    assert len(masked.findings) == 2
    assert find(masked.text) == []
    assert masked.text.endswith(".")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PLANTED), st.text(max_size=8)), max_size=6))
def test_masking_reaches_a_text_in_which_nothing_is_found(parts: list[str]) -> None:
    masked = mask_text("，".join(parts))
    assert find(masked.text) == []
    assert mask_text(masked.text).text == masked.text


def test_mask_keeps_the_end_of_long_values_only() -> None:
    assert Mask(keep=4)("CN_MOBILE", "13800138001") == "***********"
    assert Mask(keep=4)("CREDIT_CARD", "4111111111111111") == "*" * 12 + "1111"
    assert Mask(keep=2)("CN_MOBILE", "13800138001") == "*********01"
    with pytest.raises(ValueError, match="keep"):
        Mask(keep=8)


def test_tokens_are_equal_for_equal_values_under_one_key_only() -> None:
    token = Token(key=KEY)
    assert token("CN_MOBILE", "138 0013-8001") == token("CN_MOBILE", "１３８００１３８００１")
    assert token("CN_MOBILE", "13800138001") != token("CN_MOBILE", "13800138002")
    assert token("CN_MOBILE", "13800138001") != Token(key=bytes(32))("CN_MOBILE", "13800138001")
    assert token("CN_MOBILE", "13800138001") != token("PHONE", "13800138001")
    assert set(token("X", "y").removeprefix("tok_")) <= set("abcdefghijklmnop")
    assert len(token("X", "y")) == 24
    assert KEY.hex() not in repr(token)
    with pytest.raises(ValueError, match="16 bytes"):
        Token(key=b"short")


def test_generalise_keeps_coarse_facts() -> None:
    coarse = Generalise(width=10)
    assert coarse("CN_RESIDENT_ID", "11010519491231002X") == "[CN_RESIDENT_ID 11, 1940s]"
    assert coarse("IP_ADDRESS", "203.0.113.7") == "[IP_ADDRESS 203.0]"
    assert coarse("VALUE", "37") == "30..39"
    assert coarse("VALUE", "-3.5") == "-10..-1"
    assert coarse("VALUE", "1987-05-04") == "1987"
    assert coarse("VALUE", "Alice") == "[VALUE]"
    assert coarse("EMAIL", "a@b.cn") == "[EMAIL]"
    with pytest.raises(ValueError, match="width"):
        Generalise(width=1)


def test_operators_may_differ_by_kind() -> None:
    masked = mask_text("13800138001 a@example.com", {"CN_MOBILE": Mask(keep=2)})
    assert masked.text == "*********01 [EMAIL]"


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer": ["c-1", "c-2", "c-3"],
            "age": [31, 47, 52],
            "score": [0.25, 0.5, 0.75],
            "phone": [13800138001, 13900139002, 0],
            "note": ["邮箱zhang@example.cn", None, "fine"],
            "call_to_13700137003": ["yes", "no", "yes"],
        },
        index=["13600136001", "13600136002", "13600136003"],
    )


def test_a_masked_table_holds_nothing_of_what_was_planted() -> None:
    given_frame = frame()
    masked, report = mask_frame(given_frame, {"customer": Token(key=KEY), "age": Generalise()})
    shown = masked.to_csv()
    for planted in ("138001", "139001", "137001", "136001", "zhang@", "c-1"):
        assert planted not in shown
    assert list(masked["age"]) == ["30..39", "40..49", "50..59"]
    assert list(masked["score"]) == [0.25, 0.5, 0.75]
    assert masked["score"].dtype == "float64"
    assert masked.columns[-1] == "call_to_[CN_MOBILE]"
    assert report.cells == 18
    assert report.kinds == {"CN_MOBILE": 2, "EMAIL": 1}
    assert report.masked == {0: 3, 1: 3, 3: 2, 4: 1}
    assert report.headers == 1
    pd.testing.assert_frame_equal(given_frame, frame())


def test_missing_cells_stay_missing() -> None:
    masked, _ = mask_frame(
        pd.DataFrame(
            {
                "a": pd.array([13800138001, None], dtype="Int64"),
                "b": ["13800138001", None],
                "n": [float("nan"), 13800138001.0],
            }
        )
    )
    assert masked.isna().to_numpy().sum() == 3
    assert "13800138001" not in masked.to_csv()


def test_whole_columns_are_masked_whatever_they_hold() -> None:
    masked, _ = mask_frame(
        pd.DataFrame({"x": [1.5, 2.5], "flag": [True, False]}), {"x": Redact(), "flag": Redact()}
    )
    assert masked.to_numpy().tolist() == [["[VALUE]", "[VALUE]"]] * 2


def test_customers_on_the_holders_list_are_masked() -> None:
    scanner = Scanner(customers=CustomerList.of(KEY, names=["张伟"]))
    masked, report = mask_frame(pd.DataFrame({"memo": ["张伟来电", "无"]}), scanner=scanner)
    assert list(masked["memo"]) == ["[PERSON]来电", "无"]
    assert report.kinds == {"PERSON": 1}


def test_an_empty_table_is_masked() -> None:
    masked, report = mask_frame(pd.DataFrame())
    assert masked.empty
    assert report.cells == 0
