"""Signs schemas and studies: holders' signed declarations are verified and entered, the price is told.

Invariant: a holder enters a study only with the key whose fingerprint the coordinator was told by another
way, and only as its own declaration says.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ringfence.audit.verification.lookalike import look_alike, spelt
from ringfence.models.pricing import price_of
from ringfence.models.releasing import require_releasable
from ringfence.models.scorecard import Scorecard
from ringfence.models.scorecard.prior import with_prior
from ringfence.privacy.accounting.study import StudyPrice
from ringfence.privacy.agreements.declaration import Declaration, read_declaration
from ringfence.privacy.agreements.schema import Schema, load_schema, resolve_schema
from ringfence.privacy.agreements.study import Study, load_study
from ringfence.privacy.agreements.terms import Participant
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_after
from ringfence.privacy.errors import N_, KeyFault, StudyError, UsageError
from ringfence.privacy.stores.journal import Json
from ringfence.privacy.toml.faults import as_fault, gather
from ringfence.privacy.toml.reading import read_toml
from ringfence.privacy.toml.validation import build
from ringfence.server.coordinator import OpenStudy, sign_study
from ringfence.server.home import Office


def trusted_declaration(path: Path, trusted: Sequence[str]) -> Declaration:
    """A holder's declaration, signed by the key it names, which is one of the trusted.

    Raises:
        KeyFault: it is not a signed declaration, or the signature does not hold.
        StudyError: RF-S210 it is malformed, RF-S211 its key is not trusted here.
    """
    found = read_declaration(path)
    fingerprint = PublicIdentity.from_hex(found.key).fingerprint
    if fingerprint not in trusted:
        raise StudyError(
            "RF-S211",
            N_(
                "The holder {name} shows the key {fingerprint}, which server.toml does not list. Ask the "
                "holder for its fingerprint by another way, compare, and enter it: ringfence-server holder "
                "add {file} --compared"
            ),
            name=found.name,
            fingerprint=fingerprint,
            file=path.name,
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A study that was signed.

    Attributes:
        opened: the study as it would run.
        price: what it costs.
        file: where it stands.
        refusing: by holder, what its own declaration says that it would refuse.
    """

    opened: OpenStudy
    price: StudyPrice
    file: Path
    refusing: Mapping[str, tuple[str, ...]]


def sign_schema_file(
    office: Office, path: Path, out: Path | None, passphrases: Passphrases
) -> tuple[Schema, Path]:
    """Sign a schema; the signed form goes beside it.

    Raises:
        SchemaError: it has faults.
        UsageError: RF-U510 another signed schema stands there.
    """
    schema = load_schema(path)
    target = out or path.with_name(f"{path.stem}.signed.json")
    document = SignedDocument(kind="schema", body=schema.canonical()).signed_by(office.key(passphrases))

    def record() -> None:
        office.log.record("schema.accepted", "allow", resource=f"schema:{schema.digest()}")

    _write(target, document, record)
    return schema, target


def sign_study_file(
    office: Office,
    path: Path,
    declarations: Sequence[Path],
    out: Path | None,
    passphrases: Passphrases,
    prior: Path | None = None,
) -> Signed:
    """Enter the holders into a study, sign it, and write it beside its file.

    Args:
        office: the coordinator's.
        path: the study's TOML file.
        declarations: the holders' files.
        out: where the signed study goes, beside its file by default.
        passphrases: of the coordinator's key.
        prior: a released scorecard that the new model begins from.

    Raises:
        StudyError: the study or a declaration has faults, or they do not fit together.
        KeyFault: a signature does not hold.
        UsageError: RF-U510 another signed study stands there.
    """
    study = load_study(path, today=datetime.datetime.now(datetime.UTC).date())
    if study.holders:
        raise StudyError(
            "RF-S212",
            N_("{file} lists holders; leave them out, they come from declarations."),
            file=path.name,
        )
    schema = schema_beside(path, study)
    if prior is not None:
        study = with_prior(
            study, schema, Scorecard.from_json(prior.read_text(encoding="utf-8", errors="replace"))
        )
    trusted = office.holders()
    found = [trusted_declaration(declaration, trusted) for declaration in declarations]
    opened = sign_study(office.key(passphrases), with_declared(path, study, schema, found), schema)
    require_releasable(opened.task, opened.context)
    priced = price_of(opened.study, opened.plan)
    target = out or path.with_name(f"{path.stem}.signed.json")
    terms = opened.study.privacy

    def record() -> None:
        office.log.record(
            "study.signed",
            "allow",
            resource=f"study:{opened.digest}",
            public={
                "purpose": study.purpose,
                "legal_basis": study.legal_basis,
                "holders": list[Json](sorted(one.name for one in found)),
                "epsilon": str(terms.epsilon),
                "delta": f"{terms.delta:f}",
            },
        )

    _write(target, opened.document, record)
    return Signed(opened=opened, price=priced, file=target, refusing=not_allowed(opened.study, found))


def schema_beside(path: Path, study: Study) -> Schema:
    """The schema that a study's file names or holds.

    Raises:
        StudyError: RF-S213 it is not at hand.
    """
    resolved = resolve_schema(read_toml(path, StudyError))
    if resolved.schema is None:
        raise StudyError(
            "RF-S213",
            N_(
                "The schema {digest} of the study is not at hand; put its file beside the study as "
                "schema.toml."
            ),
            digest=study.schema_ref,
        )
    return resolved.schema


def with_declared(path: Path, study: Study, schema: Schema, declarations: Sequence[Declaration]) -> Study:
    """The study with its holders, checked anew as a whole."""
    require_schema(declarations, schema)
    _require_unlike(declarations)
    holders = participants(declarations)
    features = study.features
    if features is None and study.inputs is None:
        features = features_that_all_allow(study.purpose, study.label, schema, declarations)
    data = study.model_dump(by_alias=True) | {
        "schema": schema.digest(),
        "holders": holders,
        "features": features,
    }
    entered, problems = build(Study, data)
    if entered is None:
        raise gather(StudyError, path.name, [as_fault(problem, path.name, 0, data) for problem in problems])
    return entered


def require_schema(declarations: Sequence[Declaration], schema: Schema) -> None:
    """Refuse holders whose contracts are over another schema.

    Raises:
        StudyError: RF-S214, which names the first of them.
    """
    for one in declarations:
        if one.schema_ref != schema.digest():
            raise StudyError(
                "RF-S214",
                N_("The holder {name} has a contract over another schema; agree on one version first."),
                name=one.name,
            )


def _require_unlike(declarations: Sequence[Declaration]) -> None:
    """Refuse holders whose names are taken for each other by eye, also over scripts: people act by names.

    Raises:
        StudyError: RF-S422, which names the first two.
    """
    names = [one.name for one in declarations]
    for position, name in enumerate(names):
        for other in names[:position]:
            if look_alike(other, name):
                raise StudyError(
                    "RF-S422",
                    N_(
                        'The holders "{other}" and "{name}" read alike, spelt out {spelt}; one of them needs '
                        "another name."
                    ),
                    other=other,
                    name=name,
                    spelt=f"{spelt(other)}, {spelt(name)}",
                )


def participants(declarations: Sequence[Declaration]) -> tuple[Participant, ...]:
    """The holders as they enter a study."""
    return tuple(
        Participant(
            name=one.name,
            key=one.key,
            max_customers=one.max_customers,
            overlap=one.overlap,
            jurisdiction=one.jurisdiction,
        )
        for one in declarations
    )


def features_that_all_allow(
    purpose: str, label: str | None, schema: Schema, declarations: Sequence[Declaration]
) -> tuple[str, ...]:
    """The features that every holder's contract gives to a purpose, without the label, in the schema's order.

    Raises:
        StudyError: RF-S360 there is none.
    """
    allowed = [set(one.allows.get(purpose, ())) for one in declarations]
    found = tuple(
        name
        for name in schema.names
        if name != label and name not in schema.future and allowed and all(name in each for each in allowed)
    )
    if not found:
        raise StudyError(
            "RF-S360",
            N_("No feature may be used for {purpose} at every holder; holders that allow none: {holders}."),
            purpose=purpose,
            holders=", ".join(one.name for one in declarations if not one.allows.get(purpose)) or "-",
        )
    return found


def not_allowed(study: Study, declarations: Sequence[Declaration]) -> dict[str, tuple[str, ...]]:
    """By holder, what the study asks for and that holder's contract does not give to its purpose."""
    label = () if study.label is None else (study.label,)
    asked = (*label, *(study.features or ()), *(study.inputs or ()))
    missing = {
        one.name: tuple(name for name in asked if name not in one.allows.get(study.purpose, ()))
        for one in declarations
    }
    return {holder: names for holder, names in missing.items() if names}


def read_own_study(office: Office, path: Path) -> Study:
    """A signed study of this coordinator.

    Raises:
        KeyFault: it is none, or another coordinator's.
    """
    document = read_signed(path)
    try:
        return Study.from_canonical(document.verify("study", [office.identity]))
    except KeyFault as fault:
        former = office.own_keys()[1:]
        if fault.code != "RF-K015" or not any(
            key.hex == one for key in former for one, _ in document.signatures
        ):
            raise
        raise KeyFault(
            "RF-K168",
            N_(
                "{file} is signed with a key that was replaced since. Sign the study anew: approvals that "
                "were given to it count on, since its content stays the same."
            ),
            file=path.name,
        ) from fault


def _write(target: Path, document: SignedDocument, record: Callable[[], None]) -> None:
    """Write, record, name; what approvals may already be bound to is never replaced by something else."""
    if target.exists():
        _require_same(target, document)
    write_after(target, document, record)


def _require_same(target: Path, document: SignedDocument) -> None:
    with suppress(KeyFault):
        if read_signed(target).body == document.body:
            return
    raise UsageError(
        "RF-U510",
        N_("{file} holds something else, and approvals may be bound to it. Choose another name with --out."),
        file=str(target),
    )
