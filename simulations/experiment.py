"""Any table as a federation: cut it into holders, give each a contract, records of consent and a ledger, and run.

Consent is simulated: unless a file is given, every customer is entered as having granted the study's purpose. The
result says so.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ringfence.models.metrics.noisy import NoisyFigures
from ringfence.models.scorecard import Scorecard
from ringfence.models.scorecard.prior import with_prior
from ringfence.privacy.consent.events import SEPARATE_CONSENTS
from ringfence.privacy.contract import Contract, LoadedContract, load_contract
from ringfence.privacy.errors import N_, UsageError, _
from ringfence.privacy.release import ExportGate, ExportPolicy
from ringfence.privacy.study import Study, load_study
from ringfence.privacy.tabular import key_text
from ringfence.privacy.terminal import Terminal, require_writable
from ringfence.simulations.assembly import Profile, Site
from ringfence.simulations.conduct import export_logs, refuse_existing, run_with_progress
from ringfence.simulations.federation import Federation, result_of
from ringfence.simulations.models import write_model
from ringfence.simulations.partitions import partition, partition_customers
from ringfence.simulations.populations.files import CONSENT_COLUMNS
from ringfence.simulations.tables import read_whole, write_part

SIMULATED_NOTICE = "Simulated consent: no person was asked, this run only shows what would be learned."


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A study and the table it is asked of.

    Attributes:
        study: as people wrote it.
        contract: of the whole table, with its schema.
        data: the table's file.
        spec: how it is cut: `iid`, `dirichlet:ALPHA` or `by:COLUMN`.
        holders: into how many; None for `by:COLUMN`.
        seed: of the cut (it is no privacy noise).
    """

    study: Study
    contract: LoadedContract
    data: Path
    spec: str
    holders: int | None
    seed: int

    @classmethod
    def load(
        cls, study: Path, contract: Path, data: Path | None, spec: str, holders: int | None, seed: int
    ) -> Question:
        """Read study and contract, and check that they speak of one schema.

        Raises:
            StudyError: every fault of the study.
            ContractError: every fault of the contract.
            UsageError: two schemas, or no file to read.
        """
        loaded = load_contract(contract)
        asked = load_study(study, [loaded.schema])
        if asked.schema_ref != loaded.schema.digest():
            raise UsageError(
                "RF-U340",
                N_("The study {study} and the contract {contract} name two different schemas; make them name one."),
                study=study.name,
                contract=contract.name,
            )
        if data is None:
            if loaded.contract.source.file is None:
                raise UsageError(
                    "RF-U341", N_("The contract {contract} names no file; give the table with --data."), contract=contract.name
                )  # fmt: skip
            data = _at_hand(loaded.contract.source.file, loaded.path.parent)
        if not spec.startswith("by:") and holders is None:
            holders = max(3, asked.privacy.min_holders)
        return cls(study=asked, contract=loaded, data=data, spec=spec, holders=holders, seed=seed)


    def beginning_from(self, card: Path) -> Question:
        """The same question, whose model begins from an earlier scorecard.

        Raises:
            StudyError: the file is no scorecard, or one over other features or another schema.
        """
        earlier = Scorecard.from_json(card.read_text(encoding="utf-8", errors="replace"))
        return replace(self, study=with_prior(self.study, self.contract.schema, earlier))


def _at_hand(file: str, beside: Path) -> Path:
    """The contract's file in the folder that RINGFENCE_DATA names, if it is there; else beside the contract."""
    folder = os.environ.get("RINGFENCE_DATA", "")
    in_folder = Path(folder) / file
    return in_folder if folder and in_folder.exists() else beside / file


def lay_out(question: Question, folder: Path) -> tuple[dict[str, Site], dict[str, int]]:
    """Cut the table, or its events by customer, into one file, one contract and one consent file a holder.

    Args:
        question: the study and its table.
        folder: where the holders' files are written.

    Returns:
        The sites by holder's name, and the rows of each.

    Raises:
        TableError: the table cannot be read.
        UsageError: it cannot be cut as asked.
    """
    contract = question.contract.contract
    whole = read_whole(question.data, contract)
    parts = _cut(whole.frame, question, contract)
    sites = {}
    for name, part in parts.items():
        file = folder / f"{name}{whole.suffix}"
        write_part(whole, part, file)
        consent = folder / f"{name}-consent.csv"
        _everybody_consents(part[contract.subject], question.study, contract).to_csv(consent, index=False)
        source = contract.source.revised(file=file.name, url=None, table=None)
        own = contract.revised(holder=name, source=source)
        sites[name] = Site(contract=own, base=folder, consent=consent)
    return sites, {name: len(part) for name, part in parts.items()}


def _cut(frame: pd.DataFrame, question: Question, contract: Contract) -> dict[str, pd.DataFrame]:
    """The holders' rows; of events, all lines of a customer at one holder."""
    if contract.events is not None:
        keys = _keys(frame[contract.subject])
        return partition_customers(frame, question.spec, question.holders, question.seed, keys=keys)
    label = contract.column(question.study.label or "")
    return partition(frame, question.spec, question.holders, question.seed, label=label.header if label else None)


def _keys(column: pd.Series) -> pd.Series:
    """Customer keys as a holder's table will spell them, empty for none."""
    import pyarrow as pa

    return pd.Series(key_text(pa.array(column, from_pandas=True)).to_pylist(), dtype=object)


def _everybody_consents(keys: pd.Series, study: Study, contract: Contract) -> pd.DataFrame:
    """A simulated grant of the study's purpose for every customer, separate consents included."""
    names = [key for key in _keys(keys).unique() if key]
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


def run_question(
    question: Question,
    *,
    runner: str,
    durable: bool,
    bundle: Path | None,
    model: Path | None = None,
    terminal: Terminal,
) -> int:
    """Lay the table out, run the study, say and write what came of it.

    Args:
        question: the study and its table.
        runner: `in-process` or `flower`.
        durable: keep stores in files of a temporary folder, as holders do.
        bundle: folder for all logs, or None.
        model: folder for the released model, or None.
        terminal: where to speak and to write JSON.

    Returns:
        The exit status, 0.
    """
    for folder_asked in (bundle, model):
        if folder_asked is not None:
            refuse_existing(folder_asked)
            require_writable(folder_asked)
    with tempfile.TemporaryDirectory(prefix="ringfence-") as name:
        folder = Path(name)
        sites, rows = lay_out(question, folder)
        profile: Profile = "durable" if durable or runner == "flower" else "simulation"
        federation = Federation.make(
            question.study, question.contract.schema, sites, profile=profile, folder=folder
        )
        outcome, holders = run_with_progress(federation, runner, terminal, bundle=bundle)
        result = result_of(federation, outcome, rows=rows, runner=runner) | {
            "partition": question.spec,
            "consent": "simulated: every customer is entered as consenting",
        }
        if model is not None:
            epsilon = question.study.privacy.epsilon
            gate = ExportGate(federation.coordinator.log, ExportPolicy(epsilon=epsilon))
            study = f"study:{federation.opened.digest}"
            own = {each.holder: each.content for each in outcome.own}
            write_model(outcome.release.result, model, gate=gate, epsilon=epsilon, resource=study, own=own)
        if bundle is not None:
            export_logs(federation, holders, bundle)
    terminal.write_json(result)
    for line in summary(result, outcome.release.figures):
        terminal.say(line)
    return 0


def released(figures: NoisyFigures | None) -> str:
    """What a real study would know of its model's quality."""
    if figures is None or not figures.measurable:
        return _("the study released no figure of quality")
    auc = figures.auc
    return _("released by the study: AUC {value:.3f} (95 % interval {low:.3f} to {high:.3f})").format(
        value=auc.value, low=auc.low, high=auc.high
    )


def _own(each: Mapping[str, Any]) -> str:
    """How one holder's own network does beside the common one."""
    if each["auc"] is None:
        return _("{holder}: a network of its own; its {test_customers} test customers all have one label").format(**each)
    return _("{holder}: AUC {auc:.4f} of its own network, {auc_common:.4f} of the common one, on its {test_customers} test "
             "customers").format(**each)  # fmt: skip


def summary(result: Mapping[str, Any], figures: NoisyFigures | None) -> list[str]:
    """A run in a few lines for people.

    Args:
        result: of the run, as JSON holds it.
        figures: what the study released of its model's quality, not rounded yet.
    """
    privacy, exactness = result["privacy"], str(result["metrics"])
    lines = [
        _("Study {study}: {holders} holders, {rows} rows, {rounds} secure sums in {seconds} s").format(**result),
        _("AUC {auc:.4f}, PR-AUC {pr_auc:.4f} on {test_customers} test customers; {metrics}").format(
            **{**result, "metrics": _(exactness)}
        ),
        _("epsilon {epsilon} at delta {delta} for a customer over all holders (overlap {overlap})").format(
            epsilon=privacy["customer_epsilon"], delta=privacy["delta"], overlap=privacy["overlap"]
        ),
        _("noise {noise_form}, honest shares counted on: {honest_shares}").format(**privacy),
    ]
    lines.append(released(figures))
    lines += [_own(each) for each in result["own"]]
    if result["unresolved"]:
        lines.append(
            _("hidden by the noise, so all customers have the same points: {names}").format(
                names=_(", ").join(result["unresolved"])
            )
        )
    if result["unfinished"]:
        lines.append(_("ended early, at the stage {stage}").format(stage=result["unfinished"]))
    if result["absent"]:
        lines.append(_("absent: {names}").format(names=_(", ").join(result["absent"])))
    return lines
