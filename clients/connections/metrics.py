"""What a holder's process shows of itself on loopback: its connections, certificates, and its budget.

Invariant: nothing shown depends on rows. Left out are therefore counts of messages and rounds, sizes, times
    of answers, use of processor, memory and disk, and what the Python process tells of itself: how long a
    round computes grows with the number of rows, and who looks every second would see it. The budget is read
    once an hour, with what is reserved counted as spent, so that no charge of a round shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ringfence.clients.connections.contact import Contact
from ringfence.privacy.command_line.listening import Page
from ringfence.privacy.ledger import Ledger

_GRID = 30
"""Seconds to which a moment is rounded down."""
_HOUR = 3600


@dataclass(slots=True, kw_only=True, eq=False)
class HolderMetrics(Collector):
    """The metrics of `ringfence-client run`.

    Attributes:
        links: contact with the gateway and end of the certificate's validity, by federation.
        ledger: of the holder.
        clock: the moment, UTC.
        names: the federations of client.toml, also those that the process could not begin to serve so far.
    """

    links: Mapping[str, tuple[Contact, Callable[[], datetime]]]
    ledger: Ledger
    clock: Callable[[], datetime]
    names: Sequence[str] = ()
    _budget: tuple[int, float, bool] | None = field(default=None)

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
        connected, last, expiry = (
            GaugeMetricFamily(name, told, labels=["federation"])
            for name, told in (
                (
                    "ringfence_gateway_connected",
                    "1 while the coordinator's gateway answers this holder's heartbeats.",
                ),
                (
                    "ringfence_gateway_last_contact_timestamp_seconds",
                    "When the gateway answered a heartbeat last, rounded down to half a minute; 0 if never.",
                ),
                (
                    "ringfence_certificate_expiry_timestamp_seconds",
                    "When this holder's certificate of connections ends.",
                ),
            )
        )
        served = dict(self.links)  # a federation may be taken up at this moment
        for name in self.names:
            if name not in served:
                connected.add_metric([name], 0.0)
                last.add_metric([name], 0.0)
        for name, (contact, expires) in served.items():
            heard = contact.heard
            connected.add_metric([name], float(contact.connected))
            last.add_metric([name], 0.0 if heard is None else heard.timestamp() // _GRID * _GRID)
            with suppress(Exception):  # a file that cannot be read leaves out this figure, and no other
                expiry.add_metric([name], expires().timestamp())
        yield from (connected, last, expiry)
        left, frozen = self._hourly()
        yield GaugeMetricFamily(
            "ringfence_budget_left_mu_squared",
            "mu squared that no study has spent or reserved; read once an hour.",
            value=left,
        )
        yield GaugeMetricFamily(
            "ringfence_budget_frozen",
            "1 while the privacy budget is frozen; read once an hour.",
            value=float(frozen),
        )

    def _hourly(self) -> tuple[float, bool]:
        hour = int(self.clock().timestamp() // _HOUR)
        if self._budget is None or self._budget[0] != hour:
            left, frozen = float(self.ledger.left().mu_squared), bool(self.ledger.frozen())
            self._budget = (hour, left, frozen)
        return self._budget[1:]
