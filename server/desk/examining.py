"""`ringfence-server doctor`: a coordinator's home, its gateway and who may connect, looked over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from ringfence.audit.errors import AuditError
from ringfence.privacy.command_line.findings import Examination, check_expiry, check_flower, check_space
from ringfence.privacy.command_line.restored import check_restored
from ringfence.privacy.crypto.keyfile import read_key
from ringfence.privacy.errors import KeyFault, RingfenceError, _
from ringfence.privacy.stores.lease import leased
from ringfence.privacy.succession.document import KeyRole
from ringfence.privacy.succession.own_keys import secret_files
from ringfence.server.config import CoordinatorSettings, load_settings
from ringfence.server.connections.admissions import Admissions
from ringfence.server.connections.serving import require_free_port
from ringfence.server.desk.enrolling import gateway_folder, require_host_and_port
from ringfence.server.desk.watching import ends_of_certificates
from ringfence.server.home import Office, open_office

_NEEDED = ("flwr.superlink.cli.flower_superlink", "uvicorn")


def examine_coordinator(config: Path, now: datetime) -> Examination:
    """Everything that `serve` needs, one after another."""
    made = Examination()
    settings: list[CoordinatorSettings] = []

    def read() -> str:
        settings.append(load_settings(config))
        return _("{file} can be read.").format(file=settings[0].file.name)

    if not made.check("settings", read):
        return made
    check_flower(made)
    absent = [name for name in _NEEDED if not _installed(name)]
    if absent:
        said = _("These modules are not installed: {names}. Install ringfence[server].")
        made.note("programs", "fault", said.format(names=", ".join(absent)))
    else:
        made.note("programs", "ok", _("The programs of link and gateway are installed."))
    check_space(made, settings[0].folder)
    keys = settings[0].config.keys
    if all(
        [
            made.check("keys", _key(settings[0], keys.coordinator, "coordinator")),
            made.check("keys", _key(settings[0], keys.log, "log")),
        ]
    ):
        made.note("keys", "ok", _("All keys are there, and only their owner can read them."))
    made.check("store", lambda: _store(made, config, now))
    return made


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:
        return False


def _key(settings: CoordinatorSettings, name: str, role: KeyRole) -> Callable[[], None]:
    def look_at() -> None:
        try:
            read_key(_in_force(settings, name, role), role)
        except KeyFault as fault:
            if fault.code != "RF-K039":  # it is wrapped, as it should be
                raise

    return look_at


def _in_force(settings: CoordinatorSettings, name: str, role: KeyRole) -> Path:
    """The file that has to be there: of the key in force, or the newest while the store does not tell."""
    try:
        with open_office(settings.file) as office:
            return office.own_key(role).present
    except (RingfenceError, AuditError):  # what is wrong with the store is a finding of its own
        return secret_files(settings.path(name))[-1]


def _store(made: Examination, config: Path, now: datetime) -> str:
    with open_office(config) as office:
        made.check("log", lambda: _log(office))
        restores = (each.event.time for each in office.log.events(action="store.restored"))
        check_restored(made, restores, now)
        if office.settings.config.gateway is None:
            said = _("There is no gateway, so no holder can connect: ringfence-server gateway make")
            made.note("gateway", "warning", said)
        else:
            made.check("gateway", lambda: _gateway(made, office, now))
        _holders(made, office, now)
    return _("The store opens, and its safe settings hold.")


def _log(office: Office) -> str:
    office.log.check()
    return _("The log's tree holds, and so does its last checkpoint.")


def _gateway(made: Examination, office: Office, now: datetime) -> str:
    folder = gateway_folder(office)
    folder.authority()
    serves = leased(office.engine)
    ends = ends_of_certificates(folder)
    again = _("Start ringfence-server serve anew, which makes a new one.")
    remedies = {
        "gateway": _("Renew it: ringfence-server gateway renew"),
        "authority": _("Make a new home with a new authority, and invite the holders to it."),
    }
    for name, end in ends.items():
        if name == "authority" or serves:  # the others are made anew at each start
            what = _("The certificate of {name}").format(name=name)
            check_expiry(made, "certificate", what, end, now, remedies.get(name, again))
    if serves:
        return _("This coordinator's own serve runs, and has the port of the gateway.")
    host, port = require_host_and_port(office.settings.gateway.bind)
    require_free_port(host, port)
    return _("The gateway's port is free; ringfence-server serve does not run.")


def _holders(made: Examination, office: Office, now: datetime) -> None:
    newest = {each.holder: each for each in Admissions(office.engine).listed() if not each.revoked}
    for each in newest.values():
        what = _("The certificate of {name}").format(name=each.holder)
        remedy = _("Invite it anew: ringfence-server holder invite")
        check_expiry(made, "holder", what, datetime.fromisoformat(each.until), now, remedy)
