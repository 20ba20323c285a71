"""Mail addresses, URLs and addresses of machines, with letters of every script in mail addresses.

Sources: RFC 5321 and 6531 (mail, with letters beyond ASCII), RFC 3986 (URLs). Chinese, Japanese and Korean
are written without blanks, so that a mail address in ASCII ends where such a character begins.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from ringfence.privacy.identifiers.spans import Span

# Letters and marks beyond ASCII of scripts that put blanks between words.
_WIDE = (
    r"\u00aa\u00b5\u00ba\u00c0-\u1fff\u2c00-\u2dff\ua4d0-\uabff"
    r"\ufb00-\ufdff\ufe70-\ufefc\U00010000-\U0001efff"
)
_EAST = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_LABEL = rf"[A-Za-z0-9{_WIDE}{_EAST}](?:[A-Za-z0-9{_WIDE}{_EAST}-]{{0,62}})"
_TOP = (
    "(?:中国|中國|公司|网络|網絡|香港|台湾|台灣|新加坡|澳门|在线|中文网|网站|网址|商城|商标|商店|集团|政务"
    "|公益|移动|测试|測試|한국|삼성|コム|みんな)"
)
_EMAIL = re.compile(
    rf"(?:[A-Za-z0-9._%+'&!#$*/=?^`{{|}}~{_WIDE}-]{{0,64}}[{_EAST}]{{1,10}}"
    rf"|[A-Za-z0-9._%+'{_WIDE}-]{{1,64}}|\"[^\"@\n]{{1,64}}\")"
    rf"(?:[ \t]{{0,2}}@[ \t]{{0,2}}|\s?[\[(]at[\])]\s?)(?:{_LABEL}\.)+"
    rf"(?:xn--[A-Za-z0-9-]{{2,40}}|{_TOP}|[A-Za-z{_WIDE}]{{2,24}})"
)
_URL = re.compile(
    r"(?i)(?:https?|ftp|wxp|alipays?)://[^\s<>\"'\u3000-\u9fff]+|(?<![A-Za-z0-9.])www\.[a-z0-9-]+\.[^\s<>\"'\u3000-\u9fff]+"
)
_IPV4 = re.compile(
    r"(?:(?<![0-9A-Za-z.])|(?<=ip)|(?<=IP))(?:\d{1,3}\.){3}\d{1,3}(?![0-9])(?!\.\d)(?!(?:a|b|rc|dev|alpha|beta|post)\d)"
)
_IPV6 = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{2,39}(?:(?:\d{1,3}\.){3}\d{1,3})?(?![0-9A-Za-z:])")
_VERSION_BEFORE = re.compile(r"(?i)(?:version|release|build|ver\.?|v|版本号?|版|修订)[\s:=为是]{0,3}$")
_VERSION_AFTER = re.compile(r"\s?版")
_MAC = re.compile(
    r"(?i)(?<![0-9a-z])(?:[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}"
    r"|(?=[0-9.]*[a-f])[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4})(?!\d)"
)


def scan_network(text: str) -> Iterator[Span]:
    """Yield mail addresses, URLs, hardware addresses, and IP addresses that name a machine."""
    if "@" in text or "at" in text:
        for match in _EMAIL.finditer(text):
            yield Span("EMAIL", match.start(), match.end(), 1.0)
    for match in _URL.finditer(text) if ":" in text or "." in text else ():
        yield Span("URL", match.start(), match.start() + len(match[0].rstrip(".,;:!?)]}。，")), 0.6)
    for mark, times, pattern in ((".", 3, _IPV4), (":", 2, _IPV6)):
        if text.count(mark) >= times:
            yield from _machines(text, mark, times, pattern)


def scan_hardware(text: str) -> Iterator[Span]:
    """Yield hardware (MAC) addresses."""
    for match in _MAC.finditer(text):
        yield Span("MAC_ADDRESS", match.start(), match.end(), 0.6)


def _machines(text: str, mark: str, times: int, pattern: re.Pattern[str]) -> Iterator[Span]:
    for match in pattern.finditer(text):
        if match[0].count(mark) < times:
            continue
        try:
            address = ipaddress.ip_address(match[0])
        except ValueError:
            continue
        version = _VERSION_BEFORE.search(text, max(0, match.start() - 12), match.start())
        version = version or _VERSION_AFTER.match(text, match.end())
        if not (address.is_loopback or address.is_unspecified or version):
            yield Span("IP_ADDRESS", match.start(), match.end(), 0.8)
