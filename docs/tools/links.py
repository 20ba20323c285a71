"""Check that every relative link and every heading that a page points at exists: `python
docs/tools/links.py`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from checkout import ROOT, files

_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]\n]*(?:\]\([^)\n]*\)[^\]\n]*)?\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_IMAGE_TAG = re.compile(r"<(?:img|a)\s[^>]*?(?:src|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
_ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def links_of(text: str) -> Iterator[str]:
    """Targets of all links and images of a Markdown page, code left out."""
    prose = _CODE.sub("", _FENCE.sub("", text))
    for pattern in (_LINK, _IMAGE_TAG):
        yield from (match.group(1) for match in pattern.finditer(prose))
    for match in re.finditer(r"!\[[^\]\n]*\]\(([^)\s]+)\)", prose):
        yield match.group(1)


def anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading (repeated headings are not counted up here)."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


@lru_cache(maxsize=256)
def _anchors(page: Path) -> frozenset[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    named = re.findall(r"<a\s+(?:id|name)=\"([^\"]+)\"", text)
    return frozenset([anchor(title) for title in _HEADING.findall(text)] + named)


def faults_of(name: Path, text: str, root: Path = ROOT) -> Iterator[str]:
    """One line for each link of a page (path relative to `root`) that leads nowhere."""
    for target in links_of(text):
        if _ELSEWHERE.match(target):
            continue
        path, _, fragment = unquote(target).partition("#")
        page = (root / name.parent / path) if path else root / name
        if not page.exists():
            yield f"{name}: {target} does not exist"
        elif root.resolve() not in (page.resolve(), *page.resolve().parents):
            yield f"{name}: {target} leaves the repository"
        elif fragment and page.suffix == ".md" and fragment not in _anchors(page.resolve()):
            yield f"{name}: {target} names no heading of that page"


def main() -> int:
    """Check all pages of the checkout."""
    pages = [name for name in files() if name.suffix == ".md"]
    faults = [fault for name in pages for fault in faults_of(name, (ROOT / name).read_text(encoding="utf-8"))]
    print("\n".join(faults) or f"The links of {len(pages)} pages lead somewhere.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
