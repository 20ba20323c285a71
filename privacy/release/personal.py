"""The check for identifiers of people on every string of an artefact, and masking before it.

Each string is read as it stands and as a reader's software would show it: character references, percent and
backslash escapes undone, base64 words decoded once. Deeper wrapping, encryption and steganography are out of
reach.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

from ringfence.privacy.errors import N_, Clause
from ringfence.privacy.identifiers.masking import is_plain_number, mask_text
from ringfence.privacy.identifiers.patterns import SHAPES_ALONE
from ringfence.privacy.identifiers.pii import FoundIdentifier
from ringfence.privacy.release.artefact import ColumnRule, ExportPolicy, Objection
from ringfence.privacy.release.parsed import Text

MOST_REASONS = 20
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})")
_BREAK = re.compile(r"\s*\n\s*")
_TAG = re.compile(r"<[^<>]{1,200}>")


def readings(text: str) -> Iterator[str]:
    """The text as it stands and every other way it may be read."""
    yield text
    if "&" in text and (plain := html.unescape(text)) != text:
        yield plain
    if "%" in text and (plain := unquote(text)) != text:
        yield plain
    if "\\" in text and (plain := _ESCAPE.sub(lambda m: chr(int(m[1] or m[2], 16)), text)) != text:
        yield plain
    if "\n" in text:
        yield _BREAK.sub("", text)
    if "<" in text and (plain := _TAG.sub("", text)) != text:
        yield plain
    for word in _BASE64.findall(text) if len(text) >= 12 else ():
        if decoded := _decoded(word):
            yield decoded


def _decoded(word: str) -> str | None:
    """What a base64 word spells, if it is readable text."""
    padded = word.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        plain = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    return plain if plain.isprintable() else None


def check_personal(
    texts: Iterable[Text], policy: ExportPolicy, columns: tuple[ColumnRule, ...] = ()
) -> list[Objection]:
    """Look for identifiers in every string.

    Args:
        texts: every string and every number that is large enough to tell something.
        policy: the scanner and the hosts that may be named.
        columns: the columns of the artefact; numbers of those that hold amounts are no telephone numbers.

    Returns:
        One reason a place and kind, RF-X040, at most 20; empty when nothing was found.
    """
    amounts = {rule.name for rule in columns if rule.amount}
    reasons: dict[tuple[str, str], Objection] = {}
    for text in texts:
        if text.context == "foreign":
            reasons["", text.where] = Objection(
                code="RF-X020",
                template=N_(
                    "The Parquet file carries metadata of another program. Write it without metadata."
                ),
            )
        plain = text.column and is_plain_number(text.text)
        for reading in readings(text.text):
            for finding in policy.scanner.find_cell(reading, context=text.context):
                if finding.kind == "URL" and _allowed(reading, finding, policy):
                    continue
                by_shape = plain and finding.kind in SHAPES_ALONE
                if by_shape and text.context in amounts:
                    continue
                reasons[finding.kind, text.where] = _found(finding.kind, text.where, by_shape)
        if len(reasons) >= MOST_REASONS:
            break
    return list(reasons.values())


def _found(kind: str, where: str, by_shape: bool) -> Objection:
    advice = N_("Take it out, or ask for masking.")
    if by_shape:
        advice = N_(
            "Take it out or ask for masking; if these whole numbers are amounts, declare the column so in "
            "the list of columns (amount)."
        )
    return Objection(
        code="RF-X040",
        template=N_("Something of kind {kind} was found in {where}. {advice}"),
        values=(("kind", kind), ("where", where), ("advice", Clause(advice))),
    )


def _allowed(text: str, finding: FoundIdentifier, policy: ExportPolicy) -> bool:
    """Whether a URL names an allowed host and says nothing of a person behind it."""
    url = urlsplit(text[finding.start : finding.end])
    if url.hostname not in policy.allowed_hosts or url.username or url.port:
        return False
    rest = unquote(f"{url.path} {url.query} {url.fragment}")
    return not policy.scanner.find_cell(rest)


def masked(text: str, policy: ExportPolicy, context: str = "") -> str:
    """A text with the policy's operator applied to what is found in it."""
    return mask_text(text, policy.operator, scanner=policy.scanner, context=context).text
