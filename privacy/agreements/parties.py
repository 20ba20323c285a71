"""What a party may be called: one rule for every place that takes the name of a holder or an organisation.

A name stands in signed documents, in messages as their sender, in the origins of logs, and as the name of
files and folders on other people's machines. It is only a label (a key says who somebody is), but people act
by it; so it reads as nobody else's, and it can be a file's name everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, TypeAdapter, ValidationError

from ringfence.privacy.errors import N_
from ringfence.privacy.toml.canonical import Slug
from ringfence.privacy.toml.faults import refuse

RESERVED: Final = ("coordinator", "协调方")
"""What messages, bundles of logs and reports call the coordinator; no holder is called so."""

_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10))}
)
# Windows takes a device's name with any ending for the device, and the superscript digits for 1, 2 and 3.
_STEM: Final = re.compile(r"[^.]*")
_MOST_BYTES: Final = 192
# Scripts with letters that are drawn like Latin ones.
_DRAWN_LIKE_LATIN: Final = frozenset({"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"})
_ALIKE: Final = str.maketrans("01i", "oll")


def alike(name: str) -> str:
    """What of a name the eye tells apart: two names with one result are taken for each other."""
    return unicodedata.normalize("NFKC", name).casefold().translate(_ALIKE)


def _whole(name: str) -> str:
    """A name that is a file's name everywhere, in letters that are what they look like."""
    plain = unicodedata.normalize("NFKC", name)
    scripts = {unicodedata.name(letter, "?").split()[0] for letter in name if letter.isalpha()}
    if plain != name or ("LATIN" in scripts and scripts & _DRAWN_LIKE_LATIN):
        refuse(
            "RF-C170",
            N_(
                "Holds letters that only look like others ({spelt}); use plain letters, and of Latin, Greek "
                "and Cyrillic ones only one kind."
            ),
            spelt=name.encode("ascii", "backslashreplace").decode(),
        )
    stem = _STEM.match(plain.casefold())
    if name.endswith(".") or (stem is not None and stem[0] in _DEVICES):
        refuse(
            "RF-C171",
            N_('Files are named after it, and some systems can have none named "{name}"; choose another.'),
            name=name,
        )
    if len(name.encode()) > _MOST_BYTES:
        refuse(
            "RF-C172",
            N_("Files are named after it, so it may have at most {limit} bytes in UTF-8."),
            limit=_MOST_BYTES,
        )
    return name


def _unreserved(name: str) -> str:
    """A holder's name, which is not the coordinator's."""
    bare = alike(re.sub(r"[.\-_]", "", name))
    if any(bare == alike(word) for word in RESERVED):
        refuse(
            "RF-C173",
            N_(
                '"{name}" is what messages and logs call the coordinator; give the holder the name of its '
                "organisation."
            ),
            name=name,
        )
    return name


def may_be_called(name: str) -> bool:
    """Whether a holder may have a name."""
    return _fits(_NAMES, name)


def is_party_name(name: str) -> bool:
    """Whether an organisation, or a federation at a holder's home, may have a name."""
    return _fits(_PARTIES, name)


def _fits(names: TypeAdapter[str], name: str) -> bool:
    try:
        names.validate_python(name)
    except ValidationError:
        return False
    return True


PartyName: TypeAlias = Annotated[Slug, AfterValidator(_whole)]
"""Name of an organisation."""

HolderName: TypeAlias = Annotated[PartyName, AfterValidator(_unreserved)]
"""Name of a holder: an organisation's that is not the coordinator's."""

_NAMES: Final[TypeAdapter[str]] = TypeAdapter(HolderName)
_PARTIES: Final[TypeAdapter[str]] = TypeAdapter(PartyName)
