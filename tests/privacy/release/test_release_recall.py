"""How many identifiers the gate finds, and how often an ordinary figure is taken for one, on made-up texts.

docs/reference/export-gate.md states these counts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable

import pytest
from kits.identifier_texts import IDENTIFIERS, ORDINARY, sentences

from ringfence.privacy.release import ExportPolicy
from ringfence.privacy.release.cells import cell_texts
from ringfence.privacy.release.documents import parse_json, parse_markdown
from ringfence.privacy.release.parsed import Text
from ringfence.privacy.release.personal import check_personal
from ringfence.privacy.release.tables import parse_csv

POLICY = ExportPolicy()
SEED = 7
EACH = 100
FEWEST = {"PERSON with a sign": 98}
"""Of 100; all of them where nothing is said."""


def in_csv(lines: list[str]) -> Iterable[Text]:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows([["note"], *([line] for line in lines)])
    frame = parse_csv(sink.getvalue().encode()).frame
    assert frame is not None
    return [text for text in cell_texts(frame, POLICY.scanner) if text.context == "note"]


def in_json(lines: list[str]) -> Iterable[Text]:
    rows = json.dumps([{"note": line} for line in lines], ensure_ascii=False).encode()
    return [text for text in parse_json(rows).texts if text.context == "note"]


def in_markdown(lines: list[str]) -> Iterable[Text]:
    return parse_markdown("".join(f"{line}\n" for line in lines).encode()).texts


WAYS = {"csv": in_csv, "json": in_json, "markdown": in_markdown}


def told(lines: list[str], way: Callable[[list[str]], Iterable[Text]]) -> int:
    """How many of the lines are refused."""
    refused = {text.text for text in way(lines) if check_personal([text], POLICY)}
    return sum(line in refused for line in lines)


@pytest.mark.parametrize("kind", IDENTIFIERS)
def test_identifiers_are_found_in_english_and_chinese_sentences(kind: str) -> None:
    lines = list(sentences(IDENTIFIERS[kind], kind, EACH, SEED))
    assert len(set(lines)) > EACH / 2
    for name, way in WAYS.items():
        assert told(lines, way) >= FEWEST.get(kind, EACH), name


@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_figures_are_left_alone(kind: str) -> None:
    lines = list(sentences(ORDINARY[kind], kind, 4 * EACH, SEED))
    for name, way in WAYS.items():
        assert told(lines, way) == 0, name
