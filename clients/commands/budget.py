"""`ringfence-client budget`: what was spent, what a study would cost, and what two people may change."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.clients.commands.options import add_federation, add_named_study, home_for, leaf
from ringfence.privacy.command_line.alignment import padded
from ringfence.privacy.command_line.commands import add_passphrase, decimal, passphrases
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _

if TYPE_CHECKING:
    from ringfence.privacy.ledger import Balance


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    budget = commands.add_parser(
        "budget",
        help=_("the privacy budget: spent, reserved, left, and what two people may change"),
        examples=[
            "ringfence-client budget",
            "ringfence-client budget --explain",
            "ringfence-client budget --explain churn.signed.json",
        ],
    )
    kinds = budget.add_subparsers(metavar=_("COMMAND"), required=True)
    _add_reading(kinds)
    _add_freezing(kinds)
    _add_raising(kinds)
    _add_closing(kinds)


def _add_reading(kinds: argparse._SubParsersAction[Parser]) -> None:
    show = leaf(kinds, "show", _("show what was spent, is reserved and is left (the same as budget alone)"))
    show.add_argument("--entries", action="store_true", help=_("also list the ledger's entries"))
    show.add_argument(
        "--explain",
        nargs="?",
        type=Path,
        default=False,
        const=None,
        metavar="STUDY",
        help=_("list every spend, and what a signed study would cost (the same as budget explain)"),
    )
    add_federation(show)
    show.set_defaults(do=_show)
    explain = leaf(
        kinds,
        "explain",
        _("list every spend, and what a signed study would cost and whether it fits; nothing is spent"),
        examples=["ringfence-client budget explain", "ringfence-client budget explain churn.signed.json"],
    )
    add_named_study(explain, needed=False)
    explain.set_defaults(do=_explain, entries=False)


def _add_freezing(kinds: argparse._SubParsersAction[Parser]) -> None:
    freeze = leaf(
        kinds,
        "freeze",
        _("allow no spending until two approvers thaw the ledger, e.g. after a restore from a backup"),
        examples=["ringfence-client budget freeze --restored --reason 'disk of 3 May'"],
    )
    freeze.add_argument("--reason", required=True, metavar="TEXT", help=_("why, for those who read the log"))
    freeze.add_argument(
        "--restored",
        action="store_true",
        help=_("the store is an older copy, restored by other means; the thaw then sets all approvals aside"),
    )
    freeze.set_defaults(do=_freeze)
    thaw = leaf(
        kinds,
        "thaw",
        _("open a frozen ledger again, by two approvers, entering what was spent beyond it"),
        examples=[
            "ringfence-client budget thaw --key ana.key --key ben.key --missing 0.04 --reason 'restored from "
            "backup'"
        ],
    )
    thaw.add_argument(
        "--missing",
        required=True,
        type=decimal,
        metavar="MU2",
        help=_("mu squared to be entered as spent; 0 if none"),
    )
    _add_two_people(thaw)
    thaw.set_defaults(do=_thaw)


def _add_raising(kinds: argparse._SubParsersAction[Parser]) -> None:
    raising = leaf(
        kinds,
        "top-up",
        _("raise the budget, by two approvers; the promise made at init is weaker from then on"),
        examples=[
            "ringfence-client budget top-up --key ana.key --key ben.key --epsilon 6 --reason 'board "
            "decision 12'",
            "ringfence-client budget top-up --key ana.key --key ben.key --mu-squared 0.1 --reason 'board "
            "decision 12'",
        ],
    )
    amount = raising.add_mutually_exclusive_group(required=True)
    amount.add_argument(
        "--epsilon", type=decimal, metavar="E", help=_("what the budget is to be in all, at its delta")
    )
    amount.add_argument("--mu-squared", type=decimal, metavar="MU2", help=_("mu squared to be added"))
    _add_two_people(raising)
    raising.set_defaults(do=_top_up)


def _add_closing(kinds: argparse._SubParsersAction[Parser]) -> None:
    close = leaf(
        kinds,
        "close",
        _("close the reservation of a study that will not go on; what was released stays charged"),
        examples=["ringfence-client budget close sha256:0f3a..."],
    )
    close.add_argument("study", metavar="STUDY_DIGEST", help=_("digest of the study, or its first digits"))
    which = close.add_mutually_exclusive_group()
    which.add_argument(
        "--run",
        type=int,
        metavar="N",
        help=_("of a series with several open runs: number of the one to close"),
    )
    which.add_argument("--all-runs", action="store_true", help=_("close all open runs of the series"))
    close.set_defaults(do=_close)


def _add_two_people(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help=_("an approver's key file; give two"),
    )
    parser.add_argument("--reason", required=True, metavar="TEXT", help=_("why, for those who read the log"))
    add_passphrase(parser)


def _show(arguments: argparse.Namespace) -> int:
    if arguments.explain is not False:
        arguments.study = arguments.explain
        return _explain(arguments)
    from ringfence.clients.desk.spending import BudgetStanding
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        standing = BudgetStanding.of(home.ledger)
        entries = home.ledger.entries() if arguments.entries else ()
    terminal = Terminal.of(arguments)
    terminal.say(standing.heading())
    terminal.say(f"{'':12}{'mu^2':>14}  {_('epsilon')}")
    for name, balance in standing.rows():
        terminal.say(f"{padded(name, 12)}{float(balance.mu_squared):>14.6g}  {balance.epsilon:.4f}")
    if standing.frozen:
        terminal.say(_("FROZEN: {reason}").format(reason=standing.frozen))
    for one in standing.open:
        said = _("open reservation {id}: study {study}").format(id=one.id, study=one.study_digest)
        terminal.say(f"{said}, {_('run {number}').format(number=one.window)}" if one.window else said)
    for entry in entries:
        said = " ".join(f"{key}={value}" for key, value in entry.fields.items())
        terminal.say(f"{entry.sequence:>5} {entry.time} {entry.kind:10} {said}")
    listed = [
        {
            "sequence": e.sequence,
            "time": e.time,
            "kind": e.kind,
            "fields": dict(e.fields),
            "hash": e.hash.hex(),
        }
        for e in entries
    ]
    terminal.write_json(standing.as_json() | ({"entries": listed} if arguments.entries else {}))
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.account import Account
    from ringfence.clients.desk.whatif import answer, price_lines, read_study

    with home_for(arguments, arguments.study) as home:
        account = Account.of(home.ledger)
        found = None
        if arguments.study is not None:
            found = answer(home, read_study(home, arguments.study), home.contract())
    if found is not None and found.no_price is not None:
        raise found.no_price
    terminal = Terminal.of(arguments)
    for line in account.lines():
        terminal.say(line)
    if account.standing.frozen:
        terminal.say(_("FROZEN: {reason}").format(reason=account.standing.frozen))
    if found is not None:
        terminal.say()
        terminal.say(_("Study {study} {digest}").format(study=found.study.id, digest=found.digest))
        for line in price_lines(found):
            terminal.say(line)
    terminal.write_json(account.as_json() | {"planned": None if found is None else found.as_json()})
    return 0


def _freeze(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.spending import freeze

    freeze(arguments.config, arguments.reason, restored=arguments.restored)
    terminal = Terminal.of(arguments)
    terminal.say(_("The ledger is frozen; nothing is spent until two approvers thaw it."))
    terminal.write_json({"frozen": arguments.reason})
    return 0


def _thaw(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.spending import thaw

    made = thaw(arguments.config, arguments.key, arguments.missing, arguments.reason, passphrases(arguments))
    sentences = [_("The ledger is open again.")]
    if made.lacking:
        sentences.append(
            _(
                "Approvals that were set aside: {count}. The ledger no longer shows which runs were made, "
                "so two people approve each study anew, and each series that has runs to come."
            ).format(count=made.aside)
        )
    return _done(arguments, "\n".join(sentences), made.left, approvals_set_aside=made.aside)


def _top_up(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.spending import Raise, top_up

    asked = Raise(mu_squared=arguments.mu_squared, epsilon=arguments.epsilon)
    balance = top_up(arguments.config, arguments.key, asked, arguments.reason, passphrases(arguments))
    return _done(arguments, _("The budget was raised."), balance)


def _close(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.spending import close

    closed = close(arguments.config, arguments.study, arguments.run, every=arguments.all_runs)
    said = _("Closed the reservation of {study}.").format(study=closed.study)
    if runs := [str(each) for each in closed.windows if each]:
        said = _("Closed the reservation of {study}; runs: {runs}").format(
            study=closed.study, runs=", ".join(runs)
        )
    return _done(arguments, said, closed.left)


def _done(arguments: argparse.Namespace, sentence: str, left: Balance, **more: int) -> int:
    terminal = Terminal.of(arguments)
    terminal.say(sentence)
    terminal.say(
        _("left: mu^2 {mu} (epsilon {epsilon:.4f} at delta {delta})").format(
            mu=f"{float(left.mu_squared):.6g}", epsilon=left.epsilon, delta=left.delta
        )
    )
    terminal.write_json(
        {
            "left": {"mu_squared": str(left.mu_squared), "epsilon": left.epsilon, "delta": str(left.delta)},
            **more,
        }
    )
    return 0
