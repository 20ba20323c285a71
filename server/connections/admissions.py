"""Who was invited and who is admitted, in the coordinator's store; the gateway lets in nobody else.

Invariants: an invitation admits one holder, once, in its time; a certificate that was revoked is never let in
    again, and a holder that is admitted anew has another one.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, Text, and_, insert, select, update

from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.stores.store import reading
from ringfence.privacy.wire.fields import utc_now

METADATA = MetaData()
HANDING_OVER = datetime.timedelta(days=1)
"""How long a former certificate is let in beside the one that renews it."""
INVITATIONS = Table(
    "federation_invitations",
    METADATA,
    Column("number", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("expires", String(40), nullable=False),
    Column("used", String(40), nullable=False),
)
ADMITTED = Table(
    "federation_holders",
    METADATA,
    Column("certificate", String(64), primary_key=True),
    Column("holder", String(64), nullable=False, index=True),
    Column("identity", String(64), nullable=False),
    Column("node_key", Text, nullable=False),
    Column("admitted", String(40), nullable=False),
    Column("until", String(40), nullable=False),
    Column("revoked", String(40), nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedHolder:
    """One holder that is or was let in.

    Attributes:
        holder: its name.
        identity: its public key, hex.
        certificate: SHA-256 of its certificate (DER), hex.
        node_key: by which Flower knows its node, PEM.
        until: the certificate's last moment, UTC; a connection that was made before is cut then.
        admitted, revoked: moments, UTC; `revoked` is empty while it is let in.
    """

    holder: str
    identity: str
    certificate: str
    node_key: str
    until: str
    admitted: str = ""
    revoked: str = ""


class Admissions:
    """Invitations and admitted holders."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime.datetime] = utc_now) -> None:
        """Open the tables, making them when absent."""
        self.engine = engine
        self._clock = clock
        METADATA.create_all(engine)

    def now(self) -> datetime.datetime:
        """The present moment, in whole seconds, UTC."""
        return self._clock().replace(microsecond=0)

    def invite(self, number: str, holder: str, expires: datetime.datetime, *, connection: Connection) -> None:
        """Keep an invitation, before anybody sees it."""
        connection.execute(
            insert(INVITATIONS).values(number=number, holder=holder, expires=expires.isoformat(), used="")
        )

    def require_open(self, number: str, holder: str, *, connection: Connection) -> None:
        """Refuse an enrolment whose invitation is not this coordinator's, is spent, is void or is another's.

        Raises:
            WaistError: RF-W350 unknown or another holder's, RF-W351 used before, RF-W352 expired.
        """
        row = connection.execute(select(INVITATIONS).where(INVITATIONS.c.number == number)).one_or_none()
        if row is None or row.holder != holder:
            raise WaistError(
                "RF-W350",
                N_("{holder} was not invited with this number; invite it: ringfence-server holder invite"),
                holder=holder,
            )
        if row.used:
            raise WaistError(
                "RF-W351",
                N_(
                    "The invitation of {holder} was used or withdrawn on {used}; each admits once. Invite it "
                    "anew."
                ),
                holder=holder,
                used=row.used,
            )
        if self.now() >= datetime.datetime.fromisoformat(row.expires):
            raise WaistError(
                "RF-W352",
                N_("The invitation of {holder} ended on {expires}; invite it anew."),
                holder=holder,
                expires=row.expires,
            )

    def admit(self, number: str, admitted: AdmittedHolder, *, connection: Connection) -> None:
        """Let a holder in by its invitation; certificates it had before are let in no more.

        One for the node's key that is admitted again is let in for `HANDING_OVER` still: the admission is a
        file that people carry, and a study may be running.

        Raises:
            WaistError: as `require_open`; RF-W353 the name belongs to a holder with another key,
                RF-W358 the key to a holder with another name.
        """
        self.require_open(number, admitted.holder, connection=connection)
        others = connection.scalars(
            select(ADMITTED.c.identity).where(ADMITTED.c.holder == admitted.holder, ADMITTED.c.revoked == "")
        ).all()
        named = connection.scalars(
            select(ADMITTED.c.holder).where(
                ADMITTED.c.identity == admitted.identity,
                ADMITTED.c.holder != admitted.holder,
                ADMITTED.c.revoked == "",
            )
        ).first()
        if named is not None:
            raise WaistError(
                "RF-W358",
                N_("The key that enrols as {holder} is let in as {other} already; one holder has one name."),
                holder=admitted.holder,
                other=named,
            )
        if set(others) - {admitted.identity}:
            raise WaistError(
                "RF-W353",
                N_(
                    "A holder named {holder} is let in already, with another key. Revoke it first if this is "
                    "its new one: ringfence-server holder revoke"
                ),
                holder=admitted.holder,
            )
        at = self.now().isoformat()
        connection.execute(update(INVITATIONS).where(INVITATIONS.c.number == number).values(used=at))
        self._renew(admitted, connection)
        connection.execute(
            insert(ADMITTED).values(
                certificate=admitted.certificate,
                holder=admitted.holder,
                identity=admitted.identity,
                node_key=admitted.node_key,
                until=admitted.until,
                admitted=at,
                revoked="",
            )
        )

    def revoke(self, holder: str, *, connection: Connection) -> None:
        """Let a holder in no more; its open invitations are void too.

        Raises:
            WaistError: RF-W354 it is neither let in nor invited.
        """
        at = self.now().isoformat()
        ended = self._end(holder, at, connection)
        void = connection.execute(
            update(INVITATIONS)
            .where(INVITATIONS.c.holder == holder, INVITATIONS.c.used == "")
            .values(used=at)
        ).rowcount
        if not ended + void:
            raise WaistError(
                "RF-W354",
                N_("No holder named {holder} is let in or invited; ringfence-server holders names all."),
                holder=holder,
            )

    def follow(self, old: str, new: str, connection: Connection) -> None:
        """Let the certificates of a holder stand under the successor of its key; both keys are hex."""
        connection.execute(update(ADMITTED).where(ADMITTED.c.identity == old).values(identity=new))

    def named(self, identity: str) -> str | None:
        """The holder that was let in under a key, hex; None for one that never was."""
        with reading(self.engine) as connection:
            return connection.scalar(
                select(ADMITTED.c.holder).where(ADMITTED.c.identity == identity).limit(1)
            )

    def listed(self) -> tuple[AdmittedHolder, ...]:
        """Everybody who is or was let in, by name and time."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(ADMITTED).order_by(ADMITTED.c.holder, ADMITTED.c.admitted)).all()
        return tuple(AdmittedHolder(**row._mapping) for row in rows)

    def let_in(self) -> tuple[AdmittedHolder, ...]:
        """Those who are let in now."""
        now = self.now()
        return tuple(
            each
            for each in self.listed()
            if not each.revoked and now < datetime.datetime.fromisoformat(each.until)
        )

    def newest(self) -> tuple[AdmittedHolder, ...]:
        """Of everybody who is let in now, what was admitted last."""
        return tuple({each.holder: each for each in self.let_in()}.values())

    def _renew(self, admitted: AdmittedHolder, connection: Connection) -> None:
        """End what a holder had: for another node's key at once, for the same in a while."""
        now = self.now()
        soon = (now + HANDING_OVER).isoformat()
        had = and_(ADMITTED.c.holder == admitted.holder, ADMITTED.c.revoked == "")
        same = and_(had, ADMITTED.c.node_key == admitted.node_key, ADMITTED.c.until > soon)
        connection.execute(update(ADMITTED).where(same).values(until=soon))
        others = and_(had, ADMITTED.c.node_key != admitted.node_key)
        connection.execute(update(ADMITTED).where(others).values(revoked=now.isoformat()))

    @staticmethod
    def _end(holder: str, at: str, connection: Connection) -> int:
        """Revoke what a holder has; how many certificates that were."""
        return connection.execute(
            update(ADMITTED).where(ADMITTED.c.holder == holder, ADMITTED.c.revoked == "").values(revoked=at)
        ).rowcount


def withdraw_invitations(connection: Connection, now: datetime.datetime) -> None:
    """Void all invitations that are open, as in a restored store: they may have been used since."""
    at = now.replace(microsecond=0).isoformat()
    connection.execute(update(INVITATIONS).where(INVITATIONS.c.used == "").values(used=at))
