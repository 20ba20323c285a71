"""`ringfence-server holder` and `holders`: whose keys are known, how one is entered, who connects."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringfence.privacy.command_line.commands import (
    add_compared,
    add_passphrase,
    passphrases,
    require_compared,
    require_new_file,
    tell_entered,
)
from ringfence.privacy.command_line.replacing import (
    add_taking_in,
    require_compared_succession,
    tell_taken_in,
)
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf
from ringfence.server.commands.recovery import add_holders_log


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    holder = commands.add_parser("holder", help=_("enter the keys of holders, invite and admit them"))
    kinds = holder.add_subparsers(metavar=_("COMMAND"), required=True)
    adding = leaf(
        kinds,
        "add",
        _("enter holders' keys into server.toml, from their declarations or .pub files"),
        more=_("Shows every fingerprint first; comments and everything else in the file stay."),
        examples=["ringfence-server holder add north.json south.json --compared"],
    )
    adding.add_argument(
        "file", type=Path, nargs="+", metavar="FILE", help=_("a holder's declaration, or its key's .pub file")
    )
    add_compared(adding)
    adding.set_defaults(do=_add)
    _add_enrolling(kinds)
    following = leaf(
        kinds,
        "succession",
        _("take in the new key of a holder, or of its log, in the place of the old one"),
        examples=["ringfence-server holder succession holder.1.succession.json --compared"],
    )
    add_taking_in(following)
    following.set_defaults(do=_follow)
    add_holders_log(kinds)
    holders = leaf(
        commands,
        "holders",
        _("list the holders whose keys are known, who may connect, and what was last seen of each"),
    )
    holders.set_defaults(do=_holders)


def _add_enrolling(kinds: argparse._SubParsersAction[Parser]) -> None:
    invite = leaf(
        kinds,
        "invite",
        _("write an invitation for one holder, good for some days and for once"),
        examples=["ringfence-server holder invite north-bank --out north-bank.invitation.json"],
    )
    invite.add_argument("name", metavar="NAME", help=_("the holder's name in its contract"))
    invite.add_argument(
        "--days", type=int, default=14, metavar="N", help=_("days it is good for (default: 14)")
    )
    invite.add_argument("--out", type=Path, required=True, metavar="FILE", help=_("file to make"))
    add_passphrase(invite)
    invite.set_defaults(do=_invite)
    admit = leaf(
        kinds,
        "admit",
        _("let a holder connect that answered an invitation, and write what it is admitted with"),
        more=_("Shows its fingerprint first; its key is entered into server.toml like one of holder add."),
        examples=["ringfence-server holder admit north-bank.enrolment.json --out admission.json --compared"],
    )
    admit.add_argument(
        "file", type=Path, metavar="ENROLMENT", help=_("what the holder's ringfence-client join wrote")
    )
    admit.add_argument("--out", type=Path, required=True, metavar="FILE", help=_("file to make"))
    add_compared(admit)
    add_passphrase(admit)
    admit.set_defaults(do=_admit)
    revoke = leaf(
        kinds,
        "revoke",
        _("let a holder connect no more; its invitations are void too"),
        more=_("Open connections end within half a minute. Its key stays in server.toml."),
    )
    revoke.add_argument("name", metavar="NAME", help=_("the holder's name"))
    revoke.set_defaults(do=_revoke)


def _add(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.trusting import enter_holders, holders_shown
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        keys = holders_shown(office, arguments.file)
        require_compared(arguments, keys)
        enter_holders(office, keys)
        file = office.settings.file
    tell_entered(arguments, file, keys)
    return 0


def _follow(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.wire.fields import utc_now
    from ringfence.server.desk.replacing import accept_holder_key, shown_holder_key
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        found = shown_holder_key(office, arguments.file)
        require_compared_succession(arguments, found)
        accept_holder_key(office, found, utc_now())
    tell_taken_in(arguments, found.said)
    return 0


def _invite(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.enrolling import invite
    from ringfence.server.home import open_office

    require_new_file(arguments.out)
    with open_office(arguments.config) as office:
        made = invite(office, arguments.name, arguments.days, arguments.out, passphrases(arguments))
        own = office.identity.fingerprint
    terminal = Terminal.of(arguments)
    terminal.say(
        _("Wrote {file}; good until {expires}, once.").format(file=arguments.out, expires=made.expires)
    )
    terminal.say(
        _("Tell {name} this fingerprint in person or by telephone: {own}").format(name=made.holder, own=own)
    )
    terminal.write_json({"file": str(arguments.out), "expires": made.expires, "fingerprint": own})
    return 0


def _admit(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.enrolling import admit_holder, applicant
    from ringfence.server.home import open_office

    require_new_file(arguments.out)
    with open_office(arguments.config) as office:
        asked = applicant(office, arguments.file)
        require_compared(arguments, asked.keys)
        admit_holder(office, asked, arguments.out, passphrases(arguments))
    terminal = Terminal.of(arguments)
    holder = asked.enrolment.holder
    terminal.say(_("{name} may connect. Hand it {file}.").format(name=holder, file=arguments.out))
    terminal.write_json({"file": str(arguments.out), "holder": holder, **asked.keys.as_json()})
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.enrolling import revoke
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        revoke(office, arguments.name)
    terminal = Terminal.of(arguments)
    terminal.say(_("{name} may connect no more.").format(name=arguments.name))
    terminal.write_json({"holder": arguments.name})
    return 0


def _holders(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from ringfence.privacy.crypto.identity import PublicIdentity
    from ringfence.server.connections.admissions import Admissions
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        known, seen = office.holders(), office.seen()
        admitted = Admissions(office.engine).listed()
    terminal = Terminal.of(arguments)
    terminal.say(_("Fingerprints in server.toml: {count}").format(count=len(known)))
    for fingerprint in known:
        terminal.say(f"  {fingerprint}")
    terminal.say(_("Holders seen in studies: {count}").format(count=len(seen)))
    for row in seen:
        terminal.say("  " + " ".join(f"{name}={value}" for name, value in row.items()))
    terminal.say(
        _("Holders that may connect: {count}").format(count=sum(not each.revoked for each in admitted))
    )
    for each in admitted:
        word = (
            _("revoked {at}").format(at=each.revoked)
            if each.revoked
            else _("since {at}").format(at=each.admitted)
        )
        terminal.say(f"  {each.holder}  {PublicIdentity.from_hex(each.identity).fingerprint}  ({word})")
    terminal.write_json(
        {"fingerprints": list(known), "seen": seen, "admitted": [asdict(each) for each in admitted]}
    )
    return 0
