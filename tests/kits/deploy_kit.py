"""What stands in deploy/, read for tests: instructions of an image, keys of a unit, every command line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import yaml
from checkout import ROOT

from kits.chart_kit import render, values_of

FOLDER = ROOT / "deploy"
DOCKERFILES = sorted((FOLDER / "docker").glob("*.Dockerfile"))
UNITS = sorted((FOLDER / "systemd").glob("*.service"))
PAGES = sorted(FOLDER.glob("*.md"))
PROGRAMS = {"client": "ringfence-client", "coordinator": "ringfence-server"}
COMPOSE = FOLDER / "compose.yaml"
_IMAGE = "registry.example/ringfence@sha256:" + 64 * "a"


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instruction and argument of each line of a Dockerfile; ours are not continued."""
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    assert not any(line.endswith("\\") for line in lines)
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def unit(path: Path) -> dict[str, list[str]]:
    """Values by `Section.Key` of a unit, in their order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            found.setdefault(f"{section}.{key}", []).append(value)
    return found


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every command of ours in these files: the place, then program and words."""
    for path in DOCKERFILES:
        said = dict(instructions(path))
        yield path.name, json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"])
    for path in UNITS:
        for line in unit(path)["Service.ExecStart"]:
            words = shlex.split(line.replace("%i", "name"))
            yield path.name, [Path(words[0]).name, *words[1:]]
    for name, service in yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"].items():
        yield f"compose {name}", [PROGRAMS[service["image"].removeprefix("ringfence-")], *service["command"]]
    given = {"enabled": True, "image": _IMAGE}
    chart = FOLDER / "helm" / "ringfence"
    for made in render(chart, values_of(chart, {"coordinator": given, "holder": given})):
        for container in made["spec"].get("template", {}).get("spec", {}).get("containers", ()):
            role = "client" if container["name"] == "holder" else "coordinator"
            yield f"chart {container['name']}", [PROGRAMS[role], *container["args"]]
    for path in PAGES:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("    ") and (found := re.search(r"ringfence-(?:client|server) .*", line)):
                yield path.name, shlex.split(found[0])
