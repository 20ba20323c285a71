"""`ringfence-simulate`: the researcher's command; what is heavy is imported where it is needed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from ringfence.audit.errors import use_language
from ringfence.privacy.command_line.commands import decimal, top_parser
from ringfence.privacy.command_line.terminal import Parser, Terminal, add_json, add_language, run
from ringfence.privacy.errors import _
from ringfence.simulations.commands.asking import add_study
from ringfence.simulations.commands.planning import add_planning

PROGRAM = "ringfence-simulate"
RUNNERS = ("in-process", "flower")


def main() -> int:
    """Entry point of the console script."""
    one_thread_of_algebra()
    return run(command, program=PROGRAM, speakers=(use_language,))


def one_thread_of_algebra() -> None:
    """Let matrices be multiplied on one core unless somebody says otherwise; to be called before NumPy loads.

    The matrices here are small: on two busy cores a study took three times as long with two threads as with
    one.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def command(argv: Sequence[str]) -> int:
    """Parse and do; errors are turned into sentences by `terminal.run`."""
    arguments = parser().parse_args(argv)
    status: int = arguments.do(arguments)
    return status


def parser() -> Parser:
    """The command's parser, also read by the reference documentation's test."""
    return top_parser(
        PROGRAM,
        _("Run federated studies on this machine, with the code that holders and coordinators run."),
        [
            "ringfence-simulate demo",
            "ringfence-simulate cases list",
            "ringfence-simulate run study.toml --contract contract.toml --data table.csv --partition iid "
            "--holders 3",
        ],
        [_add_demo, _add_run, add_study, add_planning, _add_cases, _add_federation, _add_attack],
    )


def _add_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    demo = commands.add_parser(
        "demo",
        help=_("bank, retailer and partner learn a churn model together"),
        description=_(
            "Generate three holders of one city, let them learn a churn scorecard under differential "
            "privacy, and write report, model, masked sample and audit bundle. Generated people only; under "
            "a minute."
        ),
        examples=["ringfence-simulate demo", "ringfence-simulate demo --out out/demo --runner flower"],
    )
    demo.add_argument(
        "--out", type=Path, default=Path("out/demo"), help=_("folder to write (default: out/demo)")
    )
    demo.add_argument(
        "--seed", type=int, default=1, help=_("of the generated people (default: 1); never of noise")
    )
    demo.add_argument("--runner", choices=RUNNERS, default="in-process", help=_("how messages travel"))
    add_json(demo)
    add_language(demo)
    demo.set_defaults(do=_demo)


def _add_run(commands: argparse._SubParsersAction[Parser]) -> None:
    one = commands.add_parser(
        "run",
        help=_("run a study on a table that is cut into holders"),
        description=_(
            "Run any study on any table: a contract says what the columns mean, a partition cuts the rows "
            "into holders; or on several tables, one a holder. Exact metrics are shown beside the released "
            "ones, which only a simulation may have; every customer is entered as consenting."
        ),
        examples=[
            "ringfence-simulate cases copy telco telco",
            "ringfence-simulate run telco/study.toml --contract telco/contract.toml --data telco.csv "
            "--holders 3",
            "ringfence-simulate run study.toml --contract contract.toml --data t.csv --partition by:Region "
            "--json -",
            "ringfence-simulate run study.toml --contract bank.toml --data bank.csv --contract shop.toml "
            "--data shop.csv",
        ],
    )
    _add_tables(one)
    _add_outputs(one)
    add_json(one)
    add_language(one)
    one.set_defaults(do=_run)


def _add_tables(one: argparse.ArgumentParser) -> None:
    """What the study is asked of, and how it is cut."""
    one.add_argument("study", type=Path, help=_("the study's TOML file"))
    one.add_argument(
        "--contract",
        type=Path,
        required=True,
        action="append",
        metavar="FILE",
        help=_("the table's contract; given several times, each is one holder with a table of its own"),
    )
    one.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=_(
            "the table, CSV or Parquet, one for each contract (default: the contract's file, in the folder "
            "RINGFENCE_DATA or beside the contract)"
        ),
    )
    one.add_argument(
        "--row-is-customer",
        action="store_true",
        help=_("every row is another customer, for a table without a customer key (in a simulation only)"),
    )
    one.add_argument(
        "--partition",
        metavar="SPEC",
        help=_("iid, dirichlet:ALPHA or by:COLUMN (default: iid)"),
    )
    one.add_argument(
        "--holders", type=int, metavar="N", help=_("number of holders (default: the study's minimum)")
    )
    one.add_argument("--seed", type=int, default=1, help=_("of the partition (default: 1); never of noise"))


def _add_outputs(one: argparse.ArgumentParser) -> None:
    """How it is run, and what is written."""
    one.add_argument("--runner", choices=RUNNERS, default="in-process", help=_("how messages travel"))
    one.add_argument(
        "--durable",
        action="store_true",
        help=_("keep ledgers and logs in files, as holders do, not in memory"),
    )
    one.add_argument(
        "--model", type=Path, metavar="DIR", help=_("also write the released model to a new folder")
    )
    one.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help=_("also write the report, in English and Chinese, to a new folder"),
    )
    one.add_argument(
        "--prior",
        type=Path,
        metavar="CARD",
        help=_("begin from an earlier scorecard, a scorecard.json of such a folder"),
    )
    one.add_argument(
        "--audit-bundle", type=Path, metavar="DIR", help=_("also export all logs to a new folder")
    )


def _add_cases(commands: argparse._SubParsersAction[Parser]) -> None:
    cases = commands.add_parser("cases", help=_("worked cases: schema, contract and study of public tables"))
    kinds = cases.add_subparsers(metavar=_("COMMAND"), required=True)
    listing = kinds.add_parser("list", help=_("list the cases"))
    add_language(listing)
    listing.set_defaults(do=_list_cases)
    copying = kinds.add_parser(
        "copy",
        help=_("copy a case's files to a folder"),
        examples=["ringfence-simulate cases copy telco telco"],
    )
    copying.add_argument("name", help=_("name of the case"))
    copying.add_argument(
        "directory", type=Path, help=_("folder to write to; files there are never overwritten")
    )
    add_language(copying)
    copying.set_defaults(do=_copy_case)


def _add_federation(commands: argparse._SubParsersAction[Parser]) -> None:
    federation = commands.add_parser(
        "federation",
        help=_("run a federation of processes on this machine, some of them killed in mid-study"),
        description=_(
            "Founds a coordinator and three holders, of a made-up city or of a public table that is cut, "
            "each with its own home, enrols them, has two people approve at each, and runs the study over "
            "Flower's link on loopback. A holder, and then the coordinator, are killed and started again in "
            "its middle. Prints the timeline, and how long the study took."
        ),
        examples=[
            "ringfence-simulate federation --out out/federation",
            "ringfence-simulate federation --case telco --undisturbed",
        ],
    )
    federation.add_argument(
        "--case",
        choices=("demo", "telco"),
        default="demo",
        help=_("the made-up city (default), or the public Telco table in the folder RINGFENCE_DATA names"),
    )
    federation.add_argument("--undisturbed", action="store_true", help=_("kill nobody"))
    federation.add_argument(
        "--out", type=Path, default=Path("out/federation"), help=_("folder to make (default: out/federation)")
    )
    federation.add_argument(
        "--seed", type=int, default=1, help=_("of the generated people (default: 1); never of noise")
    )
    add_json(federation)
    add_language(federation)
    federation.set_defaults(do=_federation)


def _add_attack(commands: argparse._SubParsersAction[Parser]) -> None:
    attack = commands.add_parser(
        "attack",
        help=_("play membership inference and reconstruction against a released scorecard"),
        description=_(
            "Learn scorecards with and without some generated customers and try to tell which; then try to "
            "rebuild a customer's row from the noisy sums. It shows what epsilon does and proves nothing: "
            "make prove does."
        ),
        examples=["ringfence-simulate attack", "ringfence-simulate attack --epsilon 20 --runs 128 --json -"],
    )
    attack.add_argument(
        "--epsilon", type=decimal, default=Decimal(1), metavar="E", help=_("of the study (default: 1)")
    )
    attack.add_argument("--runs", type=int, default=48, metavar="N", help=_("cards to learn (default: 48)"))
    attack.add_argument(
        "--targets", type=int, default=100, metavar="N", help=_("customers to attack (default: 100)")
    )
    attack.add_argument(
        "--seed", type=int, default=1, help=_("of the generated people (default: 1); never of noise")
    )
    add_json(attack)
    add_language(attack)
    attack.set_defaults(do=_attack)


def _demo(arguments: argparse.Namespace) -> int:
    from ringfence.simulations.demo import run_demo

    return run_demo(
        arguments.out, seed=arguments.seed, runner=arguments.runner, terminal=Terminal.of(arguments)
    )


def _run(arguments: argparse.Namespace) -> int:
    from ringfence.models.pages.svg import require_drawing
    from ringfence.simulations.experiment import Wanted, run_question
    from ringfence.simulations.question import Question

    if arguments.report is not None:
        require_drawing()
    question = Question.load(
        arguments.study,
        arguments.contract,
        arguments.data,
        spec=arguments.partition,
        holders=arguments.holders,
        seed=arguments.seed,
        row_is_customer=arguments.row_is_customer,
    )
    if arguments.prior is not None:
        question = question.beginning_from(arguments.prior)
    return run_question(
        question,
        runner=arguments.runner,
        durable=arguments.durable,
        wanted=Wanted(model=arguments.model, report=arguments.report, bundle=arguments.audit_bundle),
        terminal=Terminal.of(arguments),
    )


def _list_cases(arguments: argparse.Namespace) -> int:
    from ringfence.simulations.cases import list_cases

    for name, title in list_cases().items():
        Terminal.of(arguments).say(f"{name:16} {title}")
    return 0


def _copy_case(arguments: argparse.Namespace) -> int:
    from ringfence.simulations.cases import copy_case

    for path in copy_case(arguments.name, arguments.directory):
        Terminal.of(arguments).say(str(path))
    return 0


def _federation(arguments: argparse.Namespace) -> int:
    from ringfence.simulations.processes import run_federation

    return run_federation(
        arguments.out,
        seed=arguments.seed,
        terminal=Terminal.of(arguments),
        case=arguments.case,
        undisturbed=arguments.undisturbed,
    )


def _attack(arguments: argparse.Namespace) -> int:
    from ringfence.simulations.attack import run_attack

    return run_attack(
        epsilon=arguments.epsilon,
        runs=arguments.runs,
        targets=arguments.targets,
        seed=arguments.seed,
        terminal=Terminal.of(arguments),
    )
