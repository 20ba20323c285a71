"""The commands by which keys are replaced, which holder and coordinator have alike."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.privacy.command_line.commands import (
    add_compared,
    add_passphrase,
    add_wrapping,
    new_passphrase,
    passphrases,
    require_compared,
)
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _

if TYPE_CHECKING:
    from ringfence.privacy.succession.book import KnownSuccession
    from ringfence.privacy.succession.document import SignedSuccession, Succession

REASONS = ("routine", "suspected", "lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDesk:
    """What a desk does for the commands.

    Attributes:
        begin, sign, enact: the steps of a replacement.
        known: the changes of key that the house knows.
        settle: ends a conflict.
    """

    begin: Callable[..., tuple[Succession, Path]]
    sign: Callable[..., int]
    enact: Callable[..., tuple[Succession, Path]]
    known: Callable[..., Sequence[KnownSuccession]]
    settle: Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacing:
    """What the commands call.

    Attributes:
        leaf: declares a sub-command of the program.
        program: its name.
        roles: keys that can be replaced.
        desk: imports the desk, when it is needed.
        more: gives a command what else says which key is meant.
        place: the home, and which of its keys, of a command's arguments; the desk's first argument.
    """

    leaf: Callable[..., Parser]
    program: str
    roles: tuple[str, ...]
    desk: Callable[[], KeyDesk]
    more: Callable[[argparse.ArgumentParser], None] = lambda _parser: None
    place: Callable[[argparse.Namespace], object] = lambda arguments: arguments.config


def add_replacing(kinds: argparse._SubParsersAction[Parser], given: Replacing) -> None:
    """Declare `replace`, `sign`, `enact`, `list` and `settle`."""
    role, program = given.roles[0], given.program
    begin = given.leaf(
        kinds,
        "replace",
        _("make the next key of this home, and the succession that two people sign"),
        more=_("The old key stays in force until `key enact`. Run it again after a crash: it goes on."),
        examples=[f"{program} key replace {role}"],
    )
    begin.add_argument("role", choices=given.roles, metavar="KEY", help=" | ".join(given.roles))
    begin.add_argument(
        "--reason",
        choices=REASONS,
        default="routine",
        help=_("why; a lost key does not sign, and others take the new one like a stranger's"),
    )
    given.more(begin)
    add_wrapping(begin)
    begin.set_defaults(do=_begin, replacing=given)
    sign = given.leaf(
        kinds,
        "sign",
        _("sign the replacement that is under way, as one of the two people"),
        examples=[f"{program} key sign {role} --key ana.key"],
    )
    sign.add_argument("role", choices=given.roles, metavar="KEY", help=" | ".join(given.roles))
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help=_("your own key file"))
    given.more(sign)
    add_passphrase(sign)
    sign.set_defaults(do=_sign, replacing=given)
    enact = given.leaf(
        kinds,
        "enact",
        _("put the replacement in force that two people signed, and name the file for others"),
        more=_("All at once or not at all; run again, it says what is in force."),
        examples=[f"{program} key enact {role}"],
    )
    enact.add_argument("role", choices=given.roles, metavar="KEY", help=" | ".join(given.roles))
    given.more(enact)
    add_passphrase(enact)
    enact.set_defaults(do=_enact, replacing=given)
    listed = given.leaf(kinds, "list", _("list the keys that took the place of others, own and others'"))
    listed.set_defaults(do=_list, replacing=given)
    _add_settle(kinds, given)


def _add_settle(kinds: argparse._SubParsersAction[Parser], given: Replacing) -> None:
    settle = given.leaf(
        kinds,
        "settle",
        _("say by two people which of two successors of a key counts"),
        examples=[f"{given.program} key settle ed25519:OLD --chosen ed25519:NEW --key ana.key --key ben.key"],
    )
    settle.add_argument("old", metavar="OLD", help=_("fingerprint of the key that has two successors"))
    settle.add_argument("--chosen", required=True, metavar="NEW", help=_("fingerprint of the right one"))
    settle.add_argument(
        "--key",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help=_("key file of a person who decides; twice"),
    )
    add_passphrase(settle)
    settle.set_defaults(do=_settle, replacing=given)


def add_taking_in(parser: Parser) -> None:
    """Give a command the file of another party's succession."""
    parser.add_argument("file", type=Path, metavar="FILE", help=_("the succession that the other party sent"))
    add_compared(parser)


def require_compared_succession(arguments: argparse.Namespace, found: SignedSuccession) -> None:
    """Say whose key takes the place of which, and stop unless the fingerprint was compared.

    Raises:
        UsageError: RF-U661 it was not.
    """
    from ringfence.privacy.agreements.declaration import Shown
    from ringfence.privacy.command_line.trust import Keys

    terminal, said = Terminal.of(arguments), found.said
    terminal.say(
        _("{party} replaces its {role} key {old} ({reason}), change {number}, of {time}.").format(
            party=said.party,
            role=said.role,
            old=said.former.fingerprint,
            reason=said.reason,
            number=said.number,
            time=said.time,
        )
    )
    for one in found.people:
        terminal.say(_("signed by a person with the key {key}").format(key=one.fingerprint))
    require_compared(arguments, Keys(new=(Shown(public=said.successor, said=said.party),)))


def tell_taken_in(arguments: argparse.Namespace, said: Succession) -> None:
    """Say what is in force from now on."""
    terminal = Terminal.of(arguments)
    terminal.say(
        _("The {role} key of {party} is {new} from now on.").format(
            role=said.role, party=said.party, new=said.successor.fingerprint
        )
    )
    terminal.write_json(_members(said))


def _meant(arguments: argparse.Namespace) -> str:
    """The key as the next command is to be told it."""
    federation = getattr(arguments, "federation", None)
    return arguments.role if federation is None else f"{arguments.role} --federation {federation}"


def _members(said: Succession) -> dict[str, object]:
    return {
        "role": said.role,
        "party": said.party,
        "old": said.former.fingerprint,
        "new": said.successor.fingerprint,
        "number": said.number,
        "time": said.time,
        "reason": said.reason,
    }


def _begin(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.wire.fields import utc_now

    given: Replacing = arguments.replacing
    said, file = given.desk().begin(
        given.place(arguments),
        arguments.role,
        arguments.reason,
        passphrases(arguments),
        new_passphrase(arguments),
        utc_now(),
    )
    terminal = Terminal.of(arguments)
    terminal.say(
        _("The new {role} key is {new}; the old one stays in force.").format(
            role=said.role, new=said.successor.fingerprint
        )
    )
    terminal.say(
        _("Next, two people sign, each with: {program} key sign {role} --key FILE").format(
            program=given.program, role=_meant(arguments)
        )
    )
    terminal.write_json({**_members(said), "file": str(file)})
    return 0


def _sign(arguments: argparse.Namespace) -> int:
    given: Replacing = arguments.replacing
    count = given.desk().sign(given.place(arguments), arguments.role, arguments.key, passphrases(arguments))
    terminal = Terminal.of(arguments)
    terminal.say(_("People who signed: {count} of 2.").format(count=count))
    if count > 1:
        terminal.say(
            _("Put it in force: {program} key enact {role}").format(
                program=given.program, role=_meant(arguments)
            )
        )
    terminal.write_json({"role": arguments.role, "signed": count})
    return 0


def _enact(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.wire.fields import utc_now

    given: Replacing = arguments.replacing
    said, file = given.desk().enact(given.place(arguments), arguments.role, passphrases(arguments), utc_now())
    terminal = Terminal.of(arguments)
    terminal.say(
        _("The {role} key in force is {new}, change {number}.").format(
            role=said.role, new=said.successor.fingerprint, number=said.number
        )
    )
    terminal.say(
        _("Hand {file} to the other parties, and tell them the fingerprint by voice.").format(file=file)
    )
    terminal.write_json({**_members(said), "file": str(file)})
    return 0


def _list(arguments: argparse.Namespace) -> int:
    given: Replacing = arguments.replacing
    found = given.desk().known(arguments.config)
    terminal = Terminal.of(arguments)
    for each in found:
        said = each.said
        line = _("{role} {party} {number}: {old} -> {new}, {reason}, in force since {at}").format(
            role=said.role,
            party=said.party,
            number=said.number,
            old=said.former.fingerprint,
            new=said.successor.fingerprint,
            reason=said.reason,
            at=each.accepted,
        )
        terminal.say(line + (_(" (frozen: another successor was shown)") if each.frozen else ""))
    if not found:
        terminal.say(_("No key was replaced here."))
    terminal.write_json(
        {
            "keys": [
                {**_members(each.said), "own": each.own, "since": each.accepted, "frozen": each.frozen}
                for each in found
            ]
        }
    )
    return 0


def _settle(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.wire.fields import utc_now

    given: Replacing = arguments.replacing
    given.desk().settle(
        arguments.config,
        arguments.old,
        arguments.chosen,
        arguments.key,
        passphrases(arguments),
        utc_now(),
    )
    terminal = Terminal.of(arguments)
    terminal.say(_("{new} counts in the place of {old}.").format(new=arguments.chosen, old=arguments.old))
    terminal.write_json({"old": arguments.old, "chosen": arguments.chosen})
    return 0
