"""A transport over which everything is sealed from end to end: whoever carries the bytes reads none of them.

Before a run's offer, its release and its farewell both sides greet each other with fresh encryption keys,
since a holder may have been restarted in between and its keys live in its process alone. A holder whose
greeting is missing or not valid is asked nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.sealing import SealingKey, seal_to
from ringfence.privacy.errors import N_, RingfenceError, WaistError
from ringfence.privacy.protocol.control import COORDINATOR, MAX_MESSAGE, open_message, seal_message
from ringfence.privacy.wire.envelope import Header, MessageKind, read_header
from ringfence.privacy.wire.fields import new_nonce, utc_now
from ringfence.privacy.wire.letters import (
    KEY_DAYS,
    Greeting,
    greeting,
    open_letter,
    require_valid,
    seal_letter,
)
from ringfence.server.transport import Transport

_MARGIN = timedelta(hours=1)
_AFTER_A_GREETING = frozenset(
    {MessageKind.STUDY_OFFER.value, MessageKind.WITNESS_CALL.value, MessageKind.FINISH.value}
)


@dataclass(slots=True, kw_only=True)
class Letters:
    """A `Transport` that seals and opens over another one, for one run.

    Attributes:
        carrier: carries the letters.
        identity: the coordinator's.
        holders: name and pinned key of every holder of the study.
        report: told, in a sentence for the coordinator's people, why a holder's bytes were not opened.
        clock: the present moment, UTC.
        let_in: whether a holder may still connect; nothing is sealed to one that was revoked.
        paced: what carries messages of a kind, where that hangs on the kind; `carrier` everything by default.
    """

    carrier: Transport
    identity: Identity
    holders: Mapping[str, PublicIdentity]
    report: Callable[[str], None] = lambda _: None
    clock: Callable[[], datetime] = utc_now
    let_in: Callable[[str], bool] = lambda _name: True
    paced: Callable[[str], Transport] | None = None
    _own: SealingKey = field(default_factory=SealingKey)
    _keys: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Greet whoever has to be greeted, then carry the messages in letters.

        Bytes that do not open are handed on as they came, so that they are refused as a reply and not taken
        for silence.
        """
        messages = {name: data for name, data in messages.items() if self.let_in(name)}
        headers = {name: read_header(data) for name, data in messages.items()}
        self._greet(
            {
                name: header
                for name, header in headers.items()
                if header.kind in _AFTER_A_GREETING or not self._lives(name)
            }
        )
        replies = self._carried(messages)
        # Who is there and has no bytes for a letter may have been restarted: its keys were of its process.
        if silent := {name: headers[name] for name, data in replies.items() if not data}:
            self._greet(silent)
            replies |= self._carried({name: messages[name] for name in silent})
        return {name: self._opened(name, data) or data for name, data in replies.items() if data}

    def _carried(self, messages: Mapping[str, bytes]) -> dict[str, bytes]:
        """Letters to holders that greeted, and what came back, unopened."""
        letters = {
            name: seal_letter(
                data, identity=self.identity, recipient=self.holders[name], key=self._keys[name][0]
            )
            for name, data in messages.items()
            if name in self._keys
        }
        if not letters:
            return {}
        kind = read_header(next(iter(messages.values()))).kind
        return dict((self.carrier if self.paced is None else self.paced(kind)).exchange(letters))

    def present(self, names: Iterable[str]) -> frozenset[str]:
        """What the carrier says."""
        return self.carrier.present(names)

    def close(self) -> None:
        """Destroy the keys of the run."""
        self._own.close()
        self._keys.clear()

    def _greet(self, headers: Mapping[str, Header]) -> None:
        """Greet holders, and once more those that are there and had no bytes: a greeting counts once."""
        if silent := self._greeted(headers):
            self._greeted({name: headers[name] for name in silent})

    def _greeted(self, headers: Mapping[str, Header]) -> tuple[str, ...]:
        """Greet holders; who answered with no bytes."""
        nonces = {name: new_nonce() for name in headers}
        greetings = {
            name: seal_message(
                self.identity,
                greeting(self._own, nonces[name], self.clock()),
                study=header.study,
                run=header.run,
                sender=COORDINATOR,
                recipient=name,
            )
            for name, header in headers.items()
        }
        for name in headers:
            self._keys.pop(name, None)
        replies = self.carrier.exchange(greetings) if greetings else {}
        for name, data in replies.items():
            if not data:
                continue
            try:
                self._keys[name] = self._heard(name, data, headers[name], nonces[name])
                # A key that cannot be sealed to is no key: its holder is asked nothing, the others go on.
                seal_to(self._keys[name][0], b"", info=b"")
            except RingfenceError as error:
                self._keys.pop(name, None)
                self.report(f"{name}: {error}")
        return tuple(name for name, data in replies.items() if not data)

    def _lives(self, name: str) -> bool:
        """Whether a holder's key lives for longer than an exchange takes."""
        return name in self._keys and self.clock() + _MARGIN < self._keys[name][1]

    def _heard(self, name: str, data: bytes, header: Header, nonce: str) -> tuple[bytes, datetime]:
        """A holder's key for the run and until when it lives, or raise."""
        _, heard = open_message(
            Greeting,
            data,
            senders={name: self.holders[name]},
            study=header.study,
            run=header.run,
            recipient=COORDINATOR,
        )
        if heard.nonce != nonce:
            raise WaistError(
                "RF-W314", N_("The greeting of {holder} answers another one; it was replayed."), holder=name
            )
        now = self.clock()
        own_end = now + timedelta(days=KEY_DAYS)  # of the coordinator's, which the holder seals to
        return require_valid(heard, now), min(datetime.fromtimestamp(heard.until, UTC), own_end)

    def _opened(self, name: str, data: bytes) -> bytes:
        try:
            return open_letter(
                data,
                key=self._own,
                sender=self.holders[name],
                own=self.identity.public,
                max_bytes=MAX_MESSAGE,
            )
        except RingfenceError as error:
            self.report(f"{name}: {error}")
            return b""
