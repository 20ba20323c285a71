"""How each holder of the demo city stores its table: three codings of one meaning, as in real life.

The bank exports UTF-8 CSV with English headers and letter codes, the retailer GB18030 CSV with Chinese
headers, `;` between fields and thousands separators, the partner Parquet with number codes. The packaged
contracts of the case `demo` map all three to one schema; names, numbers and ids stand in columns that no
contract lists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ringfence.privacy.errors import N_, UsageError
from ringfence.simulations.cases import case_files, copy_case

CONSENT_COLUMNS = (
    "customer_key",
    "event",
    "purpose",
    "at",
    "valid_until",
    "notice_id",
    "notice_version",
    "notice_language",
    "notice_digest",
    "legal_basis",
    "recipients",
    "separate_consents",
)
NOTICES: Mapping[str, str] = {
    "en": "The holders of the city card may learn together who leaves and who wants credit. No record leaves "
    "them.",
    "zh": "城市卡各持有方可共同学习客户流失与信贷意向，任何记录都不离开持有方。",
}
"""The notice of the demo city as it was shown, by language; consent records carry its digest."""
CONSENT_MIX: Mapping[str, tuple[float, float, float, float]] = {
    "churn-prediction": (0.90, 0.04, 0.04, 0.02),
    "credit-propensity": (0.78, 0.14, 0.05, 0.03),
}
"""Chance of granted, refused, withdrawn after a grant, and expired, for each purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """A holder's file: header by schema name, code by category, and identity columns beside them."""

    file: str
    headers: Mapping[str, str]
    codes: Mapping[str, Mapping[str, str | int]]
    identity: Mapping[str, str] = field(default_factory=dict)


_YN: Mapping[str, str | int] = {"yes": "Y", "no": "N"}
_SHI_FOU: Mapping[str, str | int] = {"yes": "是", "no": "否"}
_01: Mapping[str, str | int] = {"yes": 1, "no": 0}

CODINGS: Mapping[str, Coding] = {
    "bank": Coding(
        file="bank.csv",
        headers={
            "key": "client_ref",
            "age": "age",
            "income_band": "income_class",
            "tenure_months": "months_with_bank",
            "monthly_spend": "avg_monthly_turnover",
            "visits_90d": "contacts_90d",
            "days_since_last": "days_idle",
            "channel": "main_channel",
            "tier": "package",
            "autopay": "direct_debit",
            "complaints_180d": "complaints_6m",
            "late_payments_12m": "arrears_12m",
            "satisfaction": "survey_score",
            "churn": "account_closed",
            "credit_uptake": "took_loan_offer",
        },
        codes={
            "income_band": dict(
                zip(("low", "lower_middle", "middle", "upper_middle", "high"), "EDCBA", strict=True)
            ),
            "channel": {"branch": "BR", "web": "WEB", "app": "APP", "phone": "TEL"},
            "tier": {"basic": "B", "standard": "S", "premium": "P"},
            "autopay": _YN,
            "churn": _YN,
            "credit_uptake": _YN,
        },
        identity={"name_en": "full_name", "name": "name_zh", "mobile": "mobile", "resident_id": "id_number"},
    ),
    "retailer": Coding(
        file="retailer.csv",
        headers={
            "key": "会员号",
            "age": "年龄",
            "income_band": "收入档",
            "tenure_months": "入会月数",
            "monthly_spend": "月均消费",
            "visits_90d": "近90天到店次数",
            "days_since_last": "距上次到店天数",
            "channel": "主要渠道",
            "tier": "会员等级",
            "autopay": "自动续费",
            "complaints_180d": "近半年投诉",
            "late_payments_12m": "近一年逾期",
            "satisfaction": "满意度",
            "churn": "已流失",
            "credit_uptake": "办理分期",
        },
        codes={
            "income_band": {
                "low": "低",
                "lower_middle": "中低",
                "middle": "中",
                "upper_middle": "中高",
                "high": "高",
            },
            "channel": {"branch": "门店", "web": "网站", "app": "应用", "phone": "电话"},
            "tier": {"basic": "普通", "standard": "银卡", "premium": "金卡"},
            "autopay": _SHI_FOU,
            "churn": _SHI_FOU,
            "credit_uptake": _SHI_FOU,
        },
        identity={"name": "姓名", "mobile": "手机"},
    ),
    "partner": Coding(
        file="partner.parquet",
        headers={
            "key": "subscriber",
            "age": "age_years",
            "income_band": "income_code",
            "tenure_months": "months_on_net",
            "monthly_spend": "arpu",
            "visits_90d": "sessions_90d",
            "days_since_last": "idle_days",
            "channel": "touchpoint",
            "tier": "plan",
            "autopay": "auto_topup",
            "complaints_180d": "tickets_180d",
            "late_payments_12m": "late_bills_12m",
            "satisfaction": "csat",
            "churn": "ported_out",
            "credit_uptake": "handset_credit",
        },
        codes={
            "income_band": {"low": 1, "lower_middle": 2, "middle": 3, "upper_middle": 4, "high": 5},
            "channel": {"branch": 10, "web": 20, "app": 30, "phone": 40},
            "tier": {"basic": "S", "standard": "M", "premium": "L"},
            "autopay": _01,
            "churn": _01,
            "credit_uptake": _01,
        },
        identity={"mobile": "msisdn", "email": "contact_email"},
    ),
}


def holder_file(holder: str, shared: pd.DataFrame, identities: pd.DataFrame) -> pd.DataFrame:
    """Turn a table in the shared schema into the holder's own file.

    Args:
        holder: bank, retailer or partner.
        shared: `(n, 15)` frame of key, features and labels.
        identities: `(n, 5)` frame of fictitious people, row by row with `shared`.
    """
    coding = CODINGS[holder]
    own = {
        header: shared[name].map(dict(coding.codes[name])) if name in coding.codes else shared[name]
        for name, header in coding.headers.items()
    }
    if holder == "retailer":
        own["月均消费"] = pd.Series([f"{value:,.2f}" for value in shared["monthly_spend"].tolist()])
        scores = shared["satisfaction"].tolist()
        own["满意度"] = pd.Series(["未填" if score != score else f"{score:.0f}" for score in scores])
    if holder == "bank":
        own["survey_score"] = shared["satisfaction"].astype("Int64")
    persons = {header: identities[name] for name, header in coding.identity.items()}
    key = coding.headers["key"]
    return pd.DataFrame({key: own[key], **persons, **own})


def consent_events(rng: np.random.Generator, keys: pd.Series[str]) -> pd.DataFrame:
    """Draw consent histories for every customer and both purposes, independent of the labels.

    A withdrawal follows its grant as a second event; an expired consent is a grant whose validity has passed.

    Args:
        rng: source of the draw.
        keys: `(n,)` customer keys.

    Returns:
        Frame of `CONSENT_COLUMNS`, all texts, in the form that `ringfence-client consent import` reads.
    """
    parts = []
    for purpose, mix in CONSENT_MIX.items():
        n = len(keys)
        state = rng.choice(4, size=n, p=mix)
        given = np.datetime64("2025-01-01") + rng.integers(0, 240, size=n).astype("timedelta64[D]")
        first = pd.DataFrame({"customer_key": keys, "event": np.where(state == 1, "refused", "granted")})
        first["purpose"], first["at"] = purpose, given.astype(str)
        first["valid_until"] = np.select([state == 1, state == 3], ["", "2026-01-31"], "2035-12-31")
        second = first[state == 2].assign(event="withdrawn", valid_until="")
        later = given[state == 2] + rng.integers(30, 150, size=len(second)).astype("timedelta64[D]")
        second["at"] = later.astype(str)
        parts += [first, second]
    events = pd.concat(parts, ignore_index=True)
    language = np.where(rng.random(len(events)) < 0.6, "zh", "en")
    digests = {code: "sha256:" + hashlib.sha256(text.encode()).hexdigest() for code, text in NOTICES.items()}
    events = events.assign(
        at=events["at"] + "T09:00:00+08:00",
        notice_id="city-card-notice",
        notice_version="3",
        notice_language=language,
        notice_digest=np.where(language == "zh", digests["zh"], digests["en"]),
        legal_basis="consent",
        recipients="bank;retailer;partner",
        separate_consents="provision;sensitive-data",
    )
    ordered: pd.DataFrame = events[list(CONSENT_COLUMNS)]
    return ordered


def write_population_files(
    directory: Path,
    frames: Mapping[str, pd.DataFrame],
    notes: Mapping[str, pd.DataFrame],
    planted: Mapping[str, pd.DataFrame],
    consents: Mapping[str, pd.DataFrame],
) -> list[Path]:
    """Write the packaged case `demo` and the data files beside it; see `populations.write`."""
    targets = [directory / CODINGS[holder].file for holder in frames]
    for kind in ("consent", "notes", "notes-planted"):
        targets += [directory / f"{holder}-{kind}.csv" for holder in frames]
    for target in (*targets, *(directory / name for name in case_files("demo"))):
        if target.exists():
            raise UsageError(
                "RF-U303",
                N_("{file} is there already and is not overwritten. Choose an empty directory."),
                file=target.name,
            )
    written = copy_case("demo", directory)
    for holder, frame in frames.items():
        _write_table(directory / CODINGS[holder].file, holder, frame)
        for kind, side in (("consent", consents), ("notes", notes), ("notes-planted", planted)):
            side[holder].to_csv(directory / f"{holder}-{kind}.csv", index=False)
    return written + targets


def _write_table(path: Path, holder: str, frame: pd.DataFrame) -> None:
    """Write one holder's table in its own form."""
    match holder:
        case "partner":
            frame.to_parquet(path, index=False)
        case "retailer":
            frame.to_csv(path, index=False, sep=";", encoding="gb18030")
        case _:
            frame.to_csv(path, index=False)
