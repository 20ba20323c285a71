"""A folder of wheels installs by hash without an index, tells a changed wheel, and lists what is in it."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import sbom
import wheelhouse
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

KINDS = {"client": "", "coordinator": "server"}


def wheel(folder: Path, name: str, *lines: str, version: str = "1.0") -> Path:
    """A wheel of one module, with these lines of metadata."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": "\n".join(
            ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""]
        ),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{at},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}"
        for at, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(path, "w") as archive:
        for at, text in files.items():
            archive.writestr(at, text)
    return path


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up set, which pip finds in a folder and nowhere else."""
    folder = tmp_path / "source"
    folder.mkdir()
    wheel(
        folder,
        "ringfence",
        "License-Expression: Apache-2.0",
        "Requires-Dist: alpha",
        "Provides-Extra: server",
        'Requires-Dist: beta; extra == "server"',
    )
    wheel(folder, "alpha", "Classifier: License :: OSI Approved :: MIT License")
    wheel(folder, "alpha", version="2.0")
    wheel(folder, "beta", "License: GPL-3.0")
    settings = {"CONFIG_FILE": "/dev/null", "NO_INDEX": "1", "FIND_LINKS": str(folder)}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


@pytest.fixture
def made(source: Path, tmp_path: Path) -> Path:
    out = tmp_path / "out" / "wheelhouse"
    wheelhouse.make(source / "ringfence-1.0-py3-none-any.whl", out, "alpha==1.0\n", KINDS)
    return out


def install(folder: Path, target: Path) -> subprocess.CompletedProcess[str]:
    words = ("install", "--quiet", "--target", str(target), "--requirement", str(folder / "client.txt"))
    return wheelhouse.pip(*words)


def test_the_folder_holds_the_pinned_versions_and_who_needs_them(made: Path) -> None:
    names = ["alpha", "beta", "ringfence"]
    assert sorted(each.name for each in made.glob("*.whl")) == [
        f"{name}-1.0-py3-none-any.whl" for name in names
    ]
    assert [each.name for each in made.parent.iterdir()] == ["wheelhouse"]
    lines = {kind: (made / f"{kind}.txt").read_text().splitlines() for kind in KINDS}
    assert [line.partition("==")[0] for line in lines["client"][6:]] == ["alpha", "ringfence"]
    assert [line.partition("==")[0] for line in lines["coordinator"][6:]] == names
    assert f"alpha==1.0 --hash=sha256:{sbom.sha256(made / 'alpha-1.0-py3-none-any.whl')}" in lines["client"]


def test_it_installs_by_hash_and_a_changed_wheel_does_not(made: Path, tmp_path: Path) -> None:
    done = install(made, tmp_path / "target")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "target" / "alpha.py").is_file()
    assert not (tmp_path / "target" / "beta.py").exists()
    wheel(made, "alpha", "Summary: another")
    refused = install(made, tmp_path / "again")
    assert refused.returncode == 1
    assert "DO NOT MATCH THE HASHES" in refused.stderr


def test_the_bill_is_one_of_cyclonedx_and_the_same_each_time(made: Path, source: Path) -> None:
    text = (made / wheelhouse.BILL).read_text(encoding="utf-8")
    check = JsonStrictValidator(SchemaVersion.V1_6)
    assert check.validate_str(text) is None
    assert check.validate_str(text.replace('"type"', '"kind"')) is not None
    found = json.loads(text)
    assert found["metadata"]["component"]["name"] == "ringfence"
    alpha, beta = found["components"]
    assert alpha["licenses"] == [{"license": {"id": "MIT"}}]
    assert alpha["purl"] == "pkg:pypi/alpha@1.0"
    assert alpha["hashes"][0]["content"] == sbom.sha256(made / "alpha-1.0-py3-none-any.whl")
    assert [each["value"] for each in alpha["properties"]] == ["client", "coordinator"]
    assert [each["value"] for each in beta["properties"]] == ["coordinator"]
    wheelhouse.make(source / "ringfence-1.0-py3-none-any.whl", made, "alpha==1.0\n", KINDS)
    assert (made / wheelhouse.BILL).read_text(encoding="utf-8") == text


def test_licences_that_ask_for_something_are_told(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheels = [sbom.read_wheel(path) for path in sorted(made.glob("*.whl"))]
    assert [each.name for each in wheels if each.needs_a_look] == ["beta"]
    wheelhouse.tell(wheels, made)
    assert "Read the licence of beta 1.0: GPL-3.0" in capsys.readouterr().out


def test_a_failure_leaves_what_stood_there(made: Path, source: Path) -> None:
    before = (made / "client.txt").read_bytes()
    with pytest.raises(wheelhouse.WheelhouseFault, match="PIP_EXTRA_INDEX_URL"):
        wheelhouse.make(source / "ringfence-1.0-py3-none-any.whl", made, "alpha==1.0+cpu\n", KINDS)
    assert (made / "client.txt").read_bytes() == before
    assert [each.name for each in made.parent.iterdir()] == ["wheelhouse"]
    with pytest.raises(wheelhouse.WheelhouseFault, match="no earlier wheelhouse"):
        wheelhouse.make(source / "ringfence-1.0-py3-none-any.whl", source, "", KINDS)
    with pytest.raises(wheelhouse.WheelhouseFault, match="make dist"):
        wheelhouse.make(source / "absent.whl", made, "", KINDS)


def test_an_installed_build_takes_the_place_of_the_pin() -> None:
    assert wheelhouse.constraints("a==1\ntorch==2.13.0\n", "torch==2.13.0+cpu") == "a==1\ntorch==2.13.0+cpu\n"
    assert wheelhouse.constraints("a==1\n", None) == "a==1\n"
    assert wheelhouse.own_build("no-such-package-here") is None


def test_the_tool_says_what_is_wrong_in_one_sentence(tmp_path: Path) -> None:
    tool = str(Path(wheelhouse.__file__))
    words = [sys.executable, tool, str(tmp_path / "absent.whl"), "--out", str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
