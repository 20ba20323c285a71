"""What has to be true of a study, whoever was killed in it: nothing acknowledged is lost, nothing sent is
unpaid, the model is the one its sums make, and every party has come to an end or says what people have to do.

What is compared with was seen outside of the processes that died. The sums are made anew from tables of
holders whom nobody killed.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from killing.ground import Ground
from killing.lives import COORDINATOR, asked_of
from killing.watching import read_told

from ringfence.audit.log import AuditLog
from ringfence.audit.verification.verify import verify_bundle
from ringfence.clients import gate, joining, pipeline
from ringfence.clients.holder import Holder
from ringfence.clients.pipeline import Admitted, Joined
from ringfence.models.task import Released
from ringfence.privacy.ledger.entries import COHORT_ROUND, Charged
from ringfence.privacy.waist import Aggregate, IntVector, Query, split_blocks
from ringfence.server.records.released_sums import ReleasedSum
from ringfence.server.records.runs import RunStore


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found of one study.

    Attributes:
        lost: acknowledged events that the logs do not hold, and logs that do not verify.
        unpaid: values that left and were not charged.
        wrong: sums and models that are not what they should be.
        unended: parties that neither ended nor said what has to be done.
        unheard: holders that were away at the farewell: the run stays open there, and their people see it.
    """

    lost: list[str] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing of what must not happen happened."""
        return not (self.lost or self.unpaid or self.wrong or self.unended)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    """What the coordinator's store holds of the run at the end."""

    run: str
    ended: bool
    outcome: str
    model: str
    sums: Mapping[int, ReleasedSum]


def examine(ground: Ground, told: Path, digest: str, refusals: list[tuple[str, str]]) -> Findings:
    """Look at all stores of a study that came to its end.

    Args:
        ground: the study.
        told: what its processes told of themselves.
        digest: of the model that `study run` named; nothing where it refused.
        refusals: what it said then.
    """
    found = Findings()
    seen = read_told(told)
    left: _Left = asked_of(lambda: _left(ground))
    found.lost += asked_of(lambda: _logs(ground, seen))
    for name in ground.names:
        sent = {(line[2], line[3]) for line in seen if line[:2] == ["sent", name]}
        unpaid, wrong, heard = asked_of(lambda name=name, sent=sent: _holder(ground, left, name, sent))
        found.unpaid += unpaid
        found.wrong += wrong
        found.unheard += [] if heard else [name]
    if not left.ended and not refusals:
        found.unended.append(f"{COORDINATOR}: outcome {left.outcome or '-'}, not ended, and nothing was said")
    if left.outcome != "released" and not refusals:
        found.unended.append(f"{COORDINATOR}: no model ({left.outcome}), and nothing was said")
    found.wrong += _model(ground, left, digest)
    return found


def _left(ground: Ground) -> _Left:
    opened = ground.federation.opened
    kept = RunStore(ground.coordinator().registry.engine).find(opened)
    assert kept is not None
    standing = ground.coordinator().log.events(action="study.finished", resource=f"study:{opened.digest}")
    ended = any(each.event.public.get("run") == kept.run for each in standing)
    return _Left(run=kept.run, ended=ended, outcome=kept.outcome, model=kept.model, sums=kept.sums)


def _logs(ground: Ground, seen: list[list[Any]]) -> list[str]:
    """Acknowledged events that are not there, and what does not verify."""
    logs: dict[str, AuditLog] = {name: ground.holder(name).log for name in ground.names}
    logs[COORDINATOR] = ground.coordinator().log
    lost: list[str] = []
    for name, log in logs.items():
        log.check()
        leaves = {each.seq: each.leaf.hex() for each in log.events()}
        acknowledged = {line[2]: line[3] for line in seen if line[:2] == ["event", name]}
        lost += [
            f"{name}: event {number}" for number in acknowledged if leaves.get(number) != acknowledged[number]
        ]
    bundle = ground.folder / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    (bundle / "holders").mkdir(parents=True)
    for name, log in logs.items():
        log.export_bundle(bundle / (COORDINATOR if name == COORDINATOR else f"holders/{name}"))
    try:
        verify_bundle(bundle)
    except Exception as error:  # whatever is found there
        lost.append(f"the bundle of logs: {error}")
    return lost


def _holder(
    ground: Ground, left: _Left, name: str, sent: set[tuple[int, int]]
) -> tuple[list[str], list[str], bool]:
    """What one holder has not paid, what it believes wrongly, and whether it heard the end."""
    holder, opened = ground.holder(name), ground.federation.opened
    charges = [entry.record for entry in holder.ledger.entries() if isinstance(entry.record, Charged)]
    paid = [(each.round, each.attempt) for each in charges if each.run == left.run]
    unpaid = [f"{name}: round {r} attempt {a}" for r, a in sorted(sent - set(paid))]
    unpaid += [f"{name}: charged twice {each}" for each in sorted(set(paid)) if paid.count(each) > 1]
    counted = [each for each in paid if each[0] == COHORT_ROUND]
    if sent and len(counted) != 1:
        unpaid.append(f"{name}: the cohort was counted {len(counted)} times")
    plan = opened.plan
    worth = sum(plan.rounds[r].mu_squared(plan.honest) for r, _ in sent)
    worth += plan.cohort.mu_squared(1) if sent else 0
    if float(holder.ledger.charged().mu_squared) < worth * (1 - 1e-9):
        unpaid.append(f"{name}: charged {holder.ledger.charged().mu_squared}, sent {worth}")
    ends = [
        each.event.public.get("model")
        for each in holder.log.events(action="study.finished", resource=f"study:{opened.digest}")
    ]
    wrong = [f"{name}: ended {len(ends)} times"] if len(ends) > 1 else []
    wrong += [f"{name}: believes {model}" for model in ends if (model or "") != left.model]
    known = holder.participations.find(opened.digest, left.run)
    heard = bool(ends) or (known is None and not holder.ledger.reservations())
    if heard and holder.ledger.reservations():
        unpaid.append(f"{name}: a reservation is open after the end")
    if known is not None and known.ended != bool(ends):
        wrong.append(f"{name}: its participation and its log disagree on the end")
    return unpaid, wrong, heard


def _model(ground: Ground, left: _Left, digest: str) -> list[str]:
    """The sums and the model, made anew."""
    opened = ground.federation.opened
    task, context = opened.task, opened.context
    state, step = task.start(context)
    while isinstance(step, Query):
        kept = left.sums.get(step.round)
        if kept is None:
            return [] if left.outcome != "released" else [f"round {step.round} has no sum"]
        expected = _sum(ground, left.run, step, kept.names)
        for name, block in expected.blocks.items():
            if not np.array_equal(block, kept.aggregate.blocks[name]):
                return [f"round {step.round}: the sum of {', '.join(kept.names)} is another"]
        state, step = task.step(context, state, expected)
    model: Released = getattr(step, "model", step)
    if left.outcome != "released":
        return []
    said = {model.digest(), left.model, *([digest] if digest else [])}
    return [] if len(said) == 1 else [f"models {sorted(said)}"]


def _sum(ground: Ground, run: str, query: Query, names: tuple[str, ...]) -> Aggregate:
    opened = ground.federation.opened
    total: IntVector = sum(_vector(ground, run, query, name) for name in names)  # type: ignore[assignment]
    lengths = opened.task.lengths(opened.context, query)
    ordered = {block.name: lengths[block.name] for block in opened.plan.rounds[query.round].sent}
    return Aggregate(round=query.round, holders=len(names), blocks=dict(split_blocks(total, ordered)))


_VECTORS: dict[tuple[str, str, bytes], IntVector] = {}
_JOINED: dict[tuple[str, str], tuple[Holder, Joined]] = {}


def _vector(ground: Ground, run: str, query: Query, name: str) -> IntVector:
    """A holder's noisy vector, by one that nobody killed."""
    opened = ground.federation.opened
    known = (opened.digest, name, query.digest())
    if known not in _VECTORS:
        if (opened.digest, name) not in _JOINED:
            holder = ground.untouched(name)
            admitted = Admitted(
                study=opened.study,
                digest=opened.digest,
                run=run,
                context=opened.context,
                task=opened.task,
                plan=opened.plan,
                obligations=pipeline.allowed_now(holder, opened.study),
                approvals=(),  # joining asks for none: admitting counted them
            )
            _JOINED[opened.digest, name] = (holder, joining.join(holder, admitted))
        holder, joined = _JOINED[opened.digest, name]
        answer = pipeline.contribute(holder, joined, query)
        _VECTORS[known] = gate.with_noise(holder, joined, answer)
    return _VECTORS[known]
