"""Whether an artefact may leave: a pure function of it and the policy, to exact bytes or to reasons.

Invariant (DESIGN, 6.8): deny by default. `Cleared` is made here only, after every check; its digest is over
the bytes that will be written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, cast

from ringfence.privacy.errors import N_, ExportError
from ringfence.privacy.identifiers.masking import mask_frame
from ringfence.privacy.release import cells, documents, markup, tables, tensors
from ringfence.privacy.release.artefact import (
    Artefact,
    ColumnRule,
    ExportPolicy,
    Kind,
    Objection,
    ReleaseRefused,
)
from ringfence.privacy.release.counts import check_counts
from ringfence.privacy.release.differences import CountTable, tables_of
from ringfence.privacy.release.formats import check_content, check_name, text_of
from ringfence.privacy.release.parsed import Parsed, Text
from ringfence.privacy.release.personal import check_personal, masked

if TYPE_CHECKING:
    import pandas as pd

_PARSERS = {
    "csv": tables.parse_csv,
    "parquet": tables.parse_parquet,
    "json": documents.parse_json,
    "toml": documents.parse_toml,
    "text": documents.parse_text,
    "markdown": documents.parse_markdown,
    "html": markup.parse_html,
    "svg": markup.parse_svg,
    "safetensors": tensors.parse_safetensors,
    "npz": tensors.parse_npz,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """Exact bytes that may leave under a name.

    Attributes:
        name: file name.
        kind: what it is.
        content: the bytes.
        digest: `sha256:<hex>` of them.
        notes: what was changed, and what could not be checked.
        tables: its counts of customers, to be compared with those that left earlier.
    """

    name: str
    kind: Kind
    content: bytes = field(repr=False)
    digest: str
    notes: tuple[str, ...] = ()
    tables: tuple[CountTable, ...] = field(default=(), repr=False)


def examine(artefact: Artefact, policy: ExportPolicy) -> Cleared | ReleaseRefused:
    """Check an artefact from its name to its last cell. Writes nothing, logs nothing."""
    try:
        kind = check_name(artefact.name, artefact.kind)
        _check_epsilon(artefact, policy)
        notes: list[str] = []
        content = _content(artefact, policy, notes)
        if len(content) > policy.max_bytes:
            raise ExportError(
                "RF-X005",
                N_("The artefact is larger than {limit} bytes. Split it or aggregate it."),
                limit=policy.max_bytes,
            )
        check_content(content, kind)
        parsed = _PARSERS[kind](content)
        reasons = _check(artefact, parsed, policy, notes)
    except ExportError as fault:
        return _refuse(artefact, [Objection.of(fault)])
    if reasons:
        return _refuse(artefact, reasons)
    return Cleared(
        name=artefact.name,
        kind=kind,
        content=parsed.content,
        digest="sha256:" + hashlib.sha256(parsed.content).hexdigest(),
        notes=tuple(note for note in notes if note),
        tables=tables_of(parsed.grids, _rules(artefact), policy.small_cells, artefact.cohort),
    )


def _refuse(artefact: Artefact, reasons: list[Objection]) -> ReleaseRefused:
    return ReleaseRefused(name=artefact.name, kind=str(artefact.kind), reasons=tuple(reasons))


def _check_epsilon(artefact: Artefact, policy: ExportPolicy) -> None:
    """Refuse more privacy loss than the study allows, and silence about it."""
    limit = policy.epsilon
    if artefact.epsilon is None and policy.epsilon is not None:
        raise ExportError(
            "RF-X045",
            N_(
                "The artefact does not state its privacy loss, but the study sets a limit. State its epsilon."
            ),
        )
    if artefact.epsilon is not None and not (
        limit is not None and artefact.epsilon.is_finite() and 0 <= artefact.epsilon <= limit
    ):
        raise ExportError(
            "RF-X044",
            N_(
                "The artefact's privacy loss is beyond what the study allows. Release less, or amend the "
                "study."
            ),
        )


def _content(artefact: Artefact, policy: ExportPolicy, notes: list[str]) -> bytes:
    """The bytes to decide on: as given, or masked, or written from a frame."""
    if isinstance(artefact.content, bytes):
        return _mask_bytes(artefact, policy, notes) if artefact.masking == "presidio" else artefact.content
    frame = artefact.content
    if artefact.kind not in ("csv", "parquet", "json"):
        raise ExportError("RF-X064", N_("A table is released as csv, parquet or json. Declare one of these."))
    if len({str(c) for c in frame.columns}) != len(frame.columns):
        raise ExportError("RF-X065", N_("Two columns of the table have one name. Rename one."))
    cells.check_finite(frame)
    if artefact.masking == "presidio":
        frame = _mask_table(frame, artefact.columns, policy, notes)
    if policy.formulas == "neutralise":
        frame = cells.neutralise_formulas(frame)
    return _written(frame, artefact.kind)


def _mask_table(
    frame: pd.DataFrame, columns: tuple[ColumnRule, ...], policy: ExportPolicy, notes: list[str]
) -> pd.DataFrame:
    frame, report = mask_frame(
        frame, operator=policy.operator, scanner=policy.scanner, amounts={r.name for r in columns if r.amount}
    )
    notes.append("Masked before the check." if report.masked else "")
    return frame


def _written(frame: pd.DataFrame, kind: Kind) -> bytes:
    if kind == "csv":
        return tables.write_csv(frame)
    if kind == "parquet":
        return tables.write_parquet(frame)
    text = frame.to_json(orient="records", force_ascii=False, date_format="iso", double_precision=15)
    return text.encode()


def _mask_bytes(artefact: Artefact, policy: ExportPolicy, notes: list[str]) -> bytes:
    """Mask what is text; pictures, reports and tensors are made from masked data instead."""
    given = cast(bytes, artefact.content)
    check_content(given, artefact.kind)
    match artefact.kind:
        case "csv" | "parquet":
            parsed = _PARSERS[artefact.kind](given)
            frame = cast("pd.DataFrame", parsed.frame)
            content = _written(_mask_table(frame, artefact.columns, policy, notes), artefact.kind)
        case "json":
            change = documents.map_strings(
                documents.load_json(given), lambda text, key: masked(text, policy, key)
            )
            content = documents.write_json(change)
        case "text" | "markdown":
            content = masked(text_of(given), policy).encode()
        case _:
            raise ExportError(
                "RF-X046",
                N_("Artefacts of kind {kind} cannot be masked afterwards. Make it from masked data."),
                kind=artefact.kind,
            )
    if content != given:
        notes.append("Masked before the check.")
    return content


def _check(artefact: Artefact, parsed: Parsed, policy: ExportPolicy, notes: list[str]) -> list[Objection]:
    """All checks on the parsed content; every reason is kept, so that one round of mending is enough."""
    reasons: list[Objection] = []
    frame = parsed.frame

    def columns_and_counts() -> None:
        if frame is not None:
            cells.check_columns([str(c) for c in frame.columns], artefact.columns)
        elif artefact.kind == "json" and (artefact.columns or parsed.bare):
            cells.check_columns(list(parsed.keys), artefact.columns)
        notes.append(check_counts(parsed.grids, _rules(artefact), policy.small_cells))

    checks: list[Callable[[], None]] = [columns_and_counts]
    texts: Iterator[Text] = iter(parsed.texts)
    if frame is not None:
        checks += [lambda: cells.check_formulas(frame), lambda: cells.check_finite(frame)]
        texts = chain(texts, cells.cell_texts(frame, policy.scanner))
    for check in checks:
        try:
            check()
        except ExportError as fault:
            reasons.append(Objection.of(fault))
    name = Text(where="the artefact's name", text=artefact.name.rpartition(".")[0])
    return reasons + check_personal(chain((name,), texts), policy, artefact.columns)


def _rules(artefact: Artefact) -> dict[str, ColumnRule]:
    return {rule.name: rule for rule in artefact.columns}
