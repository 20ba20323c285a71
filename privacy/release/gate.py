"""The export gate: decide, log the intent, write, log the deed. Fails closed at every step.

    requested (received) -> examine -> compare with earlier tables -> refused
                                    -> requested (decided: digest) -> write, fsync, rename -> released

Invariants: an event is durable before the effect it speaks of (DESIGN, 6.3): no intent event, no file; no
final event, the file is taken back. Events hold kinds, reason codes and the digest of what is released;
names, sizes and the digest of what was refused stay in the private part, since a digest of little content can
be guessed. Approval by two people comes between examination and the intent event; it is not here yet, and
nothing stands in for it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ringfence.privacy.errors import N_, ExportError
from ringfence.privacy.release.artefact import (
    SUFFIXES,
    Artefact,
    Exported,
    ExportPolicy,
    ExportRefused,
    Objection,
    ReleaseRefused,
)
from ringfence.privacy.release.examination import Cleared, examine
from ringfence.privacy.release.files import withdraw, write_all, write_one
from ringfence.privacy.release.register import TableRegister
from ringfence.privacy.stores.journal import Journal, Json

if TYPE_CHECKING:
    from collections.abc import Callable

_RESOURCE = re.compile(r"[a-z][a-z-]{0,31}(?::[A-Za-z0-9._-]{1,128}){0,3}")


@dataclass(frozen=True, slots=True)
class ExportGate:
    """The one way out of a holder or coordinator.

    Attributes:
        journal: where every request, refusal and release is recorded.
        policy: the limits.
        register: the tables of counts that left; without one no table of counts leaves.
    """

    journal: Journal
    policy: ExportPolicy
    register: TableRegister | None = None

    def release(self, artefact: Artefact, directory: Path) -> Exported:
        """Let one artefact out as a file in an existing folder.

        Raises:
            ExportRefused: it may not leave; all reasons are in `refused`, the event is logged.
            ExportError: it may, but could not be written (RF-X050 to RF-X053); nothing is left behind.
        """
        return self._run(
            [artefact],
            lambda cleared: write_one(cleared[0].content, cleared[0].digest, directory / cleared[0].name),
            directory,
        )[0]

    def release_all(self, artefacts: Sequence[Artefact], directory: Path) -> tuple[Exported, ...]:
        """Let several artefacts out into a folder that does not exist yet: all of them or none.

        Raises:
            ExportRefused: one of them may not leave; none does.
            ExportError: they could not be written; nothing is left behind.
        """
        return self._run(
            artefacts,
            lambda cleared: write_all({c.name: (c.content, c.digest) for c in cleared}, directory),
            directory,
        )

    def _run(
        self, artefacts: Sequence[Artefact], write: Callable[[list[Cleared]], Path], directory: Path
    ) -> tuple[Exported, ...]:
        request = f"request-{secrets.token_hex(8)}"
        for artefact in artefacts:
            self._record(
                "export.requested", "allow", artefact, request, {"stage": "received"}, _as_given(artefact)
            )
        cleared = self._decide_all(artefacts, request)
        self._compare(artefacts, cleared, request)
        for artefact, clear in zip(artefacts, cleared, strict=True):
            self._record(
                "export.requested", "allow", artefact, request, {"stage": "decided", "digest": clear.digest}
            )
        try:
            written = write(cleared)
        except ExportError as fault:
            for artefact in artefacts:
                self._refused(artefact, request, "error", (Objection.of(fault),))
            raise
        try:
            return tuple(
                self._released(artefact, clear, request, directory)
                for artefact, clear in zip(artefacts, cleared, strict=True)
            )
        except BaseException:
            withdraw(written)
            raise

    def _compare(self, artefacts: Sequence[Artefact], cleared: list[Cleared], request: str) -> None:
        """Hold tables of counts against those that left earlier, and remember them."""
        tables = [(clear.digest, table) for clear in cleared for table in clear.tables]
        if not tables:
            return
        try:
            if self.register is None:
                raise ExportError(
                    "RF-X102",
                    N_(
                        "A table of counts is released only by a gate that remembers earlier ones. Open the "
                        "gate with a register."
                    ),
                )
            self.register.enter(tables)
        except ExportError as fault:
            refused = tuple(
                ReleaseRefused(name=artefact.name, kind=artefact.kind, reasons=(Objection.of(fault),))
                for artefact in artefacts
            )
            for artefact in artefacts:
                self._refused(artefact, request, "deny", refused[0].reasons)
            raise ExportRefused(refused) from None

    def _decide_all(self, artefacts: Sequence[Artefact], request: str) -> list[Cleared]:
        """Decide on every artefact before anything is written; one refusal refuses all."""
        answers = [self._decide(artefact) for artefact in artefacts]
        if not answers:
            answers = [
                _refusal("", "RF-X066", N_("There is nothing to release. Name at least one artefact."))
            ]
        names = [artefact.name.casefold() for artefact in artefacts]
        if len(set(names)) != len(names):
            answers.append(
                _refusal("", "RF-X054", N_("Two artefacts of one release have one name. Rename one."))
            )
        refused = tuple(answer for answer in answers if isinstance(answer, ReleaseRefused))
        if not refused:
            return [answer for answer in answers if isinstance(answer, Cleared)]
        for artefact, answer in zip(artefacts, answers, strict=False):
            reasons = answer.reasons if isinstance(answer, ReleaseRefused) else refused[0].reasons
            self._refused(artefact, request, "deny", reasons)
        raise ExportRefused(refused)

    def _decide(self, artefact: Artefact) -> Cleared | ReleaseRefused:
        """Decide; a fault of a reader refuses, and its text, which may quote content, is dropped."""
        try:
            if not _RESOURCE.fullmatch(artefact.resource):
                return _refusal(
                    artefact.name,
                    "RF-X067",
                    N_("What the artefact was made from is not named like study:ID. Name it so."),
                )
            return examine(artefact, self.policy)
        except Exception:  # deny by default: an artefact that breaks a reader stays inside
            return _refusal(
                artefact.name,
                "RF-X055",
                N_("The artefact could not be read to its end, so it is not released. Write it again."),
            )

    def _released(self, artefact: Artefact, clear: Cleared, request: str, directory: Path) -> Exported:
        event = self._record("export.released", "allow", artefact, request, {"digest": clear.digest})
        return Exported(
            path=directory / clear.name,
            kind=clear.kind,
            digest=clear.digest,
            size=len(clear.content),
            event=event,
            notes=clear.notes,
        )

    def _refused(
        self,
        artefact: Artefact,
        request: str,
        outcome: Literal["deny", "error"],
        reasons: tuple[Objection, ...],
    ) -> None:
        codes: list[Json] = list(dict.fromkeys(reason.code for reason in reasons))
        self._record("export.refused", outcome, artefact, request, {"reasons": codes}, _as_given(artefact))

    def _record(
        self,
        action: str,
        outcome: Literal["allow", "deny", "error"],
        artefact: Artefact,
        request: str,
        public: dict[str, Json],
        private: dict[str, Json] | None = None,
    ) -> int:
        resource = artefact.resource if _RESOURCE.fullmatch(artefact.resource) else "export"
        shown: dict[str, Json] = {
            "request": request,
            "kind": artefact.kind if artefact.kind in SUFFIXES else "unknown",
            "masking": "presidio" if artefact.masking == "presidio" else "clean",
            **public,
        }
        return self.journal.record(action, outcome, resource=resource, public=shown, private=private)


def _refusal(name: str, code: str, template: str) -> ReleaseRefused:
    return ReleaseRefused(name=name, kind="", reasons=(Objection(code=code, template=template),))


def _as_given(artefact: Artefact) -> dict[str, Json]:
    """What only the log's owner may open: the name, and digest and size of bytes as they came."""
    private: dict[str, Json] = {"file": artefact.name}
    if isinstance(artefact.content, bytes):
        private |= {
            "digest": "sha256:" + hashlib.sha256(artefact.content).hexdigest(),
            "bytes": len(artefact.content),
        }
    return private
