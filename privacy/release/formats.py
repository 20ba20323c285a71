"""What the bytes of an artefact are, from the bytes alone; name, stated kind and content must agree.

Invariant (DESIGN, 6.6): pickle in any wrapping (`.pkl`, joblib, `.pt`) and archives are refused unread.
"""

from __future__ import annotations

import re
import unicodedata

from ringfence.privacy.errors import N_, ExportError
from ringfence.privacy.release.artefact import SUFFIXES, Kind

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "parquet"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"7z\xbc\xaf", "7z"),
    (b"Rar!", "rar"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x93NUMPY", "npy"),
    (b"\x89PNG", "png"),
    (b"\x89HDF", "hdf5"),
    (b"%PDF", "pdf"),
    (b"SQLite format 3", "sqlite"),
    (b"\xd0\xcf\x11\xe0", "office"),
    (b"\x7fELF", "program"),
    (b"MZ", "program"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"ARROW1", "arrow"),
)
_TEXT_KINDS = ("csv", "json", "html", "svg", "toml", "text", "markdown")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_NAME = re.compile(r"[^\W_](?:[\w ()+-]|\.(?=[\w])){0,119}")


def check_name(name: str, kind: str) -> Kind:
    """Check file name and stated kind.

    Raises:
        ExportError: RF-X006 unknown kind, RF-X001 not a plain name, RF-X002 another suffix than the kind's.
    """
    known: Kind | None = next((k for k in SUFFIXES if k == kind), None)
    if known is None:
        raise ExportError(
            "RF-X006",
            N_("Artefacts of this kind are not released; {kinds} are. Convert it first."),
            kinds=", ".join(SUFFIXES),
        )
    if not _NAME.fullmatch(name) or unicodedata.normalize("NFKC", name) != name:
        raise ExportError(
            "RF-X001",
            N_("The artefact's name is not a plain file name. Use letters, digits, '-', '_' and one suffix."),
        )
    suffix = SUFFIXES[known]
    if not name.endswith(suffix) or name.count(".") != 1:
        raise ExportError(
            "RF-X002",
            N_("The artefact is declared as {kind} but its name does not end in {suffix} alone. Rename it."),
            kind=kind,
            suffix=suffix,
        )
    return known


def sniff(content: bytes) -> str:
    """Name the kind of some bytes: one of the gate's kinds, another format's name, `text` or `binary`."""
    if len(content) > 262 and content[257:262] == b"ustar":
        return "tar"
    for magic, name in _MAGIC:
        if content.startswith(magic) and (name != "program" or b"\x00" in content[:64]):
            return name if name != "zip" or not _is_npz(content) else "npz"
    if re.match(rb"\x80[\x02-\x05]", content):
        return "pickle"
    if re.match(rb".{2}\x00{6}\{", content, re.DOTALL) or re.match(rb".{3}\x00{5}\{", content, re.DOTALL):
        return "safetensors"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return "binary"
    if _CONTROL.search(text):
        return "binary"
    return _sniff_text(text.lstrip("\ufeff \t\r\n")[:512].lower())


def _is_npz(content: bytes) -> bool:
    """Whether a zip's first member is a plain array."""
    length = int.from_bytes(content[26:28], "little")
    return content.startswith(b"PK\x03\x04") and content[30 : 30 + length].endswith(b".npy")


def _sniff_text(head: str) -> str:
    if head.startswith(("<!doctype html", "<html")):
        return "html"
    if head.startswith("<svg") or (head.startswith("<?xml") and "<svg" in head):
        return "svg"
    return "xml" if head.startswith("<?xml") else "text"


def check_content(content: bytes, kind: Kind) -> bytes:
    """Check that content is what the artefact says it is, and return it.

    Raises:
        ExportError: RF-X004 a format that never leaves, RF-X003 content of another kind.
    """
    found = sniff(content)
    expected = kind if kind in ("parquet", "npz", "safetensors", "html", "svg") else "text"
    if found == expected:
        return content
    if found in _TEXT_KINDS or found in SUFFIXES:
        raise ExportError(
            "RF-X003",
            N_("The artefact is declared as {kind} but its content is {found}. Declare it as what it is."),
            kind=kind,
            found=found,
        )
    raise ExportError(
        "RF-X004",
        N_(
            "The content is of a format that is never released ({found}). Release tables, JSON, reports or "
            "tensors."
        ),
        found=found,
    )


def text_of(content: bytes) -> str:
    """Decode the content of a text kind; `check_content` has passed it."""
    return content.decode("utf-8")
