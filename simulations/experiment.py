"""Any tables as a federation: one cut into holders, or one a holder, with contracts and consents; a run.

Consent is simulated: unless a file is given, every customer is entered as having granted the study's purpose.
The result says so.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ringfence.audit.events import Profile
from ringfence.clients.holder import Holder
from ringfence.models.releasing import release_result
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.law import SEPARATE_CONSENTS
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.command_line.terminal import Terminal, require_writable
from ringfence.privacy.errors import _
from ringfence.server.release.gate import export_gate
from ringfence.simulations.federation import Federation, Outcome, result_of
from ringfence.simulations.parties import Site
from ringfence.simulations.partitions import partition, partition_customers
from ringfence.simulations.populations.files import CONSENT_COLUMNS
from ringfence.simulations.question import Question
from ringfence.simulations.readings import notes_of
from ringfence.simulations.reporting import PAGES, pages, run_facts
from ringfence.simulations.running import export_logs, refuse_existing, run_with_progress
from ringfence.simulations.summary import summary
from ringfence.simulations.tables import (
    WholeTable,
    cut_inputs,
    read_whole,
    spelt_keys,
    with_row_keys,
    with_sources,
    write_part,
)

SIMULATED_NOTICE = "Simulated consent: no person was asked, this run only shows what would be learned."


def lay_out(question: Question, folder: Path) -> tuple[dict[str, Site], dict[str, int]]:
    """Write one file, contract and consent file a holder, of a table cut into holders or of its own.

    Args:
        question: the study and its tables.
        folder: where the holders' files are written.

    Returns:
        The sites by holder's name, and the rows of each.

    Raises:
        TableError: a table cannot be read.
        UsageError: it cannot be cut as asked.
    """
    sites: dict[str, Site] = {}
    rows: dict[str, int] = {}
    for table in question.tables:
        contract = table.contract.contract
        whole = _read(table.data, contract, row_is_customer=question.row_is_customer)
        header = whole.names if contract.source.header else None
        parts = _cut(whole.frame, question, contract) if question.cut else {contract.holder: whole.frame}
        base = table.contract.path.parent
        lists = cut_inputs(contract, base, _owners(parts, contract), tuple(parts), folder)
        for name, part in parts.items():
            file = folder / f"{name}{whole.suffix}"
            write_part(whole, part, file)
            consent = folder / f"{name}-consent.csv"
            records = everybody_consents(part[contract.subject], question.study, contract)
            records.to_csv(consent, index=False)
            source = contract.source.revised(file=file.name, url=None, table=None, header=header)
            own = with_sources(contract.revised(holder=name, source=source), lists[name])
            sites[name] = Site(contract=own, base=folder, consent=consent)
            rows[name] = len(part)
    return sites, rows


def _read(data: Path, contract: Contract, *, row_is_customer: bool) -> WholeTable:
    """The whole table; with a key for every row, where rows are customers."""
    if not row_is_customer:
        return read_whole(data, contract)
    return with_row_keys(data, contract)


def _cut(frame: pd.DataFrame, question: Question, contract: Contract) -> dict[str, pd.DataFrame]:
    """The holders' rows; of events, all lines of a customer at one holder."""
    if contract.events is not None or not contract.columns:
        keys = spelt_keys(frame[contract.subject], contract.source)
        return partition_customers(frame, question.spec, question.holders, question.seed, keys=keys)
    label = contract.column(question.study.label or "")
    return partition(
        frame, question.spec, question.holders, question.seed, label=label.header if label else None
    )


def _owners(parts: Mapping[str, pd.DataFrame], contract: Contract) -> dict[str, str]:
    """Which holder each customer went to."""
    return {
        key: name
        for name, part in parts.items()
        for key in spelt_keys(part[contract.subject], contract.source).unique()
        if key
    }


def everybody_consents(keys: pd.Series, study: Study, contract: Contract) -> pd.DataFrame:
    """A simulated grant of the study's purpose for every customer, separate consents included."""
    names = [key for key in spelt_keys(keys, contract.source).unique() if key]
    values: Mapping[str, str] = {
        "event": "granted",
        "purpose": study.purpose,
        "at": "2020-01-01",
        "valid_until": "",
        "notice_id": "simulated",
        "notice_version": "1",
        "notice_language": "en",
        "notice_digest": "sha256:" + hashlib.sha256(SIMULATED_NOTICE.encode()).hexdigest(),
        "legal_basis": study.legal_basis,
        "recipients": contract.holder,
        "separate_consents": ";".join(SEPARATE_CONSENTS),
    }
    frame = pd.DataFrame({"customer_key": names}).assign(**values)
    return frame[list(CONSENT_COLUMNS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """New folders that a run shall write, None where one is not wanted.

    Attributes:
        model: the released model.
        report: the page in English and Chinese.
        bundle: the logs of all parties.
    """

    model: Path | None = None
    report: Path | None = None
    bundle: Path | None = None

    def check(self) -> None:
        """Refuse folders that are there, or that cannot be written, before the work."""
        for folder in (self.bundle, self.model, self.report):
            if folder is not None:
                refuse_existing(folder)
                require_writable(folder)


def run_question(
    question: Question, *, runner: str, durable: bool, wanted: Wanted, terminal: Terminal
) -> int:
    """Lay the tables out, run the study, say and write what came of it.

    Args:
        question: the study and its tables.
        runner: `in-process` or `flower`.
        durable: keep stores in files of a temporary folder, as holders do.
        wanted: folders to write.
        terminal: where to speak and to write JSON.

    Returns:
        The exit status, 0.
    """
    wanted.check()
    with tempfile.TemporaryDirectory(prefix="ringfence-") as name:
        folder = Path(name)
        sites, rows = lay_out(question, folder)
        profile: Profile = "durable" if durable or runner == "flower" else "simulation"
        federation = Federation.make(question.study, question.schema, sites, profile=profile, folder=folder)
        outcome, holders = run_with_progress(federation, runner, terminal, bundle=wanted.bundle)
        notes = notes_of(outcome.readings, apart=not question.cut)
        result = result_of(federation, outcome, rows=rows, runner=runner) | {
            "partition": question.spec if question.cut else "none: each holder has a table of its own",
            "consent": "simulated: every customer is entered as consenting",
            "notes": [note.as_json() for note in notes],
        }
        _write(wanted, federation, outcome, holders, result)
    terminal.write_json(result)
    for line in summary(result, outcome.release.figures):
        terminal.say(line)
    for note in notes:
        terminal.say(_("note: {sentence}").format(sentence=note.sentence))
    if wanted.report is not None:
        terminal.say(_("report: {path}").format(path=wanted.report / PAGES[0][0]))
    return 0


def _write(
    wanted: Wanted,
    federation: Federation,
    outcome: Outcome,
    holders: Mapping[str, Holder],
    result: Mapping[str, Any],
) -> None:
    """Write the folders that are wanted; what is released goes through the coordinator's export gate."""
    study = federation.opened.study
    epsilon = study.privacy.epsilon
    gate = export_gate(federation.coordinator, epsilon, study.release)
    resource = f"study:{federation.opened.digest}"
    if wanted.model is not None:
        release_result(
            outcome.release.result,
            wanted.model,
            gate=gate,
            epsilon=epsilon,
            resource=resource,
            beside=[each.file() for each in outcome.own],
        )
    if wanted.report is not None:
        facts = run_facts(federation, outcome, holders, result)
        gate.release_all(pages(facts, epsilon=epsilon, resource=resource), wanted.report)
    if wanted.bundle is not None:
        export_logs(federation, holders, wanted.bundle)
