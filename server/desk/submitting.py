"""Submits signed studies, and delivers what was submitted into the inboxes of holders that are connected.

A delivery is a run of Flower's link that this process claims for some seconds, beside a study that may be
running. Every open study is brought to every holder of it that is there; who has it already says how it
stands.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import N_, RingfenceError, StoreError, StudyError, WaistError
from ringfence.privacy.stores.journal import listed
from ringfence.privacy.stores.lease import lease
from ringfence.server.coordinator import OpenStudy, sign_study
from ringfence.server.desk.asking import read_asked
from ringfence.server.desk.conducting import Pace, carrier_to, coordinator_of, nodes_of
from ringfence.server.desk.enrolling import gateway_folder
from ringfence.server.home import Office
from ringfence.server.post.ending import owed_ends, say_ends
from ringfence.server.post.posting import post
from ringfence.server.records.submissions import OPEN, Submissions, SubmittedStudy
from ringfence.server.registry import require_keys_in_force

BUSY_SECONDS = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A study that was submitted.

    Attributes:
        study: as it stands in the store.
        fresh: it was not there before.
    """

    study: SubmittedStudy
    fresh: bool


def submit_study(office: Office, file: Path, schema: Path | None, passphrases: Passphrases) -> Submitted:
    """Take a signed study in; its holders get it when it is delivered.

    Raises:
        KeyFault: the study is not this coordinator's.
        SchemaError: the schema has faults.
        StudyError: RF-S384 it is another schema, RF-S441 another study has its id, RF-S442 it is over.
    """
    study, meaning = read_asked(office, file, schema)
    submissions = Submissions(office.engine)
    if study.expires < submissions.today():
        raise StudyError(
            "RF-S442",
            N_("The study {study} ended on {day}, so no holder would take it; sign one that ends later."),
            study=study.id,
            day=study.expires,
        )
    require_keys_in_force(office.engine, study)
    opened = sign_study(office.key(passphrases), study, meaning)
    fresh = submissions.add(
        study=opened.digest,
        name=study.id,
        expires=study.expires,
        documents=(opened.document.to_json(), opened.schema_document.to_json()),
        holders=opened.participants,
        series=study.series,
        record=lambda connection: office.log.record(
            "study.submitted",
            "allow",
            resource=f"study:{opened.digest}",
            public={"holders": listed(sorted(opened.participants))},
            connection=connection,
        ),
    )
    return Submitted(study=submissions.listed(opened.digest)[0], fresh=fresh)


def deliver(
    office: Office,
    pace: Pace,
    passphrases: Passphrases,
    *,
    report: Callable[[str], None] = lambda _: None,
    stop: threading.Event | None = None,
    ends: bool = False,
) -> None:
    """Bring every open study, and ends that were not heard, to the holders that are there.

    Args:
        office: the coordinator's.
        pace: how long is waited.
        passphrases: of the coordinator's key.
        report: told, in sentences for the coordinator's people, who cannot be reached and what is not
            believed.
        stop: ends it early.
        ends: says ends of runs that were not heard too; the office is opened with the log's key for it.

    Raises:
        WaistError: RF-W342 no gateway serves, RF-W392 another process delivers.
        Stopped: the stop was set.
    """
    submissions = Submissions(office.engine)
    waiting = [each for each in submissions.listed() if each.state in OPEN]
    owed = {key.hex for end in owed_ends(office.engine) for key in end.holders.values()} if ends else set()
    if not waiting and not owed:
        return
    with _alone(office):
        identity = office.key(passphrases)
        coordinator = coordinator_of(office, identity)
        opened = [study for each in waiting if (study := _opened(office, identity, each, report))]
        admitted = gateway_folder(office).running().nodes
        keys = {holder.key for each in opened for holder in each.study.holders} | owed
        nodes = {key: admitted[key] for key in keys & admitted.keys()}
        with carrier_to(office, nodes, pace, stop or threading.Event()) as carrier:
            for each in opened:
                there = nodes_of(each.study, admitted, report, 0)
                post(coordinator, each, replace(carrier, nodes=there), submissions, report)
            if owed:
                say_ends(coordinator, carrier, admitted, report)


def all_submitted(office: Office) -> tuple[SubmittedStudy, ...]:
    """Every submitted study, the last that was submitted first."""
    return Submissions(office.engine).listed()


def standing_of(office: Office, digest: str) -> SubmittedStudy | None:
    """One study, by its digest; None where it was not submitted."""
    return next(iter(Submissions(office.engine).listed(digest)), None)


@contextmanager
def _alone(office: Office) -> Iterator[None]:
    """One process of a home delivers at a time."""
    deadline = time.monotonic() + BUSY_SECONDS
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(lease(office.engine, "post"))
                break
            except StoreError as error:
                if time.monotonic() > deadline:
                    raise WaistError(
                        "RF-W392",
                        N_("Another process delivers studies from this home; wait until it is done."),
                    ) from error
            time.sleep(0.1)
        yield


def _opened(
    office: Office, identity: Identity, each: SubmittedStudy, report: Callable[[str], None]
) -> OpenStudy | None:
    """A kept study as it is sent; one that this version cannot open is told and passed over."""
    try:
        study, meaning = read_asked(office, Path(each.study))
        require_keys_in_force(office.engine, study)
        return sign_study(identity, study, meaning)
    except RingfenceError as error:
        report(f"{each.name}: {error}")
        return None
