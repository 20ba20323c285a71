"""Public keys in files: `.pub` beside a key file, the key in hex and a line that says what it is for.

The second line is a note, not proof: it stops mistakes (a log's key taken for a person's, a simulation's for
a real one), and whoever wants to cheat can leave it out. What a key may do is decided by whoever lists it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringfence.privacy.crypto.identity import Identity, KeyKind, PublicIdentity
from ringfence.privacy.crypto.private_files import MAX_BYTES
from ringfence.privacy.errors import N_, KeyFault

_SIMULATION = "simulation"
HEX_DIGITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicNote:
    """What a `.pub` file holds.

    Attributes:
        public: the key.
        kind: what it says that it is for; empty when it does not say.
        simulation: it says that it was made for a simulation.
    """

    public: PublicIdentity
    kind: str
    simulation: bool


def public_path(path: Path) -> Path:
    """Where the public half of a key file stands."""
    return path.with_name(path.name + ".pub")


def public_text(identity: Identity) -> str:
    """What is written into the `.pub` file of a key pair."""
    words = [identity.kind, *([_SIMULATION] if identity.simulation else []), identity.public.fingerprint]
    return f"{identity.public.hex}\n# {' '.join(words)}\n"


def read_note(path: str | Path) -> PublicNote:
    """Read a `.pub` file whatever it is for, to be shown.

    Raises:
        KeyFault: RF-K041 when the file cannot be read, RF-K002 when it holds no public key.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            lines = file.read(MAX_BYTES).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise KeyFault(
            "RF-K041", N_("The public key {file} cannot be read; check its name and rights."), file=path.name
        ) from error
    public = PublicIdentity.from_hex(lines[0].strip() if lines else "")
    words = lines[1].removeprefix("#").split() if len(lines) > 1 else []
    return PublicNote(public=public, kind=words[0] if words else "", simulation=_SIMULATION in words)


def read_public(path: str | Path, kind: KeyKind | None = None) -> PublicIdentity:
    """Read a `.pub` file of a real key: the key in hex on its first line.

    Args:
        path: the file.
        kind: what the key is needed for; a file that says it is for something else is refused.

    Raises:
        KeyFault: RF-K041 when the file cannot be read, RF-K002 when it holds no public key, RF-K038 when it
            was made for a simulation, RF-K050 when it is of another kind.
    """
    path = Path(path)
    found = read_note(path)
    if found.simulation:
        raise simulated(path)
    if kind is not None and found.kind not in ("", kind):
        raise KeyFault(
            "RF-K050",
            N_("The file {file} holds the public half of a key for {found}; one for {expected} is needed."),
            file=path.name,
            found=found.kind,
            expected=kind,
        )
    return found.public


def public_key(folder: Path, name: str, kind: KeyKind) -> PublicIdentity:
    """A public key that settings name: written out as 64 hex digits, or in a file.

    Args:
        folder: that a file's name is relative to.
        name: the digits or the file.
        kind: what the key is needed for; a file that calls it of another kind or simulated is refused.

    Raises:
        KeyFault: it cannot be read.
    """
    if len(name) == HEX_DIGITS and set(name) <= set("0123456789abcdef"):
        return PublicIdentity.from_hex(name)
    return read_public(folder / name, kind)


def simulated(path: Path) -> KeyFault:
    """The refusal of a simulation's key where rows are real."""
    return KeyFault(
        "RF-K038",
        N_("The key in {file} was made for a simulation and is never used with real rows. Make a new one."),
        file=path.name,
    )
