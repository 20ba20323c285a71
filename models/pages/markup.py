"""HTML elements as values: text is escaped when it goes in, so a hostile name cannot become markup.

Invariant: an `Html` is made by `element`, `joined_html` and `trusted` only; every other string is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, TypeAlias

Form: TypeAlias = Literal["narrow", "wide", "prose"]
# Of every page that is made here: no script, and nothing from elsewhere.
CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_VOID = frozenset({"meta", "br", "hr", "img", "col"})


class Html(str):
    """Well-formed markup, as opposed to text."""

    __slots__ = ()


def trusted(markup: str) -> Html:
    """Take a string as markup: for style sheets and pictures made by this package."""
    return Html(markup)


def joined_html(parts: Iterable[str]) -> Html:
    """Put texts and markup one after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def element(name: str, /, *content: str, **attributes: str) -> Html:
    """One element with its content.

    Args:
        name: of the element.
        content: texts, which are escaped, and markup, which is not.
        attributes: by name; `class_` stands for `class`, and inner underscores for hyphens.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items()
    )
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{joined_html(content)}</{name}>")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """One column of a table: its heading, and whether its cells are figures, which stand to the right."""

    title: str
    figures: bool = False


def table(
    caption: str,
    columns: Sequence[TableColumn],
    rows: Iterable[Sequence[str]],
    *,
    form: Form = "narrow",
) -> Html:
    """A table whose first cell of each row is the row's heading.

    Args:
        caption: what the table shows.
        columns: headings, as many as a row has cells.
        rows: texts or markup.
        form: what happens on a small screen: `narrow` tables fit, `wide` ones scroll inside their frame, the
            cells of `prose` stand below each other, each with its heading.
    """
    head = element(
        "tr", *(element("th", column.title, scope="col", class_=_kind(column)) for column in columns)
    )
    made = element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", *(_row(row, columns) for row in rows)),
        class_=form,
    )
    return element("div", made, class_="frame", role="region", tabindex="0", aria_label=caption)


def _row(cells: Sequence[str], columns: Sequence[TableColumn]) -> Html:
    first, *rest = zip(cells, columns, strict=True)
    return element(
        "tr",
        element("th", first[0], scope="row", class_=_kind(first[1])),
        *(element("td", cell, class_=_kind(column), data_title=column.title) for cell, column in rest),
    )


def _kind(column: TableColumn) -> str:
    return "figure" if column.figures else "text"


def section(name: str, title: str, *content: str) -> Html:
    """A part of the page with its heading; `name` is the target of links to it."""
    return element(
        "section",
        element("h2", title, id=f"{name}-title"),
        *content,
        id=name,
        aria_labelledby=f"{name}-title",
    )


def figure(picture: Html, summary: str, figures: Html) -> Html:
    """A chart and, folded under it, the table that says the same."""
    return element(
        "figure",
        element("div", picture, class_="picture"),
        element("details", element("summary", summary), figures),
    )


def bullets(lines: Iterable[str]) -> Html:
    """An unordered list."""
    return element("ul", *(element("li", line) for line in lines))
