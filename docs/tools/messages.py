"""Carry sentences between the sources and their Chinese translation: `messages.py update | compile | check`.

`update` collects the marked sentences (`N_("...")`, `_("...")`) into the .po files and keeps what is
translated; `compile` writes the .mo files that are read at run time; `check` tells what is missing, doubtful
or stale. Needs Babel.
"""

from __future__ import annotations

import io
import string
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from checkout import ROOT, python_files

LOCALE = "zh_CN"
_MARKERS = {"N_": None, "_": None}
# The header of every catalogue: no dates, no tools and no people, so that a rewrite changes sentences only.
_FIELDS = (
    "Project-Id-Version: ringfence",
    f"Language: {LOCALE}",
    "Plural-Forms: nplurals=1; plural=0;",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit",
)
_HEADER = "\n".join(
    [
        "# Ringfence: Chinese (Simplified) sentences",
        'msgid ""',
        'msgstr ""',
        *(f'"{field}\\n"' for field in _FIELDS),
        "",
        "",
    ]
)


class Compiled(Catalog):
    """A catalogue as it is compiled: its own header, then the sentences."""

    def __iter__(self) -> Iterator[Message]:
        """Our header in place of Babel's, which holds dates."""
        yield Message("", "".join(f"{field}\n" for field in _FIELDS))
        yield from (message for message in super().__iter__() if message.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One catalogue: where its sentences are and where its translation lies.

    Attributes:
        name: gettext domain, also the name of the files.
        folders: folders whose Python files are read.
        home: the package that carries the catalogue.
    """

    name: str
    folders: tuple[str, ...]
    home: str

    @property
    def po(self) -> Path:
        """The translators' file, relative to the checkout."""
        return Path(self.home) / "locale" / LOCALE / "LC_MESSAGES" / f"{self.name}.po"

    @property
    def mo(self) -> Path:
        """The compiled file, relative to the checkout."""
        return self.po.with_suffix(".mo")


DOMAINS = (
    Domain(
        name="ringfence", folders=("clients", "models", "privacy", "server", "simulations"), home="privacy"
    ),
    Domain(name="ringfence_audit", folders=("audit",), home="audit"),
)


def extracted(domain: Domain) -> Catalog:
    """The sentences that the sources hold now."""
    catalogue = Catalog(
        project="ringfence", domain=domain.name, charset="utf-8", header_comment="# Ringfence"
    )
    for name in python_files(*domain.folders):
        source = io.BytesIO((ROOT / name).read_bytes())
        for _line, message, comments, context in extract("python", source, keywords=_MARKERS):
            catalogue.add(message, auto_comments=comments, context=context)
    return catalogue


def translated(domain: Domain) -> Catalog | None:
    """The translators' file, if there is one."""
    path = ROOT / domain.po
    if not path.exists():
        return None
    with path.open("rb") as file:
        return read_po(file, locale=LOCALE, domain=domain.name)


def fields(sentence: str) -> frozenset[str]:
    """Names in braces that are filled in at run time."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(sentence) if name)


def faults(domain: Domain) -> Iterator[str]:
    """One line for everything that keeps the catalogue from being complete and current."""
    wanted = {message.id for message in extracted(domain) if message.id}
    have = translated(domain)
    if have is None:
        if wanted:
            yield f"{domain.po} does not exist"
        return
    done = {message.id: message for message in have if message.id}
    for sentence in sorted(map(str, wanted)):
        message = done.get(sentence)
        if message is None or not message.string:
            yield f"{domain.po}: not translated: {sentence!r}"
        elif message.fuzzy:
            yield f"{domain.po}: marked fuzzy: {sentence!r}"
        elif fields(sentence) != fields(str(message.string)):
            yield f"{domain.po}: other fields than the English sentence: {sentence!r}"
    for sentence in sorted(map(str, done.keys() - wanted)):
        yield f"{domain.po}: no longer in the sources: {sentence!r}"
    yield from _stale(domain, have)


def _stale(domain: Domain, have: Catalog) -> Iterator[str]:
    path = ROOT / domain.mo
    if not path.exists():
        yield f"{domain.mo} does not exist"
        return
    with path.open("rb") as file:
        compiled = {message.id: message.string for message in read_mo(file) if message.id}
    if compiled != {m.id: m.string for m in have if m.id and m.string and not m.fuzzy}:
        yield f"{domain.mo} is older than its .po"


def update(domain: Domain) -> None:
    """Bring the translators' file up to the sources; sentences that are gone are dropped."""
    fresh = extracted(domain)
    have = translated(domain) or Catalog(
        locale=LOCALE, domain=domain.name, project="ringfence", charset="utf-8"
    )
    have.update(fresh, no_fuzzy_matching=True)
    path = ROOT / domain.po
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(_HEADER.encode())
        write_po(
            file, have, width=110, no_location=True, omit_header=True, sort_output=True, ignore_obsolete=True
        )


def compile_(domain: Domain) -> None:
    """Write the compiled catalogue."""
    have = translated(domain)
    if have is not None:
        compiled = Compiled(locale=LOCALE, charset="utf-8")
        for message in have:
            if message.id:
                compiled.add(message.id, message.string, flags=message.flags)
        with (ROOT / domain.mo).open("wb") as file:
            write_mo(file, compiled)


def main(argv: list[str]) -> int:
    """Do what the one argument says for both catalogues."""
    if argv == ["update"]:
        for domain in DOMAINS:
            update(domain)
        return 0
    if argv == ["compile"]:
        for domain in DOMAINS:
            compile_(domain)
        return 0
    if argv == ["check"]:
        found = [fault for domain in DOMAINS for fault in faults(domain)]
        print("\n".join(found) or "Every sentence is translated.")
        return 1 if found else 0
    print("Say one of: update, compile, check.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
