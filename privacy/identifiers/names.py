"""Names and addresses that announce themselves: honorifics, labels, street shapes; English and Chinese.

A name without such a sign is found only in the holder's own list of customers
(`ringfence.privacy.identifiers.customers`) or by a site's own model; this file does not guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许邓韩冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚"
    "沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤温康施"
    "文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴霍涂成苗谷盛曲翁冉"
    "骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全"
)
_COMPOUND = "欧阳|司马|上官|诸葛|司徒|东方|皇甫|尉迟|公孙|慕容|令狐|夏侯|端木|南宫|司空"
_EMPTY_VALUE = r"(?!已|未|无|不详|匿名|脱敏|略|保密|空|字段|列|是否|等|及|和|与)"
_NAME_ZH = rf"(?:{_COMPOUND}|[{_SURNAMES}])[\u4e00-\u9fff]"
_WORD = r"[A-Z\u00c0-\u00de][A-Za-z\u00c0-\u024f'’-]+"

_HONORIFIC_EN = re.compile(
    rf"(?<![A-Za-z])(?:Mr|Mrs|Ms|Miss|Dr|Prof|Madam)\.? ({_WORD}(?: [A-Z]\.?(?![A-Za-z]))?(?: "
    rf"{_WORD}){{0,2}})"
)
_HONORIFIC_ZH = re.compile(
    rf"(?:{_COMPOUND}|[{_SURNAMES}])[\u4e00-\u9fff]{{0,2}}?(?=先生|女士|小姐|太太|夫人)"
)
_LABEL_ZH = re.compile(
    rf"(?:姓名|客户名称?|联系人|收件人|收货人|户名|持卡人|法定代表人|我叫|名叫)\s*(?:[:=]|为|是)?\s*({_EMPTY_VALUE}{_NAME_ZH}{{1,2}}(?![\u4e00-\u9fff])|{_NAME_ZH}{{1}}"
    r"[\u4e00-\u9fff]?(?=[,，。;；、\s]|$))"
)
_LABELLED_ZH = re.compile(r"[姓客联收户持法我名]")
_NUMBERED_ZH = re.compile(r"\d[号弄栋幢组]")
_LABEL_EN = re.compile(
    r"(?:(?i:(?:customer|client|full|first|last|holder|card ?holder|contact|recipient|beneficiary)[ "
    r"_-]?name)\s*(?:[:=]|is)\s*"
    r"|(?i:my name is|account holder:|signed:)\s*|(?<![A-Za-z])Name: )"
    rf"({_WORD}(?: [A-Z]\.?(?![A-Za-z]))?(?: {_WORD}){{0,3}})"
)
_TWO_WORDS = re.compile(rf"{_WORD}(?: [A-Z]\.?)? {_WORD}")
_STREET_ZH = re.compile(
    r"(?:[\u4e00-\u9fff]{2,8}(?:省|自治区))?(?:[\u4e00-\u9fff]{2,8}市)?(?:[\u4e00-\u9fff]{1,8}(?:区|县|镇|乡))?"
    r"[\u4e00-\u9fff]{1,8}(?:路|街|大道|巷|胡同|村|里|弄|苑|小区)[\u4e00-\u9fff]{0,4}\d{1,5}(?:号|弄|栋|幢|组)"
    r"(?:[\u4e00-\u9fff]{0,8}\d{1,5}(?:号楼|号|栋|幢|单元|室|层|座|楼|房))*"
)
_LABEL_ADDRESS_ZH = re.compile(
    rf"(?:地址|住址|户籍地|寄至|送至)\s*(?:[:=]|为|是)\s*"
    rf"({_EMPTY_VALUE}[\u4e00-\u9fff0-9A-Za-z\-()# ]{{6,60}})"
)
_STREET_EN = re.compile(
    r"(?<![0-9A-Za-z_.])\d{1,5}[A-Za-z]? (?:[NSEW]\.? )?(?:[A-Z][A-Za-z'.]+ ){1,3}"
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Boulevard|Blvd|Court|Ct|Square|Terrace|Close|Crescent|Highway|Hwy)(?![A-Za-z])"
)
_LABEL_ADDRESS_EN = re.compile(
    r"(?i)(?:(?:home|postal|mailing|street|billing|delivery) "
    r")address\s*(?:[:=]|is)\s*([^\n;|\[\]*]{6,80})|(?<![a-z])lives at ([^\n;|.\[\]*]{6,80})"
)
_PERSON_COLUMN = re.compile(
    r"(?i)(?:customer|client|full|first|last|given|family|holder|contact|cust)[ _-]?name$"
    r"|姓名|客户名|联系人|户名"
)
_WHOLE_ZH = re.compile(rf"(?:{_COMPOUND}|[{_SURNAMES}])[\u4e00-\u9fff]{{1,2}}")


def _label_spans(
    pattern: re.Pattern[str], kind: str, text: str, score: float
) -> Iterator[tuple[str, int, int, float]]:
    for match in pattern.finditer(text):
        group = match.lastindex or 0
        yield kind, match.start(group), match.end(group), score


def scan_names(text: str, context: str) -> Iterator[tuple[str, int, int, float]]:
    """Yield `(kind, start, end, score)` for announced names and addresses in folded text."""
    if not text.isascii():
        if any(word in text for word in ("先生", "女士", "小姐", "太太", "夫人")):
            yield from _label_spans(_HONORIFIC_ZH, "PERSON", text, 0.6)
        if _LABELLED_ZH.search(text):
            yield from _label_spans(_LABEL_ZH, "PERSON", text, 0.7)
        if "址" in text or "至" in text or "户籍地" in text:
            yield from _label_spans(_LABEL_ADDRESS_ZH, "ADDRESS", text, 0.6)
        if _NUMBERED_ZH.search(text):
            yield from _label_spans(_STREET_ZH, "ADDRESS", text, 0.6)
    if len(text) > 5 and " " in text:
        yield from _label_spans(_HONORIFIC_EN, "PERSON", text, 0.6)
        yield from _label_spans(_STREET_EN, "ADDRESS", text, 0.6)
        yield from _label_spans(_LABEL_ADDRESS_EN, "ADDRESS", text, 0.5)
        for kind, start, end, score in _label_spans(_LABEL_EN, "PERSON", text, 0.6):
            if _TWO_WORDS.match(text, start) or not text[max(0, start - 6) : start].endswith("Name: "):
                yield kind, start, end, score
    if context and _PERSON_COLUMN.search(context):
        whole = text.strip()
        if _WHOLE_ZH.fullmatch(whole) or _TWO_WORDS.fullmatch(whole):
            start = text.index(whole)
            yield "PERSON", start, start + len(whole), 0.6
