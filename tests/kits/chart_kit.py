"""Renders the templates of the Helm chart as far as they go: a value, quoted or not, and a block under a
condition.

The chart uses this part of Helm's language and no other; whatever else a template holds fails here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_ACTION = re.compile(r"(?P<head>\s*\{\{-|\{\{)\s*(?P<said>.*?)\s*\}\}")
_VALUE = re.compile(r"\.(?P<path>[A-Za-z.]+)(?P<quoted> \| quote)?")


def values_of(chart: Path, given: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, Any]]:
    """The chart's values with some of them set."""
    own: dict[str, dict[str, Any]] = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    return {name: {**part, **given.get(name, {})} for name, part in own.items()}


def render(
    chart: Path, values: Mapping[str, Mapping[str, object]], release: str = "rf"
) -> list[dict[str, Any]]:
    """All objects that the chart makes of these values."""
    scope = {"Values": values, "Release": {"Name": release}}
    texts = [
        filled(path.read_text(encoding="utf-8"), scope) for path in sorted((chart / "templates").iterdir())
    ]
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def filled(text: str, scope: Mapping[str, Any]) -> str:
    """One template's text."""
    made, at, shown = "", 0, [True]
    for action in _ACTION.finditer(text):
        if all(shown):
            made += text[at : action.start()]
        at, said = action.end(), action["said"]
        if said.startswith("if "):
            shown.append(bool(_looked_up(said.removeprefix("if "), scope)))
        elif said == "end":
            shown.pop()
        elif all(shown):
            made += action["head"].removesuffix("{{-").removesuffix("{{") + _looked_up(said, scope)
    assert shown == [True], "a block is not ended"
    assert "{{" not in made + text[at:], "an action is not understood"
    return made + text[at:]


def _looked_up(said: str, scope: Mapping[str, Any]) -> Any:
    value = _VALUE.fullmatch(said)
    assert value is not None, f"{said!r} is no part of the language that is rendered here"
    found: Any = scope
    for name in value["path"].split("."):
        assert name in found, f"{said!r} names no value"
        found = found[name]
    if isinstance(found, bool):
        return found
    return json.dumps(str(found)) if value["quoted"] else str(found)
