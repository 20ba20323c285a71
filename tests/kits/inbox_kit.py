"""Holders whose people have decided nothing yet, their letter boxes, and a coordinator that posts studies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kits.parties import federation_of
from ringfence.clients.agent import Agent
from ringfence.clients.holder import Holder
from ringfence.clients.letters import LetterBox
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.approvals import approve
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.server.coordinator import OpenStudy, sign_study
from ringfence.server.post.posting import post
from ringfence.server.records.submissions import HolderStanding, Submissions
from ringfence.simulations.federation import Federation

THREE = ("bank", "partner", "retailer")


@dataclass
class Post:
    """A coordinator, three holders and who carries between them."""

    federation: Federation
    holders: dict[str, Holder]
    boxes: dict[str, LetterBox]
    said: dict[str, list[str]]
    approved: dict[tuple[str, str], list[SignedDocument]]
    submissions: Submissions
    told: list[str] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    up: Callable[[str, bytes], bytes] = lambda _name, data: data

    @classmethod
    def of(cls, folder: Path) -> Post:
        federation = federation_of(folder, names=THREE, customers=30)
        approved: dict[tuple[str, str], list[SignedDocument]] = {}

        def people(name: str) -> Callable[[str], list[SignedDocument]]:
            return lambda digest: approved.get((name, digest), [])

        holders = {name: replace(federation.assembled(name), approvals=people(name)) for name in THREE}
        said: dict[str, list[str]] = {name: [] for name in THREE}
        boxes = {
            name: LetterBox(agent=Agent(holder=holder, report=said[name].append))
            for name, holder in holders.items()
        }
        submissions = Submissions(federation.coordinator.registry.engine)
        return cls(federation, holders, boxes, said, approved, submissions)

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        asked = {name: data for name, data in messages.items() if name not in self.silent}
        replies = {name: self.up(name, self.boxes[name].handle(data)) for name, data in asked.items()}
        return {name: data for name, data in replies.items() if data}

    def present(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(names) - self.away

    def study(self, **changes: Any) -> OpenStudy:
        """A fresh signed study, or the same again."""
        opened = self.federation.opened
        study = Study.model_validate(opened.study.model_dump(by_alias=True) | changes)
        return sign_study(self.federation.coordinator.identity, study, opened.context.schema)

    def submit(self, opened: OpenStudy) -> bool:
        return self.submissions.add(
            study=opened.digest,
            name=opened.study.id,
            expires=opened.study.expires,
            documents=(opened.document.to_json(), opened.schema_document.to_json()),
            holders=opened.participants,
            series=opened.study.series,
            record=lambda _connection: None,
        )

    def post(self, opened: OpenStudy) -> dict[str, HolderStanding]:
        """Submit, deliver, and what is kept of each holder then."""
        self.submit(opened)
        again = replace(opened, run=self.study().run)
        post(self.federation.coordinator, again, self, self.submissions, self.told.append)
        return {each.holder: each for each in self.submissions.listed(opened.digest)[0].holders}

    def states(self, opened: OpenStudy) -> dict[str, str]:
        return {name: each.state for name, each in self.post(opened).items()}

    def approve(self, name: str, digest: str, *people: Identity) -> None:
        """People of a holder approve; both by default."""
        given = people or self.federation.keys[name].approvers
        self.approved[name, digest] = [approve(digest, name, person) for person in given]

    def reject(self, name: str, digest: str) -> None:
        self.holders[name].inbox.reject(digest, "2026-01-02T00:00:00+00:00", "", lambda _connection: None)

    def actions(self, name: str = "") -> list[tuple[str, str, list[str]]]:
        """Action, outcome and codes of a log's events about studies."""
        log = self.holders[name].log if name else self.federation.coordinator.log
        found = [each.event for each in log.events()]
        return [
            (each.action, each.outcome, [str(code) for code in each.public.get("reasons", [])])  # type: ignore[union-attr]
            for each in found
            if each.action.startswith(("study.", "reply."))
        ]
