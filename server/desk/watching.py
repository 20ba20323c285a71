"""Metrics and probes of a process that serves, where server.toml asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime

from cryptography import x509

from ringfence.privacy.command_line.listening import Pages, listening, probes
from ringfence.server.config import Listener
from ringfence.server.connections.admissions import Admissions
from ringfence.server.connections.metrics import CoordinatorMetrics
from ringfence.server.connections.premises import GatewayFolder
from ringfence.server.connections.vitals import Vitals
from ringfence.server.desk.enrolling import gateway_folder
from ringfence.server.home import Office
from ringfence.server.records.run_standings import count_runs


@contextmanager
def watched(office: Office, vitals: Vitals, admissions: Admissions) -> Iterator[dict[str, int]]:
    """Show them for as long as the block runs.

    Yields:
        The ports, by section.

    Raises:
        RingfenceError: RF-U570 a port cannot be listened on.
    """
    folder, config = gateway_folder(office), office.settings.config
    metrics = CoordinatorMetrics(
        vitals=vitals,
        admissions=admissions,
        runs=lambda: count_runs(office.engine),
        expires=lambda: ends_of_certificates(folder),
    )
    wanted: Mapping[str, tuple[Listener | None, Pages]] = {
        "metrics": (config.metrics, {"/metrics": metrics.page}),
        "probes": (
            config.probes,
            probes(
                alive=lambda: vitals.alive,
                ready=lambda: (vitals.ready, {"gateway": vitals.door, "link": vitals.link}),
            ),
        ),
    }
    with ExitStack() as open_:
        yield {
            name: open_.enter_context(listening(pages, host=said.host, port=said.port, name=name))
            for name, (said, pages) in wanted.items()
            if said is not None
        }


def ends_of_certificates(folder: GatewayFolder) -> dict[str, datetime]:
    """When the certificates of authority, gateway and link end; those that are not made are left out."""
    files = {
        "authority": folder.link_files().authority,
        "gateway": folder.door_files().certificate,
        "link": folder.link_files().certificate,
    }
    return {
        name: x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
        for name, file in files.items()
        if file.exists()
    }
