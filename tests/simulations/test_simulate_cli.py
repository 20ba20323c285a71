"""`ringfence-simulate` as its users call it: files of theirs, and what is said when something is wrong with
them.
"""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kits.run_kit import call, table, write
from kits.small import frame_of

from ringfence.audit.cli import main as audit_main
from ringfence.privacy.command_line.terminal import run
from ringfence.simulations.cli import command


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A folder with schema, contract, study and table, as the tutorial describes them."""
    write(tmp_path)
    return tmp_path


def test_an_own_table_runs_without_code(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = case / "result.json"
    assert call(case, "--json", str(target), "--audit-bundle", str(case / "bundle")) == 0
    result = json.loads(target.read_text())
    wanted = {
        "auc",
        "pr_auc",
        "epsilon",
        "delta",
        "holders",
        "rows",
        "rounds",
        "seconds",
        "peak_rss_mb",
        "metrics",
        "noise",
        "h",
    }
    assert wanted <= result.keys()
    assert result["metrics"] == "exact (simulation only)"
    assert (result["holders"], result["rows"], result["h"]) == (3, 1200, 2)
    assert (result["epsilon"], result["delta"], result["attempts"]) == (4.0, 1e-6, [1] * result["rounds"])
    assert "simulated" in result["consent"]
    assert "AUC" in capsys.readouterr().out
    assert {path.name for path in (case / "bundle" / "holders").iterdir()} == {
        "holder-1",
        "holder-2",
        "holder-3",
    }


def test_json_on_standard_output_is_json_alone(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(case, "--json", "-", "--partition", "by:region") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["partition"] == "by:region"
    assert "AUC" in captured.err


def test_stores_on_disk_give_the_same_kind_of_result(case: Path) -> None:
    assert (
        call(
            case,
            "--durable",
            "--partition",
            "dirichlet:0.5",
            "--holders",
            "4",
            "--json",
            str(case / "r.json"),
        )
        == 0
    )
    assert json.loads((case / "r.json").read_text())["profile"] == "durable"


def no_table(folder: Path) -> None:
    (folder / "table.csv").unlink()


def empty_table(folder: Path) -> None:
    (folder / "table.csv").write_bytes(b"")


def header_alone(folder: Path) -> None:
    (folder / "table.csv").write_text("key,age,spend,plan,active,churn\n")


def wrong_delimiter(folder: Path) -> None:
    (folder / "table.csv").write_text((folder / "table.csv").read_text().replace(",", ";"))


def chinese_text(folder: Path) -> None:
    frame = table(frame_of(1200)).assign(plan="基础")
    frame.to_csv(folder / "table.csv", index=False, encoding="gb18030")


def lacking_column(folder: Path) -> None:
    table(frame_of(1200)).drop(columns="plan").to_csv(folder / "table.csv", index=False)


def doubled_customer(folder: Path) -> None:
    frame = table(frame_of(1200))
    pd.concat([frame, frame.iloc[:3]]).to_csv(folder / "table.csv", index=False)


def few_rows(folder: Path) -> None:
    write(folder, frame_of(60))


def large_cohort(folder: Path) -> None:
    write(folder, min_cohort=4000)


def epsilon_zero(folder: Path) -> None:
    write(folder, epsilon="0")


def epsilon_negative(folder: Path) -> None:
    write(folder, epsilon="-1")


def large_delta(folder: Path) -> None:
    write(folder, delta="0.001")


def broken_toml(folder: Path) -> None:
    (folder / "study.toml").write_text("id = \n")


def text_in_a_number(folder: Path) -> None:
    frame = table(frame_of(1200)).astype({"age": object})
    frame.loc[5, "age"] = "unknown-age"
    frame.to_csv(folder / "table.csv", index=False)


def no_column_allowed(folder: Path) -> None:
    write(folder, columns=("age", "churn"))
    path = folder / "contract.toml"
    path.write_text(path.read_text().replace("churn-prediction", "credit-risk"))


BAD: dict[Callable[[Path], None], str] = {
    no_table: "RF-T",
    empty_table: "is empty",
    header_alone: "RF-T004",
    wrong_delimiter: "delimiter",
    chinese_text: "gb18030",
    lacking_column: "RF-T",
    doubled_customer: "RF-T",
    few_rows: "RF-W200",
    large_cohort: "min_cohort",
    epsilon_zero: "epsilon",
    epsilon_negative: "epsilon",
    large_delta: "delta",
    broken_toml: "study.toml",
    text_in_a_number: "age",
    no_column_allowed: "RF-S",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_bad_input_gets_a_sentence_and_leaves_nothing(
    case: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    spoil(case)
    status = call(case, "--json", str(case / "result.json"))
    captured = capsys.readouterr()
    assert status in (1, 2)
    assert BAD[spoil] in captured.err + captured.out
    assert "Traceback" not in captured.err
    assert "RF-U999" not in captured.err
    assert "unknown-age" not in captured.err + captured.out
    assert not (case / "result.json").exists()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_fault_is_at_the_line_of_the_users_file(
    case: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    frame = table(frame_of(1200)).astype({"age": str})
    frame.loc[[100, 400, 700], "age"] = "abc"  # all with region = 1, rows 34, 134 and 234 of that part
    if suffix == "csv":
        frame.to_csv(case / "table.csv", index=False)
    else:
        frame.to_parquet(case / "table.parquet", index=False)
    assert call(case, "--partition", "by:region", "--data", str(case / f"table.{suffix}")) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if "RF-T025" in line]
    assert len(said) == 1
    assert said[0].startswith("1: ")
    assert ("102, 402, 702" if suffix == "csv" else "101, 401, 701") in said[0]


def test_the_contracts_file_is_looked_for_in_the_data_folder_first(
    case: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = case / "data"
    elsewhere.mkdir()
    monkeypatch.setenv("RINGFENCE_DATA", str(elsewhere))
    assert call(case, "--json", str(case / "beside.json")) == 0
    table(frame_of(900)).to_csv(elsewhere / "table.csv", index=False)
    assert call(case, "--json", str(case / "there.json")) == 0
    rows = [json.loads((case / f"{name}.json").read_text())["rows"] for name in ("beside", "there")]
    assert rows == [1200, 900]
    no_table(case)
    (elsewhere / "table.csv").unlink()
    capsys.readouterr()
    assert call(case) == 1
    assert "RINGFENCE_DATA" in capsys.readouterr().err


GOOD: dict[str, Callable[[Path], None]] = {
    "a byte order mark": lambda f: (f / "table.csv").write_bytes(
        b"\xef\xbb\xbf" + (f / "table.csv").read_bytes()
    ),
    "one class at a holder": lambda f: write(
        f, frame_of(1200).assign(churn=lambda t: np.where(np.arange(len(t)) % 3 == 0, "no", t["churn"]))
    ),
    "an unknown category": lambda f: write(
        f, frame_of(1200).assign(plan=lambda t: np.where(np.arange(len(t)) % 5, "new", t["plan"]))
    ),
    "a constant column": lambda f: write(f, frame_of(1200).assign(age=40.0)),
    "numbers out of bounds": lambda f: write(f, frame_of(1200).assign(age=lambda t: t["age"] * 1000)),
    "a column that the contract lacks": lambda f: write(f, frame_of(1200).assign(secret="x")),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_must_not_stop_a_study(case: Path, name: str) -> None:
    GOOD[name](case)
    assert call(case, "--partition", "by:region", "--json", str(case / "r.json")) == 0
    assert json.loads((case / "r.json").read_text())["holders"] == 3


def test_a_parquet_table_keeps_its_types_when_it_is_cut(case: Path) -> None:
    frame = table(frame_of(1200)).drop(columns="key")
    frame["fee"] = [Decimal("1.50") if i % 2 else Decimal(i) for i in range(len(frame))]
    frame["key"] = range(len(frame))
    frame.to_parquet(case / "table.parquet", index=False)
    assert call(case, "--data", str(case / "table.parquet"), "--json", str(case / "r.json")) == 0
    assert json.loads((case / "r.json").read_text())["holders"] == 3


def test_a_holder_below_the_cohort_is_reported_absent(case: Path) -> None:
    frame = table(frame_of(2400))
    frame["region"] = np.where(np.arange(2400) < 30, "tiny", np.arange(2400) % 3)
    frame.to_csv(case / "table.csv", index=False)
    assert call(case, "--partition", "by:region", "--json", str(case / "r.json")) == 0
    result = json.loads((case / "r.json").read_text())
    assert result["absent"] == ["tiny"]
    assert result["holders"] == 3


@pytest.mark.parametrize("durable", [False, True])
def test_a_failed_study_leaves_its_logs_with_the_refusals(
    case: Path, capsys: pytest.CaptureFixture[str], durable: bool
) -> None:
    few_rows(case)
    bundle, more = case / "bundle", ("--durable",) if durable else ()
    assert call(case, "--audit-bundle", str(bundle), "--json", str(case / "r.json"), *more) == 1
    said = capsys.readouterr()
    assert said.err.startswith("RF-W200")
    assert "ringfence-client" not in said.err
    assert said.out.count("RF-S062") == 3
    assert f"ringfence-audit verify {bundle}" in said.out
    assert not (case / "r.json").exists()
    assert audit_main(["verify", str(bundle)]) == 0
    refusals = case / "refusals.json"
    assert audit_main(["show", str(bundle), "--type", "study.refused", "--json", str(refusals)]) == 0
    found = json.loads(refusals.read_text())
    assert sorted(event["organisation"] for event in found) == ["holder-1", "holder-2", "holder-3"]
    assert {event["outcome"] for event in found} == {"deny"}
    assert all(event["public"]["reasons"] == ["RF-S062"] for event in found)


@pytest.mark.parametrize(
    "extra",
    [
        ("--partition", "round:robin"),
        ("--partition", "dirichlet:0"),
        ("--partition", "by:nothing"),
        ("--holders", "0"),
        ("--holders", "two"),
        ("--json", "no/such/folder/x.json"),
        ("--audit-bundle", "."),
        ("--noise", "none"),
    ],
)
def test_wrong_options_are_one_sentence(
    case: Path, capsys: pytest.CaptureFixture[str], extra: tuple[str, str]
) -> None:
    assert call(case, *extra) == 2
    assert capsys.readouterr().err.startswith("RF-U")


def test_ctrl_c_is_one_sentence(
    case: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ringfence.server.sums.sum_words", interrupt)
    assert call(case, "--json", str(case / "r.json")) == 130
    assert capsys.readouterr().err.startswith("RF-U904")
    assert not (case / "r.json").exists()


def test_a_full_disk_is_one_sentence(
    case: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "holder-1.csv")

    monkeypatch.setattr("pandas.DataFrame.to_csv", full)
    assert call(case) == 1
    assert capsys.readouterr().err.startswith("RF-U906")


@pytest.mark.parametrize("options", [("--json", "out/r.json"), ("--audit-bundle", "out/new/bundle")])
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    case: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: tuple[str, str]
) -> None:
    def read_only(*_: object, **options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", f"{options['dir']}/.temporary")

    def work(*_: object) -> None:
        raise AssertionError("the table was read before the place was tried")

    (case / "out").mkdir()
    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    monkeypatch.setattr("ringfence.simulations.experiment.lay_out", work)
    assert call(case, options[0], str(case / options[1])) == 1
    error = capsys.readouterr().err
    assert error.startswith("RF-U907")
    assert str(case / options[1]) in error
    assert "temporary" not in error
    assert not list((case / "out").iterdir())


def test_cases_are_listed_and_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, ["cases", "list"], program="x") == 0
    assert "telco" in capsys.readouterr().out
    assert run(command, ["cases", "copy", "telco", str(tmp_path / "mine")], program="x") == 0
    assert (tmp_path / "mine" / "study.toml").is_file()
    assert run(command, ["cases", "copy", "telco", str(tmp_path / "mine")], program="x") == 2
    assert run(command, ["cases", "copy", "nothing", str(tmp_path / "other")], program="x") == 2


def test_the_installed_command_helps_without_heavy_libraries() -> None:
    code = (
        "import sys; sys.argv = ['ringfence-simulate', '--help']\n"
        "from ringfence.simulations.cli import main\n"
        "status = main()\n"
        "heavy = {'numpy', 'pandas', 'torch', 'flwr', 'ray', 'altair', 'sqlalchemy', 'pydantic'} & "
        "set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy or status else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ringfence-simulate demo" in done.stdout
