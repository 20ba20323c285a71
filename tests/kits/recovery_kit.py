"""A coordinator and a holder that cosigns its log, and commands by which a log that fell behind goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kits.command_kit import Town, client, new_key, server, town
from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.cli import main as audit_main
from ringfence.clients.cosigning import cosign
from ringfence.clients.desk.assembling import load_holder
from ringfence.clients.home import Home, open_federation
from ringfence.clients.records.participations import Participation, Witnesses
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.protocol.releases import Cosigned, WitnessCall, proof_of
from ringfence.privacy.wire.heads import LogPosition
from ringfence.server.home import Office, open_office

STUDY = "sha256:" + "77" * 32
MODEL, OTHER = ("sha256:" + each * 32 for each in ("5a", "6b"))
RUNS = tuple(f"{number:02d}" * 16 for number in range(1, 6))
WHY = "disk lost on 3 May"

Fresh = Callable[[], tuple[str, ...]]


def witnessed_town(root: Path) -> Town:
    """A town with a passphrase for backups, the officers Cem and Dee, and Eve, who is nobody."""
    found = town(root)
    (root / "secret").write_text("passphrase of the backup\n", encoding="utf-8")
    (root / "secret").chmod(0o600)
    for name in ("cem", "dee", "eve"):
        new_key(root / f"{name}.key")
    people = [root / f"{name}.key.pub" for name in ("cem", "dee")]
    assert server("officer", "add", *people, "--compared", "--config", found.desk) == 0
    return found


@contextmanager
def office_of(here: Town) -> Iterator[Office]:
    with open_office(here.desk, passphrases=Passphrases()) as office:
        yield office


@contextmanager
def home_of(here: Town) -> Iterator[Home]:
    with open_federation(here.home, None, opens="log") as home:
        yield home


def intended(office: Office, run: str, model: str = MODEL) -> int:
    public: dict[str, Any] = {"model": model, "run": run, "holders": ["north"]}
    return office.log.record("release.intended", "allow", resource=f"study:{STUDY}", public=public)


def asked(here: Town, run: str, event: int) -> Cosigned:
    """Ask the holder to cosign, from where its memory stands."""
    with office_of(here) as office, home_of(here) as home:
        log, note = office.log, office.log.checkpoint()
        size = read_unverified(note).size
        anchored = home.log.anchored(log.origin)
        stands = anchored.size if anchored else 0
        call = WitnessCall(
            checkpoint=note.decode(),
            since=stands,
            proof=proof_of(log.consistency(stands, size)) if 0 < stands <= size else (),
            event=event,
            leaf=next(log.events(event, stop=event + 1)).leaf.decode(),
            inclusion=proof_of(log.inclusion(event, size)),
        )
        known = Participation(
            study=STUDY,
            run=run,
            coordinator_log=PublicIdentity(log.verifier.raw),
            position=LogPosition(size=0, root="sha256:" + "00" * 32),
            witnesses=Witnesses(keys={}, quorum=1, floor=1, wait_hours=0),
        )
        return cosign(load_holder(home), known, call)


def witnessed(here: Town, run: str, model: str = MODEL) -> Cosigned:
    with office_of(here) as office:
        event = intended(office, run, model)
    return asked(here, run, event)


def backed_up(here: Town, program: Any, home: Path, name: str = "kept.backup") -> Path:
    file = here.root / name
    words = ("backup", file, "--config", home, "--passphrase-file", here.root / "secret")
    assert program(*words) == 0
    return file


def restored(here: Town, program: Any, file: Path, home: Path, *store: str) -> None:
    shutil.rmtree(home)
    assert program("restore", file, home, "--passphrase-file", here.root / "secret", *store) == 0


def grown(here: Town, count: int) -> None:
    with office_of(here) as office:
        for number in range(count):
            office.log.record("key.created", "allow", resource=f"key:{number}")


def exported(here: Town, name: str) -> Path:
    """The logs of both in one bundle."""
    place = here.root / name
    place.mkdir()
    assert server("log", "export", place / "city", "--config", here.desk) == 0
    assert client("log", "export", place / "north", "--config", here.home) == 0
    return place


def verified(here: Town, place: Path) -> tuple[int, str]:
    """Exit status and report, as text."""
    told = here.root / "verdict.json"
    status = audit_main(["verify", str(place), "--json", str(told)])
    return status, told.read_text(encoding="utf-8")


def keys(here: Town, *names: str) -> tuple[object, ...]:
    return tuple(word for name in names for word in ("--key", here.root / f"{name}.key"))


def recovery(here: Town, lost: Path, *names: str, out: str = "recovery.json") -> tuple[Any, ...]:
    words = ("log", "recover", "--lost", lost, *keys(here, *names), "--reason", WHY, "--out", here.root / out)
    return (*words, "--config", here.desk)


def acceptance(here: Town, file: Path, *names: str) -> tuple[Any, ...]:
    return ("coordinator", "accept-recovery", file, *keys(here, *names), "--config", here.home)


def seen_by_holder(here: Town, name: str = "seen.json") -> Path:
    out = here.root / name
    assert client("coordinator", "checkpoints", "--out", out, "--config", here.home) == 0
    return out


def lost_coordinator(here: Town, fresh: Fresh = tuple) -> Path:
    """A coordinator's store is restored behind what the holder cosigned; what the holder keeps of it."""
    if store := fresh():
        restored(here, server, backed_up(here, server, here.desk, "moved.backup"), here.desk, *store)
    assert witnessed(here, RUNS[0]).cosignature
    file = backed_up(here, server, here.desk)
    grown(here, 2)
    assert witnessed(here, RUNS[1]).cosignature
    restored(here, server, file, here.desk, *fresh())
    return seen_by_holder(here)
