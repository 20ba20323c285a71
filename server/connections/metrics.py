"""What a coordinator's serving process shows to those who watch its machines.

Invariant: nothing shown tells how long a holder computed, which grows with its rows: no times, sizes or
    counts of messages, and a holder's last contact to half a minute. No study is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ringfence.privacy.command_line.listening import Page
from ringfence.server.connections.admissions import Admissions
from ringfence.server.connections.vitals import Vitals

STATES = ("running", "released", "ended")


@dataclass(slots=True, kw_only=True, eq=False)
class CoordinatorMetrics(Collector):
    """The metrics of `ringfence-server serve`.

    Attributes:
        vitals: of the process.
        admissions: who is let in.
        runs: how many runs of studies there are, by state.
        expires: ends of validity of the gateway's own certificates, by name.
    """

    vitals: Vitals
    admissions: Admissions
    runs: Callable[[], Counter[str]]
    expires: Callable[[], dict[str, datetime]]

    def page(self) -> Page:
        """All of them, in the text format of Prometheus."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return Page(body=generate_latest(registry), kind=CONTENT_TYPE_LATEST)

    def collect(self) -> Iterator[Metric]:
        """Those of this moment."""
        info = GaugeMetricFamily("ringfence_build_info", "The version that runs.", labels=["version"])
        info.add_metric([version("ringfence")], 1)
        yield info
        for name, text, value in (
            ("ringfence_gateway_up", "1 while holders can connect.", self.vitals.door),
            ("ringfence_link_up", "1 while Flower's link behind the gateway runs.", self.vitals.link),
        ):
            yield GaugeMetricFamily(name, text, value=float(value))
        yield CounterMetricFamily(
            "ringfence_link_restarts",
            "How often the link ended and was started again.",
            value=self.vitals.restarts,
        )
        refusals = CounterMetricFamily(
            "ringfence_gateway_refusals", "Requests that the gateway refused, by status.", labels=["status"]
        )
        for status, count in sorted(self.vitals.refusals.items()):
            refusals.add_metric([str(status)], count)
        yield refusals
        yield from self._of_holders()
        runs = GaugeMetricFamily(
            "ringfence_runs", "Runs of studies in the store, by state.", labels=["state"]
        )
        found = self.runs()
        for state in STATES:
            runs.add_metric([state], found[state])
        yield runs

    def _of_holders(self) -> Iterator[Metric]:
        admitted = self.admissions.newest()
        yield GaugeMetricFamily(
            "ringfence_holders_admitted",
            "Holders that may connect.",
            value=len(admitted),
        )
        contact = GaugeMetricFamily(
            "ringfence_holder_last_contact_timestamp_seconds",
            "When a holder was heard of last, rounded down to half a minute; 0 if never.",
            labels=["holder"],
        )
        ends = GaugeMetricFamily(
            "ringfence_certificate_expiry_timestamp_seconds",
            "When a certificate ends.",
            labels=["certificate"],
        )
        for name, until in self.expires().items():
            ends.add_metric([name], until.timestamp())
        for each in admitted:
            contact.add_metric([each.holder], self.vitals.heard.get(each.identity, 0))
            ends.add_metric([f"holder:{each.holder}"], datetime.fromisoformat(each.until).timestamp())
        yield contact
        yield ends
