"""`ringfence-server gateway` and `serve`: where holders connect."""

from __future__ import annotations

import argparse

from ringfence.privacy.command_line.commands import add_passphrase, stopped_by_signals
from ringfence.privacy.command_line.lasting import ended_in_time, leave_proxies_out
from ringfence.privacy.command_line.lines import SaidLines, add_log_format
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    gateway = commands.add_parser("gateway", help=_("make the gateway that holders connect to"))
    kinds = gateway.add_subparsers(metavar=_("COMMAND"), required=True)
    make = leaf(
        kinds,
        "make",
        _("make the gateway's certificate authority and enter its addresses into server.toml"),
        examples=["ringfence-server gateway make --address analytics.example:8443"],
    )
    make.add_argument(
        "--address", required=True, metavar="HOST:PORT", help=_("where holders reach it; invitations say so")
    )
    make.add_argument(
        "--bind",
        metavar="HOST:PORT",
        help=_("where it listens on this machine (default: all its addresses, the same port)"),
    )
    make.set_defaults(do=_make)
    renew = leaf(
        kinds,
        "renew",
        _("give the gateway a new certificate under the same authority"),
        more=_("A gateway that serves shows it from the next connection on; studies that run go on."),
    )
    renew.set_defaults(do=_renew)
    serve = leaf(
        commands,
        "serve",
        _("let admitted holders connect, until stopped"),
        more=_(
            "Runs Flower's link on loopback and the gateway before it. Submitted studies are delivered to "
            "holders now and then, for which the coordinator's key is opened (--passphrase-file where it is "
            "wrapped), and runs of series that are due are started. Other studies are run beside it: "
            "ringfence-server study run."
        ),
        json=False,
    )
    add_passphrase(serve)
    add_log_format(serve)
    serve.set_defaults(do=_serve)


def _make(arguments: argparse.Namespace) -> int:
    from ringfence.server.connections.admissions import Admissions
    from ringfence.server.desk.enrolling import make_gateway, require_reachable
    from ringfence.server.home import open_office

    host, port = require_reachable(arguments.address)
    everywhere = "[::]" if ":" in host else "0.0.0.0"
    bind = arguments.bind or f"{everywhere}:{port}"
    with open_office(arguments.config) as office:
        file = make_gateway(office, arguments.address, bind, Admissions(office.engine).now())
    terminal = Terminal.of(arguments)
    terminal.say(
        _("The gateway is {address}, and listens on {bind}.").format(address=arguments.address, bind=bind)
    )
    terminal.say(_("Next: ringfence-server serve, and for each holder ringfence-server holder invite"))
    terminal.write_json({"file": str(file), "address": arguments.address, "bind": bind})
    return 0


def _renew(arguments: argparse.Namespace) -> int:
    from ringfence.server.connections.admissions import Admissions
    from ringfence.server.desk.enrolling import renew_gateway
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        end = renew_gateway(office, Admissions(office.engine).now())
    terminal = Terminal.of(arguments)
    terminal.say(_("The gateway's new certificate is good until {end}.").format(end=end.isoformat()))
    terminal.write_json({"until": end.isoformat()})
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from ringfence.server.connections.flower_names import require_link_names

    require_link_names()
    from ringfence.privacy.stores.lease import lease
    from ringfence.server.connections.admissions import Admissions
    from ringfence.server.connections.serving import Serving
    from ringfence.server.connections.vitals import Vitals
    from ringfence.server.desk.enrolling import gateway_folder, require_host_and_port
    from ringfence.server.desk.watching import watched
    from ringfence.server.home import open_office
    from ringfence.server.post.couriering import Courier
    from ringfence.server.post.timetable import Timetable

    lines = SaidLines.of(arguments, Terminal.of(arguments).say)
    leave_proxies_out(lines.tell, "")
    with (
        open_office(arguments.config) as office,
        lease(office.engine),
        stopped_by_signals() as stop,
        ended_in_time(stop, lines.tell),
    ):
        settings, folder = office.settings.gateway, gateway_folder(office)
        admissions, vitals = Admissions(office.engine), Vitals(folder=folder.path)
        host, _port = require_host_and_port(settings.address)
        bind, port = require_host_and_port(settings.bind)
        folder.issue(host, admissions.now())
        files, told = arguments.passphrase_file, lines.report
        courier = Courier(office=office, config=arguments.config, passphrase_files=files, report=told)
        timetable = Timetable(office=office, config=arguments.config, passphrase_files=files, report=told)

        def look() -> None:
            courier.look()
            timetable.look()

        serving = Serving(
            folder=folder,
            admissions=admissions,
            host=bind,
            port=port,
            report=lines.report,
            look=look,
            vitals=vitals,
        )
        sentence = _("Holders can connect to {address}.").format(address=settings.address)
        try:
            with watched(office, vitals, admissions):
                serving.serve(stop, lambda: lines.tell("ready", sentence))
        finally:
            timetable.close()
            courier.close()
    lines.tell("stopped", _("Stopped."))
    return 0
