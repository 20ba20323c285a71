"""A study from offer to model: join, agree on a roster, sum round by round, release.

The coordinator sees key messages, echoes and masked words, and of each round the noisy sum. It asks again, with a
new attempt, when a holder fails to answer; the attempt before is void and stays charged. No reply is believed
before its signature, its binding to study, run, round and attempt, and its shape have been checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ringfence.models.evaluation import Evaluated
from ringfence.models.metrics.noisy import NoisyFigures
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, RingfenceError, WaistError
from ringfence.privacy.journal import listed
from ringfence.privacy.secagg.keys import KeyMessage
from ringfence.privacy.secagg.masks import sum_words
from ringfence.privacy.secagg.roster import RosterEcho, roster_hash, verify_echo
from ringfence.privacy.secagg.wordsize import check_range, choose_word_bits, sum_bound
from ringfence.privacy.waist import Aggregate, IntVector, MaskedUpdate, Query, split_blocks
from ringfence.privacy.wire.control import RosterCall, RoundCall, open_message, seal_message
from ringfence.privacy.wire.envelope import Expected, MessageKind, open_envelope
from ringfence.privacy.wire.heads import LedgerHead, verify_head
from ringfence.privacy.wire.payload import MAX_ENTRIES, decode_update
from ringfence.server.coordinator import COORDINATOR, Coordinator, OpenStudy
from ringfence.server.membership import Members, finish, offer
from ringfence.server.transport import Transport

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a study ends with.

    Attributes:
        result: the task's model, e.g. a scorecard.
        figures: of the model's quality, noisy; None for a study without a test part.
        digest: its digest, as the log and the holders have it.
        holders: names of the holders in the last sum.
        absent: names of the holders that did not join or dropped out.
        attempts: attempts spent on each round.
    """

    result: object
    figures: NoisyFigures | None
    digest: str
    holders: tuple[str, ...]
    absent: tuple[str, ...]
    attempts: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class _Roster:
    """The roster in force and its echoes; a new one is agreed when membership changes."""

    number: int = -1
    members: Mapping[str, KeyMessage] = field(default_factory=dict)
    echoes: tuple[RosterEcho, ...] = ()


def run_study(
    coordinator: Coordinator, opened: OpenStudy, transport: Transport, progress: Progress = lambda *_: None
) -> Release:
    """Run a signed study over a transport.

    Args:
        coordinator: who runs it.
        opened: the signed study.
        transport: reaches the holders.
        progress: told (rounds done, rounds in all, name of the round).

    Raises:
        WaistError: too few holders joined or stayed, or a round failed in all its attempts.
    """
    members = offer(coordinator, opened, transport)
    try:
        return _run(coordinator, opened, transport, members, progress)
    except WaistError:
        # The holders close their reservations; nothing is released.
        finish(coordinator, opened, transport, members, None)
        raise


def _run(
    coordinator: Coordinator, opened: OpenStudy, transport: Transport, members: Members, progress: Progress
) -> Release:
    _require(opened, members)
    roster, attempts = _Roster(), list[int]()
    state, step = opened.task.start(opened.context)
    rounds = opened.plan.rounds
    while isinstance(step, Query):
        progress(step.round, len(rounds), rounds[step.round].name)
        aggregate, spent = _round(coordinator, opened, transport, members, roster, step)
        attempts.append(spent)
        state, step = opened.task.step(opened.context, state, aggregate)
    progress(len(rounds), len(rounds), "release")
    model, figures = (step.model, step.figures) if isinstance(step, Evaluated) else (step, None)
    digest = model.digest()
    coordinator.log.record(
        "model.released",
        "allow",
        resource=f"study:{opened.digest}",
        public={"model": digest, "run": opened.run, "holders": listed(members.keys)},
    )
    finish(coordinator, opened, transport, members, digest)
    return Release(
        result=model,
        figures=figures,
        digest=digest,
        holders=tuple(sorted(members.keys)),
        absent=tuple(sorted(members.absent)),
        attempts=tuple(attempts),
    )


def _require(opened: OpenStudy, members: Members) -> None:
    """Refuse to go on with fewer holders than the study needs."""
    needed = opened.study.privacy.min_holders
    if len(members.keys) < max(needed, 2):
        raise WaistError(
            "RF-W200",
            N_("{count} of the study's holders take part, {needed} are needed; absent: {absent}. Their own people "
               "can see why with: ringfence-client log."),
            count=len(members.keys),
            needed=max(needed, 2),
            absent=", ".join(sorted(members.absent)) or "-",
        )  # fmt: skip


def _round(
    coordinator: Coordinator,
    opened: OpenStudy,
    transport: Transport,
    members: Members,
    roster: _Roster,
    query: Query,
) -> tuple[Aggregate, int]:
    """Attempt a round until all of a roster answer, or its attempts are used up."""
    for attempt in range(opened.plan.max_attempts):
        if set(roster.members.values()) != set(members.keys.values()):
            _agree(opened, coordinator, transport, members, roster, query.round, attempt)
        coordinator.log.record(
            "round.opened",
            "allow",
            resource=f"study:{opened.digest}",
            public={"run": opened.run, "round": query.round, "attempt": attempt, "query": query.digest().hex(),
                    "roster": listed(members.keys)},
        )  # fmt: skip
        updates = _collect(coordinator, opened, transport, roster, query, attempt)
        missing = set(roster.members) - set(updates)
        if not missing:
            try:
                return _sum(coordinator, opened, query, attempt, roster, updates), attempt + 1
            except WaistError:
                missing = set()
        _void(coordinator, opened, query, attempt, missing)
        members.lose(missing)
        # A holder that was restarted publishes a new key when it is asked again.
        offer(coordinator, opened, transport, members, names=missing)
        _require(opened, members)
        roster.members = {}
    raise WaistError(
        "RF-W201",
        N_("Round {round} failed in all its {attempts} attempts; the study stops, and no model is released."),
        round=opened.plan.rounds[query.round].name,
        attempts=opened.plan.max_attempts,
    )


def _agree(
    opened: OpenStudy,
    coordinator: Coordinator,
    transport: Transport,
    members: Members,
    roster: _Roster,
    round_index: int,
    attempt: int,
) -> None:
    """Number a new roster and gather every member's echo of it; members that stay silent leave."""
    while True:
        roster.number += 1
        call = RosterCall(
            number=roster.number, round=round_index, attempt=attempt, members=tuple(members.keys.values())
        )
        replies = transport.exchange(
            {name: _seal(coordinator, opened, call, name, round_index, attempt) for name in members.keys}
        )
        digest = roster_hash(
            members.keys.values(), study=opened.digest, run=opened.run, number=roster.number
        )
        echoes = {}
        for name, data in replies.items():
            try:
                _, echo = open_message(
                    RosterEcho,
                    data,
                    senders={name: opened.participants[name]},
                    study=opened.digest,
                    run=opened.run,
                    recipient=COORDINATOR,
                    round=round_index,
                    attempt=attempt,
                )
                echoes[name] = verify_echo(
                    echo,
                    opened.participants[name],
                    study=opened.digest,
                    run=opened.run,
                    number=roster.number,
                    roster=digest,
                )
            except RingfenceError:
                # Whoever does not echo the roster it was shown leaves; the others go on under a new one.
                continue
        silent = set(members.keys) - set(echoes)
        if not silent:
            roster.members, roster.echoes = dict(members.keys), tuple(echoes[n] for n in sorted(echoes))
            return
        members.lose(silent)
        _require(opened, members)


def _collect(
    coordinator: Coordinator,
    opened: OpenStudy,
    transport: Transport,
    roster: _Roster,
    query: Query,
    attempt: int,
) -> dict[str, MaskedUpdate]:
    """Masked words of the members that answered properly."""
    call = RoundCall(number=roster.number, echoes=roster.echoes, query=query)
    replies = transport.exchange(
        {name: _seal(coordinator, opened, call, name, query.round, attempt) for name in roster.members}
    )
    lengths = opened.task.lengths(opened.context, query)
    bits = word_bits(opened, query.round)
    updates: dict[str, MaskedUpdate] = {}
    heads: dict[PublicIdentity, LedgerHead] = {}
    for name, data in replies.items():
        expect = Expected(
            kind=MessageKind.MASKED_UPDATE,
            study=opened.digest,
            run=opened.run,
            recipient=COORDINATOR,
            round=query.round,
            attempt=attempt,
        )
        try:
            envelope = open_envelope(
                data, senders={name: opened.participants[name]}, expect=expect, max_bytes=MAX_ENTRIES * 8
            )
            update, head = decode_update(envelope, length=sum(lengths.values()), word_bits=bits)
            heads[opened.participants[name]] = verify_head(head, opened.participants[name])
            updates[name] = update
        except RingfenceError:
            continue
    coordinator.registry.spent(heads)
    return updates


def word_bits(opened: OpenStudy, round_index: int) -> int:
    """Word size of a round, from the plan and the participants' declarations."""
    return choose_word_bits(
        opened.plan.rounds[round_index], [holder.max_customers for holder in opened.study.holders]
    )


def _sum(
    coordinator: Coordinator,
    opened: OpenStudy,
    query: Query,
    attempt: int,
    roster: _Roster,
    updates: Mapping[str, MaskedUpdate],
) -> Aggregate:
    """Unmask by adding, check the range, and split into the plan's blocks."""
    bound = sum_bound(
        opened.plan.rounds[query.round], [holder.max_customers for holder in opened.study.holders]
    )
    total: IntVector = check_range(sum_words(list(updates.values()), members=roster.members), bound)
    lengths = opened.task.lengths(opened.context, query)
    ordered = {block.name: lengths[block.name] for block in opened.plan.rounds[query.round].blocks}
    coordinator.log.record(
        "aggregate.received",
        "allow",
        resource=f"study:{opened.digest}",
        public={"run": opened.run, "round": query.round, "attempt": attempt, "roster": listed(updates)},
    )
    return Aggregate(round=query.round, holders=len(updates), blocks=dict(split_blocks(total, ordered)))


def _void(
    coordinator: Coordinator, opened: OpenStudy, query: Query, attempt: int, missing: set[str]
) -> None:
    coordinator.log.record(
        "attempt.voided",
        "error",
        resource=f"study:{opened.digest}",
        public={"run": opened.run, "round": query.round, "attempt": attempt, "missing": listed(missing)},
    )


def _seal(
    coordinator: Coordinator,
    opened: OpenStudy,
    message: RosterCall | RoundCall,
    recipient: str,
    round_index: int,
    attempt: int,
) -> bytes:
    return seal_message(
        coordinator.identity,
        message,
        study=opened.digest,
        run=opened.run,
        sender=COORDINATOR,
        recipient=recipient,
        round=round_index,
        attempt=attempt,
    )
