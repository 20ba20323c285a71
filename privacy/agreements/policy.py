"""May this study run here? A pure decision over signed documents; deny by default (DESIGN, 6.8).

What each holder learns from a study it decides for itself: `h` is recomputed counting only peers whose keys
its own contract vouches for. Peers nobody vouches for may be listed in a study, but they never count, so
every roster must hold `min_holders` vouched keys (checked in privacy/secagg/roster.py). The budget is decided
elsewhere.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ringfence.privacy.agreements.contract import Column, Contract
from ringfence.privacy.agreements.inputs import asked_problems
from ringfence.privacy.agreements.law import bases_of, consents_apart
from ringfence.privacy.agreements.obligations import Allowed, Decision, Obligations, Reason, Reasons
from ringfence.privacy.agreements.purposes import catalogue, unknown_purpose
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Participant, Study, study_against_schema
from ringfence.privacy.agreements.terms import too_few_honest
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, StudyError

__all__ = [
    "Allowed",
    "Decision",
    "Obligations",
    "Reason",
    "Reasons",
    "Request",
    "allowed_columns",
    "decide",
    "features_by_purpose",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be decided.

    Attributes:
        study: the study, its coordinator's signature already verified.
        contract: this holder's contract.
        schema: the schema at hand.
        now: the present moment, with a time zone.
        key: this holder's own public key.
        peers: fingerprints in force of the contract's peers; the contract's own where None.
    """

    study: Study
    contract: Contract
    schema: Schema
    now: datetime.datetime
    key: PublicIdentity
    peers: tuple[str, ...] | None = None


def decide(request: Request) -> Decision:
    """Decide whether a study may run at this holder, and under which obligations."""
    if request.now.tzinfo is None:
        raise ValueError("the present moment needs a time zone")
    reasons = Reasons(
        (
            *_document_reasons(request),
            *_law_reasons(request),
            *_column_reasons(request),
            *_participant_reasons(request),
            *_peer_reasons(request),
            *_cell_reasons(request),
        )
    )
    if reasons:
        return Decision(allow=False, reasons=reasons)
    study, contract = request.study, request.contract
    vouched = _vouched(request)
    obligations = Obligations(
        columns=allowed_columns(contract, study, request.schema),
        honest=_honest(study, len(vouched)),
        min_cohort=contract.min_cohort,
        vouched=vouched,
        min_vouched=study.privacy.min_holders,
        purpose=study.purpose,
        legal_basis=study.legal_basis,
        jurisdiction=contract.jurisdiction,
    )
    return Decision(allow=True, reasons=reasons, obligations=obligations)


def allowed_columns(contract: Contract, study: Study, schema: Schema) -> Allowed:
    """What may be decoded for a study: the customer key, and only columns its purpose allows.

    Without a list of features these are all the purpose allows, in the schema's order; the label, identifiers
    and free text are never among them.

    Raises:
        StudyError: RF-S041 when the study asks for a column that it may not have.
    """
    reasons = Reasons(_usable_reasons(contract, study, schema))
    if reasons:
        raise StudyError(
            "RF-S041", N_("The study is not allowed at this holder:\n{reasons}"), reasons=reasons
        )
    features = _features(contract, study, schema)
    used = features if study.label is None else (study.label, *features)
    columns = {name: column for name in used if (column := contract.column(name)) is not None}
    lists = {name: contract.inputs[name] for name in study.inputs or ()}
    brought = {**columns, **lists}
    sensitive = tuple(name for name, each in brought.items() if each.sensitivity == "sensitive")
    return Allowed(
        subject=contract.subject,
        label=study.label,
        features=features,
        headers={name: column.header for name, column in columns.items()},
        sensitive=sensitive,
        separate=consents_apart(
            contract.jurisdiction,
            study.legal_basis,
            sensitive=bool(sensitive),
            recipients=_recipients(contract, study),
            safeguarded=contract.transfers,
        ),
        inputs={
            name: (source.key(contract.subject), *source.columns.values()) for name, source in lists.items()
        },
    )


def _recipients(contract: Contract, study: Study) -> tuple[str | None, ...]:
    """Jurisdictions of those who receive what is released: the coordinator and the other holders."""
    others = (holder.jurisdiction for holder in study.holders if holder.name != contract.holder)
    return (study.jurisdiction, *others)


def features_by_purpose(contract: Contract, schema: Schema) -> dict[str, tuple[str, ...]]:
    """What a contract gives to each purpose, as features, as label or as inputs, in the schema's order: what
    a holder tells a coordinator, so that a study asks for nothing else.
    """
    usable = [
        (feature.name, column.purposes)
        for feature in schema.features
        if feature.kind != "text"
        and (column := contract.column(feature.name)) is not None
        and column.sensitivity != "identifier"
        and column.header != contract.subject
    ]
    usable += [(name, source.purposes) for name, source in contract.inputs.items() if name in schema.inputs]
    purposes = sorted({purpose for _name, given in usable for purpose in given})
    return {purpose: tuple(name for name, given in usable if purpose in given) for purpose in purposes}


def _features(contract: Contract, study: Study, schema: Schema) -> tuple[str, ...]:
    if study.features is not None:
        return study.features
    if study.inputs is not None:
        return ()
    return tuple(
        feature.name
        for feature in schema.features
        if feature.name != study.label
        and feature.name not in schema.future
        and feature.kind != "text"
        and (column := contract.column(feature.name)) is not None
        and _usable(column, contract, study)
    )


def _usable(column: Column, contract: Contract, study: Study) -> bool:
    return (
        column.sensitivity != "identifier"
        and column.header != contract.subject
        and study.purpose in column.purposes
    )


Findings: TypeAlias = Iterator[Reason]


def _document_reasons(request: Request) -> Findings:
    study, contract, schema = request.study, request.contract, request.schema
    digest = schema.digest()
    for kind, reference in (("study", study.schema_ref), ("contract", contract.schema_ref)):
        if reference != digest:
            yield Reason(
                code="RF-S042",
                template=N_("The {kind} is written for another schema than the one at hand ({schema})."),
                values={"kind": kind, "schema": schema.id},
            )
    if study.purpose not in catalogue():
        problem = unknown_purpose(study.purpose)
        yield Reason(code=problem.code, template=problem.template, values=problem.values)
    if request.now.astimezone(datetime.UTC).date() > study.expires:
        yield Reason(
            code="RF-S021",
            template=N_("The study expired on {day}; ask for a new one."),
            values={"day": study.expires.isoformat()},
        )
    for problem in too_few_honest(study.privacy):
        yield Reason(code=problem.code, template=problem.template, values=problem.values)


def _law_reasons(request: Request) -> Findings:
    basis, jurisdiction = request.study.legal_basis, request.contract.jurisdiction
    if basis not in bases_of(jurisdiction):
        yield Reason(
            code="RF-S043",
            template=N_(
                "The law of {jurisdiction} knows no legal basis {basis}; the study needs another one."
            ),
            values={"basis": basis, "jurisdiction": jurisdiction},
        )


def _column_reasons(request: Request) -> Findings:
    yield from _usable_reasons(request.contract, request.study, request.schema)
    study = request.study
    for problem in study_against_schema(study.label, study.positive, study.features, request.schema):
        yield Reason(code=problem.code, template=problem.template, values=problem.values)
    for problem in asked_problems(study.inputs, tuple(request.schema.inputs), request.schema.id):
        yield Reason(code=problem.code, template=problem.template, values=problem.values)


def _usable_reasons(contract: Contract, study: Study, schema: Schema) -> Findings:
    asked = (*(() if study.label is None else (study.label,)), *(study.features or ()))
    for name in asked:
        column = contract.column(name)
        if column is None:
            yield Reason(
                code="RF-S044",
                template=N_('The contract has no column for "{name}".'),
                values={"name": name},
            )
        elif column.sensitivity == "identifier" or column.header == contract.subject:
            yield Reason(
                code="RF-S045",
                template=N_('"{name}" identifies a person and is never a feature or a label.'),
                values={"name": name},
            )
        elif study.purpose not in column.purposes:
            yield Reason(
                code="RF-S046",
                template=N_('The contract does not allow "{name}" to be used for {purpose}.'),
                values={"name": name, "purpose": study.purpose},
            )
    yield from _input_reasons(contract, study)
    if study.features is None and not study.inputs and not _features(contract, study, schema):
        yield Reason(
            code="RF-S047",
            template=N_("The contract allows no column at all to be used for {purpose}."),
            values={"purpose": study.purpose},
        )


def _input_reasons(contract: Contract, study: Study) -> Findings:
    for name in study.inputs or ():
        source = contract.inputs.get(name)
        if source is None:
            yield Reason(
                code="RF-S553",
                template=N_('The contract has no input "{name}".'),
                values={"name": name},
            )
        elif study.purpose not in source.purposes:
            yield Reason(
                code="RF-S554",
                template=N_('The contract does not allow the input "{name}" to be used for {purpose}.'),
                values={"name": name, "purpose": study.purpose},
            )


def _participant_reasons(request: Request) -> Findings:
    study, contract = request.study, request.contract
    keys = [holder.key for holder in study.holders]
    if len(set(keys)) != len(keys):
        yield Reason(code="RF-S048", template=N_("Two holders of the study have one key."))
    for holder in study.holders:
        if study.privacy.delta * holder.max_customers >= 1:
            yield Reason(
                code="RF-S013",
                template=N_('delta must be below 1/{count}, one over the max_customers of "{name}".'),
                values={"count": holder.max_customers, "name": holder.name},
            )
    if study.privacy.delta * contract.max_customers >= 1:
        yield Reason(
            code="RF-S049",
            template=N_("delta must be below 1/{count}, one over this contract's max_customers."),
            values={"count": contract.max_customers},
        )
    own = next((holder for holder in study.holders if holder.name == contract.holder), None)
    if own is None:
        yield Reason(
            code="RF-S022",
            template=N_('"{holder}" is not among the holders of the study.'),
            values={"holder": contract.holder},
        )
    else:
        yield from _own_reasons(own, request)


def _own_reasons(own: Participant, request: Request) -> Findings:
    contract = request.contract
    if own.key != request.key.hex:
        yield Reason(code="RF-S023", template=N_("The study names another key for this holder than its own."))
    if own.max_customers != contract.max_customers:
        yield Reason(
            code="RF-S024",
            template=N_(
                "The study says max_customers = {found} for this holder; its contract says {expected}."
            ),
            values={"found": own.max_customers, "expected": contract.max_customers},
        )
    if own.jurisdiction not in (None, contract.jurisdiction):
        yield Reason(
            code="RF-S300",
            template=N_("The study states another jurisdiction for this holder than its contract."),
        )
    if own.overlap != contract.overlap:
        yield Reason(
            code="RF-S025",
            template=N_("The study states another overlap for this holder than its contract."),
        )


def _peer_reasons(request: Request) -> Findings:
    if not request.contract.peers:
        yield Reason(
            code="RF-S026",
            template=N_(
                "The contract vouches for no peers, so no study can run: list the fingerprints of the other "
                "holders' keys as peers."
            ),
        )
        return
    study, count = request.study, len(_vouched(request))
    if count < study.privacy.min_holders:  # fewer vouched shares than the study's h counts on
        yield Reason(
            code="RF-S027",
            template=N_(
                "Holders of the study that the contract vouches for, its own among them: {count}; needed: "
                "{needed}."
            ),
            values={"count": count, "needed": study.privacy.min_holders},
        )


def _cell_reasons(request: Request) -> Findings:
    """Whether tables of the study would show smaller cells than this holder lets out."""
    study, contract = request.study, request.contract
    for name in study.release.plain or ():
        column = contract.column(name)
        if column is not None and column.sensitivity != "plain":
            yield Reason(
                code="RF-S511",
                template=N_(
                    'The study calls "{name}" plain; the contract calls it {found}. Take it out of plain.'
                ),
                values={"name": name, "found": column.sensitivity},
            )
    least = study.release.smallest_cell
    if study.label is None and contract.min_cell is not None and least < contract.min_cell:
        yield Reason(
            code="RF-S512",
            template=N_(
                "The study's tables may show cells of {found} customers; the contract lets out no fewer than "
                "{least}."
            ),
            values={"found": least, "least": contract.min_cell},
        )


def _vouched(request: Request) -> frozenset[str]:
    peers = request.contract.peers if request.peers is None else request.peers
    known = {*peers, request.key.fingerprint}
    return frozenset(_fingerprint(holder) for holder in request.study.holders) & known


def _fingerprint(holder: Participant) -> str:
    return PublicIdentity.from_hex(holder.key).fingerprint


def _honest(study: Study, vouched: int) -> int:
    """The number h counting only vouched keys, of which every roster holds at least `min_holders`."""
    if not study.distributed:
        return 1
    return min(vouched, study.privacy.min_holders) - 1 - study.privacy.colluders
