"""The report's sentences in the reader's language, and its figures as texts.

The catalogue is the one of messages. It is read here beside `use_language`, so that a page in one language
can be made while the program speaks another.
"""

from __future__ import annotations

import gettext
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from importlib import resources
from pathlib import Path
from typing import Literal, TypeAlias

from ringfence.privacy.errors import N_

Language: TypeAlias = Literal["en", "zh-CN"]
_CATALOGUES: dict[Language, list[str]] = {"en": ["en"], "zh-CN": ["zh_CN"]}
_EDGE = r"[-\u2212]?\d[\d.-]*"
# How a scorecard's labels tell a range, the longest form first.
_RANGES = (
    (re.compile(rf"({_EDGE}) to below ({_EDGE})"), N_("{0} to below {1}")),
    (re.compile(rf"({_EDGE}) to before ({_EDGE})"), N_("{0} to before {1}")),
    (re.compile(rf"\bbelow ({_EDGE})"), N_("below {0}")),
    (re.compile(rf"\bbefore ({_EDGE})"), N_("before {0}")),
    (re.compile(rf"({_EDGE}) and above\b"), N_("{0} and above")),
    (re.compile(rf"({_EDGE}) and after\b"), N_("{0} and after")),
)
_WHOLE = {"any number": N_("any number"), "any date": N_("any date")}

# What the price of a study and the log say in fixed words.
_FIXED = {
    "customer": N_("customer"),
    "add/remove": N_("one customer added or removed"),
    "distributed": N_("each holder adds a share; the shares add up in the sum"),
    "local": N_("each holder adds the full noise by itself"),
    "Gaussian differential privacy, exact composition of discrete Gaussians": N_(
        "Gaussian differential privacy, exact composition of discrete Gaussians"
    ),
    "privacy loss distribution of the fixed plan, rounded up": N_(
        "privacy loss distribution of the fixed plan, rounded up"
    ),
    "all customers": N_("all customers"),
    "two disjoint parts by customer key; the dearer one counts": N_(
        "two disjoint parts by customer key; the dearer one counts"
    ),
    "no sampling": N_("no sampling"),
    "Poisson": N_("Poisson sampling"),
    "not Gaussian": N_("not Gaussian"),
    "what one customer spends in other studies at other holders": N_(
        "what one customer spends in other studies at other holders"
    ),
    "the coordinator sees the holders' sum alone": N_("the coordinator sees the holders' sum alone"),
    "the coordinator sees each holder's noisy update": N_("the coordinator sees each holder's noisy update"),
    "none": N_("no claim can be made"),
    "allow": N_("allowed"),
    "deny": N_("refused"),
    "error": N_("failed"),
    "exact (simulation only)": N_("exact (simulation only)"),
    "coordinator": N_("coordinator"),
    "in-process": N_("in one process"),
    "scorecard": N_("scorecard"),
    "statistics": N_("statistics"),
    "mlp": N_("multilayer perceptron"),
    "lstm": N_("recurrent network (LSTM)"),
    "attention": N_("network with attention"),
    "(missing)": N_("(missing)"),
    "(other)": N_("(other)"),
    "simulation": N_("in memory"),
    "durable": N_("in files"),
    "consent": N_("consent"),
    "contract": N_("contract"),
    "legal-obligation": N_("legal obligation"),
    "vital-interest": N_("vital interest"),
    "public-interest": N_("public interest"),
    "legitimate-interest": N_("legitimate interest"),
    "disclosed-information": N_("information the person disclosed"),
    "yes": N_("yes"),
    "no": N_("no"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Speaks one language.

    Attributes:
        language: the tag for `lang`.
        catalogue: of the sentences.
    """

    language: Language
    catalogue: gettext.NullTranslations

    @classmethod
    def of(cls, language: Language) -> Words:
        """The words of a language; a sentence that is not translated stays English.

        Raises:
            KeyError: the language is unknown.
        """
        names = _CATALOGUES[language]
        return cls(language=language, catalogue=_catalogue("ringfence.privacy", "ringfence", names))

    def __call__(self, sentence: str, **values: object) -> str:
        """A sentence marked with `N_`, translated, its fields filled in."""
        return self.catalogue.gettext(sentence).format(**values)

    def fixed(self, term: object) -> str:
        """A word from the price of a study or the log; what is not known stands as it is."""
        text = str(term)
        return self(_FIXED[text]) if text in _FIXED else text

    def event(self, meaning: str) -> str:
        """The meaning of an event type, whose translation belongs to the log."""
        audit = _catalogue("ringfence.audit", "ringfence_audit", _CATALOGUES[self.language])
        return audit.gettext(meaning)

    def bin(self, label: str) -> str:
        """The label of a scorecard's bin: what falls into it, one thing after the other."""
        parts = (self._share(part) for part in label.split(" & "))
        return " & ".join(parts)

    def _share(self, label: str) -> str:
        return self(N_(", ")).join(self._thing(thing) for thing in label.split(", "))

    def _thing(self, thing: str) -> str:
        """A range, a category or what stands for an entry that is none."""
        if thing in ("(missing)", "(other)"):
            return self.fixed(thing)
        if thing in _WHOLE:
            return self(_WHOLE[thing])
        for form, sentence in _RANGES:
            found = form.fullmatch(thing)
            if found:
                return self.catalogue.gettext(sentence).format(*found.groups())
        return thing

    def sentences(self, parts: Iterable[str]) -> str:
        """Short statements in a row."""
        return self(N_("; ")).join(parts)

    def sentences_joined(self, sentences: Iterable[str]) -> str:
        """Whole sentences one after the other."""
        return ("" if self.language == "zh-CN" else " ").join(sentences)

    def figure(self, value: float | None, digits: int = 3) -> str:
        """A figure with so many digits, or the word for one that nothing defines."""
        return self(N_("undefined")) if value is None else fixed_point(value, digits)

    def names(self, names: tuple[str, ...], most: int = 12) -> str:
        """Names in a row; beyond `most` only how many more there are."""
        shown = self(N_(", ")).join(names[:most])
        if len(names) <= most:
            return shown
        return self(N_("{names} and {count} more"), names=shown, count=len(names) - most)


def _catalogue(package: str, domain: str, names: list[str]) -> gettext.NullTranslations:
    folder = Path(str(resources.files(package).joinpath("locale")))
    return gettext.translation(domain, folder, names, fallback=True)


def count_text(value: int) -> str:
    """A count with thousands apart."""
    return f"{value:,}"


def fixed_point(value: float, digits: int = 3) -> str:
    """A number with so many digits after the point."""
    return f"{value:,.{digits}f}"


def rounded(value: float, digits: int, direction: str) -> str:
    """A number rounded from what flatters it: `ROUND_CEILING` for a price, `ROUND_FLOOR` for a rest."""
    if not math.isfinite(value):
        return "∞"
    exact = Decimal(value).quantize(Decimal(1).scaleb(-12))  # the twelfth digit is the accountant's own error
    return f"{exact.quantize(Decimal(1).scaleb(-digits), rounding=direction):,f}"


def epsilon_text(epsilon: float) -> str:
    """An epsilon with three digits, rounded up."""
    return rounded(epsilon, 3, ROUND_CEILING)


def small(value: Decimal) -> str:
    """A small probability: `10⁻⁶`, `2.5·10⁻⁷`; from a thousandth on as it stands."""
    if value >= Decimal("0.001"):
        return f"{value.normalize():f}"
    sign, digits, _ = value.normalize().as_tuple()
    del sign
    mantissa = str(digits[0]) + ("." + "".join(map(str, digits[1:])) if len(digits) > 1 else "")
    power = "10" + f"{value.adjusted()}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if mantissa == "1" else f"{mantissa}·{power}"


def percent(share: float) -> str:
    """A share in percent with one digit."""
    return f"{share:.1%}"
