"""The bundle that Flower wants every run to have: no code, and a hash that says which protocol is spoken.

No holder fetches or runs a bundle; its process answers with the installed wheel's code alone. The hash of the
run's bundle is compared with those of the protocol versions that the holder speaks, so that old and new
parties find out before the first message.
"""

from __future__ import annotations

import hashlib
import io
import zipfile

PROTOCOL = 4
SPOKEN = (PROTOCOL,)
"""Protocol versions that this release understands, the newest first."""
_PROJECT = """\
[project]
name = "ringfence"
version = "{version}.0.0"
license = "Apache-2.0"

[tool.flwr.app]
publisher = "ringfence"

[tool.flwr.app.components]
serverapp = "nothing:runs"
clientapp = "nothing:runs"

[tool.flwr.app.config]
"""


def bundle(version: int = PROTOCOL) -> bytes:
    """The bundle of a protocol version, the same bytes everywhere."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        entry = zipfile.ZipInfo("pyproject.toml")
        entry.create_system = 3  # the same on every operating system
        archive.writestr(entry, _PROJECT.format(version=version))
    return buffer.getvalue()


def bundle_hash(version: int = PROTOCOL) -> str:
    """How a run names its bundle."""
    return hashlib.sha256(bundle(version)).hexdigest()


def version_of(found: str) -> int | None:
    """The protocol version that a bundle's hash stands for, of those spoken here; None for any other."""
    return next((version for version in SPOKEN if bundle_hash(version) == found), None)
