"""`ringfence-client budget` and `study`: prices, approvals by two people, what two people may change; all
events.
"""

from __future__ import annotations

import math
import os
from decimal import Decimal
from pathlib import Path

import pytest
from kits.command_kit import (
    SCHEMA,
    STUDY,
    Town,
    budget,
    client,
    configure,
    events,
    init,
    left,
    new_key,
    newest,
    read,
    refused,
    server,
    town,
)

from ringfence.clients.desk.whatif import Demand, dropout_line, read_study
from ringfence.clients.home import open_home
from ringfence.models.catalogue import task_named
from ringfence.models.task import StudyContext
from ringfence.privacy.accounting.gaussian import epsilon_of
from ringfence.privacy.crypto.approvals import check_approvals
from ringfence.privacy.errors import RingfenceError


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def test_the_budget_shows_what_is_released_reserved_and_left(here: Town) -> None:
    before = budget(here)
    assert (before["epsilon"], before["filter"], before["population"]) == ("4", "gdp", "people")
    with open_home(here.home) as home:
        reservation = home.ledger.reserve("sha256:" + "a" * 64, Decimal("0.2"))
        with home.ledger.release(reservation, run="r", round=0, attempt=0, mu_squared=Decimal("0.05")):
            pass
    after = budget(here, "show", "--entries")
    assert Decimal(after["released"]["mu_squared"]) == Decimal("0.05")
    assert abs(Decimal(after["reserved"]["mu_squared"]) - Decimal("0.15")) < Decimal("1e-9")
    assert [entry["kind"] for entry in after["entries"]] == ["created", "reserved", "charged"]
    assert after["reservations"][0]["study"] == "sha256:" + "a" * 64


def test_a_reservation_is_closed_by_hand_and_what_left_stays_charged(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    start = left(here)
    with open_home(here.home) as home:
        for letter in "ab":
            reservation = home.ledger.reserve("sha256:a" + letter * 63, Decimal("0.2"))
        with home.ledger.release(reservation, run="r", round=0, attempt=0, mu_squared=Decimal("0.05")):
            pass
    words = ("budget", "close", "--config", here.home)
    refused(capsys, client(*words, "sha256:a"), "RF-B404")
    refused(capsys, client(*words, "sha256:"), "RF-B403")
    refused(capsys, client(*words, "ff"), "RF-B403")
    assert client(*words, "ab") == 0
    assert client(*words, "sha256:aa") == 0
    assert left(here) == start - Decimal("0.05")
    assert newest(here)["action"] == "budget.closed"


def test_a_study_is_explained_and_nothing_is_spent(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    study, out = here.sign(), here.root / "out.json"
    start, count = left(here), len(events(here.home, here.root / "log.json"))
    for words in (("budget", "explain"), ("study", "check")):
        assert client(*words, study, "--config", here.home, "--json", out) == 0
        found = read(out).get("planned", read(out))
        assert (found["allowed"], found["fits"], found["reasons"]) == (True, True, [])
        assert Decimal(found["price"]["customer_epsilon"]) <= Decimal("1.000001")
        assert Decimal(found["reserve_mu_squared"]) < start
    assert left(here) == start
    assert len(events(here.home, here.root / "log.json")) == count
    dear = here.sign("dear.json", epsilon="20")
    capsys.readouterr()
    status = client("study", "check", dear, "--config", here.home, "--json", out)
    said = capsys.readouterr()
    assert status == 1
    assert said.err.startswith("RF-B405: ")
    assert said.err.count("\n") == 1
    assert "would be allowed" not in said.out
    assert read(out)["fits"] is False
    assert client("budget", "explain", dear, "--config", here.home) == 0
    capsys.readouterr()
    with open_home(here.home) as home:
        home.ledger.freeze("restored")
    refused(capsys, client("study", "check", study, "--config", here.home, "--json", out), "RF-B406")
    assert read(out)["frozen"] == "restored"


def test_an_approval_of_what_the_budget_does_not_cover_says_so(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("study", "approve", "--config", here.home, "--json", here.root / "out.json", "--key")
    assert client(*words, here.ana, here.sign("dear.json", epsilon="20")) == 0
    assert "does not fit" in capsys.readouterr().out
    assert (read(here.root / "out.json")["fits"], read(here.root / "out.json")["approvals"]) == (False, 1)
    assert client(*words, here.ana, here.sign("cheap.json")) == 0
    assert "does not fit" not in capsys.readouterr().out
    assert read(here.root / "out.json")["fits"] is True


def test_every_spend_is_listed_with_the_total_after_it(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("--explain",), ("explain",)):
        assert client("budget", *words, "--config", here.home) == 0
        assert "Nothing was ever released" in capsys.readouterr().out
    with open_home(here.home) as home:
        reservation = home.ledger.reserve("sha256:" + "a" * 64, Decimal("0.2"))
        for number, (part, amount) in enumerate((("both", "0.01"), ("train", "0.05"), ("test", "0.03"))):
            with home.ledger.release(
                reservation,
                run="run-9",
                round=number - 1,
                attempt=number,
                mu_squared=Decimal(amount),
                part=part,
            ):
                pass
        home.ledger.freeze("restored")
        home.ledger.thaw(["a", "b"], missing_mu_squared=Decimal("0.02"), reason="from the coordinator's log")
    study = here.sign()
    capsys.readouterr()
    texts = []
    for words in (("--explain",), ("explain",), ("show", "--explain")):
        found = budget(here, *words)
        texts.append(capsys.readouterr().out)
        lines = found["spends"]
        assert isinstance(lines, list)
        assert [(line["round"], line["attempt"], line["part"], line["mu_squared"]) for line in lines] == [
            (-1, 0, "both", "0.01"),
            (0, 1, "train", "0.05"),
            (1, 2, "test", "0.03"),
            (None, None, None, "0.02"),
        ]
        assert [line["total_mu_squared"] for line in lines] == ["0.01", "0.06", "0.06", "0.08"]
        assert [line["kind"] for line in lines] == ["charged"] * 3 + ["thawed"]
        assert all(line["study"] == "sha256:" + "a" * 64 and line["run"] == "run-9" for line in lines[:3])
        assert lines[-1]["total_epsilon"] == pytest.approx(epsilon_of(1e-6, math.sqrt(0.08)), rel=1e-9)
        assert found["planned"] is None
    assert len(set(texts)) == 1, "one implementation"
    for word in ("aaaaaaaaaaaa", "run-9", "cohort", "train", "test", "0.06", "entered by two people"):
        assert word in texts[0]
    with_study = budget(here, "--explain", study)
    text = capsys.readouterr().out
    assert with_study == budget(here, "explain", study)
    assert with_study["reserved"] == found["reserved"], "a study's answer does not cover the ledger's figures"
    planned = with_study["planned"]
    assert (planned["fits"], planned["reserved"]) == (True, False)
    assert isinstance(planned["epsilon_after"], float)
    assert planned["epsilon_after"] > lines[-1]["total_epsilon"]
    assert set(planned["reserve_by_part"]) == {"train", "test"}
    assert "with every attempt spent" in text
    assert "as spent for good" in text
    capsys.readouterr()
    assert client("budget", "--explain", study, "--config", here.home, "--lang", "zh") == 0
    assert "run-9" in capsys.readouterr().out
    refused(
        capsys, client("budget", "--explain", here.root / "absent.json", "--config", here.home), "RF-K020"
    )


def test_a_budget_at_renyi_orders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A home made with --filter rdp shows, explains and takes studies; its epsilon is told from above."""
    here = town(tmp_path)
    gdp = budget(here, "explain", here.sign())
    fresh = here.root / "renyi"
    assert (
        client(
            "init",
            fresh,
            "--name",
            "north",
            "--population",
            "people",
            "--budget-epsilon",
            "4",
            "--budget-delta",
            "1e-6",
            "--filter",
            "rdp",
            "--no-passphrase",
        )
        == 0
    )
    with open_home(fresh) as home:
        reservation = home.ledger.reserve("sha256:" + "a" * 64, Decimal("0.05"))
        with home.ledger.release(
            reservation, run="r", round=0, attempt=0, mu_squared=Decimal("0.05"), part="train"
        ):
            pass
    out = here.root / "renyi.json"
    assert client("budget", "--explain", "--config", fresh, "--json", out) == 0
    found = read(out)
    assert found["filter"] == "rdp"
    exact = epsilon_of(1e-6, math.sqrt(0.05))
    assert exact <= found["spends"][0]["total_epsilon"] <= 1.5 * exact
    assert Decimal(found["left"]["mu_squared"]) < Decimal(str(gdp["planned"]["left_mu_squared"]))
    capsys.readouterr()


SAMPLED = """
[model]
rounds = 4
hidden = [4]
sampling_rate = "0.05"
"""


def test_a_study_that_samples_needs_a_budget_at_renyi_orders(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    text = STUDY.format(purpose="churn-prediction", epsilon="1.0", expires="2099-12-31") + SAMPLED
    (here.root / "schema.toml").write_text(SCHEMA, encoding="utf-8")
    study = here.root / "sampled.toml"
    study.write_text(text.replace('task = "scorecard"', 'task = "mlp"'), encoding="utf-8")
    signed = here.root / "sampled.json"
    words = [word for one in here.declarations for word in ("--declaration", one)]
    assert server("study", "sign", study, *words, "--config", here.desk, "--out", signed) == 0
    found = budget(here, "--explain", signed)["planned"]
    assert "--filter rdp" in capsys.readouterr().out
    assert (found["fits"], found["reserve_mu_squared"]) == (False, None)
    assert found["price"]["sampling"] == "Poisson"
    assert found["price"]["holder_mu"] == "not Gaussian"
    assert Decimal(found["price"]["customer_epsilon"]) <= Decimal("1.000001")
    refused(capsys, client("study", "check", signed, "--config", here.home), "RF-B332")
    # The same study, asked of a ledger with the filter rdp.
    fresh = here.root / "renyi"
    assert (
        client(
            "init",
            fresh,
            "--name",
            "north",
            "--population",
            "people",
            "--budget-epsilon",
            "4",
            "--budget-delta",
            "1e-6",
            "--filter",
            "rdp",
            "--no-passphrase",
        )
        == 0
    )
    with open_home(here.home) as home, open_home(fresh) as other:
        loaded = home.contract()
        read_back = read_study(home, signed)
        plan = task_named("mlp").plan(StudyContext.of(read_back, loaded.schema))
        demand = Demand.of(plan, other.ledger)
        assert demand.covered
        assert demand.after.epsilon <= 4
        reservation = other.ledger.reserve_plan(read_back.digest(), plan)
        assert other.ledger.spent().epsilon == pytest.approx(demand.after.epsilon)
        for number, each in enumerate(plan.rounds):
            with other.ledger.release(
                reservation,
                run="r",
                round=number,
                attempt=0,
                mu_squared=each.mu_squared(plan.honest),
                renyi=other.ledger.renyi_of(each, plan.honest),
                part=each.part,
            ):
                pass
        assert 0 < other.ledger.charged().epsilon < other.ledger.spent().epsilon


def test_all_reasons_against_a_study_are_told(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    study, out = here.sign(purpose="fraud-prevention"), here.root / "out.json"
    error_status = client("study", "check", study, "--config", here.home, "--json", out)
    error = refused(capsys, error_status, "RF-S041")
    assert error.count("RF-S046") == 3
    assert len(read(out)["reasons"]) == 3
    refused(capsys, client("study", "approve", study, "--key", here.ana, "--config", here.home), "RF-S041")
    assert newest(here)["action"] == "study.refused"


def test_a_study_that_is_not_the_coordinators_is_refused(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    study = here.sign()
    text = study.read_text(encoding="utf-8")
    altered = here.root / "altered.json"
    altered.write_text(text.replace("churn-1", "churn-2"), encoding="utf-8")
    approving: tuple[object, ...] = ("--key", here.ana)
    for words, more in (
        (("study", "check"), ()),
        (("budget", "explain"), ()),
        (("study", "approve"), approving),
    ):
        refused(capsys, client(*words, altered, *more, "--config", here.home), "RF-K003")
        refused(capsys, client(*words, here.declarations[0], *more, "--config", here.home), "RF-K012")
        refused(capsys, client(*words, here.root / "study.toml", *more, "--config", here.home), "RF-K016")
        refused(capsys, client(*words, here.root / "absent.json", *more, "--config", here.home), "RF-K020")
        refused(capsys, client(*words, here.root, *more, "--config", here.home), "RF-K017")
    assert server("init", here.root / "other", "--name", "other", "--no-passphrase") == 0
    file = here.home / "client.toml"
    lines = file.read_text(encoding="utf-8").splitlines()
    other = 'coordinator = "../other/keys/coordinator.key.pub"'
    kept = [other if line.startswith("coordinator = ") else line for line in lines]
    file.write_text("\n".join(kept) + "\n", encoding="utf-8")
    capsys.readouterr()
    refused(capsys, client("study", "check", study, "--config", here.home), "RF-W401")


def test_a_new_home_refuses_studies_until_it_is_configured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = town(tmp_path)
    study = here.sign()
    assert init(tmp_path / "new") == 0
    capsys.readouterr()
    refused(capsys, client("study", "check", study, "--config", tmp_path / "new"), "RF-U402", 2)
    refused(capsys, client("study", "check", study, "--config", tmp_path / "nowhere"), "RF-U405", 2)


def test_what_becomes_of_dropouts_is_said(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    signed, out = here.sign(), here.root / "out.json"
    capsys.readouterr()
    assert client("study", "check", signed, "--config", here.home, "--json", out) == 0
    assert "dropouts retry: if a holder drops out of a round, its sum is void" in capsys.readouterr().out
    assert read(out)["dropouts"] == "retry"
    with open_home(here.home) as home:
        study = read_study(home, signed)

    def said(**changed: str) -> str:
        return dropout_line(study.model_copy(update={"privacy": study.privacy.model_copy(update=changed)}))

    assert "2 attempts at most" in said()
    assert "dropouts recover: " in said(dropouts="recover")
    assert "uploads of those who answered" in said(uploads="visible", noise="local")


def test_two_different_people_approve(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    study, out = here.sign(), here.root / "out.json"
    words = ("study", "approve", study, "--config", here.home, "--key")
    assert client(*words, here.ana, "--json", out) == 0
    digest = read(out)["digest"]
    capsys.readouterr()
    refused(capsys, client(*words, here.ana), "RF-S202")
    with open_home(here.home) as home, pytest.raises(RingfenceError, match="RF-S032"):
        check_approvals(home.approvals(digest), digest, "north", home.settings.approvers())
    assert client(*words, here.ben, "--json", out) == 0
    assert read(out)["approvals"] == 2
    with open_home(here.home) as home:
        assert len(check_approvals(home.approvals(digest), digest, "north", home.settings.approvers())) == 2
        assert home.approvals("sha256:" + "0" * 64) == []
    # One who may approve no longer is not counted any more.
    configure(here.home, approvers=["../ana.key.pub", f"{new_key(here.root / 'eve.key')}.pub"])
    assert client("study", "check", study, "--config", here.home, "--json", out) == 0
    assert read(out)["approvals"] == 1
    actions = [(event["action"], event["outcome"]) for event in events(here.home, here.root / "log.json")[:3]]
    assert actions == [("study.approved", "allow"), ("study.refused", "deny"), ("study.approved", "allow")]


@pytest.mark.parametrize(
    ("key", "code"),
    [("stranger", "RF-S201"), ("holder", "RF-K037"), ("open", "RF-K035"), ("simulation", "RF-K038")],
)
def test_a_key_that_may_not_approve_writes_nothing(
    here: Town, capsys: pytest.CaptureFixture[str], key: str, code: str
) -> None:
    study = here.sign()
    path = new_key(
        here.root / f"{key}.key", "holder" if key == "holder" else "approver", simulation=key == "simulation"
    )
    if key == "open":
        path.chmod(0o644)
    capsys.readouterr()
    refused(capsys, client("study", "approve", study, "--key", path, "--config", here.home), code)
    assert list((here.home / "approvals").iterdir()) == []
    assert newest(here)["public"] == {"code": code}


def test_a_store_that_others_can_open_is_refused(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    os.chmod(here.home / "holder.db", 0o644)
    said = refused(capsys, client("budget", "--config", here.home), "RF-B110")
    assert "holder.db" in said
    assert "chmod 600" in said
