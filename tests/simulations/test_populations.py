"""The demo city is reproducible, overlaps as documented, and its files read back to what was generated."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from ringfence.privacy.agreements.purposes import catalogue
from ringfence.privacy.consent.intake import read_events
from ringfence.privacy.consent.tables import to_micros
from ringfence.privacy.errors import UsageError
from ringfence.privacy.tables import tabular
from ringfence.simulations.populations import city as populations
from ringfence.simulations.populations import files, structure
from ringfence.simulations.populations.people import PII_KINDS, with_check_character

HOLDERS = ("bank", "retailer", "partner")
SMALL = {"bank": 1500, "retailer": 1200, "partner": 900}


@pytest.fixture(scope="module")
def city() -> populations.Population:
    return populations.generate(1)


@pytest.fixture(scope="module")
def written(city: populations.Population, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("city") / "new"
    paths = populations.write_population(city, directory)
    assert sorted(path.name for path in paths) == sorted(path.name for path in directory.iterdir())
    return directory


def figures(table: pd.DataFrame, column: str) -> dict[tuple[str, str], float]:
    keys = zip(table["label"].tolist(), table["holder"].tolist(), strict=True)
    return dict(zip(keys, table[column].tolist(), strict=True))


def rate(rows: Any, where: Any) -> float:
    return float(np.asarray(rows)[np.asarray(where)].mean())


def test_a_seed_gives_the_same_city_and_another_seed_another() -> None:
    first, again, other = (populations.generate(seed, SMALL) for seed in (7, 7, 8))
    for part in ("frames", "shared", "chances", "notes", "planted", "consents"):
        for holder in HOLDERS:
            pd.testing.assert_frame_equal(getattr(first, part)[holder], getattr(again, part)[holder])
            assert not getattr(first, part)[holder].equals(getattr(other, part)[holder])


def test_generation_leaves_the_global_generator_alone() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    populations.generate(3, SMALL)
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index]


def test_sizes_and_overlap_are_exactly_as_documented(city: populations.Population) -> None:
    keys = {holder: set(frame["key"]) for holder, frame in city.shared.items()}
    for holder, size in populations.DEFAULT_SIZES.items():
        assert len(city.frames[holder]) == len(keys[holder]) == size
    expected = {("bank", "retailer"): 1080, ("bank", "partner"): 480, ("retailer", "partner"): 300}
    assert {pair: city.overlap(*pair) for pair in structure.OVERLAP} == expected
    assert not keys["bank"] & keys["retailer"] & keys["partner"]


def test_a_shared_customer_is_one_person_with_two_relationships(city: populations.Population) -> None:
    both = city.shared["bank"].merge(city.shared["retailer"], on="key", suffixes=("", "_other"))
    assert len(both) == 1080
    assert (both["age"] == both["age_other"]).all()
    assert (both["income_band"] == both["income_band_other"]).all()
    assert (both["tenure_months"] != both["tenure_months_other"]).mean() > 0.9


@pytest.mark.parametrize("seed", [1, 2])
def test_base_rates_lie_in_the_documented_ranges(seed: int) -> None:
    rates = figures(populations.oracle(populations.generate(seed)), "rate")
    for holder, labels in populations.BASE_RATES.items():
        for label, (low, high) in labels.items():
            assert low <= rates[label, holder] <= high
    assert 0.20 <= rates["churn", "all"] <= 0.27


def test_labels_follow_the_stated_chances_and_nothing_beats_them(city: populations.Population) -> None:
    table = populations.oracle(city)
    best, additive = figures(table, "oracle_auc"), figures(table, "additive_auc")
    assert 0.83 <= best["churn", "all"] <= 0.87
    assert 0.77 <= best["credit_uptake", "all"] <= 0.81
    assert all(best[key] > additive[key] + 0.003 for key in best)
    for holder in HOLDERS:
        shared, chances = city.shared[holder], city.chances[holder]
        np.testing.assert_allclose(chances["churn"], expit(structure.churn_logit(shared, holder)))
        decile = pd.qcut(chances["churn"], 10, labels=False)
        seen = (shared["churn"] == "yes").groupby(decile).mean()
        meant = chances["churn"].groupby(decile).mean()
        # 600 rows a tenth: 6.1 standard deviations of .0204 fail with probability below 1e-9 each
        assert (seen - meant).abs().max() < 6.1 * 0.5 / np.sqrt(len(shared) / 10)


def test_the_interactions_are_there(city: populations.Population) -> None:
    table = pd.concat(city.shared.values())
    churned, complaints = table["churn"] == "yes", table["complaints_180d"]
    manual, automatic = (
        rate(churned, (complaints >= 2) & (table["autopay"] == kind))
        - rate(churned, (complaints == 0) & (table["autopay"] == kind))
        for kind in ("no", "yes")
    )
    assert manual > 2 * automatic
    took, app = table["credit_uptake"] == "yes", table["channel"] == "app"
    young, old = (
        rate(took, part & app) / rate(took, part & ~app) for part in (table["age"] < 40, table["age"] >= 40)
    )
    assert young > 1.5
    assert old < 1.4


def test_holders_differ_as_real_ones_do(city: populations.Population) -> None:
    means = {h: city.shared[h][["age", "tenure_months", "monthly_spend"]].mean().to_dict() for h in HOLDERS}
    assert means["bank"]["age"] > means["partner"]["age"] + 8
    assert means["bank"]["tenure_months"] > 1.8 * means["partner"]["tenure_months"]
    assert means["bank"]["monthly_spend"] > 10 * means["partner"]["monthly_spend"]
    missing = pd.concat(city.shared.values())["satisfaction"].isna().mean()
    assert 0.3 < missing < 0.5


@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ({"insurer": 1000}, "RF-U301"),
        ({"bank": 499}, "RF-U302"),
        ({"bank": 20_001}, "RF-U302"),
        ({"partner": -1}, "RF-U302"),
    ],
)
def test_sizes_that_the_contracts_cannot_describe_are_refused(sizes: dict[str, int], code: str) -> None:
    with pytest.raises(UsageError, match=code):
        populations.generate(1, sizes)


def decoded(holder: str, raw: pd.DataFrame) -> pd.DataFrame:
    coding = files.CODINGS[holder]
    out = {}
    for name, header in coding.headers.items():
        column = raw[header]
        if name in coding.codes:
            column = column.astype(str).map(
                {str(code): category for category, code in coding.codes[name].items()}
            )
        out[name] = column
    return pd.DataFrame(out)


def test_files_read_back_to_the_shared_table(city: populations.Population, written: Path) -> None:
    raws = {
        "bank": pd.read_csv(written / "bank.csv"),
        "retailer": pd.read_csv(
            written / "retailer.csv", sep=";", encoding="gb18030", thousands=",", na_values=["未填"]
        ),
        "partner": pd.read_parquet(written / "partner.parquet"),
    }
    for holder, raw in raws.items():
        table, truth = decoded(holder, raw), city.shared[holder]
        for name in truth.columns:
            if name in structure.LABELS or name in files.CODINGS[holder].codes or name == "key":
                assert table[name].tolist() == truth[name].tolist(), (holder, name)
            else:
                np.testing.assert_allclose(table[name].astype(float), truth[name].astype(float), err_msg=name)


def test_the_retailer_file_is_gb18030_with_thousands_and_the_parquet_has_numbers(written: Path) -> None:
    raw = (written / "retailer.csv").read_bytes()
    assert raw.startswith("会员号;姓名;".encode("gb18030"))
    assert re.search(rb";\d,\d{3}\.\d\d;", raw)
    with pytest.raises(UnicodeDecodeError):
        raw.decode("utf-8")
    assert pd.read_parquet(written / "partner.parquet")["touchpoint"].dtype.kind == "i"


def test_values_lie_inside_the_public_bounds(city: populations.Population) -> None:
    for table in city.shared.values():
        assert table["age"].between(18, 90).all()
        assert table["tenure_months"].between(0, 240).all()
        assert table["monthly_spend"].between(0, 50_000).all()
        assert table["satisfaction"].dropna().between(0, 10).all()


def test_nothing_is_overwritten(city: populations.Population, written: Path) -> None:
    before = (written / "bank.csv").stat().st_mtime_ns
    with pytest.raises(UsageError, match="RF-U303"):
        populations.write_population(city, written)
    assert (written / "bank.csv").stat().st_mtime_ns == before


def test_the_registry_reads_the_consent_files(city: populations.Population, written: Path) -> None:
    for holder in HOLDERS:
        intake = read_events(
            written / f"{holder}-consent.csv",
            purposes=list(catalogue()),
            jurisdiction="CN",
            layout=tabular.Layout(),
            now=to_micros(datetime(2027, 1, 1, tzinfo=UTC)),
        )
        assert len(intake) == len(city.consents[holder])


def test_the_consent_mix_is_as_documented(city: populations.Population) -> None:
    """Shares of four states; 6.1 binomial standard deviations (n = 6,000 at least) fail below 1e-9 each."""
    for events in city.consents.values():
        for purpose, mix in files.CONSENT_MIX.items():
            mine = events[events["purpose"] == purpose]
            last = mine.groupby("customer_key", sort=False).last()
            n = len(last)
            expired = (last["event"] == "granted") & (last["valid_until"] < "2026-11-01")
            states = [
                ((last["event"] == "granted") & ~expired).mean(),
                (last["event"] == "refused").mean(),
                (last["event"] == "withdrawn").mean(),
                expired.mean(),
            ]
            for seen, meant in zip(states, mix, strict=True):
                assert abs(seen - meant) < 6.1 * np.sqrt(meant * (1 - meant) / n), purpose
            withdrawn = mine[mine["customer_key"].isin(last.index[last["event"] == "withdrawn"])]
            assert (
                withdrawn.groupby("customer_key", sort=False)["event"].agg(tuple) == ("granted", "withdrawn")
            ).all()
            assert (
                withdrawn.groupby("customer_key", sort=False)["at"]
                .apply(lambda at: at.is_monotonic_increasing)
                .all()
            )


def test_notes_hold_exactly_what_is_listed_as_planted(city: populations.Population) -> None:
    for holder in HOLDERS:
        notes, planted = city.notes[holder].set_index("key")["note"], city.planted[holder]
        assert 0.06 * len(city.frames[holder]) < len(notes) < 0.10 * len(city.frames[holder])
        assert set(city.notes[holder]["language"]) == {"en", "zh"}
        assert set(planted["kind"]) == set(PII_KINDS)
        for key, value in zip(planted["key"], planted["value"], strict=True):
            assert value in notes[key]
        clean = notes[~notes.index.isin(planted["key"])]
        assert len(clean) > 0
        assert not clean.str.contains(r"@|154\d{8}|9999\d{8}", regex=True).any()
        assert set(notes.index) <= set(city.shared[holder]["key"])


def test_planted_data_is_well_formed_and_fictitious(city: populations.Population) -> None:
    planted = pd.concat(city.planted.values())
    values = planted.groupby("kind")["value"].agg(list)
    assert all(
        value == with_check_character(value[:17]) and value[2:6] == "9999" for value in values["resident_id"]
    )
    assert all(re.fullmatch(r"154\d{8}", value) for value in values["mobile"])
    assert all(
        value.rpartition("@")[2] in {"example.com", "example.org", "example.net"} for value in values["email"]
    )


def test_the_check_character_is_that_of_the_standard() -> None:
    """Both examples stand in annex A of GB 11643-1999."""
    assert with_check_character("11010519491231002") == "11010519491231002X"
    assert with_check_character("44052418800101001") == "440524188001010014"


def test_the_command_prints_the_oracle(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["populations", "1"])
    populations.main()
    printed = capsys.readouterr().out
    assert "oracle_auc" in printed
    assert printed.count("churn") == 4
