"""The packaged case files validate, agree with each other and account for every column of the public
files.
"""

from __future__ import annotations

import csv
import datetime
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ringfence.privacy.agreements.contract import LoadedContract, load_contract
from ringfence.privacy.agreements.study import load_study, positive_category
from ringfence.privacy.errors import UsageError
from ringfence.simulations import cases
from ringfence.simulations.populations import city as populations
from ringfence.simulations.populations.files import CODINGS
from ringfence.simulations.populations.structure import FEATURES, LABELS

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("RINGFENCE_DATA", ROOT / ".." / "shared" / "data"))
PUBLIC = {"telco": "WA_Fn-UseC_-Telco-Customer-Churn.csv", "credit_default": "UCI_Credit_Card.csv"}
CONTRACTS = {
    "telco": ["contract.toml"],
    "credit_default": ["contract.toml"],
    "demo": ["contract-bank.toml", "contract-partner.toml", "contract-retailer.toml"],
    "cdnow": ["contract.toml"],
    "online_retail": ["contract.toml"],
}
ALL = [(case, file) for case, files in CONTRACTS.items() for file in files]


def contract_of(case: str, file: str, directory: Path) -> LoadedContract:
    cases.copy_case(case, directory)
    return load_contract(directory / file)


def rows_of(case: str) -> list[dict[str, str]]:
    path = DATA / PUBLIC[case]
    if not path.is_file():
        pytest.skip(f"{PUBLIC[case]} is not there; set RINGFENCE_DATA to the folder that holds it")
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_cases_are_listed_with_their_titles() -> None:
    assert list(cases.list_cases()) == ["cdnow", "credit_default", "demo", "online_retail", "telco"]
    assert all(title and not title.startswith("#") for title in cases.list_cases().values())


@pytest.mark.parametrize(("case", "file"), ALL)
def test_contracts_and_studies_validate_and_bind_one_schema(case: str, file: str, tmp_path: Path) -> None:
    loaded = contract_of(case, file, tmp_path)
    assert loaded.contract.schema_ref == loaded.schema.digest()
    assert loaded.contract.digest().startswith("sha256:")
    studies = sorted(tmp_path.glob("study*.toml"))
    assert studies
    for path in studies:
        study = load_study(path, today=datetime.date(2027, 1, 1))
        assert study.schema_ref == loaded.schema.digest()
        assert positive_category(study, loaded.schema) == "yes"
        label = loaded.contract.column(study.label or "")
        assert label is not None
        assert study.purpose in label.purposes
        assert study.privacy.delta * loaded.contract.max_customers < 1
        assert study.honest() == 2


@pytest.mark.parametrize("case", PUBLIC)
def test_cases_of_public_data_use_every_feature_for_the_study(case: str, tmp_path: Path) -> None:
    loaded = contract_of(case, "contract.toml", tmp_path)
    study = load_study(tmp_path / "study.toml")
    names = [column.name for column in loaded.contract.columns]
    assert names == list(loaded.schema.names)
    assert all(study.purpose in column.purposes for column in loaded.contract.columns)
    assert len(names) - 1 == {"telco": 19, "credit_default": 23}[case]
    assert (loaded.contract.min_cohort, loaded.contract.overlap, loaded.contract.peers) == (100, 1, ())
    assert study.task == "scorecard"
    assert (str(study.privacy.epsilon), study.privacy.delta.as_tuple().exponent) == ("1", -6)
    assert str(study.evaluation.test_fraction) == "0.2"


@pytest.mark.parametrize("case", PUBLIC)
def test_every_column_of_the_public_file_is_accounted_for(case: str, tmp_path: Path) -> None:
    rows = rows_of(case)
    contract = contract_of(case, "contract.toml", tmp_path).contract
    assert {contract.subject, *(column.header for column in contract.columns)} == set(rows[0])
    assert contract.source.file == PUBLIC[case]
    assert len({row[contract.subject] for row in rows}) == len(rows) <= contract.max_customers


@pytest.mark.parametrize("case", PUBLIC)
def test_every_code_is_mapped_and_every_number_reads(case: str, tmp_path: Path) -> None:
    rows = rows_of(case)
    loaded = contract_of(case, "contract.toml", tmp_path)
    undocumented = {"education": {"0", "5", "6"}, "marriage": {"0"}}
    for column in loaded.contract.columns:
        feature, seen = loaded.schema.feature(column.name), {row[column.header] for row in rows}
        if feature.categories is not None:
            assert seen - set(column.values) == undocumented.get(column.name, set()), column.name
            assert set(column.values.values()) == set(feature.categories), column.name
            continue
        missing = seen & set(loaded.contract.source.null_values)
        assert missing == ({" "} if column.name == "total_charges" else set())
        low, high = feature.limits
        numbers = [float(row[column.header]) for row in rows if row[column.header] not in missing]
        outside = sum(not low <= number <= high for number in numbers)
        tolerated = {"bill_amt": 0.005, "pay_amt": 0.30}.get(re.sub(r"\d$", "", column.name), 0.0)
        assert outside <= tolerated * len(rows), column.name


def test_telco_loses_nothing_by_mapping_no_internet_service_to_no() -> None:
    for row in rows_of("telco"):
        repeated = [name for name, value in row.items() if value == "No internet service"]
        assert len(repeated) == (6 if row["InternetService"] == "No" else 0)
        assert (row["MultipleLines"] == "No phone service") == (row["PhoneService"] == "No")
        assert (row["TotalCharges"] == " ") == (row["tenure"] == "0")


@pytest.mark.parametrize("holder", ["bank", "retailer", "partner"])
def test_the_demo_contracts_describe_what_the_population_writes(holder: str, tmp_path: Path) -> None:
    loaded, coding = contract_of("demo", f"contract-{holder}.toml", tmp_path), CODINGS[holder]
    contract = loaded.contract
    assert set(loaded.schema.names) == {*FEATURES, *LABELS}
    assert contract.subject == coding.headers["key"]
    assert {column.name: column.header for column in contract.columns} == {
        name: header for name, header in coding.headers.items() if name != "key"
    }
    for column in contract.columns:
        codes = coding.codes.get(column.name, {})
        assert column.values == {str(code): category for category, code in codes.items()}
        if codes:
            assert set(codes) == set(loaded.schema.feature(column.name).categories or ())
    assert contract.source.file == coding.file
    assert contract.max_customers == populations.MAX_CUSTOMERS[holder]
    assert (contract.overlap, contract.min_cohort) == (2, 1000)
    assert not {column.header for column in contract.columns} & set(coding.identity.values())


def test_the_readmes_say_what_they_must() -> None:
    for case, file in PUBLIC.items():
        text = cases.read_case(case, "README.md")
        assert f"$RINGFENCE_DATA/{file}" in text
        assert "never computed from rows" in " ".join(text.split())
        assert "min_cohort = 100" in text
        assert re.search(r"Apache-2\.0|CC BY 4\.0", text)


def test_the_demo_readme_quotes_the_oracle_of_seed_one() -> None:
    quoted = {
        (cells[0].replace(" ", "_"), cells[1]): [
            float(cell.rstrip(" %").replace(",", "")) for cell in cells[2:]
        ]
        for line in cases.read_case("demo", "README.md").splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 6 and cells[2][0].isdigit()
    }
    table: Any = populations.oracle(populations.generate(1)).to_dict("records")
    assert len(quoted) == len(table)
    for line in table:
        rows, rate, best, additive = quoted[line["label"], line["holder"]]
        assert rows == line["rows"]
        assert rate == pytest.approx(100 * line["rate"], abs=0.2)
        assert best == pytest.approx(line["oracle_auc"], abs=0.002)
        assert additive == pytest.approx(line["additive_auc"], abs=0.002)


def test_a_case_is_copied_whole_and_never_over_another(tmp_path: Path) -> None:
    target = tmp_path / "new" / "telco"
    copied = cases.copy_case("telco", target)
    assert sorted(path.name for path in copied) == ["README.md", "contract.toml", "schema.toml", "study.toml"]
    for path in copied:
        assert path.read_text(encoding="utf-8") == cases.read_case("telco", path.name)
    (target / "study.toml").unlink()
    (target / "schema.toml").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="RF-U313"):
        cases.copy_case("telco", target)
    assert (target / "schema.toml").read_text(encoding="utf-8") == "mine"
    assert not (target / "study.toml").exists()


def test_wrong_names_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"RF-U311.*cdnow, credit_default, demo, online_retail, telco"):
        cases.copy_case("telko", tmp_path)
    with pytest.raises(UsageError, match="RF-U311"):
        cases.case_files("../cases/telco")
    with pytest.raises(UsageError, match="RF-U312"):
        cases.read_case("telco", "../demo/study.toml")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="RF-U314"):
        cases.copy_case("telco", tmp_path / "file")


def tutorial(name: str) -> dict[str, str]:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))


def test_the_files_of_the_tutorial_are_valid_and_fit_the_table_it_makes(tmp_path: Path) -> None:
    files = tutorial("tutorial-own-table.md")
    assert sorted(files) == ["contract.toml", "make_members.py", "study.toml"]
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "make_members.py"], cwd=tmp_path, check=True, timeout=60)
    loaded = load_contract(tmp_path / "contract.toml")
    study = load_study(tmp_path / "study.toml", today=datetime.date(2027, 1, 1))
    assert study.schema_ref == loaded.schema.digest()
    with (tmp_path / "members.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter=loaded.contract.source.delimiter))
    assert {loaded.contract.subject, *(column.header for column in loaded.contract.columns)} == set(rows[0])
    for column in loaded.contract.columns:
        assert not column.values or {row[column.header] for row in rows} == set(column.values)
    assert 0.1 < sum(row["left"] == "J" for row in rows) / len(rows) < 0.3
    lines = (tmp_path / "members.csv").read_text(encoding="utf-8").splitlines()
    shown = (ROOT / "docs" / "tutorial-own-table.md").read_text(encoding="utf-8")
    excerpt = [line.strip() for line in shown.splitlines() if re.match(r"    (member;|M\d{5};)", line)]
    assert len(excerpt) == 4
    assert set(excerpt) <= set(lines)


def test_both_languages_of_the_tutorial_show_the_same_files_and_commands() -> None:
    english, chinese = tutorial("tutorial-own-table.md"), tutorial("tutorial-own-table.zh.md")
    assert english["make_members.py"] == chinese["make_members.py"]
    for name in ("contract.toml", "study.toml"):
        assert tomllib.loads(english[name]) == tomllib.loads(chinese[name])
    commands = [
        re.findall(
            r"^    (ringfence-.*|member;.*|M\d{5};.*)$",
            (ROOT / "docs" / name).read_text("utf-8"),
            re.MULTILINE,
        )
        for name in ("tutorial-own-table.md", "tutorial-own-table.zh.md")
    ]
    assert commands[0] == commands[1]
    assert len(commands[0]) == 9
