"""What people are told before they approve a study whose uploads the coordinator sees one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from kits.command_kit import STUDY, Town, client, read, refused, server, town

SENTENCE = "uploads are visible: the coordinator sees each of this holder's noisy updates by itself"


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def written(here: Town, terms: str) -> list[object]:
    """The words that have the coordinator sign the study with these terms in the place of distributed
    noise.
    """
    here.sign()  # leaves the schema beside the study
    text = STUDY.format(purpose="churn-prediction", epsilon="1.0", expires="2099-12-31")
    study = here.root / "visible.toml"
    study.write_text(text.replace('noise = "distributed"', terms), encoding="utf-8")
    declared = [word for one in here.declarations for word in ("--declaration", one)]
    return [
        "study",
        "sign",
        study,
        *declared,
        "--config",
        here.desk,
        "--out",
        here.root / "visible.signed.json",
    ]


def test_check_approve_and_sign_say_that_uploads_are_seen(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server(*written(here, 'noise = "local"\nuploads = "visible"')) == 0
    assert "the coordinator sees each holder's noisy update" in capsys.readouterr().out
    signed, out = here.root / "visible.signed.json", here.root / "out.json"
    assert client("study", "check", signed, "--config", here.home, "--json", out) == 0
    assert SENTENCE in capsys.readouterr().out
    assert read(out)["price"]["uploads"] == "the coordinator sees each holder's noisy update"
    assert client("study", "approve", signed, "--key", here.ana, "--config", here.home) == 0
    assert SENTENCE in capsys.readouterr().out


def test_of_masked_uploads_they_say_nothing(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    signed, out = here.sign(), here.root / "out.json"
    capsys.readouterr()
    assert client("study", "check", signed, "--config", here.home, "--json", out) == 0
    assert client("study", "approve", signed, "--key", here.ana, "--config", here.home) == 0
    assert "visible" not in capsys.readouterr().out
    assert read(out)["price"]["uploads"] == "the coordinator sees the holders' sum alone"


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ('noise = "distributed"\nuploads = "visible"', "RF-S037"),
        ('noise = "local"\nuploads = "visible"\ndropouts = "recover"', "RF-S038"),
    ],
)
def test_the_coordinator_cannot_sign_what_protects_nothing(
    here: Town, capsys: pytest.CaptureFixture[str], terms: str, code: str
) -> None:
    words = written(here, terms)
    capsys.readouterr()
    assert code in refused(capsys, server(*words), "RF-C001")
