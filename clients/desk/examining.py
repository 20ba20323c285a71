"""`ringfence-client doctor`: a holder's home and its way to the gateway, looked over; no row is read."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from ringfence.audit.errors import AuditError
from ringfence.clients.config import FederationSettings, HolderSettings, load_settings
from ringfence.clients.connections.looking import Seen, look, reason_unreached, signed_by
from ringfence.clients.connections.membership import MembershipFolder, membership_at, membership_of
from ringfence.clients.connections.routes import ProxyRoute, route_of
from ringfence.clients.connections.supernode import Place
from ringfence.clients.desk.deciding import approved_series, arrived
from ringfence.clients.desk.keys.keyring import inspect
from ringfence.clients.desk.logbook import verify_log
from ringfence.clients.desk.series import attestations_due
from ringfence.clients.home import Home, open_home
from ringfence.privacy.command_line.findings import Examination, check_expiry, check_flower, check_space
from ringfence.privacy.command_line.restored import check_restored
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.crypto.secret_files import read_secret
from ringfence.privacy.crypto.tls_keys import public_bytes, read_tls_key
from ringfence.privacy.errors import N_, RingfenceError, WaistError, _
from ringfence.privacy.succession.document import KeyRole
from ringfence.privacy.succession.own_keys import file_in_force, secret_files

_AGREE = timedelta(minutes=5)


def examine_holder(config: Path, now: datetime) -> Examination:
    """Everything that `run` needs, one after another."""
    made = Examination()
    settings: list[HolderSettings] = []

    def read() -> str:
        settings.append(load_settings(config))
        return _("{file} can be read.").format(file=settings[0].file.name)

    if not made.check("settings", read):
        return made
    check_flower(made)
    check_space(made, settings[0].folder)
    _keys(made, settings[0])
    made.check("store", lambda: _store(made, config, now))
    if not settings[0].config.federation:
        made.check("federation", lambda: settings[0].federation(None).name)
    for each in settings[0].config.federation:
        _federation(made, settings[0], config, each, now)
    return made


def _keys(made: Examination, settings: HolderSettings) -> None:
    keys = settings.config.keys
    wrapped: list[str] = []

    def pair(role: KeyRole, name: str) -> Callable[[], None]:
        def look_at() -> None:
            first = settings.path(name)
            present = _in_force(settings, role, first)
            for file in secret_files(first):
                inspect(file)
            if inspect(present)["wrapped"] == "yes":
                wrapped.append(present.relative_to(settings.folder).as_posix())

        return look_at

    good = [
        made.check("keys", pair("holder", keys.holder)),
        *(made.check("keys", pair("log", one)) for one in (keys.log, *_logs_of(settings))),
        *(made.check("keys", _secret(settings.path(name))) for name in (keys.registry, keys.attempts)),
    ]
    if all(good):
        more = _(" A passphrase opens {files}.").format(files=", ".join(wrapped)) if wrapped else ""
        made.note("keys", "ok", _("All keys are there, and only their owner can read them.") + more)


def _logs_of(settings: HolderSettings) -> list[str]:
    return [each.log for each in settings.config.federation]


def _in_force(settings: HolderSettings, role: KeyRole, first: Path) -> Path:
    """The file that has to be there: of the key in force, or the newest while the store does not tell."""
    try:
        with open_home(settings.file) as home:
            return file_in_force(home.engine, role, first)
    except (RingfenceError, AuditError):  # what is wrong with the store is a finding of its own
        return secret_files(first)[-1]


def _secret(path: Path) -> Callable[[], None]:
    def look_at() -> None:
        read_secret(path)

    return look_at


def _store(made: Examination, config: Path, now: datetime) -> str:
    """What hangs on the store; its own sentence last, when it opened."""
    with open_home(config) as home:
        made.check("log", lambda: _log(home))
        made.check("ledger", lambda: _ledger(made, home))
        restores = (each.event.time for each in home.house.events(action="store.restored"))
        check_restored(made, restores, now)
        made.check("contract", lambda: _contract(home))
        for federation in _people(made, home):
            made.check("series", partial(_due, made, home, federation, now))
    return _("The store opens, and its safe settings hold.")


def _log(home: Home) -> str:
    logs = [home.house, *(home.of(each).log for each in home.settings.config.federation)]
    for log in logs:
        verify_log(log, home.engine)
    return _("Every event of every log is as it was written (logs: {count}).").format(count=len(logs))


def _ledger(made: Examination, home: Home) -> str | None:
    frozen = home.ledger.frozen()
    if frozen:
        said = _("The ledger's chain holds; it is frozen, and nothing is spent until two people thaw it.")
        made.note("ledger", "warning", said)
        return None
    return _("The ledger's chain holds.")


def _contract(home: Home) -> str:
    found = home.contract().contract
    return _("The contract {id}, version {version}, is signed and in force.").format(
        id=found.id, version=found.version
    )


def _people(made: Examination, home: Home) -> list[FederationSettings]:
    """The federations whose coordinators are believed; each of the others is a fault."""

    def known(each: FederationSettings) -> None:
        home.coordinator_of(each)

    def approving() -> str | None:
        home.settings.federation(None) if not belongs else None
        count = len(home.settings.approvers())
        if len(good) < len(belongs):
            return None
        return _("Every coordinator is known, and {count} people may approve.").format(count=count)

    belongs = home.settings.config.federation
    good = [each for each in belongs if made.check("people", partial(known, each))]
    made.check("people", approving)
    return good


def _due(made: Examination, home: Home, federation: FederationSettings, now: datetime) -> None:
    bound = home.of(federation)
    found = arrived(bound)
    for one in found:
        if one.replaced:
            made.note("series" if one.study.runs else "study", "warning", one.line())
    for each in attestations_due(bound, approved_series(bound, found), now):
        made.note("series", "warning" if each.open else "ok", each.line())


def _federation(
    made: Examination, settings: HolderSettings, config: Path, federation: FederationSettings, now: datetime
) -> None:
    places = list[Place]()
    try:
        with open_home(config) as home:
            own, coordinator, folder = (
                home.identity,
                home.coordinator_of(federation),
                membership_at(home, federation),
            )
    except (RingfenceError, AuditError):  # what is wrong with it was said; the first keys tell the rest
        own, coordinator, folder = None, None, membership_of(settings.folder, federation.name)

    def joined() -> str:
        nonlocal own, coordinator
        coordinator, own = coordinator or settings.coordinator(federation), own or _own(settings)
        end = folder.certificate(coordinator).not_valid_after_utc if folder.admitted_before else None
        if end is not None:
            remedy = _("Ask the coordinator for a new invitation and join anew.")
            check_expiry(made, "certificate", _("The certificate of connections"), end, now, remedy)
        places.append(folder.place(coordinator, own, now))
        return _("The coordinator of {name} admitted this holder to {gateway}.").format(
            name=federation.name, gateway=places[0].address
        )

    if not made.check("federation", joined):
        return
    route = route_of(settings, federation)
    if route is not None and route.login is not None and route.url.startswith("http:"):
        said = _(
            "The login of the proxy goes over the house's network in clear; use https:// where it can be."
        )
        made.note("proxy", "warning", said)
    made.check("gateway", lambda: _gateway(made, folder, places[0], route, now))


def _own(settings: HolderSettings) -> PublicIdentity:
    return read_public(public_path(settings.path(settings.config.keys.holder)), "holder")


def _gateway(
    made: Examination, folder: MembershipFolder, place: Place, route: ProxyRoute | None, now: datetime
) -> str:
    """Connect once, as the node does, and ask for nothing.

    Raises:
        RingfenceError: why it is not reached, or does not let this holder in.
    """
    key = public_bytes(read_tls_key(folder.node_file))
    headers = {"flwr-public-key": base64.b64encode(key).decode("ascii")}
    seen, error = look(place.address, route, place.tls, headers)
    met = seen if seen.certificate is not None else look(place.address, route)[0]
    if met.certificate is not None and signed_by(met.certificate, place.tls):
        _clock(made, met, now)
    if seen.status is None:
        raise (error and reason_unreached(place.address, route, place.tls, error)) or _not_in(
            seen, place.address
        )
    if seen.status != 404:  # what the gateway answers to who is let in and asks for no page of it
        raise _not_in(seen, place.address)
    way = _("straight") if route is None else _("through {proxy}").format(proxy=route.url)
    return _("The gateway {address} answers {way}, over {version}, and lets this holder in.").format(
        address=place.address, way=way, version=seen.version.replace("TLSv", "TLS ")
    )


def _clock(made: Examination, seen: Seen, now: datetime) -> None:
    """The gateway's certificate is made when it starts, so a clock before that is wrong on one side."""
    assert seen.certificate is not None
    begin, end = seen.certificate.not_valid_before_utc, seen.certificate.not_valid_after_utc
    if begin - _AGREE <= now < end:
        made.note("clock", "ok", _("The clock agrees with the gateway's certificate."))
    else:
        made.note(
            "clock",
            "fault",
            _(
                "It is {now} here, and the gateway's certificate is good from {begin} to {end}. Set the "
                "clock."
            ).format(
                now=now.isoformat(timespec="minutes"),
                begin=begin.isoformat(timespec="minutes"),
                end=end.isoformat(timespec="minutes"),
            ),
        )


def _not_in(seen: Seen, address: str) -> WaistError:
    if seen.version or seen.status is not None:
        return WaistError(
            "RF-U573",
            N_(
                "The gateway {address} is there and does not let this holder in: its certificate was "
                "revoked, or another node key belongs to it. Ask the coordinator for a new invitation."
            ),
            address=address,
        )
    return WaistError(
        "RF-U574",
        N_(
            "The gateway {address} is not reached. Does the coordinator's serve run, and may this machine "
            "connect there? A proxy of the house is named in client.toml, under [federation.connection]."
        ),
        address=address,
    )
