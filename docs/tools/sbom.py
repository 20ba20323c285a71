"""A software bill of materials of a folder of wheels, as CycloneDX 1.6 in JSON: name, version, SHA-256 and
licence of each, and who needs it.

The same wheels give the same bytes: there is no time in it, and its serial number follows from the hashes.
"""

from __future__ import annotations

import email
import hashlib
import json
import re
import uuid
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import quote

UNKNOWN = "unknown"
_OWN = "ringfence"
_NAMESPACE = uuid.UUID("5b7d5a0e-0f0a-5d2c-9d0e-2f6d0c6e8a11")
_LONGEST_NAME = 60
# Classifiers that stand for one licence of the SPDX list; "BSD License" and its like stand for several.
_SPDX = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# What asks nothing of whoever installs it beside software under Apache-2.0.
_PLAIN = re.compile(
    r"(0BSD|Apache[- ]2\.0|BSD|BSD-[23]-Clause|3-Clause BSD License|BSL-1\.0|CC0-1\.0|CNRI-Python"
    r"|ISC( License)?|LLVM-exception|MIT|MIT-0|MPL-2\.0|PSF-2\.0"
    r"|Zlib|Unlicense|BSD License|Public Domain|AND|OR|WITH|,|\s)+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """One wheel of a folder.

    Attributes:
        name, version: as its metadata say.
        sha256: of the file, 64 hex digits.
        licences: SPDX expression or names; empty where it says none.
        expression: `licences` is one SPDX expression.
        summary: one line.
    """

    name: str
    version: str
    sha256: str
    licences: tuple[str, ...]
    expression: bool
    summary: str

    @property
    def needs_a_look(self) -> bool:
        """Whether a person has to read its licence: it says none, or one that asks for something."""
        return not self.licences or not all(_PLAIN.fullmatch(each) for each in self.licences)


def read_wheel(path: Path) -> Wheel:
    """What a wheel says of itself.

    Raises:
        ValueError: it has no metadata of its own.
    """
    with zipfile.ZipFile(path) as archive:
        found = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        if len(found) != 1:
            raise ValueError(f"{path.name} is no wheel: it has {len(found)} files of metadata.")
        metadata = email.message_from_bytes(archive.read(found[0]))
    licences, expression = _licences(metadata)
    return Wheel(
        name=metadata["Name"],
        version=metadata["Version"],
        sha256=sha256(path),
        licences=licences,
        expression=expression,
        summary=str(metadata["Summary"] or "").strip(),
    )


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _licences(metadata: Message) -> tuple[tuple[str, ...], bool]:
    """Licences, and whether they are one SPDX expression: newer field, classifiers, then older field."""
    if metadata["License-Expression"]:
        return (str(metadata["License-Expression"]),), True
    said = [
        str(line).rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier", [])
        if str(line).startswith("License :: ") and str(line) != "License :: OSI Approved"
    ]
    if said:
        return tuple(dict.fromkeys(_SPDX.get(name, name) for name in said)), False
    text = str(metadata["License"] or "").strip()
    if not text or text == "UNKNOWN" or "\n" in text or len(text) > _LONGEST_NAME:
        return (), False
    return (text,), False


def bill(wheels: Sequence[Wheel], needed_by: Mapping[str, Collection[str]]) -> str:
    """The bill as JSON text.

    Args:
        wheels: all of the folder, Ringfence's own among them.
        needed_by: name of a wheel to the installations that take it.
    """
    ordered = sorted(wheels, key=lambda each: each.name.lower())
    own = [each for each in ordered if each.name == _OWN]
    parts = [_component(each, needed_by.get(each.name, ())) for each in ordered if each.name != _OWN]
    digest = hashlib.sha256("\n".join(each.sha256 for each in ordered).encode()).hexdigest()
    document: dict[str, object] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest)}",
        "version": 1,
        "metadata": {"component": _component(own[0], (), kind="application")} if own else {},
        "components": parts,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _component(wheel: Wheel, needed_by: Collection[str], kind: str = "library") -> dict[str, object]:
    place = f"pkg:pypi/{quote(re.sub(r'[-_.]+', '-', wheel.name).lower())}@{quote(wheel.version, safe='')}"
    made: dict[str, object] = {
        "type": kind,
        "bom-ref": place,
        "name": wheel.name,
        "version": wheel.version,
        "description": wheel.summary,
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
        "licenses": _as_licences(wheel),
        "purl": place,
    }
    if needed_by:
        made["properties"] = [{"name": "ringfence:needed-by", "value": each} for each in sorted(needed_by)]
    return made


def _as_licences(wheel: Wheel) -> list[dict[str, object]]:
    if wheel.expression:
        return [{"expression": wheel.licences[0]}]
    known = set(_SPDX.values())
    return [{"license": {"id" if name in known else "name": name}} for name in wheel.licences or (UNKNOWN,)]
