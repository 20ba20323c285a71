"""Fictitious people of the demo city: names, contact details and service notes with planted personal data.

Nobody here exists. Mobile numbers use the prefix 154, which is not on sale to the public; resident ids carry
a valid GB 11643 check character over a county code (9999) that no place has; mail addresses end in the
domains that RFC 2606 reserves for examples. So a recogniser must find them, and none of them reaches a
person.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd

Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_PINYIN = (
    "Wang",
    "Li",
    "Zhang",
    "Liu",
    "Chen",
    "Yang",
    "Zhao",
    "Huang",
    "Zhou",
    "Wu",
    "Xu",
    "Sun",
    "Hu",
    "Zhu",
    "Gao",
    "Lin",
    "He",
    "Guo",
    "Ma",
    "Luo",
)
_GIVEN = (
    "伟",
    "芳",
    "娜",
    "敏",
    "静",
    "丽",
    "强",
    "磊",
    "军",
    "洋",
    "勇",
    "艳",
    "杰",
    "娟",
    "涛",
    "明",
    "超",
    "秀兰",
    "建国",
    "晓雨",
    "子涵",
    "浩然",
    "思远",
    "雨桐",
    "佳怡",
)
_GIVEN_PINYIN = (
    "Wei",
    "Fang",
    "Na",
    "Min",
    "Jing",
    "Li",
    "Qiang",
    "Lei",
    "Jun",
    "Yang",
    "Yong",
    "Yan",
    "Jie",
    "Juan",
    "Tao",
    "Ming",
    "Chao",
    "Xiulan",
    "Jianguo",
    "Xiaoyu",
    "Zihan",
    "Haoran",
    "Siyuan",
    "Yutong",
    "Jiayi",
)
_MAIL_DOMAINS = ("example.com", "example.org", "example.net")
_PROVINCES = ("11", "31", "33", "44", "51")
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS = "10X98765432"

NOTE_SHARE = 0.08
"""Share of a holder's customers that have one service note."""

PII_KINDS = ("name", "mobile", "email", "resident_id")

_NOTES = {
    "en": (
        "{name} called about a fee that was charged twice; wants an answer by mail to {email}.",
        "Caller gave mobile {mobile} and asked to change the payment day.",
        "Identity checked against {resident_id}; new address accepted, contact person {name}.",
        "Please ring {name} back on {mobile} before the contract ends.",
        "Waiting time was long, but the problem was solved at the desk.",
        "Asked for the price of the premium tier; order 2026-0315-0042 stays open.",
    ),
    "zh": (
        "客户{name}来电咨询重复扣费，请回复邮箱{email}。",
        "来电号码{mobile}，要求变更扣款日。",
        "已核验证件{resident_id}，联系人{name}，地址更新完成。",
        "请在合同到期前致电{mobile}联系{name}。",
        "排队时间较长，问题已在柜台解决。",
        "询问高级套餐价格，工单2026-0315-0042待跟进。",
    ),
}


def with_check_character(first17: str) -> str:
    """Append the check character of GB 11643-1999 (ISO 7064 MOD 11-2) to 17 digits."""
    remainder = sum(weight * int(digit) for weight, digit in zip(_ID_WEIGHTS, first17, strict=True)) % 11
    return first17 + _ID_CHECKS[remainder]


def people(rng: np.random.Generator, ages: Integers) -> pd.DataFrame:
    """Draw one fictitious identity per person.

    Args:
        rng: source of the draw.
        ages: `(n,)` ages in whole years in 2026; the birth date in the resident id agrees with them.

    Returns:
        `(n, 5)` frame of texts: name, name_en, mobile, email, resident_id; mobile and email are unique.
    """
    n = len(ages)
    surname, given = rng.integers(len(_SURNAMES), size=n), rng.integers(len(_GIVEN), size=n)
    line = rng.choice(10**8, size=n, replace=False)
    domain, province = rng.integers(len(_MAIL_DOMAINS), size=n), rng.integers(len(_PROVINCES), size=n)
    birth = (2026 - ages) * 10_000 + rng.integers(1, 13, size=n) * 100 + rng.integers(1, 29, size=n)
    serial = rng.integers(1000, size=n)
    draws = np.column_stack([surname, given, line, domain, province, birth, serial]).tolist()
    records = [
        (
            _SURNAMES[s] + _GIVEN[g],
            f"{_GIVEN_PINYIN[g]} {_PINYIN[s]}",
            f"154{number:08d}",
            f"{_GIVEN_PINYIN[g]}.{_PINYIN[s]}{number}@{_MAIL_DOMAINS[d]}".lower(),
            with_check_character(f"{_PROVINCES[p]}9999{born}{order:03d}"),
        )
        for s, g, number, d, p, born, order in draws
    ]
    return pd.DataFrame(records, columns=["name", "name_en", "mobile", "email", "resident_id"])


def service_notes(
    rng: np.random.Generator, keys: pd.Series[str], identities: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write service notes in English and Chinese for `NOTE_SHARE` of a holder's customers.

    Args:
        rng: source of the draw.
        keys: `(n,)` customer keys of the holder.
        identities: `(n, 5)` frame of `people`, row by row with `keys`.

    Returns:
        The notes (columns key, language, note; one row a customer drawn) and what was planted in them
        (columns key, kind, value; kind is one of `PII_KINDS`). A third of the templates carry nothing
        personal.
    """
    chosen = np.flatnonzero(rng.random(len(keys)) < NOTE_SHARE)
    languages = rng.random(len(chosen)) < 0.5
    templates = rng.integers(len(_NOTES["en"]), size=len(chosen))
    persons = identities.iloc[chosen].to_dict("records")
    notes: list[tuple[str, str, str]] = []
    planted: list[tuple[str, str, str]] = []
    for key, person, english, template in zip(
        keys.iloc[chosen].tolist(), persons, languages.tolist(), templates.tolist(), strict=True
    ):
        language = "en" if english else "zh"
        text = _NOTES[language][template]
        facts = {**person, "name": person["name_en"] if english else person["name"]}
        notes.append((key, language, text.format_map(facts)))
        planted.extend((key, kind, facts[kind]) for kind in PII_KINDS if f"{{{kind}}}" in text)
    return (
        pd.DataFrame(notes, columns=["key", "language", "note"]),
        pd.DataFrame(planted, columns=["key", "kind", "value"]),
    )
