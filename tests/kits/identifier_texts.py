"""Made-up identifiers with right check digits, ordinary figures beside them, and sentences for both."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator

Draw = random.Random
Make = Callable[[Draw], str]

_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_PROVINCES = ("110105", "310115", "440305", "330106", "510104", "610113", "420106", "650102")
_BANKS = ("DE", "GB", "FR", "NL", "CH", "ES")
_IBAN = {"DE": "18n", "GB": "4a14n", "FR": "10n11c2n", "NL": "4a10n", "CH": "5n12c", "ES": "20n"}
_SURNAMES, _GIVEN = "王李张刘陈杨赵黄周吴", "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超"
_FIRST, _LAST = (
    ("Alice", "John", "Maria", "Peter", "Chen", "Olga"),
    ("Johnson", "Miller", "García", "O'Neill"),
)
_ROADS = ("中山路", "世纪大道", "人民街", "解放路", "和平里")


def _digits(draw: Draw, count: int) -> str:
    return "".join(draw.choice("0123456789") for _ in range(count))


def _with_luhn(body: str) -> str:
    doubled = [int(d) * (2 - place % 2) for place, d in enumerate(reversed(body))]
    return body + str(-sum(d - 9 * (d > 9) for d in doubled) % 10)


def _day(draw: Draw, first: int, last: int) -> dt.date:
    return dt.date(first, 1, 1) + dt.timedelta(days=draw.randrange(365 * (last - first)))


def resident_id(draw: Draw) -> str:
    body = draw.choice(_PROVINCES) + _day(draw, 1940, 2008).strftime("%Y%m%d") + _digits(draw, 3)
    return body + "10X98765432"[sum(int(d) * pow(2, 17 - i, 11) for i, d in enumerate(body)) % 11]


def mobile(draw: Draw) -> str:
    return draw.choice("1") + draw.choice("356789") + _digits(draw, 9)


def card(draw: Draw) -> str:
    prefix, size = draw.choice((("4", 16), ("51", 16), ("55", 16), ("6228", 19), ("6217", 16), ("37", 15)))
    return _with_luhn(prefix + _digits(draw, size - len(prefix) - 1))


def credit_code(draw: Draw) -> str:
    body = "91" + draw.choice(_PROVINCES) + "".join(draw.choice(_USCC) for _ in range(9))
    total = sum(_USCC.index(c) * pow(3, place, 31) for place, c in enumerate(body))
    return body + _USCC[-total % 31]


def iban(draw: Draw) -> str:
    country, form, body = draw.choice(_BANKS), "", ""
    form = _IBAN[country]
    while form:
        count = int("".join(c for c in form[:2] if c.isdigit()))
        kind = form[len(str(count))]
        form = form[len(str(count)) + 1 :]
        body += "".join(
            draw.choice({"n": "0123456789", "a": "ABCDEFGHKLMNPRST", "c": "0123456789ABCDEF"}[kind])
            for _ in range(count)
        )
    number = "".join(str(int(c, 36)) for c in f"{body}{country}00")
    return f"{country}{98 - int(number) % 97:02}{body}"


def plate(draw: Draw) -> str:
    return draw.choice("京沪粤苏浙川鄂") + draw.choice("ABCDE") + draw.choice("FGH12345") + _digits(draw, 4)


def mail(draw: Draw) -> str:
    name = draw.choice(("wang.fang", "li_na", "j.miller", "zhangwei88", "sales+7", "müller"))
    return f"{name}{draw.randrange(100)}@{draw.choice(('example.com', 'mail.example.cn', 'example.co.uk'))}"


def machine(draw: Draw) -> str:
    return ".".join(str(draw.randrange(11, 255)) for _ in range(4))


def hardware(draw: Draw) -> str:
    return ":".join(f"{draw.randrange(256):02X}" for _ in range(6))


def social_security(draw: Draw) -> str:
    return f"{draw.randrange(100, 665)}-{draw.randrange(1, 99):02}-{draw.randrange(1, 9999):04}"


def insurance(draw: Draw) -> str:
    return draw.choice(("AB", "CE", "JK", "PS")) + _digits(draw, 6) + draw.choice("ABCD")


def landline(draw: Draw) -> str:
    area = draw.choice(("010", "021", "0755", "0571", "028"))
    gap = draw.choice(("-", " "))
    return f"{area}{gap}{draw.randrange(2, 9)}{_digits(draw, 7)}"


def abroad(draw: Draw) -> str:
    return draw.choice(
        (
            f"+44 20 7{_digits(draw, 3)} {_digits(draw, 4)}",
            f"(2{_digits(draw, 2)}) 5{_digits(draw, 2)}-{_digits(draw, 4)}",
            f"+49 30 {draw.randrange(10**6, 10**7)}",
        )
    )


def passport(draw: Draw) -> str:
    return draw.choice("EG") + _digits(draw, 8)


def person(draw: Draw) -> str:
    chinese = draw.choice(_SURNAMES) + "".join(draw.choice(_GIVEN) for _ in range(draw.randrange(1, 3)))
    return draw.choice(
        (f"{chinese}先生", f"姓名：{chinese}", f"Mr {draw.choice(_FIRST)} {draw.choice(_LAST)}")
    )


def address(draw: Draw) -> str:
    number = draw.randrange(1, 900)
    return draw.choice((f"{draw.choice(_ROADS)}{number}号", f"{number} Baker Street", f"{number} Mill Lane"))


IDENTIFIERS: dict[str, Make] = {
    "CN_RESIDENT_ID": resident_id,
    "CN_MOBILE": mobile,
    "CREDIT_CARD": card,
    "CN_USCC": credit_code,
    "IBAN": iban,
    "CN_PLATE": plate,
    "CN_PASSPORT": passport,
    "EMAIL": mail,
    "IP_ADDRESS": machine,
    "MAC_ADDRESS": hardware,
    "US_SSN": social_security,
    "UK_NINO": insurance,
    "PHONE, China": landline,
    "PHONE, abroad": abroad,
    "PERSON with a sign": person,
    "ADDRESS with a number": address,
}

_SIZES = {"CN_RESIDENT_ID": (6, 8, 4), "CN_MOBILE": (3, 4, 4), "CREDIT_CARD": (4, 4, 4, 4, 3)}


def written(kind: str, plain: str, draw: Draw) -> str:
    """An identifier as people write it: plain, in groups, in wide digits."""
    way = draw.randrange(4)
    if way == 1 and kind in _SIZES and len(plain) != 15:
        parts, at = [], 0
        for size in _SIZES[kind]:
            parts.append(plain[at : at + size])
            at += size
        return draw.choice((" ", "-")).join(part for part in parts if part)
    if way == 2 and kind in ("CN_RESIDENT_ID", "CN_MOBILE", "CREDIT_CARD"):
        return "".join(chr(ord(c) + 0xFEE0) for c in plain)
    return plain


SENTENCES = (
    "{}",
    "paid by {}",
    "see {}, then close",
    "Noted: {}.",
    "the customer with {} asked again for the contract of last year, and nobody answered in time",
    "客户{}已核",
    "登记：{}，请处理",
    "已向{}回复",
    "备注（{}）",
    "昨天下午营业厅收到的申请里写的是{}，经办人核对后认为没有问题，已经归档，等待下一步的处理意见，谢谢",
)


def _amount(draw: Draw) -> str:
    value = round(draw.lognormvariate(7, 2), 2)
    return draw.choice(
        (
            f"{value:.2f}",
            f"{value:,.2f}",
            f"¥{value:,.2f}",
            f"{value:.2f} EUR",
            f"{value:,.2f}元",
            str(int(value)),
        )
    )


def _comma(draw: Draw) -> str:
    value = round(draw.lognormvariate(7, 2), 2)
    grouped = f"{value:,.2f}".translate(str.maketrans(",.", ".,"))
    return draw.choice((f"{value:.2f}".replace(".", ","), grouped, f"{value:.4f}".replace(".", ",")))


def _date(draw: Draw) -> str:
    day = _day(draw, 2015, 2027)
    forms = ("%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d", "%Y年%m月%d日", "%Y-%m-%d 12:30:45", "%d/%m/%Y")
    return day.strftime(draw.choice(forms))


def _order(draw: Draw) -> str:
    day = _day(draw, 2020, 2027).strftime("%Y%m%d")
    number = draw.randrange(10**6)
    return draw.choice(
        (
            f"PO-{number:06}",
            f"A-2026-{number:05}",
            f"SKU-{number:08}",
            f"{day}{number:06}",
            f"INV{day}{number % 10000:04}",
            f"45000{number:05}",
            f"#{number}",
        )
    )


def _figure(draw: Draw) -> str:
    return draw.choice(
        (
            f"{draw.random():.6f}",
            f"{draw.gauss(0, 3):+.3f}",
            f"{draw.random() * 100:.1f} %",
            str(draw.randrange(10**9)),
            f"{draw.random():.3e}",
            f"[{draw.randrange(100)}, {draw.randrange(100, 999)})",
            f"1.{draw.randrange(30)}.{draw.randrange(20)}",
            f"{draw.randrange(1000)} {draw.randrange(1000)} {draw.randrange(1000)}",
            f"{draw.getrandbits(128):032x}",
            str(1_600_000_000 + draw.randrange(10**8)),
        )
    )


ORDINARY: dict[str, Make] = {
    "amounts": _amount,
    "amounts with a decimal comma": _comma,
    "dates": _date,
    "order numbers": _order,
    "other figures": _figure,
}


def sentences(make: Make, kind: str, count: int, seed: int) -> Iterator[str]:
    """`count` sentences, each with one identifier or figure in it; the same ones for the same seed."""
    draw = random.Random(f"{seed} {kind}")
    for place in range(count):
        plain = make(draw)
        yield SENTENCES[place % len(SENTENCES)].format(written(kind, plain, draw))
