"""An event of the log: CloudEvents 1.0 in canonical JSON; its bytes are the leaf and are never written anew.

Invariant: the leaf holds the public part and `SHA-256(salt || private part)`, the salt 32 fresh random bytes.
The commitment is there even when there is nothing private, so a reader cannot tell.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal, NoReturn, TypeAlias, cast, get_args

from ringfence.audit.canonical import HEX_64, Json, canonical_string, dumps, loads, parse, refuse_form
from ringfence.audit.catalogue import EVENT_TYPES
from ringfence.audit.errors import N_, EventError
from ringfence.audit.guard import check_private, check_public, check_token

Outcome: TypeAlias = Literal["allow", "deny", "error"]
Profile: TypeAlias = Literal["durable", "simulation"]

TYPE_PREFIX = "ringfence."
MAX_LEAF = 65_536
SALT_SIZE = 32
OUTCOMES: tuple[str, ...] = get_args(Outcome)
PROFILES: tuple[str, ...] = get_args(Profile)

_ENVELOPE = {"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data"}
_DATA = {"actor", "organisation", "outcome", "profile", "sequence", "public", "private"}
_HEX_32 = re.compile(r"[0-9a-f]{32}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event as everybody may read it.

    Attributes:
        id: 128 random bits in hex.
        source: the producer: the log's origin, `#` and the actor.
        action: name from the closed list.
        outcome: allow, deny or error.
        resource: what it was done to.
        time: UTC, RFC 3339 with microseconds, by the producer's clock.
        actor: role or program that acted; never a person's name.
        organisation: to whom the actor belongs.
        profile: `durable`, or `simulation` for stores in memory.
        sequence: running number of this producer's events, from 0 without gaps.
        public: further public members.
        private: SHA-256 of salt and private part, hex.
    """

    id: str
    source: str
    action: str
    outcome: Outcome
    resource: str
    time: str
    actor: str
    organisation: str
    profile: Profile
    sequence: int
    public: Mapping[str, Json]
    private: str

    def leaf(self) -> bytes:
        """The exact bytes that are stored and hashed.

        Raises:
            EventError: when they are more than 64 KiB.
        """
        # Members in canonical order, written out: this runs for every event, under the log's lock. A test
        # holds it against the general form.
        leaf = (
            f'{{"data":{{"actor":{canonical_string(self.actor)},"organisation":{canonical_string(self.organisation)},'
            f'"outcome":{canonical_string(self.outcome)},"private":{canonical_string(self.private)},"profile":{canonical_string(self.profile)},'
            f'"public":{dumps(dict(self.public)).decode()},"sequence":{dumps(self.sequence).decode()}}},'
            f'"datacontenttype":"application/json","id":{canonical_string(self.id)},"source":{canonical_string(self.source)},'
            f'"specversion":"1.0","subject":{canonical_string(self.resource)},"time":{canonical_string(self.time)},'
            f'"type":{canonical_string(TYPE_PREFIX + self.action)}}}'
        ).encode()
        if len(leaf) > MAX_LEAF:
            raise EventError(
                "RF-A050",
                N_("The event has {count} bytes; at most {limit} fit a leaf."),
                count=len(leaf),
                limit=MAX_LEAF,
            )
        return leaf


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An event with its number in the log and its exact bytes."""

    seq: int
    leaf: bytes
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event checked and committed, before the log gives it a number and a time."""

    id: str
    action: str
    outcome: Outcome
    resource: str
    public: Mapping[str, Json]
    private: bytes
    salt: bytes

    @property
    def commitment(self) -> str:
        """What the leaf says of the private part."""
        return commit(self.salt, self.private)


def commit(salt: bytes, private: bytes) -> str:
    """SHA-256(salt || canonical private part), hex."""
    return sha256(salt + private).hexdigest()


def draft_event(
    action: str,
    outcome: str,
    *,
    resource: str,
    public: Mapping[str, Json] | None = None,
    private: Mapping[str, Json] | None = None,
) -> Draft:
    """Check what a caller wants to log and commit to its private part.

    Raises:
        EventError: for an unknown action or outcome, or content that may not stand in an event.
        CanonicalError: for floats, null and other values without a canonical form.
    """
    if action not in EVENT_TYPES:
        raise EventError(
            "RF-A051",
            N_("The action {action} is not in the list of event types; use one that is."),
            action=action,
        )
    if outcome not in OUTCOMES:
        raise EventError(
            "RF-A052",
            N_("The outcome {outcome} is unknown; allow, deny or error is expected."),
            outcome=outcome,
        )
    check_token(resource, "resource")
    shown = dict(public or {})
    kept = dict(private or {})
    check_public(shown)
    check_private(kept)
    dumps(shown)  # Refuses floats and null now, before anything waits in a queue with this event.
    return Draft(
        id=os.urandom(16).hex(),
        action=action,
        outcome=cast("Outcome", outcome),
        resource=resource,
        public=shown,
        private=dumps(kept),
        salt=os.urandom(SALT_SIZE),
    )


def _malformed(member: str) -> NoReturn:
    raise EventError(
        "RF-A053",
        N_("The leaf is not an event of this log: its member {member} is missing or malformed."),
        member=member,
    )


def _object(value: Json | None, names: set[str], member: str) -> dict[str, Json]:
    if not isinstance(value, dict) or value.keys() != names:
        _malformed(member)
    return value


def _text(members: dict[str, Json], name: str, form: re.Pattern[str] | None = None) -> str:
    value = members[name]
    if not isinstance(value, str) or not value or (form and not form.fullmatch(value)):
        _malformed(name)
    return value


def _one_of(members: dict[str, Json], name: str, allowed: tuple[str, ...]) -> str:
    value = _text(members, name)
    return value if value in allowed else _malformed(name)


def _moment(members: dict[str, Json], name: str) -> str:
    value = _text(members, name, _TIME)
    try:
        datetime.fromisoformat(value)
    except ValueError:  # the form of a time, but no such day or hour
        _malformed(name)
    return value


def parse_event(leaf: bytes) -> Event:
    """Read a leaf strictly; an action that this version does not list is left to the caller.

    Raises:
        CanonicalError: when the bytes are not canonical JSON.
        EventError: when members are missing, unknown or malformed.
    """
    envelope = _object(parse(leaf), _ENVELOPE, "envelope")
    data = _object(envelope["data"], _DATA, "data")
    _one_of(envelope, "specversion", ("1.0",))
    _one_of(envelope, "datacontenttype", ("application/json",))
    kind = _text(envelope, "type")
    sequence, public = data["sequence"], data["public"]
    if not kind.startswith(TYPE_PREFIX):
        _malformed("type")
    if type(sequence) is not int or sequence < 0:  # beyond 2^53 - 1 the canonical form refuses
        _malformed("sequence")
    if not isinstance(public, dict):
        _malformed("public")
    event = Event(
        id=_text(envelope, "id", _HEX_32),
        source=_text(envelope, "source"),
        action=kind.removeprefix(TYPE_PREFIX),
        outcome=cast("Outcome", _one_of(data, "outcome", OUTCOMES)),
        resource=_text(envelope, "subject"),
        time=_moment(envelope, "time"),
        actor=_text(data, "actor"),
        organisation=_text(data, "organisation"),
        profile=cast("Profile", _one_of(data, "profile", PROFILES)),
        sequence=sequence,
        public=public,
        private=_text(data, "private", HEX_64),
    )
    if event.leaf() != leaf:
        refuse_form()
    return event


def open_event(leaf: bytes, salt: bytes, private: bytes) -> dict[str, Json]:
    """The private part of one event, shown to be the one its leaf committed to.

    Args:
        leaf: exact bytes of the event.
        salt: its 32-byte salt, handed over by the log's owner.
        private: canonical bytes of its private part.

    Raises:
        EventError: when salt and private part are not the committed ones.
    """
    event = parse_event(leaf)
    if len(salt) != SALT_SIZE or not hmac.compare_digest(commit(salt, private), event.private):
        raise EventError(
            "RF-A054",
            N_(
                "The private part shown is not the one the event {id} committed to; ask its owner for the "
                "original."
            ),
            id=event.id,
        )
    value = loads(private)
    return value if isinstance(value, dict) else _malformed("private")
