"""A federation with items, paths or notes beside tables: every line goes where its customer goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from kits.input_kit import codes_of

from ringfence.clients.rows.table import read_table
from ringfence.privacy.agreements.policy import allowed_columns
from ringfence.privacy.errors import UsageError
from ringfence.simulations.experiment import lay_out
from ringfence.simulations.question import Question

CONTRACT = """\
id = "shop"
holder = "shop"
version = 1
subject = "who"
population = "people"
jurisdiction = "DE"
max_customers = 5000
min_cohort = 1
overlap = 1
[source]
file = "people.csv"
[[column]]
name = "churn"
purposes = ["churn-prediction"]
[[items]]
name = "basket"
item = "article"
purposes = ["churn-prediction"]
[items.source]
file = "buys.csv"
delimiter = ";"
header = ["who", "article"]
[[notes]]
name = "calls"
subject = "caller"
text = "text"
purposes = ["churn-prediction"]
[notes.source]
{notes}
[schema]
id = "s"
version = 1
[[schema.feature]]
name = "churn"
kind = "flag"
[[schema.items]]
name = "basket"
catalogue = ["milk", "tea", "jam"]
most = 2
[[schema.notes]]
name = "calls"
most = 2
[[schema.notes.topic]]
name = "billing"
words = ["invoice"]
"""
STUDY = """\
id = "q"
schema = "contract.toml"
purpose = "churn-prediction"
legal_basis = "consent"
task = "scorecard"
inputs = ["basket", "calls"]
expires = 2035-12-31
dpia = "-"
[privacy]
epsilon = "1"
delta = "0.000001"
noise = "distributed"
min_holders = 3
"""


def asked(folder: Path, notes: str = 'file = "calls.csv"') -> Question:
    people = ["who,churn", *(f"p{number},no" for number in range(30))]
    buys = [f"p{number % 40};{('milk', 'tea', 'jam')[number % 3]}" for number in range(100)]
    calls = ["caller,text", *(f'p{number},"my invoice,\nplease"' for number in range(0, 40, 4)), ",hello"]
    for name, lines in (("people.csv", people), ("buys.csv", buys), ("calls.csv", calls)):
        (folder / name).write_text("\n".join([*lines, ""]), encoding="utf-8")
    (folder / "contract.toml").write_text(CONTRACT.format(notes=notes), encoding="utf-8")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    (folder / "sites").mkdir()
    return Question.load(folder / "study.toml", [folder / "contract.toml"], spec="iid", holders=3)


def test_every_line_is_at_one_holder_and_makes_the_list_that_the_whole_file_makes(tmp_path: Path) -> None:
    question = asked(tmp_path)
    (table,) = question.tables
    contract, schema = table.contract.contract, table.contract.schema
    columns = allowed_columns(contract, question.study, schema)
    whole = read_table(contract, schema, columns, tmp_path)
    sites, _rows = lay_out(question, tmp_path / "sites")
    read = [read_table(site.contract, schema, columns, site.base) for site in sites.values()]
    assert len(read) == 3
    for name in ("basket", "calls"):
        found = [codes_of(raw, name) for raw in read]
        assert {key: codes for each in found for key, codes in each.items()} == codes_of(whole, name)
        facts = [{each.name: each for each in raw.quality.facts.inputs}[name] for raw in read]
        expected = {each.name: each for each in whole.quality.facts.inputs}[name]
        for count in ("lines", "keyless", "strangers", "without", "listed", "bounded"):
            assert sum(getattr(each, count) for each in facts) == getattr(expected, count), count


def test_an_input_in_a_database_is_not_cut(tmp_path: Path) -> None:
    question = asked(tmp_path, 'url = "sqlite:///calls.db"\ntable = "calls"')
    with pytest.raises(UsageError, match="RF-U840"):
        lay_out(question, tmp_path / "sites")
