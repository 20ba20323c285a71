"""A study as the coordinator's people name it: a signed file, or id or digest of one that was submitted."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from ringfence.privacy.agreements.schema import Schema, load_schema
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, StudyError, _
from ringfence.server.desk.signing import read_own_study
from ringfence.server.home import Office
from ringfence.server.records.submissions import Submissions

_CALLED = re.compile(r"[^\W_][\w.\-]{0,63}|sha256:[0-9a-f]{64}")
_FILES = (".json", ".toml")


def read_asked(office: Office, given: Path, schema: Path | None = None) -> tuple[Study, Schema]:
    """A signed study of this coordinator with its schema; a file of the name comes before an id.

    Args:
        office: the coordinator's.
        given: the study's file, or the id or digest of a submitted one.
        schema: its schema's file; `schema.toml` beside the study by default, as submitted for an id.

    Raises:
        KeyFault: it is none, or another coordinator's.
        SchemaError: the schema has faults.
        StudyError: RF-S384 it is another schema, RF-S443 no study was submitted under this id.
    """
    kept = _submitted(office, given)
    if kept is None:
        study = read_own_study(office, given)
        path = schema or given.with_name("schema.toml")
        return study, _fitting(load_schema(path), study, path)
    study = _own(office, kept[0])
    if schema is not None:
        return study, _fitting(load_schema(schema), study, schema)
    document = SignedDocument.from_json(kept[1])
    return study, _fitting(
        Schema.from_canonical(document.verify("schema", office.own_keys())), study, Path(study.id)
    )


def _submitted(office: Office, given: Path) -> tuple[str, str] | None:
    """The signed study and schema that an id stands for; None where a file is meant.

    Raises:
        StudyError: RF-S443 no study was submitted under this id.
    """
    called = str(given)
    if given.is_file() or not _CALLED.fullmatch(called):
        return None
    submissions = Submissions(office.engine)
    kept = submissions.documents(called)
    if kept is not None or called.endswith(_FILES):
        return kept
    names = [each.name for each in submissions.listed()]
    near = difflib.get_close_matches(called, names, n=3, cutoff=0.6)
    raise StudyError(
        "RF-S443",
        N_("No study was submitted under the id {study}, and no file here is called so. {near}"),
        study=called,
        near=_("Near it: {names}.").format(names=", ".join(near))
        if near
        else _("ringfence-server study list names those that were submitted."),
    )


def study_asked(office: Office, given: Path) -> Study:
    """A signed study of this coordinator, whatever its schema; otherwise as `read_asked`."""
    kept = _submitted(office, given)
    return read_own_study(office, given) if kept is None else _own(office, kept[0])


def _own(office: Office, text: str) -> Study:
    """A signed study as it was kept, verified anew."""
    return Study.from_canonical(SignedDocument.from_json(text).verify("study", office.own_keys()))


def _fitting(found: Schema, study: Study, path: Path) -> Schema:
    if found.digest() != study.schema_ref:
        raise StudyError(
            "RF-S384",
            N_("{file} is another schema than the study's; name the right one with --schema."),
            file=path.name,
        )
    return found
