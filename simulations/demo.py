"""The main job: bank, retailer and partner of one generated city learn a churn scorecard together.

Everything on the path is real: files, consent records, contracts, two approvers' key files a holder, ledgers
and logs on disk, secure sums, discrete noise, the export gate. Only the people are generated.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.clients import exporting
from ringfence.clients.holder import Holder
from ringfence.models.features import encode_rows
from ringfence.models.pages.svg import require_drawing
from ringfence.models.releasing import release_result
from ringfence.models.task import with_offset
from ringfence.privacy.agreements.contract import load_contract
from ringfence.privacy.agreements.study import load_study, positive_category
from ringfence.privacy.command_line.terminal import Terminal, require_writable
from ringfence.privacy.consent.snapshot import members
from ringfence.privacy.errors import N_, UsageError, _
from ringfence.privacy.release import Artefact, ColumnRule, ExportGate, ExportRefused
from ringfence.server.release.gate import export_gate
from ringfence.simulations.federation import Federation, Outcome, result_of
from ringfence.simulations.parties import HolderKeys, Site
from ringfence.simulations.populations.city import Population, generate, write_population
from ringfence.simulations.populations.files import CODINGS
from ringfence.simulations.populations.structure import HOLDER_PROFILES
from ringfence.simulations.reporting import pages, run_facts
from ringfence.simulations.running import export_logs, run_with_progress
from ringfence.simulations.summary import exact, released
from ringfence.simulations.unsplit_rows import UnsplitRows

# Made-up people, as everybody in the demo is.
APPROVERS = {
    "bank": ("Chen Jing", "Omar Haddad"),
    "retailer": ("Lin Fang", "Sofia Rossi"),
    "partner": ("Wu Hao", "Emma Olsen"),
}
SAMPLE_OF = "bank"
SAMPLE_ROWS = 200
MARKER = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """One run of the demo while it is being built, out of sight until it is whole."""

    folder: Path
    population: Population
    federation: Federation
    outcome: Outcome
    holders: Mapping[str, Holder]
    result: dict[str, Any]

    @property
    def resource(self) -> str:
        return f"study:{self.federation.opened.digest}"


def run_demo(out: Path, *, seed: int, runner: str, terminal: Terminal) -> int:
    """Run the demo and put its folder in place when it is whole; an earlier demo there is replaced.

    Raises:
        UsageError: something else stands at `out`, or RF-U640 charts cannot be drawn.
    """
    require_drawing()
    if out.exists() and not (out / MARKER).is_file():
        raise UsageError(
            "RF-U343",
            N_("{folder} exists and is not an earlier demo; name another folder with --out."),
            folder=str(out),
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    require_writable(out)
    with tempfile.TemporaryDirectory(prefix=".ringfence-demo-", dir=out.parent) as name:
        folder = Path(name) / "demo"
        folder.mkdir()
        stage = _run(folder, seed, runner, terminal)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    terminal.write_json(stage.result)
    for line in _story(stage, out):
        terminal.say(line)
    return 0


def _run(folder: Path, seed: int, runner: str, terminal: Terminal) -> _Stage:
    terminal.say(_("Generating three holders of one city ..."))
    population = generate(seed)
    write_population(population, folder / "data")
    schema, sites, keys = None, {}, {}
    for name in HOLDER_PROFILES:
        loaded = load_contract(folder / "data" / f"contract-{name}.toml")
        schema = loaded.schema
        sites[name] = Site(
            contract=loaded.contract, base=folder / "data", consent=folder / "data" / f"{name}-consent.csv"
        )
        HolderKeys.make().save(folder / "keys" / name)
        keys[name] = HolderKeys.load(folder / "keys" / name)
    assert schema is not None
    study = load_study(folder / "data" / "study.toml", [schema])
    with tempfile.TemporaryDirectory(prefix="ringfence-") as stores:
        federation = Federation.make(study, schema, sites, profile="durable", folder=Path(stores), keys=keys)
        terminal.say(_("Learning together ..."))
        outcome, holders = run_with_progress(federation, runner, terminal)
        rows = {name: len(frame) for name, frame in population.frames.items()}
        result = result_of(federation, outcome, rows=rows, runner=runner)
        stage = _Stage(
            folder=folder,
            population=population,
            federation=federation,
            outcome=outcome,
            holders=holders,
            result=result,
        )
        _release(stage)
        export_logs(federation, holders, folder / "audit-bundle")
    return stage


def _release(stage: _Stage) -> None:
    """Let out what people get, through the export gate of whoever holds it."""
    study = stage.federation.opened.study
    epsilon = study.privacy.epsilon
    gate = export_gate(stage.federation.coordinator, epsilon)
    release_result(
        stage.outcome.card, stage.folder / "model", gate=gate, epsilon=epsilon, resource=stage.resource
    )
    stage.result["planted_leak"] = _try_to_leak(stage)
    _release_sample(stage)
    facts = run_facts(stage.federation, stage.outcome, stage.holders, stage.result, people=APPROVERS)
    for page in pages(facts, epsilon=epsilon, resource=stage.resource):
        gate.release(page, stage.folder)
    figures = Artefact(
        name=MARKER,
        kind="json",
        content=json.dumps(stage.result, indent=1, ensure_ascii=False).encode(),
        epsilon=epsilon,
        resource=stage.resource,
    )
    gate.release(figures, stage.folder)


def _try_to_leak(stage: _Stage) -> str:
    """Offer unmasked service notes as if they were clean; the gate must refuse, and its code is returned."""
    notes = stage.population.notes[SAMPLE_OF].head(SAMPLE_ROWS)[["note"]]
    artefact = Artefact(
        name="notes.csv",
        kind="csv",
        content=notes,
        columns=(ColumnRule(name="note", sensitivity="plain"),),
        resource=stage.resource,
    )
    try:
        _holder_gate(stage).release(artefact, stage.folder)
    except ExportRefused as refusal:
        return refusal.code
    raise UsageError(
        "RF-U344", N_("The planted leak passed the export gate; nothing of this run is released.")
    )


def _release_sample(stage: _Stage) -> None:
    """Scored customers of one holder whose consent to the purpose stands: no key, service notes masked."""
    frame = _scored(stage).head(SAMPLE_ROWS)
    artefact = Artefact(
        name="scored-sample.csv",
        kind="csv",
        content=frame,
        masking="presidio",
        columns=tuple(ColumnRule(name=str(name), sensitivity="plain") for name in frame.columns),
        resource=stage.resource,
    )
    _holder_gate(stage).release(artefact, stage.folder)


def _holder_gate(stage: _Stage) -> ExportGate:
    """The export gate of the holder that the sample comes from; it knows its customers' names and keys."""
    identity = CODINGS[SAMPLE_OF].identity
    table = stage.population.frames[SAMPLE_OF]
    names = [
        str(name) for column in ("name", "name_en") if column in identity for name in table[identity[column]]
    ]
    return exporting.export_gate(
        stage.holders[SAMPLE_OF],
        stage.federation.keys[SAMPLE_OF].registry,
        keys=stage.population.shared[SAMPLE_OF]["key"],
        names=names,
        formulas="neutralise",
    )


def _scored(stage: _Stage) -> pd.DataFrame:
    """Points, probability and note of customers with a note whose consent stands, keys dropped."""
    opened, table = stage.federation.opened, stage.population.shared[SAMPLE_OF]
    notes = stage.population.notes[SAMPLE_OF]
    rows = table.merge(notes, on="key", how="inner")
    rows = rows[_consenting(stage, rows["key"])].reset_index(drop=True)
    study, schema = opened.study, stage.federation.schema
    coded = encode_rows(
        UnsplitRows(rows), schema, study.features or (), study.label or "", positive_category(study, schema)
    )
    features = with_offset(study, SAMPLE_OF, coded)
    scores = stage.outcome.card.predict(opened.context, features)
    return scores.round(4).assign(language=rows["language"], note=rows["note"])


def _consenting(stage: _Stage, keys: pd.Series[str]) -> npt.NDArray[np.bool_]:
    """Which customers' consent to the study's purpose stands at this moment, by the holder's own registry.

    The notes are texts about people, so the separate consent to sensitive data is asked for too.
    """
    holder, purpose = stage.holders[SAMPLE_OF], stage.federation.opened.study.purpose
    eligible = holder.registry.eligible(purpose, holder.clock(), separate=("sensitive-data",))
    return members(eligible, holder.registry.indices(keys.tolist()))


def _story(stage: _Stage, out: Path) -> list[str]:
    """What happened, in ten lines, and the next command to try."""
    result, privacy = stage.result, stage.result["privacy"]
    return [
        _("Three organisations learned one churn model; no customer row left any of them."),
        _("  {rows} customers, {rounds} secure sums, {seconds} s with ledgers and logs on disk").format(
            **result
        ),
        _("  model: {released}; {exact}").format(
            released=released(stage.outcome.release.figures), exact=exact(result)
        ),
        _(
            "  privacy: epsilon {customer_epsilon} for a customer over all holders, delta {delta}, overlap "
            "{overlap}; each holder was charged epsilon {holder_epsilon}"
        ).format(**privacy),
        _(
            "  noise: honest shares counted on against the coordinator with one more holder: {honest_shares}"
        ).format(**privacy),
        _("  export gate: unmasked notes were refused ({code}); a masked sample was released").format(
            code=result["planted_leak"]
        ),
        _("  report: {path} (Chinese: {zh})").format(path=out / "report.html", zh=out / "report-zh.html"),
        _("  model: {model}; figures: {figures}; sample: {sample}").format(
            model=out / "model", figures=out / MARKER, sample=out / "scored-sample.csv"
        ),
        _("  the holders' tables, consent records and contracts: {path}").format(path=out / "data"),
        _("Next: ringfence-audit verify {path}").format(path=out / "audit-bundle"),
    ]
