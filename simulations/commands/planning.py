"""`ringfence-simulate plan`: what errors a study's answers are expected to have, without any table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.privacy.command_line.prices import planned_lines
from ringfence.privacy.command_line.terminal import Parser, Terminal, add_json, add_language
from ringfence.privacy.errors import N_, UsageError, _

if TYPE_CHECKING:
    from ringfence.models.task import StudyContext


def add_planning(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the command."""
    plan = commands.add_parser(
        "plan",
        help=_("tell what errors a study's answers are expected to have"),
        description=_(
            "From public facts alone: the study's file, its schema, and how many holders and customers are "
            "expected. Nothing is read of any table and nothing is spent."
        ),
        examples=["ringfence-simulate plan study.toml --customers 60000 --holders 3"],
    )
    plan.add_argument("study", type=Path, help=_("the study's TOML file"))
    plan.add_argument(
        "--holders", type=int, metavar="N", help=_("number of holders (default: the study's minimum)")
    )
    plan.add_argument(
        "--customers",
        type=int,
        metavar="N",
        help=_("expected in all holders together (default: customers in [model])"),
    )
    plan.add_argument(
        "--overlap",
        type=int,
        default=1,
        metavar="K",
        help=_("at how many holders one customer may be (default: 1)"),
    )
    add_json(plan)
    add_language(plan)
    plan.set_defaults(do=_plan)


def _plan(arguments: argparse.Namespace) -> int:
    from ringfence.models.catalogue import task_named
    from ringfence.models.pricing import outlook_of, planned, price_of
    from ringfence.models.releasing import require_releasable

    context = context_of_file(
        arguments.study, holders=arguments.holders, customers=arguments.customers, overlap=arguments.overlap
    )
    task = task_named(context.study.task)
    price = price_of(context.study, planned(task, context))
    outlook, terminal = outlook_of(task, context), Terminal.of(arguments)
    require_releasable(task, context)
    for line in planned_lines(context.study.id, price):
        terminal.say(line)
    for line in outlook.told():
        terminal.say(line)
    terminal.write_json(
        {"study": context.study.id, "price": price.as_report(), "expected": outlook.as_json()}
    )
    return 0


def context_of_file(path: Path, *, holders: int | None, customers: int | None, overlap: int) -> StudyContext:
    """A study's file with stand-ins for its holders, all of one size.

    Args:
        path: the study's TOML file.
        holders: how many; the study's minimum by default.
        customers: in all of them together; what the study expects by default.
        overlap: at how many of them one customer may be.

    Raises:
        UsageError: RF-U820 a number that none can be, RF-U821 nobody says how many customers there are.
        StudyError: the study has faults, or names no features (RF-S053).
    """
    from ringfence.models.task import StudyContext
    from ringfence.privacy.agreements.schema import resolve_schema
    from ringfence.privacy.agreements.study import load_study
    from ringfence.privacy.agreements.terms import Participant
    from ringfence.privacy.errors import StudyError
    from ringfence.privacy.toml.reading import read_toml

    study = load_study(path)
    schema = resolve_schema(read_toml(path, StudyError)).schema
    if schema is None:
        raise UsageError(
            "RF-U822",
            N_("The schema {digest} of the study is not at hand; let the study name its schema's file."),
            digest=study.schema_ref,
        )
    count = study.privacy.min_holders if holders is None else holders
    stated = study.model.get("customers")
    expected = customers if customers is not None else stated if isinstance(stated, int) else None
    if expected is None:
        raise UsageError(
            "RF-U821",
            N_(
                "Errors depend on how many customers there are, and the study does not say: give "
                "--customers, or customers in [model]."
            ),
        )
    if not (study.privacy.min_holders <= count <= 10_000 and count <= expected <= 10**12 and overlap >= 1):
        raise UsageError(
            "RF-U820",
            N_(
                "Expected at least {least} holders, at least one customer for each of them, and an overlap "
                "of at least 1; found {holders}, {customers} and {overlap}."
            ),
            least=study.privacy.min_holders,
            holders=count,
            customers=expected,
            overlap=overlap,
        )
    size = -(-expected // count)
    stand_ins = tuple(
        Participant(name=f"holder-{n}", key=f"{n:064x}", max_customers=size, overlap=min(overlap, count))
        for n in range(count)
    )
    model = {**study.model, "customers": expected} if study.label is None else study.model
    named = study.revised(schema_ref=schema.digest(), holders=stand_ins, model=model)
    return StudyContext.of(named, schema)
