"""What a policy decision is: reasons against, or the obligations under which a study may run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ringfence.privacy.errors import N_, StudyError, told


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a study may not run: a stable code, a sentence and what fills it."""

    code: str
    template: str
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The sentence in the chosen language."""
        return told(self.template, self.values)

    def __str__(self) -> str:
        return f"{self.sentence} ({self.code})"


class Reasons(tuple[Reason, ...]):
    """Reasons, one a line when printed."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(str(reason) for reason in self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The only columns a study may decode, as names of features and as headers in the file.

    Attributes:
        subject: header of the customer key.
        label: feature to predict, or None.
        features: features in the order of the study, or of the schema when the study names none.
        headers: feature to header, for the label and the features.
        sensitive: features that the contract calls sensitive.
        separate: separate consents that every customer whose row is used has given.
        inputs: name of each input to the headers in its own source, the customer key's first.
    """

    subject: str
    label: str | None
    features: tuple[str, ...]
    headers: Mapping[str, str]
    sensitive: tuple[str, ...]
    separate: tuple[str, ...]
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def named(self) -> tuple[str, ...]:
        """What is read, in the schema's terms: the label, the features, the inputs."""
        return (*self.headers, *self.inputs)

    @property
    def decode(self) -> tuple[str, ...]:
        """Headers to decode: the customer key, the label, the features; each once."""
        return tuple(dict.fromkeys((self.subject, *self.headers.values())))

    @property
    def touched(self) -> tuple[str, ...]:
        """All headers that are decoded: those of the table, then `INPUT.HEADER` of every input."""
        of_inputs = (f"{name}.{header}" for name, headers in self.inputs.items() for header in headers)
        return (*self.decode, *of_inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligations:
    """What an allowed study still has to keep to at this holder.

    Attributes:
        columns: all that may be decoded.
        honest: h as this holder recomputed it.
        min_cohort: fewest customers.
        vouched: fingerprints this holder counts: its own and its peers', as far as they are in the study.
        min_vouched: how many of them every roster must hold (checked in privacy/secagg/roster.py).
        purpose: purpose under which consent is looked up.
        legal_basis: legal basis of the processing.
        jurisdiction: whose law applies.
    """

    columns: Allowed
    honest: int
    min_cohort: int
    vouched: frozenset[str]
    min_vouched: int
    purpose: str
    legal_basis: str
    jurisdiction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome; `obligations` exists only where `allow` is true."""

    allow: bool
    reasons: Reasons
    obligations: Obligations | None = None

    def require(self) -> Obligations:
        """The obligations of an allowed study.

        Raises:
            StudyError: RF-S041, which lists the reasons, when it is not allowed.
        """
        if not self.allow or self.obligations is None:
            raise StudyError(
                "RF-S041", N_("The study is not allowed at this holder:\n{reasons}"), reasons=self.reasons
            )
        return self.obligations
