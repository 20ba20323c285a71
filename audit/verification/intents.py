"""What one coordinator's log says of its releases: one intent of a run at a time, and a release of that one.

An intent stands until it is withdrawn. A second one beside it would let different holders witness different
releases of one run, so that a log that holds two contradicts itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ringfence.audit.errors import N_, EventError
from ringfence.audit.events import Event


@dataclass(slots=True, kw_only=True)
class IntentBook:
    """The intents of one log, read in the order of its events.

    Attributes:
        standing: number, leaf and model of the intent that stands, by run.
        withdrawn: leaf and model of those that were withdrawn, by run.
    """

    standing: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    withdrawn: dict[str, set[tuple[str, str]]] = field(default_factory=dict)

    def take(self, event: Event, number: int, leaf: bytes) -> None:
        """Take note of an event.

        Args:
            event: what it says.
            number: of the event.
            leaf: its leaf hash.

        Raises:
            EventError: RF-A260 a second intent, RF-A261 a withdrawal of what does not stand, RF-A262 a
                release of what is not intended.
        """
        run = event.public.get("run")
        if not isinstance(run, str) or event.outcome != "allow":
            return
        match event.action:
            case "release.intended":
                self._intended(run, number, "sha256:" + leaf.hex(), str(event.public.get("model")))
            case "release.withdrawn":
                self._withdrawn(run, number, str(event.public.get("intent")))
            case "model.released" if run in self.standing or run in self.withdrawn:
                self._released(run, number, event)

    def _intended(self, run: str, number: int, leaf: str, model: str) -> None:
        first = self.standing.get(run)
        if first is None:
            self.standing[run] = (number, leaf, model)
            return
        raise EventError(
            "RF-A260",
            N_(
                "Event {event} intends a second release of run {run}; the intent of event {first} was not "
                "withdrawn."
            ),
            event=number,
            run=run,
            first=first[0],
        )

    def _withdrawn(self, run: str, number: int, leaf: str) -> None:
        stands = self.standing.get(run)
        if stands is None or stands[1] != leaf:
            raise EventError(
                "RF-A261",
                N_("Event {event} withdraws an intent to release run {run} that does not stand."),
                event=number,
                run=run,
            )
        del self.standing[run]
        self.withdrawn.setdefault(run, set()).add((stands[1], stands[2]))

    def _released(self, run: str, number: int, event: Event) -> None:
        stands, entry = self.standing.get(run), event.public.get("entry")
        if stands is None or stands[2] != event.public.get("model") or entry not in {None, stands[0]}:
            raise EventError(
                "RF-A262",
                N_(
                    "Event {event} releases of run {run} what is not intended: its intent was withdrawn, or "
                    "is of another model."
                ),
                event=number,
                run=run,
            )
