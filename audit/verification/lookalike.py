"""Names of logs that only look like another's: letters of other scripts, case, compatible forms, digits.

Two different names that a reader takes for one are how a stranger's log stands in for a known one. Nothing
here says that a name is wrong; it says that eyes do not suffice to tell, and a key given with `--trust` does.
The table holds the letters that are drawn alike in common typefaces, not all of Unicode's.
"""

from __future__ import annotations

import re
import unicodedata

# Letters of other scripts beside the Latin ones that they are drawn like; escaped, since they cannot be told
# apart here either.
_LETTERS = (
    ("\u0430\u0432\u0441\u0501\u0435\u050d\u04bb\u043d\u0456\u0458\u043a\u04cf", "abcdeghhijkl"),  # Cyrillic
    ("\u043c\u043e\u0440\u051b\u0455\u0442\u0475\u051d\u0445\u0443", "mopqstvwxy"),  # Cyrillic
    ("\u0581\u0570\u0578\u0585\u057d", "ghnou"),  # Armenian
    ("\u03b1\u03b2\u03b5\u03b9\u03ba\u03bf\u03c1\u03c4\u03c5\u03bd\u03c9\u03c7", "abeikoptuvwx"),  # Greek
    ("\u03b3", "y"),  # Greek
    ("\u0261\u0131\u1d20", "giv"),  # Latin
)
_ALIKE = str.maketrans(
    "".join(drawn for drawn, _ in _LETTERS) + "01|", "".join(latin for _, latin in _LETTERS) + "oll"
)
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_BORROWED = frozenset(
    {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "FULLWIDTH", "MATHEMATICAL"}
)


def _plain(name: str) -> str:
    """Compatible forms made one, accents and invisible characters dropped."""
    whole = unicodedata.normalize("NFKD", name)
    return "".join(c for c in whole if unicodedata.category(c) not in ("Mn", "Me", "Cf", "Cc"))


def _drawn(text: str) -> str:
    alike = text.casefold().translate(_ALIKE)
    for pair, one in _PAIRS:
        alike = alike.replace(pair, one)
    return alike


def look_alike(one: str, other: str) -> bool:
    """Whether two different names can be taken for each other by eye."""
    if one == other:
        return False
    plain = _plain(one), _plain(other)
    # A capital I is drawn like a small l, but folds to a small i: both readings count.
    return _drawn(plain[0]) == _drawn(plain[1]) or (
        _drawn(plain[0].replace("I", "l")) == _drawn(plain[1].replace("I", "l"))
    )


def mixes_scripts(name: str) -> bool:
    """Whether a part of a name holds Latin letters beside letters of a script that is drawn like Latin."""
    for part in re.split(r"[/.\-_:#]", name):
        scripts = {unicodedata.name(c, "?").split()[0] for c in part if c.isalpha()}
        if "LATIN" in scripts and scripts & _BORROWED:
            return True
    return False


def spelt(name: str) -> str:
    """A name with everything beyond ASCII written as its code, so that two that look alike read apart."""
    return name.encode("ascii", "backslashreplace").decode()
