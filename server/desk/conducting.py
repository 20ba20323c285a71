"""Runs a signed study over the gateway that serves, and lets its result out through the export gate.

A study that was stopped in its middle, however it was stopped, goes on from the sums that were released
(decision 7) when it is run again; one that ended is not run again, and its result can be let out anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ringfence.models.releasing import release_result
from ringfence.models.tables.release import cohort_of
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import N_, KeyFault, WaistError
from ringfence.privacy.release import Exported
from ringfence.privacy.stores.lease import lease
from ringfence.server.connections.admissions import Admissions
from ringfence.server.connections.pacing import paced
from ringfence.server.connections.superlink import NO_GATEWAY, SuperLink
from ringfence.server.coordinator import Coordinator, OpenStudy, sign_study
from ringfence.server.desk.asking import read_asked
from ringfence.server.desk.enrolling import gateway_folder
from ringfence.server.desk.series import Pick, run_due
from ringfence.server.flower import FlowerTransport, Stopped
from ringfence.server.home import Office
from ringfence.server.letters import Letters
from ringfence.server.records.runs import RunStore
from ringfence.server.registry import HolderRegistry, first_keys, require_keys_in_force
from ringfence.server.release.gate import export_gate
from ringfence.server.release.withdrawing import SignedOff
from ringfence.server.rounds import (
    Progress,
    Release,
    released_again,
    run_study,
    stop_study,
    withdraw_release,
)
from ringfence.server.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long is waited.

    Attributes:
        first: seconds for all holders to connect, before the study is offered to those who are there.
        exchange: seconds for the holders' answers to one message; for carrying them alone, where the signed
            study says how long they are kept back.
    """

    first: float = 60.0
    exchange: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conductor:
    """One study of this coordinator, opened to be run.

    Attributes:
        coordinator: who runs it.
        opened: the study.
        office: the home.
    """

    coordinator: Coordinator
    opened: OpenStudy
    office: Office

    def run(
        self,
        pace: Pace,
        *,
        progress: Progress = lambda *_: None,
        report: Callable[[str], None] = lambda _: None,
        stop: threading.Event | None = None,
    ) -> Release:
        """Run the study, or go on with it.

        Raises:
            StoreError: RF-B120 another study is being run from this home.
            StudyError: RF-S380 it was run to its end.
            KeyFault: RF-W431 it names a key that was replaced, RF-K161 one with two successors.
            WaistError: RF-W342 no gateway serves; RF-W357 a holder is not admitted; too few holders joined or
                stayed.
            Stopped: it was stopped, and goes on when it is run again.
        """
        require_keys_in_force(self.office.engine, self.opened.study)
        needed = self.opened.study.privacy.min_holders
        with self._letters(pace, report, stop or threading.Event(), needed) as (letters, runs):
            return run_study(self.coordinator, self.opened, letters, progress, runs)

    def end(
        self,
        pace: Pace,
        *,
        report: Callable[[str], None] = lambda _: None,
        discard: bool = False,
        signed: SignedOff | None = None,
    ) -> Release | None:
        """End a run for good, with the model that its sums make, or None; holders that are there are told.

        Where no gateway serves, or a key of a holder is not in force any more, nobody is asked anything: a
        run without a model ends all the same, and holders are told later.

        Args:
            pace: how long is waited.
            report: told what goes otherwise than meant.
            discard: end it without a model, whether or not its sums make one.
            signed: who signs that an intent to release it is withdrawn.

        Raises:
            StoreError: RF-B120 the study is being run at this moment.
            StudyError: RF-S380 it is over, RF-S385 it never began, RF-S464 a model, and nobody to cosign it.
            WaistError: RF-W440 too few are there to cosign, RF-W237 too few cosigned, RF-W454 an
                intent stands and nobody signs its withdrawal.
        """
        if self._keys_in_force(report):
            try:
                with self._letters(pace, report, threading.Event(), 0) as (letters, runs):
                    return self._ended(letters, runs, discard, signed)
            except WaistError as error:
                if error.code != NO_GATEWAY:
                    raise
                report(str(error))
        with lease(self.office.engine, "study"):
            runs = RunStore(self.office.engine)
            return self._ended(None, runs, discard, signed)

    def _keys_in_force(self, report: Callable[[str], None]) -> bool:
        """Whether every holder's key of the study counts; why one does not is told."""
        try:
            require_keys_in_force(self.office.engine, self.opened.study)
        except KeyFault as fault:
            report(str(fault))
            return False
        return True

    def _ended(
        self, transport: Transport | None, runs: RunStore, discard: bool, signed: SignedOff | None
    ) -> Release | None:
        opened = self.opened
        return stop_study(self.coordinator, opened, transport, runs, discard=discard, signed=signed)

    def withdraw(self, signed: SignedOff) -> None:
        """Take back what the study's run means to release; holders are told when it is run again or stopped.

        Raises:
            StoreError: RF-B120 the study is being run at this moment.
            StudyError: RF-S380 it is over, RF-S385 it never began.
            WaistError: RF-W455 no release is intended, RF-W456 it was released.
            KeyFault: who signs may not.
        """
        with lease(self.office.engine, "study"):
            withdraw_release(self.coordinator, self.opened, RunStore(self.office.engine), signed)

    @contextmanager
    def _letters(
        self, pace: Pace, report: Callable[[str], None], stop: threading.Event, needed: int
    ) -> Iterator[tuple[Letters, RunStore]]:
        """The way to the holders, for as long as the block runs."""
        folder = gateway_folder(self.office)
        with lease(self.office.engine, "study"):
            runs = RunStore(self.office.engine)
            runs.require_open(self.opened)
            nodes = nodes_of(self.opened.study, folder.running().nodes, report, needed)
            with carrier_to(self.office, nodes, pace, stop) as carrier:
                letters = Letters(
                    carrier=carrier,
                    identity=self.coordinator.identity,
                    holders=self.opened.participants,
                    report=report,
                    let_in=self._let_in,
                    paced=paced(carrier, self.opened.study.privacy),
                )
                try:
                    yield letters, runs
                finally:
                    letters.close()

    def _let_in(self, name: str) -> bool:
        """Whether a holder of the study is let in at this moment."""
        key = self.opened.participants[name].hex
        return any(each.identity == key for each in Admissions(self.office.engine).let_in())

    def again(self) -> Release:
        """The result of a study that was run to its end.

        Raises:
            StudyError: RF-S383 it was not, RF-S382 its sums make another model.
        """
        return released_again(self.opened, RunStore(self.office.engine))

    def let_out(self, release: Release, folder: Path) -> tuple[Exported, ...]:
        """Write the result's files into a new folder, through the export gate.

        Raises:
            ExportRefused, ExportError: it may not leave, or cannot be written; nothing is left behind.
        """
        epsilon = self.opened.study.privacy.epsilon
        return release_result(
            release.result,
            folder,
            gate=export_gate(self.coordinator, epsilon, self.opened.study.release),
            epsilon=epsilon,
            resource=f"study:{self.opened.digest}",
            cohort=cohort_of(self.opened.context, first_keys(self.office.engine, self.opened.study)),
        )


def nodes_of(
    study: Study, admitted: Mapping[str, int], report: Callable[[str], None], needed: int
) -> dict[str, int]:
    """Flower's number of each holder of the study that is admitted; one that was revoked is absent.

    Raises:
        WaistError: RF-W357 fewer are admitted than are needed.
    """
    found = {holder.name: admitted[holder.key] for holder in study.holders if holder.key in admitted}
    missing = sorted({holder.name for holder in study.holders} - set(found))
    if missing:
        absent = WaistError(
            "RF-W357",
            N_(
                "These holders of the study are not admitted here: {holders}. Invite them: "
                "ringfence-server holder invite"
            ),
            holders=", ".join(missing),
        )
        if len(found) < needed:
            raise absent
        report(str(absent))
    return found


@contextmanager
def carrier_to(
    office: Office, nodes: Mapping[str, int], pace: Pace, stop: threading.Event
) -> Iterator[FlowerTransport]:
    """A run of the link that serves, claimed by this process, once all nodes are there or waited for.

    Raises:
        WaistError: RF-W342 no gateway serves.
        Stopped: the stop was set.
    """
    folder = gateway_folder(office)
    running = folder.running()
    with (
        closing(SuperLink.attach(folder.link_files(), running.port)) as link,
        link.run() as (grid, _series),
    ):
        carrier = FlowerTransport(grid=grid, nodes=nodes, timeout=pace.exchange, stop=stop, arrivals=grid)
        _wait(carrier, nodes, pace.first, stop)
        yield carrier


def _wait(carrier: FlowerTransport, nodes: Mapping[str, int], seconds: float, stop: threading.Event) -> None:
    """Until all nodes are connected, or for so long."""
    deadline = time.monotonic() + seconds
    while len(carrier.present(nodes)) < len(nodes) and time.monotonic() < deadline:
        if stop.wait(0.2):
            raise Stopped


def open_conductor(
    office: Office, file: Path, schema: Path | None, passphrases: Passphrases, pick: Pick = run_due
) -> Conductor:
    """A signed study of this coordinator, ready to be run; of a series one of its runs.

    Args:
        office: opened with the log's key.
        file: the signed study, or the id of one that was submitted.
        schema: its schema's file; `schema.toml` beside the study by default, as submitted for an id.
        passphrases: of the coordinator's key.
        pick: which run of a series is meant; the one that is due by default.

    Raises:
        KeyFault: the study is not this coordinator's.
        SchemaError: the schema has faults.
        StudyError: RF-S384 it is another schema, RF-S443 no study was submitted under this id.
    """
    study, meaning = read_asked(office, file, schema)
    window = pick(office, study)
    identity = office.key(passphrases)
    return Conductor(
        coordinator=coordinator_of(office, identity),
        opened=replace(sign_study(identity, study, meaning), window=window),
        office=office,
    )


def coordinator_of(office: Office, identity: Identity) -> Coordinator:
    """Who runs studies from a home."""
    return Coordinator(identity=identity, log=office.log, registry=HolderRegistry(office.engine))
