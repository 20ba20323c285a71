"""A study in full sentences, for the people who are asked to approve it: what, with whom, at what price."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ringfence.clients.desk.series import EVERY
from ringfence.clients.desk.standing_copy import StandingCopy
from ringfence.clients.desk.whatif import Forecast, consents_told, dropout_line, passed_over_lines, seen_lines
from ringfence.models.pages.words import Words
from ringfence.privacy.accounting.gaussian import epsilon_of
from ringfence.privacy.agreements.contract import LoadedContract
from ringfence.privacy.agreements.purposes import catalogue
from ringfence.privacy.agreements.quorum import safe_quorum
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.series import utc_told
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.agreements.terms import pace_told
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import _, language


def sentences(
    found: Forecast, loaded: LoadedContract, coordinator: PublicIdentity, copy: StandingCopy
) -> list[str]:
    """All of it, one sentence or one list item a line; an empty line parts what belongs together.

    Args:
        found: the study and what it would mean here.
        loaded: this holder's contract and the schema.
        coordinator: who signed the study.
        copy: whether the table is attested for it.
    """
    parts = (
        _question(found.study, loaded.schema, coordinator, found.digest),
        _columns(found),
        _holders(found.study, loaded),
        _price(found),
        _afterwards(found),
        _release(found.study),
        _verdict(found, copy),
    )
    return [line for part in parts for line in (*part, "")][:-1]


def _question(study: Study, schema: Schema, coordinator: PublicIdentity, digest: str) -> Iterator[str]:
    yield _("The study {study} ({digest}) is signed by the coordinator with the key {key}.").format(
        study=study.id, digest=digest, key=coordinator.fingerprint
    )
    purpose = catalogue().get(study.purpose)
    yield _("Its purpose is {purpose} ({name}), on the legal basis {basis}.").format(
        purpose=study.purpose if purpose is None else purpose.label(language()),
        name=study.purpose,
        basis=_named(study.legal_basis),
    )
    if study.label is not None:
        yield _("It learns to predict {label} by a {task}.").format(
            label=_titled(study.label, schema), task=_named(study.task)
        )
    else:
        yield from _tables(study)
    features = study.features or ()
    yield _("The features it looks at ({count}): {features}.").format(
        count=len(features), features=_(", ").join(_titled(name, schema) for name in features)
    )
    if study.inputs is not None:
        yield _("It looks at these lists of each customer ({count}): {inputs}.").format(
            count=len(study.inputs), inputs=_(", ").join(_titled(name, schema) for name in study.inputs)
        )
    yield _("The data protection impact assessment is: {dpia}").format(dpia=study.dpia)
    yield _("Its last day is {day}.").format(day=study.expires)
    if study.series is not None:
        yield _(
            "It is a series: {runs} runs at most, one every {every}, from {begins} to {ends}. Two people "
            "approve all of them at once; a change of the contract needs their approval anew."
        ).format(
            runs=study.runs,
            every=_(EVERY[study.series.every]),
            begins=utc_told(study.series.window(1).opens),
            ends=utc_told(study.series.ends()),
        )
        yield _(
            "Each run starts in its window by this holder's clock, reads a table that was attested for it, "
            "and is reserved by itself. A run that fails counts, and may be tried again in its window."
        )


def _tables(study: Study) -> Iterator[str]:
    """What a study without a label asks, as it is signed, and which cells of its tables may be released."""
    yield _("It predicts nothing; its task is {task}.").format(task=_named(study.task))
    for key, value in study.model.items():
        if isinstance(value, tuple):
            yield _("It asks ({key}, {count}):").format(key=key, count=len(value))
            yield from (f"    {each}" for each in value)
        else:
            yield _("Its setting {key} is {value}.").format(key=key, value=value)
    terms = study.release
    yield _(
        "No cell of its tables is released that stands for fewer than {other} customers by the noisy count, "
        "or {plain} where a table is by these features alone: {names}."
    ).format(other=terms.other_cell, plain=terms.plain_cell, names=_(", ").join(terms.plain or ("-",)))


def _named(term: str) -> str:
    """A term of a study in words, with the term itself where the words are others."""
    words = Words.of("zh-CN" if language() == "zh" else "en").fixed(term)
    return words if words == term else f"{words} ({term})"


def _titled(name: str, schema: Schema) -> str:
    """A feature's name, with its label for people where the schema has one."""
    named = (*schema.features, *schema.inputs.values())
    feature = next((each for each in named if each.name == name), None)
    if feature is None:
        return name
    title = feature.title_zh if language() == "zh" and feature.title_zh else feature.title
    return name if title is None else f"{name} ({title})"


def _columns(found: Forecast) -> Iterator[str]:
    if found.decision.obligations is None:
        return
    columns = found.decision.obligations.columns
    yield _("Of this holder's table it would read these columns and no other: {columns}.").format(
        columns=_(", ").join(columns.touched)
    )
    if columns.sensitive:
        yield _("Sensitive among what it uses, so that separate consent is needed: {features}.").format(
            features=_(", ").join(columns.sensitive)
        )
    if columns.separate:
        yield _("Every customer it uses must have given these consents apart: {consents}.").format(
            consents=consents_told(columns.separate)
        )
    yield _(
        "It reads a copy of them and nothing else: the table as it stands when it is attested, at the first "
        "approval unless somebody does it before (ringfence-client table attest)."
    )
    yield _("Only customers whose consent or other legal basis holds at the moment are counted.")


def _holders(study: Study, loaded: LoadedContract) -> Iterator[str]:
    yield _("The holders of the study ({count}):").format(count=len(study.holders))
    for holder in study.holders:
        fingerprint = PublicIdentity.from_hex(holder.key).fingerprint
        if holder.name == loaded.contract.holder:
            said = _("this holder")
        elif fingerprint in loaded.contract.peers:
            said = _("this holder vouches for the key")
        else:
            said = _("nobody here vouches for the key, so it never counts")
        yield _("    {name}, {key}: {said}").format(name=holder.name, key=fingerprint, said=said)
    terms = study.privacy
    yield _(
        "A sum is made of {holders} holders at least. The guarantee holds against the coordinator together "
        "with up to {colluders} of the other holders."
    ).format(holders=terms.min_holders, colluders=terms.colluders + 1)


def _price(found: Forecast) -> Iterator[str]:
    if found.price is None:
        if found.no_price is not None:
            yield _("It has no price here: {sentence}").format(sentence=found.no_price.sentence())
        return
    report = found.price.as_report()
    yield _(
        "One run, when no attempt has to be repeated, costs a customer epsilon {epsilon} at delta {delta}, "
        "counted over all holders of the study, and {own} counted at this holder alone. In the worst case, "
        "when every attempt is needed, it is {worst} and {own_worst}."
    ).format(
        epsilon=report["customer_epsilon"],
        delta=report["delta"],
        own=report["holder_epsilon"],
        worst=report["customer_epsilon_worst_case"],
        own_worst=report["holder_epsilon_worst_case"],
    )
    yield _sentence(dropout_line(found.study))
    if found.price.series is not None and found.series is not None:
        yield _(
            "All {runs} runs together cost a customer epsilon {epsilon}, and {worst} when every attempt of "
            "every run is needed; {own_worst} counted at this holder alone."
        ).format(
            runs=found.study.runs,
            epsilon=report["series_customer_epsilon"],
            worst=report["series_customer_epsilon_worst_case"],
            own_worst=report["series_holder_epsilon_worst_case"],
        )
        if found.series.covered is not None:
            yield _(
                "The budget as it stands covers {covered} of the {left} runs to come with every attempt."
            ).format(covered=found.series.covered, left=found.study.runs - found.series.used)
    if found.demand is not None and not found.reserved:
        yield _(
            "The ledger reserves the worst case when the study is joined, mu^2 {reserve}; {left} is left. "
            "What was released stays spent for good, and what was not needed is free again when the study "
            "ends."
        ).format(reserve=_short(found.demand.mu_squared), left=_short(found.left.mu_squared))
    if found.plan is not None:
        alone = epsilon_of(found.price.delta, math.sqrt(found.plan.cohort.mu_squared(1)))
        yield _(
            "Joining by itself costs epsilon {alone:.4f} of that: the number of customers who take part is "
            "counted once, with noise. That stays spent even if the study fails afterwards."
        ).format(alone=alone)


def _afterwards(found: Forecast) -> Iterator[str]:
    if found.plan is None:
        return
    rounds = len(found.plan.rounds)
    if found.study.privacy.visible:
        yield from (_sentence(line) for line in seen_lines(found.study))
    else:
        yield _(
            "Noisy vectors under masks that leave this holder: {count}, and one more for every attempt that "
            "is repeated. The coordinator learns only what they add up to with those of the other holders. "
            "No row and no customer key leaves."
        ).format(count=rounds)
    yield _(
        "The coordinator makes the result from what it learned. A result cannot be called back: whoever has "
        "it may keep it, use it for the purpose and combine it with anything else, and the promise to the "
        "customers still holds."
    )
    yield _("A customer who withdraws consent is left out of every round that follows.")
    yield pace_told(found.study.privacy)


def _release(study: Study) -> Iterator[str]:
    quorum, floor = study.quorums()
    count = len(study.holders)
    yield _(
        "Before a result is released, {quorum} of the {count} holders cosign the coordinator's log; from "
        "{hours} hours after the intent on, {floor} suffice."
    ).format(quorum=quorum, count=count, hours=study.release.wait_hours, floor=floor)
    if floor < safe_quorum(count, study.privacy.colluders):
        yield _(
            "Take note: so few can be found twice without an honest holder in common, so that two histories "
            "of the log could both be cosigned."
        )


def _verdict(found: Forecast, copy: StandingCopy) -> Iterator[str]:
    if not found.decision.allow:
        yield _("It is not allowed at this holder:")
        for reason in found.decision.reasons:
            yield f"    {reason}"
        return
    misfit = found.no_price or found.misfit()
    if misfit is not None:
        yield _("The contract allows it, but: {sentence}").format(sentence=misfit.sentence())
    else:
        yield _("The contract allows it and the budget covers it.")
    yield from copy.lines()
    if found.approvals >= 2:
        yield _("Two people have approved it here.")
    else:
        yield _(
            "It runs here only when two people have approved it (approvals on file: {count}): "
            "ringfence-client study approve"
        ).format(count=found.approvals)
    yield from (_sentence(line) for line in passed_over_lines(found))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + _(".")


def _short(amount: object) -> str:
    return f"{float(str(amount)):.6g}"
