"""The parts of a study: its price, its evaluation, its holders."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from ringfence.privacy.agreements.law import Country
from ringfence.privacy.agreements.parties import HolderName
from ringfence.privacy.errors import N_
from ringfence.privacy.toml.canonical import LARGEST, Document, Exact, Whole, decimal_text
from ringfence.privacy.toml.faults import Problem, kind_name, settle

Setting: TypeAlias = int | str | tuple[int | str, ...]


class PrivacyTerms(Document):
    """The price of a study and the form of its noise."""

    epsilon: Exact = Field(
        gt=0,
        le=1000,
        description="epsilon of one customer over all holders of the study when no attempt is repeated. With "
        "all `max_attempts` it is larger: the worst case is what holders reserve, and `study "
        "check` and every report show both.",
        examples=["1.0"],
    )
    delta: Exact = Field(
        gt=0, lt=1, description="delta; below one over the largest `max_customers`.", examples=["1e-6"]
    )
    unit: Literal["customer"] = Field(
        default="customer", description="The unit of privacy: all rows of a customer.", examples=["customer"]
    )
    noise: Literal["distributed", "local"] = Field(
        description="distributed: shares of noise add up under a secure sum. local: each upload is private "
        "by itself.",
        examples=["distributed"],
    )
    min_holders: Whole = Field(ge=1, le=10_000, description="Fewest holders in a sum.", examples=[3])
    colluders: Whole = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Holders beyond one that may collude with the coordinator without breaking the "
        "guarantee.",
        examples=[0],
    )
    max_attempts: Whole = Field(
        default=2, ge=1, le=8, description="Attempts reserved for every round.", examples=[2]
    )
    dropouts: Literal["retry", "recover"] = Field(
        default="retry",
        description="retry: when a holder drops out, the attempt is void and another one is paid for. "
        "recover: the attempt ends with the sum of those who answered.",
        examples=["recover"],
    )

    uploads: Literal["masked", "visible"] = Field(
        default="masked",
        description="masked: the coordinator sees the sum of the holders' uploads alone. visible: it sees "
        "each of them, which local noise alone makes private, and a sum ends with those who "
        "answered.",
        examples=["visible"],
    )

    @property
    def visible(self) -> bool:
        """Whether the coordinator sees each holder's noisy upload by itself."""
        return self.uploads == "visible"

    @model_validator(mode="after")
    def _whole(self) -> PrivacyTerms:
        settle(chain(too_few_honest(self), too_few_to_recover(self), too_little_noise_to_see(self)))
        return self


def too_few_honest(terms: PrivacyTerms) -> Iterator[Problem]:
    """Refuse distributed noise that too few honest holders would share."""
    honest = terms.min_holders - 1 - terms.colluders
    # Of a sum of two, each holder takes its own part away: there is nothing to share the noise with.
    if terms.noise == "distributed" and (honest < 1 or terms.min_holders < 3):
        yield Problem(
            code="RF-S003",
            path=("min_holders",),
            values={"holders": terms.min_holders, "honest": honest},
            template=N_(
                "Distributed noise needs min_holders of at least 3 and min_holders - 1 - colluders of at "
                "least "
                '1, here they are {holders} and {honest}: use more holders, or noise = "local".'
            ),
        )


def too_few_to_recover(terms: PrivacyTerms) -> Iterator[Problem]:
    """Refuse recovery where a holder's partners could be all colluders, whatever the form of noise."""
    if terms.dropouts == "recover" and (terms.min_holders < 3 or terms.min_holders - 1 - terms.colluders < 1):
        yield Problem(
            code="RF-S036",
            path=("dropouts",),
            values={"holders": terms.min_holders, "colluders": terms.colluders},
            template=N_(
                'dropouts = "recover" needs min_holders of at least 3 and of at least colluders + 2, here '
                "they are "
                '{holders} and {colluders}: use more holders, or dropouts = "retry".'
            ),
        )


def too_little_noise_to_see(terms: PrivacyTerms) -> Iterator[Problem]:
    """Refuse visible uploads that are not private one by one, or drop-outs recovered without masks."""
    if not terms.visible:
        return
    if terms.noise != "local":
        yield Problem(
            code="RF-S037",
            path=("uploads",),
            template=N_(
                'uploads = "visible" needs noise = "local": a share of distributed noise protects nothing by '
                "itself. "
                'Choose local noise, or uploads = "masked".'
            ),
        )
    if terms.dropouts == "recover":
        yield Problem(
            code="RF-S038",
            path=("dropouts",),
            template=N_(
                'dropouts = "recover" has nothing to recover where uploads are visible: a sum ends with '
                "those who "
                "answered anyway. Leave dropouts out."
            ),
        )


class Evaluation(Document):
    """How the result is measured."""

    test_fraction: Exact = Field(
        default=Decimal("0.2"),
        ge=0,
        lt=1,
        description="Share of customers kept for the test; 0 leaves evaluation out.",
        examples=["0.2"],
    )


class Participant(Document):
    """One holder of a study, entered by the coordinator before it signs."""

    name: HolderName = Field(description="Name of the holder.", examples=["north-bank"])
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="Its public Ed25519 key, 64 hex digits.", examples=["d75a98..."]
    )
    max_customers: Whole = Field(ge=1, le=2**40, description="As in its contract.", examples=[50000])
    overlap: Whole | None = Field(default=None, ge=1, description="As in its contract.", examples=[2])
    jurisdiction: Country | None = Field(default=None, description="As in its contract.", examples=["CN"])


def setting(value: object, problems: list[Problem], *path: str | int) -> object:
    """A value of `[model]` in its canonical form; what is none is added to the problems."""
    match value:
        case bool():
            pass
        case str():
            return value
        case int() if abs(value) <= LARGEST:
            return value
        case float() | Decimal():
            return decimal_text(value if isinstance(value, Decimal) else Decimal(str(value)))
        case list() | tuple() if len(path) == 1:
            return tuple(setting(item, problems, *path, n) for n, item in enumerate(value))
    problems.append(
        Problem(
            code="RF-S007",
            path=path,
            values={"found": kind_name(value)},
            template=N_("Must be a number, a text, or a list of these; found {found}."),
        )
    )
    return value
