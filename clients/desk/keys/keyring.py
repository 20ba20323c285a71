"""What a key file holds, told without its passphrase."""

from __future__ import annotations

from pathlib import Path

from ringfence.privacy.crypto.identity import KeyKind
from ringfence.privacy.crypto.keyfile import read_key
from ringfence.privacy.crypto.public_files import public_path, read_note
from ringfence.privacy.errors import KeyFault


def inspect(path: Path) -> dict[str, str]:
    """Kind, fingerprint, public key, wrapping and simulation mark of a key file or a `.pub` file.

    Raises:
        KeyFault: it is missing, unsafe, or no key.
    """
    if path.suffix == ".pub":
        note = read_note(path)
        public = note.public
        return {
            "kind": note.kind or "-",
            "fingerprint": public.fingerprint,
            "key": public.hex,
            "simulation": "yes" if note.simulation else "no",
        }
    kind = _kind(path)
    public = read_note(public_path(path)).public
    return {
        "kind": kind,
        "fingerprint": public.fingerprint,
        "key": public.hex,
        "wrapped": "yes" if _refused(path, kind, "RF-K039") else "no",
        "simulation": "yes" if _refused(path, kind, "RF-K038", simulation=False) else "no",
    }


def _kind(path: Path) -> KeyKind:
    """The kind that the file says; read off the refusal where it is not a holder's."""
    try:
        read_key(path, "holder", simulation=True)
    except KeyFault as fault:
        if fault.code == "RF-K037":
            found: KeyKind = fault.values["found"]  # type: ignore[assignment]  # one of KINDS, checked by the file's reader
            return found
        if fault.code != "RF-K039":
            raise
    return "holder"


def _refused(path: Path, kind: KeyKind, code: str, *, simulation: bool = True) -> bool:
    """Whether opening the file without a passphrase is refused for this reason."""
    try:
        read_key(path, kind, simulation=simulation)
    except KeyFault as fault:
        if fault.code == code:
            return True
        if fault.code != "RF-K039":
            raise
    return False
