"""A federation over events: no customer's lines are split, and what is written is what a holder reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.clients.rows.table import read_table
from ringfence.privacy.agreements.policy import allowed_columns
from ringfence.privacy.errors import UsageError
from ringfence.simulations.cli import command
from ringfence.simulations.experiment import lay_out
from ringfence.simulations.partitions import partition_customers
from ringfence.simulations.question import Question

SCHEMA = """\
id = "orders"
version = 1
[events]
cutoff = 2027-01-01
history_days = 90
periods = 3
silent_days = 30
most_orders = 20
amount = [0, 100]
most_spend = 400
"""
CONTRACT = """\
id = "shop"
holder = "shop"
version = 1
schema = "schema.toml"
subject = "who"
population = "people"
jurisdiction = "DE"
max_customers = 5000
min_cohort = 20
overlap = 1
[source]
file = "orders.txt"
delimiter = "whitespace"
date_format = "%Y%m%d"
[events]
time = "day"
amount = "price"
purposes = ["churn-prediction"]
"""
STUDY = """\
id = "silent"
schema = "schema.toml"
purpose = "churn-prediction"
legal_basis = "consent"
task = "scorecard"
label = "silent"
features = ["recency_days", "orders"]
expires = 2035-12-31
dpia = "none: generated"
[privacy]
epsilon = 8
delta = 0.000001
noise = "distributed"
min_holders = 3
[evaluation]
test_fraction = "0.3"
"""


def lines(customers: int) -> pd.DataFrame:
    """Regular customers come every ten days to the end; lapsed ones stop early, and stay away."""
    draw = np.random.default_rng(4)
    cutoff, found = pd.Timestamp("2027-01-01"), []
    for who in range(customers):
        regular = who % 2 == 0
        for day in range(int(draw.integers(-89, -70)), 30 if regular else int(draw.integers(-69, -30)), 10):
            moment = cutoff + pd.Timedelta(days=day)
            found.append((f"{who:05d}", f"{moment:%Y%m%d}", "9.50", "north" if who % 3 else "south"))
    return pd.DataFrame(found, columns=["who", "day", "price", "place"]).sample(
        frac=1, random_state=1, ignore_index=True
    )


def shop(folder: Path, customers: int = 60, *, header: bool = True) -> Path:
    table = lines(customers)
    text = "\n".join("  ".join(row) for row in table.itertuples(index=False))
    head = "who  day price place\n"
    (folder / "orders.txt").write_text((head if header else "") + text + "\n", encoding="utf-8")
    named = 'header = ["who", "day", "price", "place"]\n[events]'
    contract = CONTRACT if header else CONTRACT.replace("[events]", named)
    for name, content in (("schema", SCHEMA), ("contract", contract), ("study", STUDY)):
        (folder / f"{name}.toml").write_text(content, encoding="utf-8")
    return folder


def question(folder: Path, spec: str, holders: int | None) -> Question:
    return Question.load(folder / "study.toml", [folder / "contract.toml"], spec=spec, holders=holders)


@given(
    keys=st.lists(st.sampled_from(["", "a", "b", "c", "d", "e"]), min_size=6, max_size=40),
    holders=st.integers(1, 3),
    seed=st.integers(0, 99),
    by=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_every_line_is_at_one_holder_and_no_customer_at_two(
    keys: list[str], holders: int, seed: int, by: bool
) -> None:
    keys = [*keys, "a", "b", "c"]
    frame = pd.DataFrame(
        {"line": range(len(keys)), "place": [f"{n % 2}" for n in range(len(keys))]},
        index=range(7, 7 + len(keys)),
    )
    spec, count = ("by:place", None) if by else ("iid", holders)
    column = pd.Series(keys)
    try:
        parts = partition_customers(frame, spec, count, seed, keys=column)
    except UsageError as error:
        pytest.fail(str(error))
    assert sorted(line for part in parts.values() for line in part["line"]) == list(range(len(keys)))
    where = [{key for line in part["line"] if (key := keys[line])} for part in parts.values()]
    assert sum(len(met) for met in where) == len(set().union(*where))
    assert all(met for met in where), "no holder is without a customer"
    assert all(
        part["line"].is_monotonic_increasing and part.equals(frame.loc[part.index]) for part in parts.values()
    )
    first = next(iter(parts.values()))
    assert {line for line, key in enumerate(keys) if not key} <= set(first["line"])
    if not by:
        sizes = [len(met) for met in where]
        assert max(sizes) - min(sizes) <= 1


def test_a_customer_goes_where_its_first_line_says() -> None:
    frame = pd.DataFrame({"place": ["x", "y", "y", "x"]})
    parts = partition_customers(frame, "by:place", None, 0, keys=pd.Series(["a", "b", "a", "b"]))
    assert {name: part.index.tolist() for name, part in parts.items()} == {"x": [0, 2], "y": [1, 3]}


def test_a_skewed_label_is_not_to_be_had_of_events() -> None:
    with pytest.raises(UsageError, match="RF-U329"):
        partition_customers(pd.DataFrame({"a": [1]}), "dirichlet:1", 1, 0, keys=pd.Series(["a"]))


@pytest.mark.parametrize("header", [True, False])
def test_what_a_holder_is_given_makes_the_rows_the_whole_file_makes(tmp_path: Path, header: bool) -> None:
    asked = question(shop(tmp_path, header=header), "iid", 3)
    (tmp_path / "sites").mkdir()
    sites, counts = lay_out(asked, tmp_path / "sites")
    (table,) = asked.tables
    schema = table.contract.schema
    columns = allowed_columns(table.contract.contract, asked.study, schema)
    whole = read_table(table.contract.contract, schema, columns, tmp_path)
    expected = dict(zip(whole.keys(), whole._frame.itertuples(index=False, name=None), strict=True))
    found = {}
    for site in sites.values():
        raw = read_table(site.contract, schema, columns, site.base)
        found |= dict(zip(raw.keys(), raw._frame.itertuples(index=False, name=None), strict=True))
        consent = pd.read_csv(site.consent, dtype=str)
        assert set(raw.keys()) <= set(consent["customer_key"])
    assert found == expected
    assert len(found) == 60
    assert sum(counts.values()) == len(lines(60))


def test_keys_that_are_whole_numbers_with_gaps_consent_as_they_are_read(tmp_path: Path) -> None:
    folder = shop(tmp_path)
    frame = lines(60).assign(
        day=lambda table: pd.to_datetime(table["day"]), price=lambda table: table["price"].astype(float)
    )
    frame["who"] = frame["who"].astype(float)  # with a gap, whole numbers are floats
    frame.loc[3, "who"] = None
    frame.to_parquet(folder / "orders.parquet")
    text = CONTRACT.replace("orders.txt", "orders.parquet").replace(
        'delimiter = "whitespace"\ndate_format = "%Y%m%d"\n', ""
    )
    (folder / "contract.toml").write_text(text, encoding="utf-8")
    (folder / "sites").mkdir()
    sites, _counts = lay_out(question(folder, "iid", 2), folder / "sites")
    keys = {key for site in sites.values() for key in pd.read_csv(site.consent, dtype=str)["customer_key"]}
    assert keys == {str(who) for who in range(60)}


def test_a_study_of_events_runs_from_the_command_line(tmp_path: Path) -> None:
    folder = shop(tmp_path, 360)
    out = tmp_path / "result.json"
    arguments = [
        "run",
        str(folder / "study.toml"),
        "--contract",
        str(folder / "contract.toml"),
        "--data",
        str(folder / "orders.txt"),
    ]
    assert command([*arguments, "--partition", "iid", "--holders", "3", "--json", str(out)]) == 0
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["holders"] == 3
    assert result["rows"] == len(lines(360))
    assert (
        60 < result["test_customers"] < 160
    )  # 108 of 360 expected, sd 8.7; the split is fixed by the study's name
    assert result["auc"] > 0.9, "who comes to the end comes again: the model has to see it"


def test_a_sequence_model_reads_the_periods_of_the_window(tmp_path: Path) -> None:
    folder, out = shop(tmp_path, 360), tmp_path / "result.json"
    text = STUDY.replace('task = "scorecard"', 'task = "lstm"').replace(
        'features = ["recency_days", "orders"]\n', ""
    )
    # Next to no noise: what is tested is that the sequence arrives, not what so few people can teach under
    # privacy.
    text = text.replace("epsilon = 8", "epsilon = 900")
    text = text.replace("[evaluation]", "[model]\nrecurrent = 6\nhidden = [16]\nrounds = 20\n[evaluation]")
    (folder / "study.toml").write_text(text, encoding="utf-8")
    arguments = [
        "run",
        str(folder / "study.toml"),
        "--contract",
        str(folder / "contract.toml"),
        "--data",
        str(folder / "orders.txt"),
    ]
    assert command([*arguments, "--holders", "3", "--json", str(out)]) == 0
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["task"] == "lstm"
    assert result["auc"] > 0.9
