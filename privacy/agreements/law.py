"""What the law of a jurisdiction knows and asks: legal bases, and consents that have to be given apart.

The only list of legal bases, each with its clause: studies name one of it, policy refuses what the holder's
law does not know, and the consent registry reads records by it. A jurisdiction that is neither China nor
under the GDPR has no table here, so no basis is refused there; whether its law knows one is for the holder to
say.

Sources: Personal Information Protection Law of the People's Republic of China (PIPL), articles 13, 14, 23, 29
and 39; Regulation (EU) 2016/679 (GDPR), articles 6, 9, 45, 46 and 49, with the United Kingdom's own of the
same numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field

from ringfence.privacy.errors import N_
from ringfence.privacy.toml.faults import refuse

LegalBasis: TypeAlias = Literal[
    "consent",
    "contract",
    "legal-obligation",
    "vital-interest",
    "public-interest",
    "legitimate-interest",
    "disclosed-information",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """A legal basis and where it stands.

    Attributes:
        dpv: term of the W3C Data Privacy Vocabulary.
        pipl: clause of the PIPL, empty where it has none.
        gdpr: clause of the GDPR, empty where it has none.
    """

    dpv: str
    pipl: str
    gdpr: str


LEGAL_BASES: Final[Mapping[str, Basis]] = MappingProxyType(
    {
        "consent": Basis(dpv="dpv:Consent", pipl="13(1)(1)", gdpr="6(1)(a)"),
        "contract": Basis(dpv="dpv:Contract", pipl="13(1)(2)", gdpr="6(1)(b)"),
        "legal-obligation": Basis(dpv="dpv:LegalObligation", pipl="13(1)(3)", gdpr="6(1)(c)"),
        "vital-interest": Basis(dpv="dpv:VitalInterest", pipl="13(1)(4)", gdpr="6(1)(d)"),
        "public-interest": Basis(dpv="dpv:PublicInterest", pipl="13(1)(5)", gdpr="6(1)(e)"),
        "legitimate-interest": Basis(dpv="dpv:LegitimateInterest", pipl="", gdpr="6(1)(f)"),
        # Disclosed by the person or otherwise lawfully; the vocabulary has the general term only.
        "disclosed-information": Basis(dpv="dpv:LegalBasis", pipl="13(1)(6)", gdpr=""),
    }
)

SEPARATE_CONSENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sensitive-data": "PIPL 29, GDPR 9(2)(a)",
        "provision": "PIPL 23",
        "cross-border": "PIPL 39, GDPR 49(1)(a)",
    }
)
"""Consents that are given apart from the one to the purpose, each with its clauses."""

# The European Union, the other members of its economic area, and the United Kingdom, whose own law has the
# same articles; data move freely between them (article 1(3); adequacy decisions of both sides).
_GDPR_CODES: Final = """
EU AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE IS LI NO GB
"""
_GDPR: Final = frozenset(_GDPR_CODES.split())

_CODES: Final = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW
BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI
FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN
IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME
MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF
PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV
SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE
YT ZA ZM ZW
"""
COUNTRIES: Final = frozenset(_CODES.split())
"""Two-letter codes of ISO 3166-1."""

_MEANT: Final = {"UK": "GB", "EL": "GR"}


def _country(code: str) -> str:
    if code not in COUNTRIES and code != "EU":
        meant = f"{_MEANT[code]}?" if code in _MEANT else "CN, DE, EU"
        refuse(
            "RF-S302",
            N_("Not a country of ISO 3166 in two capital letters, nor EU; for example: {meant}"),
            meant=meant,
        )
    return code


Country: TypeAlias = Annotated[str, Field(pattern=r"^[A-Z]{2}$"), AfterValidator(_country)]


def bases_of(jurisdiction: str | None) -> frozenset[str]:
    """Legal bases that a jurisdiction knows (a country's code, or `EU`); all of them where none is named."""
    if jurisdiction == "CN":
        return frozenset(name for name, basis in LEGAL_BASES.items() if basis.pipl)
    if jurisdiction in _GDPR:
        return frozenset(name for name, basis in LEGAL_BASES.items() if basis.gdpr)
    return frozenset(LEGAL_BASES)


def consents_apart(
    jurisdiction: str,
    basis: str,
    *,
    sensitive: bool,
    recipients: Iterable[str | None],
    safeguarded: Collection[str] = (),
) -> tuple[str, ...]:
    """Separate consents that a study needs of every customer it uses, in the order of the list.

    - Sensitive data: everywhere and on every basis (PIPL 29; GDPR 9(2)(a)).
    - Provision to another handler: in China, where the basis is consent (PIPL 23 with 13 and 14).
    - Another country: in China, where the basis is consent, unless every recipient is declared to be in China
      (PIPL 39). Under the GDPR, where a recipient is declared to be outside it in a country that no adequacy
      decision or safeguard of the holder covers (GDPR 45, 46, 49(1)(a)).

    Args:
        jurisdiction: whose law applies to the holder.
        basis: legal basis of the study.
        sensitive: whether a column it uses is sensitive.
        recipients: jurisdictions of the coordinator and of the other holders, who receive what is released;
            None for one that is not declared.
        safeguarded: countries that the holder's contract says are covered.
    """
    others = list(recipients)
    by_consent = jurisdiction == "CN" and basis == "consent"
    abroad = by_consent and any(other != "CN" for other in others)
    if jurisdiction in _GDPR:
        abroad = any(other is not None and other not in _GDPR | set(safeguarded) for other in others)
    needed = {
        "sensitive-data": sensitive,
        "provision": by_consent and bool(others),
        "cross-border": abroad,
    }
    return tuple(name for name in SEPARATE_CONSENTS if needed[name])
