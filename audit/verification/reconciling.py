"""Two logs side by side: what a holder and its coordinator say of the same run must be said by both.

An event that was never written cannot be found in one log; its pair in another log shows that it is missing.
A claim of the coordinator about a holder that the holder's log does not hold is a contradiction. A claim of
the holder that the coordinator's log does not hold is one-sided: a lost message looks the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ringfence.audit import bundle
from ringfence.audit.canonical import Json
from ringfence.audit.errors import N_, BundleError, _
from ringfence.audit.events import Event, parse_event
from ringfence.audit.merkle import leaf_hash
from ringfence.audit.verification.folders import find_logs
from ringfence.audit.verification.losses import loss_event
from ringfence.audit.verification.verify import examine_bundle

SENT, JOINED, WITNESSED, ENDED, INTENDED = "sent", "joined", "witnessed", "ended", "intended"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PairedClaim:
    """One thing that both sides have to say.

    Attributes:
        run: id of the run.
        holder: whose part in it.
        what: `SENT`, `JOINED`, `WITNESSED`, `ENDED` or `INTENDED`.
        detail: digest of the message, of the model or of the intent's event; empty for a join.
    """

    run: str
    holder: str
    what: str
    detail: str


@dataclass(slots=True, kw_only=True)
class Said:
    """What one log says.

    Attributes:
        organisation: who runs the log.
        origin: name of the log.
        coordinated: runs that it conducted.
        joined: runs that it took part in.
        claims: of a holder about itself, or of a coordinator about holders, with the event's number.
        models: what a coordinator released, by run.
        hubs: runs by the log of their coordinator, as a holder names it.
        intended: of a coordinator: leaves of all intents, by run.
        withdrawn: of a coordinator: models of the intents that were withdrawn, by run.
        witnessed: of a holder: leaf of each intent that it witnessed and its run, with the event's number.
        lost: states that were lost of this log (under no name) and of others, as its own events say.
        seen: of a holder: under which state of the coordinator's log it witnessed, by the event's number.
    """

    organisation: str = ""
    origin: str = ""
    coordinated: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)
    claims: dict[PairedClaim, int] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    hubs: dict[str, set[str]] = field(default_factory=dict)
    intended: dict[str, set[str]] = field(default_factory=dict)
    withdrawn: dict[str, set[str]] = field(default_factory=dict)
    witnessed: dict[tuple[str, str], int] = field(default_factory=dict)
    lost: dict[str, set[tuple[int, str]]] = field(default_factory=dict)
    seen: dict[int, tuple[int, str]] = field(default_factory=dict)

    def take(self, number: int, event: Event, leaf: bytes) -> None:
        """Take note of an event; `leaf` is its leaf hash."""
        self.organisation = self.organisation or event.organisation
        self.origin = self.origin or event.source.rpartition("#")[0]
        run = event.public.get("run")
        if (found := loss_event(event, number)) is not None:
            states = {(state.size, state.root.hex()) for state in found.loss.lost}
            self.lost.setdefault(found.origin, set()).update(states)
        if not isinstance(run, str) or event.outcome == "deny":
            return
        self._intents(run, number, event, "sha256:" + leaf.hex())
        if isinstance(hub := event.public.get("coordinator_log"), str):
            self.hubs.setdefault(hub, set()).add(run)
        for claim in (*self._as_coordinator(run, event), *self._as_holder(run, event)):
            self.claims.setdefault(claim, number)

    def _intents(self, run: str, number: int, event: Event, leaf: str) -> None:
        public = event.public
        match event.action:
            case "release.intended":
                self.intended.setdefault(run, set()).add(leaf)
            case "release.withdrawn":
                self.withdrawn.setdefault(run, set()).add(str(public.get("model")))
            case "release.witnessed":
                if isinstance(size := public.get("size"), int):
                    self.seen[number] = (size, str(public.get("root")))
                if isinstance(intent := public.get("intent"), str):
                    self.witnessed.setdefault((run, intent), number)

    def _as_coordinator(self, run: str, event: Event) -> Iterator[PairedClaim]:
        public = event.public
        match event.action:
            case "study.offered" if "holders" in public:
                self.coordinated.add(run)
            case "study.joined" if "holder" in public:
                self.coordinated.add(run)
                yield PairedClaim(run=run, holder=str(public["holder"]), what=JOINED, detail="")
            case "round.answered":
                for each in _texts(public.get("received")):
                    name, _sign, digest = each.rpartition("=")
                    yield PairedClaim(run=run, holder=name, what=SENT, detail=digest)
            case "model.released":
                self.models[run] = str(public.get("model"))
                for name in _texts(public.get("witnesses")):
                    yield PairedClaim(run=run, holder=name, what=WITNESSED, detail=self.models[run])

    def _as_holder(self, run: str, event: Event) -> Iterator[PairedClaim]:
        public, own = event.public, self.organisation
        match event.action:
            case "study.joined" if "holder" not in public:
                self.joined.add(run)
                yield PairedClaim(run=run, holder=own, what=JOINED, detail="")
            case "waist.send":
                yield PairedClaim(run=run, holder=own, what=SENT, detail=str(public.get("sent")))
            case "release.witnessed":
                yield PairedClaim(run=run, holder=own, what=WITNESSED, detail=str(public.get("model")))
            case "study.finished" if "coordinator_log" in public and "model" in public:
                yield PairedClaim(run=run, holder=own, what=ENDED, detail=str(public["model"]))


def _texts(value: Json | None) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """A claim that one log makes alone.

    Attributes:
        claim: what is said.
        by: organisation whose log says it.
        number: of the event.
        missing: organisation whose log does not say it.
        contradicts: the coordinator says it of a holder whose log was kept at the time, or the holder
            witnessed what the coordinator's log does not hold.
        lost: it was in a part of the coordinator's log that was lost since.
    """

    claim: PairedClaim
    by: str
    number: int
    missing: str
    contradicts: bool
    lost: bool = False

    def sentence(self) -> str:
        """For people."""
        told = {
            SENT: _("message {detail} of {holder} in run {run}"),
            JOINED: _("{holder} joined run {run}"),
            WITNESSED: _("{holder} cosigned the release of {detail} in run {run}"),
            ENDED: _("run {run} ended for {holder} with the model {detail}"),
            INTENDED: _("{holder} witnessed the intent {detail} to release run {run}"),
        }[self.claim.what]
        claim = told.format(detail=self.claim.detail, holder=self.claim.holder, run=self.claim.run)
        said = _("{by}, event {number}: {claim}; {missing} does not say so.").format(
            by=self.by, number=self.number, claim=claim, missing=self.missing
        )
        lost = _("It stood in the part of that log that was lost.")
        return f"{said} {lost}" if self.lost else said


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What was compared and found.

    Attributes:
        runs: runs of which a coordinator's and a holder's log are here.
        pairs: claims that both sides make.
        findings: claims that one side makes alone.
        unpaired: organisations whose log has no counterpart here.
    """

    runs: int
    pairs: int
    findings: tuple[Unmatched, ...]
    unpaired: tuple[str, ...]

    @property
    def status(self) -> int:
        """Exit status: 0 all is said twice, 1 the logs contradict each other, 3 something is one-sided."""
        if any(found.contradicts for found in self.findings):
            return 1
        return 3 if self.findings else 0

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        return {
            "runs": self.runs,
            "pairs": self.pairs,
            "unpaired": list(self.unpaired),
            "findings": [
                {
                    "run": found.claim.run,
                    "holder": found.claim.holder,
                    "what": found.claim.what,
                    "detail": found.claim.detail,
                    "by": found.by,
                    "event": found.number,
                    "missing": found.missing,
                    "contradiction": found.contradicts,
                    "lost": found.lost,
                }
                for found in self.findings
            ],
        }


def reconcile_bundles(places: Sequence[Path]) -> Reconciled:
    """Compare the logs of bundles, each of which has to verify first.

    Raises:
        BundleError: RF-A240 a bundle is refused by `verify`, RF-A241 no coordinator's and holder's log of one
            run are here, RF-A242 two logs are of one organisation.
    """
    logs: list[Said] = []
    for place in places:
        report = examine_bundle(place)
        if report.verdict == "refused":
            raise BundleError(
                "RF-A240",
                N_("The bundle {place} does not verify ({fault}); logs are compared once they do."),
                place=place.name,
                fault=report.all_faults()[0].error,
            )
        logs += [_read(path) for _name, path in find_logs(place)]
    return reconcile(logs)


def reconcile(logs: Sequence[Said]) -> Reconciled:
    """Compare what logs say of the runs that they share.

    Raises:
        BundleError: RF-A241, RF-A242.
    """
    _require_distinct(logs)
    found, pairs, shared, paired = list[Unmatched](), 0, set[str](), set[str]()
    # A coordinator that lost its runs with the end of its log is still the one whom holders name.
    named = {origin for log in logs for origin in log.hubs}
    for hub in (log for log in logs if log.coordinated or log.origin in named):
        # Whoever conducted runs, or says so, may be a holder in others.
        for holder in (log for log in logs if log is not hub):
            theirs = _of(hub, hub.coordinated, holder.organisation)
            runs = hub.coordinated & holder.joined
            runs |= {claim.run for claim in theirs} | holder.hubs.get(hub.origin, set())
            ours = _of(holder, runs, holder.organisation)
            answered = {claim for claim in ours if claim in theirs or _answered(hub, claim)}
            shared |= runs
            paired |= {hub.organisation, holder.organisation} if runs else set()
            pairs += len(answered)
            found += [_alone(each, hub, holder, contradicts=True) for each in theirs if each not in ours]
            found += [_alone(each, holder, hub, contradicts=False) for each in ours if each not in answered]
            found += _unknown_intents(holder, hub, runs)
    if not shared:
        raise BundleError(
            "RF-A241",
            N_("These bundles hold no run with the logs of its coordinator and of a holder; give both."),
        )
    return Reconciled(
        runs=len(shared),
        pairs=pairs,
        findings=tuple(sorted(found, key=lambda each: (each.claim, each.by))),
        unpaired=tuple(sorted({log.organisation for log in logs} - paired)),
    )


def _read(path: Path) -> Said:
    said = Said()
    for number, line in enumerate(bundle.read_lines(path / "log.jsonl")):
        said.take(number, parse_event(line), leaf_hash(line))
    return said


def _require_distinct(logs: Iterable[Said]) -> None:
    seen = set[str]()
    for log in logs:
        if log.organisation in seen:
            raise BundleError(
                "RF-A242",
                N_("Two of the logs are of {organisation}; give each once."),
                organisation=log.organisation,
            )
        seen.add(log.organisation)


def _of(log: Said, runs: set[str], holder: str) -> dict[PairedClaim, int]:
    """What a log says of a holder in these runs."""
    return {
        claim: number for claim, number in log.claims.items() if claim.run in runs and claim.holder == holder
    }


def _answered(hub: Said, claim: PairedClaim) -> bool:
    """Whether a holder's end with a model is its release, or what it cosigned was withdrawn."""
    if claim.what == WITNESSED:
        return claim.detail in hub.withdrawn.get(claim.run, ())
    return claim.what == ENDED and hub.models.get(claim.run) == claim.detail


def _unknown_intents(holder: Said, hub: Said, runs: set[str]) -> Iterator[Unmatched]:
    """Intents that a holder witnessed and that the coordinator's log does not hold: a second one of the run.

    One that was lost with the end of that log is told as lost, and is no second one.
    """
    for (run, leaf), number in holder.witnessed.items():
        if run in runs and leaf not in hub.intended.get(run, ()):
            lost = _lost(holder, hub, number)
            claim = PairedClaim(run=run, holder=holder.organisation, what=INTENDED, detail=leaf)
            yield Unmatched(
                claim=claim,
                by=holder.organisation,
                number=number,
                missing=hub.organisation,
                contradicts=not lost,
                lost=lost,
            )


def _alone(claim: PairedClaim, by: Said, other: Said, *, contradicts: bool) -> Unmatched:
    number = by.claims[claim]
    return Unmatched(
        claim=claim,
        by=by.organisation,
        number=number,
        missing=other.organisation,
        contradicts=contradicts,
        lost=_lost(by, other, number),
    )


def _lost(holder: Said, hub: Said, number: int) -> bool:
    """Whether a holder saw, at an event, what the coordinator's log lost since; both logs say so."""
    state = holder.seen.get(number)
    return state in hub.lost.get("", ()) and state in holder.lost.get(hub.origin, ())
