"""From a chart's specification to a passive, accessible SVG, drawn offline by vl-convert.

Nothing is fetched: data stand in the specification and no address is allowed. What Vega writes for its own
use (class names, roles and descriptions in English, event settings, ids that repeat from picture to picture)
is taken out, so that the pictures of one page do not disturb each other and a screen reader hears one title
and one description.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any
from xml.etree import ElementTree

from ringfence.models.pages.markup import Html, trusted
from ringfence.privacy.errors import N_, UsageError

FONTS = (
    "system-ui, Noto Sans, Noto Sans CJK SC, Noto Sans SC, Microsoft YaHei, PingFang SC, Heiti SC, sans-serif"
)
_SVG = "http://www.w3.org/2000/svg"
_DROPPED = ("role", "class", "pointer-events", "cursor", "display")


def require_drawing() -> None:
    """Find out, before the work, whether charts can be drawn; nothing is imported.

    Raises:
        UsageError: RF-U640 a package is not installed.
    """
    packages = {"altair": "altair", "vl_convert": "vl-convert-python"}
    absent = [package for module, package in packages.items() if find_spec(module) is None]
    if absent:
        raise UsageError(
            "RF-U640",
            N_(
                "A report's charts are drawn with packages that are not installed: {packages}. They come "
                "with ringfence[simulate]: pip install 'ringfence[simulate]'."
            ),
            packages=", ".join(absent),
        )


def draw_chart(specification: dict[str, Any], *, name: str, title: str, description: str) -> Html:
    """Draw a Vega-Lite specification.

    Args:
        specification: with its data inside.
        name: unique on the page; begins every id in the picture.
        title: what the picture shows, for those who do not see it.
        description: what it says, in a sentence.

    Returns:
        An `<svg role="img">` element; the same input gives the same text.
    """
    import vl_convert

    picture: str = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    return trusted(accessible(picture, name=name, title=title, description=description))


def accessible(picture: str, *, name: str, title: str, description: str) -> str:
    """Clean a picture and give it a role, a title and a description.

    Args:
        picture: SVG as Vega writes it.
        name: unique on the page.
        title: for `<title>`.
        description: for `<desc>`.
    """
    root = ElementTree.fromstring(picture)
    ids: dict[str, str] = {}
    for node in root.iter():
        node.tag = node.tag.removeprefix(f"{{{_SVG}}}")
        _passive(node)
        if "id" in node.attrib:
            ids[node.attrib["id"]] = node.attrib["id"] = f"{name}-{len(ids)}"
    for node in root.iter():
        for key, value in node.attrib.items():
            for old, new in ids.items():
                node.attrib[key] = value.replace(f"url(#{old})", f"url(#{new})")
    _prune(root)
    width, height = root.attrib["width"], root.attrib["height"]
    root.attrib = {
        "xmlns": _SVG,
        "viewBox": f"0 0 {width} {height}",
        "width": width,
        "height": height,
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
    }
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        told = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
        told.text = text
        root.insert(position, told)
    return ElementTree.tostring(root, encoding="unicode")


def _passive(node: ElementTree.Element) -> None:
    """Take out what means something to Vega only, and paths that draw nothing."""
    for key in list(node.attrib):
        if key in _DROPPED or key.startswith("aria-"):
            del node.attrib[key]


def _prune(node: ElementTree.Element) -> None:
    """Drop empty groups, empty paths and unseen backgrounds."""
    for child in list(node):
        _prune(child)
        empty_group = child.tag == "g" and len(child) == 0
        drawn = child.attrib.get("d", "")
        if empty_group or (child.tag == "path" and drawn in ("", "M0,0h0v0h0Z")):
            node.remove(child)
