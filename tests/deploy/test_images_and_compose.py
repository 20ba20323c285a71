"""The images hold what the wheelhouse says and run without rights, and so does the compose file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kits.deploy_kit import COMPOSE, DOCKERFILES, PROGRAMS, instructions
from wheelhouse import KINDS

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
IDS = [path.stem for path in DOCKERFILES]


def valid(path: Path) -> bool:
    """Whether a file is one of the compose specification, by the schema that check-jsonschema brings."""
    words = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run([sys.executable, *words], capture_output=True).returncode == 0


def test_the_compose_file_is_valid(tmp_path: Path) -> None:
    assert valid(COMPOSE)
    broken = tmp_path / "compose.yaml"
    broken.write_text(
        COMPOSE.read_text(encoding="utf-8").replace("read_only:", "readonly:"), encoding="utf-8"
    )
    assert not valid(broken)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_rights_and_a_root_that_is_read(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"privileged", "cap_add", "network_mode", "pid", "devices", "environment"}.isdisjoint(service)
    (home,) = service["volumes"]
    assert home == f"./homes/{name}:/var/lib/ringfence"
    assert service["secrets"] == [{"source": name, "target": "passphrase"}]
    assert service["build"]["args"]["PYTHON_IMAGE"].startswith("${PYTHON_IMAGE:?")
    assert (COMPOSE.parent / "../deploy/docker" / Path(service["build"]["dockerfile"]).name).is_file()


def test_one_coordinator_listens_and_three_holders_do_not() -> None:
    assert [name for name, each in SERVICES.items() if "ports" in each or "expose" in each] == ["coordinator"]
    assert {name: each["networks"] for name, each in SERVICES.items() if name != "coordinator"} == {
        name: ["federation"] for name in ("bank", "retailer", "partner")
    }
    assert yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["networks"]["federation"] == {"internal": True}


@pytest.mark.parametrize("path", DOCKERFILES, ids=IDS)
def test_an_image_is_made_of_the_wheelhouse_alone(path: Path) -> None:
    steps = instructions(path)
    role = path.stem
    assert [argument for name, argument in steps if name == "ARG"] == ["PYTHON_IMAGE"], (
        "no version is a default"
    )
    assert [argument for name, argument in steps if name == "FROM"] == [
        "${PYTHON_IMAGE} AS build",
        "${PYTHON_IMAGE}",
    ]
    assert {name for name, _argument in steps}.isdisjoint({"ADD", "SHELL", "ONBUILD", "VOLUME"})
    runs = [json.loads(argument) for name, argument in steps if name == "RUN"]
    assert all(isinstance(run, list) for run in runs), "no shell takes part"
    install = runs[-1]
    assert {"--no-index", "--require-hashes", "--no-cache-dir"} <= set(install)
    assert install[-1] == f"/wheelhouse/{role}.txt"
    assert role in KINDS


@pytest.mark.parametrize("path", DOCKERFILES, ids=IDS)
def test_an_image_runs_as_nobody(path: Path) -> None:
    steps = instructions(path)
    final = steps[[at for at, step in enumerate(steps) if step[0] == "FROM"][-1] :]
    assert [argument for name, argument in final if name == "USER"] == ["10001:10001"]
    assert "RUN" not in {name for name, _argument in final}, (
        "what the image holds was installed in the first stage"
    )
    assert json.loads(dict(final)["ENTRYPOINT"]) == [PROGRAMS[path.stem]]
    assert [argument for name, argument in final if name == "EXPOSE"] == (
        ["8443"] if path.stem == "coordinator" else []
    )
