"""`ringfence-simulate study draft`: a first study from contracts, for a question tried on one machine."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from ringfence.privacy.command_line.commands import add_drafting, folder_of, leaf, tell_draft
from ringfence.privacy.command_line.terminal import Parser
from ringfence.privacy.errors import N_, UsageError, _


def add_study(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    study = commands.add_parser("study", help=_("write a study"))
    draft = leaf(
        study.add_subparsers(metavar=_("COMMAND"), required=True),
        "draft",
        _("write a first study from one or several contracts and their schema"),
        more=_(
            "Filled in is what they say: features that every contract gives to the purpose, labels that can "
            "be predicted, delta, and the price. What people decide is left as ???."
        ),
        examples=[
            "ringfence-simulate study draft contract.toml --purpose churn-prediction --label churn "
            "--out study.toml",
        ],
    )
    draft.add_argument(
        "contract", type=Path, nargs="+", metavar="CONTRACT", help=_("the contract of each table")
    )
    add_drafting(draft)
    draft.set_defaults(do=_draft)


def _draft(arguments: argparse.Namespace) -> int:
    tell_draft(
        arguments,
        draft_from_contracts(
            arguments.contract,
            purpose=arguments.purpose,
            label=arguments.label,
            task=arguments.task,
            beside=folder_of(arguments.out),
        ),
    )
    return 0


def draft_from_contracts(
    contracts: Sequence[Path],
    *,
    purpose: str | None,
    label: str | None,
    task: str = "scorecard",
    beside: Path,
) -> str:
    """The draft's text.

    Args:
        contracts: their files, over one schema.
        purpose: of the catalogue; the only one that all contracts allow by default.
        label: the feature to predict, if that is known.
        task: what is computed.
        beside: folder that the study will stand in.

    Raises:
        ContractError: a contract has faults.
        StudyError: the purpose is unknown, or the label cannot be one.
        UsageError: RF-U664 the contracts name different schemas.
    """
    from ringfence.models.study_drafts import priced_draft
    from ringfence.privacy.agreements.contract import load_contract
    from ringfence.privacy.agreements.policy import features_by_purpose
    from ringfence.privacy.agreements.purposes import purpose as known_purpose
    from ringfence.privacy.agreements.study_draft import StudyOutline, given_to
    from ringfence.privacy.agreements.terms import Participant

    loaded = [load_contract(path) for path in contracts]
    schema = loaded[0].schema
    if any(each.schema.digest() != schema.digest() for each in loaded):
        raise UsageError(
            "RF-U664",
            N_("The contracts name different schemas; a study is written in one. Make them name one."),
        )
    if purpose is not None:
        known_purpose(purpose)
    allows = [features_by_purpose(each.contract, schema) for each in loaded]
    asked, common, allowed = given_to(purpose, allows, schema)
    largest = max(each.contract.max_customers for each in loaded)
    known = StudyOutline(
        schema=schema,
        reference=os.path.relpath(_schema_file(contracts[0]), beside),
        purpose=asked,
        purposes=common,
        allowed=allowed,
        label=label,
        task=task,
        max_customers=largest,
    )
    overlap = loaded[0].contract.overlap
    stand_ins = [
        Participant(name=f"holder-{number}", key=f"{number:064x}", max_customers=largest, overlap=overlap)
        for number in range(max(3, len(loaded)))
    ]
    return priced_draft(known, stand_ins)


def _schema_file(contract: Path) -> Path:
    """The file that holds a contract's schema: the one that it names, or itself."""
    from ringfence.privacy.errors import ContractError
    from ringfence.privacy.toml.canonical import DIGEST
    from ringfence.privacy.toml.reading import read_toml

    named = read_toml(contract, ContractError).data.get("schema")
    if not isinstance(named, str):
        return contract
    return contract.parent / ("schema.toml" if DIGEST.fullmatch(named) else named)
