"""Strict reading of self-contained HTML reports and SVG pictures.

Invariant: what passes holds no script, no form, no event handler and no reference out of itself, by lists of
allowed elements and schemes; unknown elements are refused. Pictures inside are PNG without text chunks.
"""

from __future__ import annotations

import base64
import binascii
import re
from html.parser import HTMLParser
from typing import NoReturn
from xml.parsers import expat

from ringfence.privacy.errors import N_, Clause, ExportError
from ringfence.privacy.release.formats import text_of
from ringfence.privacy.release.grids import of_marked, of_text
from ringfence.privacy.release.parsed import Grid, Parsed, Text


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SVG = _words(
    "svg g path rect circle ellipse line polyline polygon text tspan textpath defs clippath lineargradient "
    "radialgradient stop title desc style use symbol marker mask pattern switch"
)
_HTML = _SVG | _words(
    "html head body meta header footer main nav section article aside h1 h2 h3 h4 h5 h6 p div span a b i em "
    "strong small sub sup code pre kbd samp var abbr cite q blockquote br hr wbr ul ol li dl dt dd table "
    "caption colgroup col thead tbody tfoot tr th td figure figcaption img details summary time mark del ins "
    "s u bdi bdo dfn data meter progress address ruby rt rp"
)
_INLINE = _words(
    "span a b i em strong small sub sup code kbd samp var abbr cite q mark del ins s u bdi bdo dfn data "
    "tspan wbr time ruby"
)
_NAMESPACES = (
    "http://www.w3.org/2000/svg",
    "http://www.w3.org/1999/xlink",
    "http://www.w3.org/1999/xhtml",
    "http://www.w3.org/XML/1998/namespace",
)
_REFERENCES = _words(
    "href src xlink:href srcset action formaction poster background cite data longdesc manifest ping profile "
    "usemap"
)
_META = frozenset(("viewport", "generator", "description", "author", "color-scheme", "date"))
_CSS = re.compile(r"(?i)@import|expression\s*\(|behavior\s*:|-moz-binding|\\|url\(\s*(?!['\"]?#)")
_RAW = re.compile(
    r"(?i)<\s*script|javascript:|vbscript:|<\s*/?\s*(?:iframe|object|embed|base|link|form)\b|srcdoc|<!\[|<!entity"
)
_GEOMETRY = _words(
    "d points transform viewbox x y x1 y1 x2 y2 cx cy r rx ry dx dy width height offset gradienttransform "
    "stroke-dasharray patterntransform"
)
_NUMBERS = re.compile(r"(?i)(?:matrix|translate|rotate|scale|skew[xy]|px|%|[mlhvcsqtaze]|[0-9.,()\s+-])*")
_FAR = re.compile(r"(?<![\d.])\d{7,}")
_PNG_CHUNKS = frozenset(
    (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"pHYs", b"gAMA", b"sRGB", b"cHRM", b"sBIT", b"bKGD")
)


def _external(what: str) -> NoReturn:
    raise ExportError(
        "RF-X015",
        N_("The report refers to something outside itself ({what}). Embed it, or take the reference out."),
        what=Clause(what),
    )


def _active(what: str) -> NoReturn:
    raise ExportError(
        "RF-X014",
        N_("The report holds {what}, which is not released. Only passive markup leaves."),
        what=Clause(what),
    )


class _Reader:
    """Collects strings and refuses what is active; fed by either parser."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self.allowed = allowed
        self.texts: list[Text] = []
        self.running: list[str] = []
        self.inside: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.open: list[list[list[str]]] = []

    def start(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take an element's start with its attributes."""
        if tag not in self.allowed:
            _active(N_("a forbidden or unknown element"))
        self.inside.append(tag)
        self.lay(tag)
        if tag not in _INLINE:
            self.flow("\n")
        names = {name for name, _ in attributes}
        if tag == "meta" and "http-equiv" in names:
            _check_equiv(dict(attributes))
        for name, value in attributes:
            self.attribute(tag, name, value or "")

    def lay(self, tag: str) -> None:
        """Take the start of a table, a list of terms, or a row or cell of one."""
        if tag in ("table", "dl"):
            self.tables.append([])
            self.open.append(self.tables[-1])
        elif self.open and tag in ("tr", "dt"):
            self.open[-1].append([])
        if self.open and tag in ("td", "th", "dt", "dd"):
            if not self.open[-1]:
                self.open[-1].append([])
            self.open[-1][-1].append("")

    def attribute(self, tag: str, name: str, value: str) -> None:
        """Take one attribute."""
        if name.startswith("on"):
            _active(N_("an event handler"))
        if name == "xmlns" or name.startswith("xmlns:"):
            if value not in _NAMESPACES:
                _external(N_("a namespace"))
            return
        if name in _REFERENCES:
            self.reference(tag, value.strip())
            return
        if name == "style" or "url(" in value.lower():
            _check_css(value)
        if name in _GEOMETRY and _NUMBERS.fullmatch(value):
            # Coordinates are digits full of accidents, but no picture is millions wide.
            self.texts += (Text(where="attribute", text=found) for found in _FAR.findall(value))
            return
        self.texts += (
            Text(where="attribute name", text=name),
            Text(where="attribute", text=value, context=name),
        )

    def reference(self, tag: str, value: str) -> None:
        """Take the target of a reference: within the document, or a picture held in it."""
        if value.startswith("#"):
            self.texts.append(Text(where="reference", text=value[1:]))
        elif tag == "img" and value.lower().startswith("data:image/png;base64,"):
            check_png(value.partition(",")[2])
        else:
            _external(N_("a link, picture or other resource"))

    def data(self, text: str) -> None:
        """Take running text."""
        if self.inside and self.inside[-1] == "style":
            _check_css(text)
            self.texts.append(Text(where="style", text=text))
            return
        self.flow(text)
        if text.strip():
            self.texts.append(Text(where="text", text=text.strip()))

    def flow(self, text: str) -> None:
        """Keep the text as a reader sees it, elements within a line dissolved, and in its cell."""
        self.running.append(text)
        if self.open and self.open[-1] and self.open[-1][-1]:
            self.open[-1][-1][-1] += text

    def end(self, tag: str) -> None:
        """Take an element's end."""
        if tag in ("table", "dl") and self.open:
            self.open.pop()
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass
        if tag not in _INLINE:
            self.flow("\n")

    def comment(self, text: str) -> None:
        """Take a comment."""
        self.texts.append(Text(where="comment", text=text))

    def all_texts(self) -> tuple[Text, ...]:
        """Every string, and the lines as a reader sees them."""
        lines = "".join(self.running).split("\n")
        seen = [Text(where="text", text=line.strip()) for line in lines if line.strip()]
        return (*self.texts, *seen)

    def grids(self) -> tuple[Grid, ...]:
        """The tables and lists of terms, and what lies like one in the lines."""
        marked = [
            grid
            for number, rows in enumerate(self.tables, start=1)
            for grid in of_marked([[cell.strip() for cell in row] for row in rows], f"table {number}")
        ]
        return (*marked, *of_text("".join(self.running).split("\n")))


def _check_equiv(attributes: dict[str, str | None]) -> None:
    if (attributes.get("http-equiv") or "").lower() not in (
        "content-type",
        "content-security-policy",
        "x-ua-compatible",
    ):
        _active(N_("a meta element that redirects or sets something"))


def _check_css(text: str) -> None:
    if _CSS.search(text):
        _external(N_("a style rule"))


def check_png(encoded: str) -> bytes:
    """Check a base64 PNG chunk by chunk, and return its bytes.

    Raises:
        ExportError: RF-X021, not base64, not PNG, cut short, something after its end, or chunks that carry
            text.
    """
    fault = ExportError(
        "RF-X021", N_("A picture in the report is not a plain PNG without text. Draw it again, or use SVG.")
    )
    try:
        picture = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise fault from None
    if not picture.startswith(b"\x89PNG\r\n\x1a\n"):
        raise fault
    at, kind = 8, b""
    while at < len(picture) and kind != b"IEND":
        size, kind = int.from_bytes(picture[at : at + 4], "big"), picture[at + 4 : at + 8]
        if kind not in _PNG_CHUNKS:
            raise fault
        at += 12 + size
    if kind != b"IEND" or at != len(picture):
        raise fault
    return picture


class _Html(HTMLParser):
    """Feeds a reader from HTML."""

    def __init__(self, reader: _Reader) -> None:
        super().__init__(convert_charrefs=True)
        self.reader = reader

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "meta" and not {name for name, _ in attrs} <= {
            "charset",
            "name",
            "content",
            "http-equiv",
            "lang",
        }:
            _active(N_("a meta element of an unknown form"))
        if tag == "meta" and (dict(attrs).get("name") or "viewport").lower() not in _META:
            _active(N_("a meta element of an unknown name"))
        self.reader.start(tag, attrs)
        if tag in ("br", "hr", "img", "meta", "col", "wbr"):
            self.reader.inside.pop()

    def handle_endtag(self, tag: str) -> None:
        self.reader.end(tag)

    def handle_data(self, data: str) -> None:
        self.reader.data(data)

    def handle_comment(self, data: str) -> None:
        if data.lstrip().startswith("["):
            _active(N_("a conditional comment"))
        self.reader.comment(data)

    def handle_decl(self, decl: str) -> None:
        if decl.strip().lower() != "doctype html":
            _external(N_("a document type"))

    def handle_pi(self, data: str) -> None:
        del data
        _active(N_("a processing instruction"))

    def unknown_decl(self, data: str) -> None:
        del data
        _active(N_("an unknown declaration"))


def parse_html(content: bytes) -> Parsed:
    """Read a self-contained HTML report.

    Raises:
        ExportError: RF-X014 something active or unknown, RF-X015 a reference outwards, RF-X021 a picture.
    """
    text = text_of(content)
    if _RAW.search(text):
        _active(N_("a script, frame, form or link"))
    reader = _Reader(_HTML)
    parser = _Html(reader)
    parser.feed(text)
    parser.close()
    return Parsed(content=content, texts=reader.all_texts(), grids=reader.grids())


def parse_svg(content: bytes) -> Parsed:
    """Read an SVG picture.

    Raises:
        ExportError: RF-X016 not well-formed XML or with a document type, RF-X014 and RF-X015 as for HTML.
    """
    text = text_of(content)
    if _RAW.search(text):
        _active(N_("a script, frame, form or link"))
    reader = _Reader(_SVG)
    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, attributes: reader.start(
        tag.lower().removeprefix("svg:"), [(name.lower(), value) for name, value in attributes.items()]
    )
    parser.EndElementHandler = lambda tag: reader.end(tag.lower().removeprefix("svg:"))
    parser.CharacterDataHandler = reader.data
    parser.CommentHandler = reader.comment
    parser.StartDoctypeDeclHandler = lambda *_: _external(N_("a document type"))
    parser.ProcessingInstructionHandler = lambda *_: _active(N_("a processing instruction"))
    try:
        parser.Parse(content, True)
    except expat.ExpatError as fault:
        raise ExportError(
            "RF-X016", N_("The SVG is not well-formed at line {line}. Write it again."), line=fault.lineno
        ) from None
    return Parsed(content=content, texts=reader.all_texts(), grids=reader.grids())
