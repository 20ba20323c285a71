"""Drafts a study from the schema and the declarations of the holders who would take part."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ringfence.models.study_drafts import priced_draft
from ringfence.privacy.agreements.purposes import purpose as known_purpose
from ringfence.privacy.agreements.schema import load_schema
from ringfence.privacy.agreements.study_draft import StudyOutline, given_to
from ringfence.server.desk.signing import participants, require_schema, trusted_declaration
from ringfence.server.home import Office


def draft_from_declarations(
    office: Office,
    schema_file: Path,
    declarations: Sequence[Path],
    *,
    purpose: str | None,
    label: str | None,
    task: str = "scorecard",
    beside: Path,
) -> str:
    """The draft's text.

    Args:
        office: the coordinator's.
        schema_file: the schema's TOML file.
        declarations: the holders' files.
        purpose: of the catalogue; the only one that all holders allow by default.
        label: the feature to predict, if that is known.
        task: what is computed.
        beside: folder that the study will stand in.

    Raises:
        StudyError: a declaration is malformed, of an unknown holder or over another schema; the purpose is
            unknown; the label cannot be one.
        SchemaError: the schema has faults.
        KeyFault: a signature does not hold.
    """
    schema = load_schema(schema_file)
    trusted = office.holders()
    found = [trusted_declaration(one, trusted) for one in declarations]
    require_schema(found, schema)
    if purpose is not None:
        known_purpose(purpose)
    asked, common, allowed = given_to(purpose, [one.allows for one in found], schema)
    known = StudyOutline(
        schema=schema,
        reference=os.path.relpath(schema_file, beside),
        purpose=asked,
        purposes=common,
        allowed=allowed,
        label=label,
        task=task,
        max_customers=max(one.max_customers for one in found),
        holders=[one.name for one in found],
    )
    return priced_draft(known, participants(found))
