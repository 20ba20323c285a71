"""Finding personal identifiers in text: our own fast path over every cell, Presidio over free text, offline.

Invariant: nothing here reaches the network or downloads a model. Presidio runs on its no-op language engine
with pattern recognisers only; the public suffix list is the snapshot inside tldextract; a model for names is
used only when a site configures the folder it lies in.

This is the only file that imports `presidio_analyzer`, and it does so when free text is first read.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ringfence.privacy.errors import N_, ExportError
from ringfence.privacy.identifiers import patterns as identifiers
from ringfence.privacy.identifiers.checksums import card, holds
from ringfence.privacy.identifiers.customers import CustomerList, names_keys
from ringfence.privacy.identifiers.normalise import Folded, fold
from ringfence.privacy.identifiers.patterns import scan, smallest_number
from ringfence.privacy.identifiers.spans import Span, keep_best
from ringfence.privacy.identifiers.telephones import beside_a_word

Language: TypeAlias = Literal["en", "zh", "mixed"]
Engine: TypeAlias = "Callable[[str], Iterator[Span]]"

THRESHOLD = 0.5
CELL_LENGTH = 64
# What may be an address of Bitcoin; whether it is, its check digits say to Presidio.
_CRYPTO = re.compile(r"(?<![A-Za-z0-9])(?:bc1|[13])[a-zA-HJ-NP-Z0-9]{25,59}(?![A-Za-z0-9])")

# `0.757 - 0.825. 0.831`: some region dials the digits of three figures in a row.
_DECIMALS = re.compile(r"\d\.\d+(?:[-,;.]? +(?:- +)?\d\.\d+)+")
_STOCK_NAMES = {"EMAIL_ADDRESS": "EMAIL", "IBAN_CODE": "IBAN", "PHONE_NUMBER": "PHONE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundIdentifier:
    """One identifier in a text, by the text's own offsets; it never holds the identifier itself.

    Attributes:
        kind: what it is, e.g. `EMAIL`, `CN_RESIDENT_ID`.
        start: offset of its first character in the text as given.
        end: offset after its last one.
        score: confidence in [0.5, 1]; 1 where a check digit holds.
    """

    kind: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NerModel:
    """A site's own spaCy pipeline for names and places, by configuration only.

    Attributes:
        folder: where the pipeline lies on this machine; it is never downloaded.
        language: the language it was trained for.
        labels: its labels that tell a person, and what we call them.
    """

    folder: Path
    language: Literal["en", "zh"]
    labels: tuple[tuple[str, str], ...] = (("PERSON", "PERSON"), ("PER", "PERSON"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """Looks for identifiers with one configuration.

    Attributes:
        customers: the holder's own list; without it an unannounced name is not found.
        models: the site's own models for names.
    """

    customers: CustomerList | None = None
    models: tuple[NerModel, ...] = ()

    def find(self, text: str, language: Language = "mixed", *, context: str = "") -> list[FoundIdentifier]:
        """Find identifiers in free text, English and Chinese mixed, with every recogniser there is.

        Args:
            text: any text.
            language: which of the site's models read it; the patterns always read both languages.
            context: what it stands under, such as a column's name.

        Returns:
            Findings sorted by start, none overlapping.
        """
        folded = fold(text)
        spans = self._fast(folded.text, context)
        if any(map(str.isdigit, folded.text)) or "@" in text or len(text) > 24:
            spans += _stock_engine()(folded.text)
        for model in self.models:
            if language in ("mixed", model.language):
                spans += _model_engine(model)(folded.text)
        return _findings(spans, folded)

    def find_cell(self, text: str, *, context: str = "") -> list[FoundIdentifier]:
        """Find identifiers in a short cell on the fast path alone; text longer than a cell goes to `find`."""
        if len(text) > CELL_LENGTH or (len(text) >= 26 and _CRYPTO.search(text)):
            return self.find(text, context=context)
        folded = fold(text)
        return _findings(self._fast(folded.text, context), folded)

    def smallest_number(self, context: str) -> int:
        """The smallest whole number that can be an identifier in such a column; to skip in bulk."""
        known = 10**19
        if self.customers is not None and self.customers.keys:
            known = 0 if names_keys(context) else self.customers.smallest or known
        return min(known, smallest_number(fold(context).text))

    def _fast(self, text: str, context: str) -> list[Span]:
        words = fold(context).text if context else ""
        spans = scan(text, words)
        if self.customers is not None:
            spans = spans + [Span(*found) for found in self.customers.find(text, words)]
        return spans


STOCK = Scanner()


def find(text: str, language: Language = "mixed") -> list[FoundIdentifier]:
    """Find identifiers with the default configuration: no customer list, no model for names."""
    return STOCK.find(text, language)


def _findings(spans: list[Span], folded: Folded) -> list[FoundIdentifier]:
    """Resolve overlaps and carry offsets back to the text as it was given."""
    if not spans:
        return []
    kept = keep_best([span for span in spans if span.score >= THRESHOLD])
    found: list[FoundIdentifier] = []
    for span in kept:
        start, end = folded.original(span.start, span.end)
        if found and start < found[-1].end:  # two findings that share one composed character
            start = found[-1].end
        if start < end:
            found.append(FoundIdentifier(kind=span.kind, start=start, end=end, score=span.score))
    return found


# --- Presidio
# -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _import_quietly() -> None:
    """Import Presidio without the deprecation warnings of what it builds on, which are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import presidio_analyzer.nlp_engine
        import presidio_analyzer.predefined_recognizers  # noqa: F401


def _without_hanzi(text: str) -> str:
    """A copy of equal length in which the word boundaries of the stock patterns work beside Chinese."""
    return text if text.isascii() else "".join(c if c < "\u2e80" else ";" for c in text)


def _mainland_recogniser() -> Any:
    """Our own identifiers as a Presidio recogniser, so that one registry lists all there is."""
    _import_quietly()
    from presidio_analyzer import LocalRecognizer, RecognizerResult

    class MainlandRecognizer(LocalRecognizer):  # type: ignore[misc]
        """Mainland China: resident ID, mobile, UnionPay, social credit code, passport, plate, address."""

        def load(self) -> None:
            """Nothing to load."""

        def analyze(self, text: str, entities: list[str], nlp_artifacts: object = None) -> list[Any]:
            """Run the pure scanner and give its spans the shape Presidio wants."""
            del nlp_artifacts
            return [
                RecognizerResult(span.kind, span.start, span.end, span.score)
                for span in scan(text)
                if span.kind in entities
            ]

    return MainlandRecognizer(
        supported_entities=list(identifiers.KINDS), supported_language="en", name="RingfenceIdentifiers"
    )


def _email_recogniser() -> Any:
    """Presidio's e-mail recogniser with the public suffix list that came with the package."""
    from presidio_analyzer.predefined_recognizers import EmailRecognizer
    from tldextract import TLDExtract

    suffixes = TLDExtract(cache_dir=None, suffix_list_urls=(), fallback_to_snapshot=True)

    class OfflineEmailRecognizer(EmailRecognizer):  # type: ignore[misc]
        """E-mail addresses, checked against the offline suffix list."""

        def validate_result(self, pattern_text: str) -> bool:
            """Whether the domain ends in a public suffix."""
            return bool(suffixes(pattern_text).fqdn)

    return OfflineEmailRecognizer()


@lru_cache(maxsize=1)
def registry() -> Any:
    """The Presidio registry in use: ours for mainland China, the stock English ones that need no model."""
    _import_quietly()
    from presidio_analyzer import RecognizerRegistry
    from presidio_analyzer import predefined_recognizers as stock

    return RecognizerRegistry(
        recognizers=[
            _mainland_recogniser(),
            _email_recogniser(),
            stock.CreditCardRecognizer(),
            stock.IbanRecognizer(),
            stock.IpRecognizer(),
            stock.CryptoRecognizer(),
            stock.MacAddressRecognizer(),
            stock.UsSsnRecognizer(),
            stock.UsItinRecognizer(),
            stock.UkNinoRecognizer(),
            stock.PhoneRecognizer(supported_regions=("US", "GB", "CN")),
        ],
        supported_languages=["en"],
    )


@lru_cache(maxsize=1)
def _stock_engine() -> Engine:
    """The analyser over `registry()`, on the no-op language engine."""
    _import_quietly()
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NoOpNlpEngine

    engine = AnalyzerEngine(
        registry=registry(),
        nlp_engine=NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "none"}]),
        supported_languages=["en"],
    )

    def analyse(text: str) -> Iterator[Span]:
        visible = identifiers.hide_digests(_without_hanzi(text))
        for result in engine.analyze(visible, language="en"):
            span = _confirmed(result, visible)
            if span is not None:
                yield span

    return analyse


def _confirmed(result: Any, text: str) -> Span | None:
    """A stock result in our names, or `None` where its pattern alone proves too little for a gate."""
    kind = str(_STOCK_NAMES.get(result.entity_type, result.entity_type))
    piece = text[result.start : result.end]
    if kind == "PHONE":  # 0.4 stands for any run that some region dials; ask for a sign of a telephone number
        grouped = len(re.findall(r"\d{3,}", piece)) >= 3
        written = piece.startswith(("+", "(", "0")) or not re.fullmatch(r"[\d\s\[\]{}]+", piece)
        told = piece.startswith(("+", "(")) or (
            grouped and (written or beside_a_word(text, result.start, result.end))
        )
        told = told and not _DECIMALS.fullmatch(piece)
        return Span(kind, result.start, result.end, THRESHOLD) if told else None
    if re.search(r"\d\.$", text[max(0, result.start - 2) : result.start]):
        return None  # the fraction of a number
    if kind == "CREDIT_CARD" and not holds(card, re.sub("[ -]", "", piece)):
        return None
    if kind == "IP_ADDRESS":
        return None  # our own pattern knows loopback and version numbers
    return Span(kind, result.start, result.end, float(result.score))


@lru_cache(maxsize=4)
def _model_engine(model: NerModel) -> Engine:
    """A site's own spaCy pipeline behind Presidio.

    Raises:
        ExportError: RF-X060, the folder holds no pipeline.
    """
    if not (model.folder / "meta.json").is_file():
        raise ExportError(
            "RF-X060",
            N_(
                "The folder {folder} holds no spaCy pipeline. Point the model for names at a folder with a "
                "meta.json."
            ),
            folder=model.folder.name,
        )
    _import_quietly()
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer

    labels = dict(model.labels)
    nlp = SpacyNlpEngine(
        models=[{"lang_code": model.language, "model_name": str(model.folder)}],
        ner_model_configuration=NerModelConfiguration(
            model_to_presidio_entity_mapping=labels, labels_to_ignore=[], default_score=0.6
        ),
    )
    recogniser = SpacyRecognizer(
        supported_language=model.language, supported_entities=sorted(set(labels.values()))
    )
    engine = AnalyzerEngine(
        registry=RecognizerRegistry(recognizers=[recogniser], supported_languages=[model.language]),
        nlp_engine=nlp,
        supported_languages=[model.language],
    )

    def analyse(text: str) -> Iterator[Span]:
        for result in engine.analyze(text, language=model.language):
            yield Span(result.entity_type, result.start, result.end, float(result.score))

    return analyse
