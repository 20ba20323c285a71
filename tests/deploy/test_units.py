"""The systemd units are ones that systemd understands, and give a process nothing that it does not need."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from kits.deploy_kit import UNITS, unit

NEEDED = {
    "User": "ringfence",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "RestrictSUIDSGID": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "StateDirectoryMode": "0700",
    "UMask": "0077",
}
# Of 10, where 10 is no protection at all.
MOST_EXPOSED = "20"
ANALYZE = shutil.which("systemd-analyze")
IDS = [path.name for path in UNITS]


@pytest.mark.parametrize("path", UNITS, ids=IDS)
def test_a_unit_is_hardened(path: Path) -> None:
    found = unit(path)
    assert {key: found[f"Service.{key}"] for key in NEEDED} == {key: [value] for key, value in NEEDED.items()}
    assert found["Service.SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert {"Service.Environment", "Service.EnvironmentFile", "Service.ReadWritePaths"}.isdisjoint(found)
    assert found["Service.StateDirectory"][0].startswith("ringfence/")


def test_a_holder_may_listen_on_no_port() -> None:
    binds = {path.name: unit(path).get("Service.SocketBindDeny") for path in UNITS}
    assert binds["ringfence-client@.service"] == ["any"]
    assert binds["ringfence-coordinator.service"] is None


@pytest.mark.parametrize("path", UNITS, ids=IDS)
def test_a_passphrase_comes_as_a_credential_and_is_private(path: Path) -> None:
    found = unit(path)
    (start,) = found["Service.ExecStart"]
    if "--passphrase-file" not in start:
        assert "serve" in start.split()
        return
    (credential,) = found["Service.LoadCredential"]
    assert credential.startswith("passphrase:/etc/ringfence/")
    (run,) = found["Service.RuntimeDirectory"]
    assert found["Service.RuntimeDirectoryMode"] == ["0700"]
    assert found["Service.ExecStartPre"] == [f"/usr/bin/install -m 0400 %d/passphrase %t/{run}/passphrase"]
    assert start.endswith(f"--passphrase-file %t/{run}/passphrase")


def test_what_runs_for_long_is_started_again_and_a_refused_study_is_not() -> None:
    assert {path.name: unit(path)["Service.Restart"] for path in UNITS} == {
        "ringfence-client@.service": ["always"],
        "ringfence-coordinator.service": ["always"],
        "ringfence-study@.service": ["on-abnormal"],
    }


def runnable(folder: Path) -> list[str]:
    """Copies of the units whose programs are there on any machine."""
    for path in UNITS:
        text = re.sub(r"/opt/ringfence/bin/\S+", "/usr/bin/true", path.read_text(encoding="utf-8"))
        (folder / path.name).write_text(text, encoding="utf-8")
    return [str(folder / path.name) for path in UNITS]


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not on this machine")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    assert ANALYZE is not None
    paths = runnable(tmp_path)
    done = subprocess.run([ANALYZE, "verify", *paths], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for path in paths:
        words = ("security", "--offline=true", f"--threshold={MOST_EXPOSED}", path)
        assert subprocess.run([ANALYZE, *words], capture_output=True).returncode == 0, path
    with Path(paths[0]).open("a", encoding="utf-8") as file:
        file.write("[Service]\nProtectSystems=strict\n")
    assert (
        "ProtectSystems" in subprocess.run([ANALYZE, "verify", *paths], capture_output=True, text=True).stderr
    )
