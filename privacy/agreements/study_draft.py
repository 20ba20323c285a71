"""A first study from a schema and what holders allow: what is known is filled in, the rest is `"???"`.

Whom and what to ask, on what legal basis, until when and after which assessment is decided by people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ringfence.privacy.agreements.schema import Feature, Schema
from ringfence.privacy.errors import N_, StudyError


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOutline:
    """What a study is drafted from.

    Attributes:
        schema: the schema.
        reference: how the study names it: a path relative to the study's file.
        purpose: of the catalogue; None where nobody has said it and several are allowed.
        purposes: all that are allowed.
        allowed: features, in the schema's order, that every holder gives to the purpose.
        label: the feature to predict, or None.
        max_customers: the largest of the holders'.
        holders: names of the holders, as far as they are known.
        price: what the study costs, a line each, or nothing where that is not known yet.
        task: what is computed.
        labelled: whether that needs a label.
        settings: lines of `[model]` to begin from.
    """

    schema: Schema
    reference: str
    purpose: str | None
    purposes: Sequence[str]
    allowed: Sequence[str]
    label: str | None
    max_customers: int
    holders: Sequence[str] = ()
    price: Sequence[str] = ()
    task: str = "scorecard"
    labelled: bool = True
    settings: Sequence[str] = ()


_HEAD = """\
# Draft of a study. Replace every ??? in quotation marks; every key is explained in docs/reference/study.md.
id = {id}
schema = {schema}
purpose = {purpose}
legal_basis = "???"  # consent, contract, ...; PIPL knows no legitimate interest
# jurisdiction = "CN"  # the coordinator's country; without it, holders in China ask consent to transfers
task = {task}  # scorecard, mlp, lstm, attention or statistics: docs/methods
"""
_TAIL = """\
expires = "???"  # last day, without quotation marks, such as 2027-12-31
dpia = "???"  # reference of the data protection impact assessment

[privacy]
epsilon = "1"  # price of the whole study for one customer over all holders: smaller is more private
{price}delta = {delta}  # below 1/{customers}, one over the largest max_customers
noise = "distributed"  # or local: each holder's noise is enough by itself, and the result noisier
min_holders = {least}  # the guarantee holds even if the coordinator and any one holder pool what they see
# max_attempts = 2  # every attempt that may have to be repeated is reserved; see the worst case of the price

{settings}
# [series] runs it again and again, approved once: docs/reference/study.md
# runs = 12
# every = "month"
# begins = 2027-01-01  # first moment of the first window, UTC, or the zone's: zone = "Asia/Shanghai"

[evaluation]
test_fraction = {fraction}
"""
_SETTINGS = "# [model] takes the task's settings: docs/methods/scorecard.md\n"
_FRACTIONS = {
    True: '"0.2"  # of the customers, kept for measuring the result',
    False: "0  # nobody is scored, so nobody is kept for a test",
}


def given_to(
    purpose: str | None, allows: Sequence[Mapping[str, Sequence[str]]], schema: Schema
) -> tuple[str | None, list[str], list[str]]:
    """The purpose to ask for, all that every holder allows, and the features that every holder gives to it.

    Args:
        purpose: the one somebody has said; without it the only one that all allow.
        allows: of every holder, features by purpose.
        schema: whose order the features are in.
    """
    common = sorted(set.intersection(*(set(each) for each in allows)))
    asked = common[0] if purpose is None and len(common) == 1 else purpose
    wanted = common if asked is None else [asked]

    def given(name: str) -> bool:
        return all(any(name in each.get(one, ()) for one in wanted) for each in allows)

    return asked, common, [name for name in schema.names if given(name)]


def draft_study(known: StudyOutline) -> str:
    """The study's text, as TOML.

    Raises:
        StudyError: RF-S361 the label is not among what may be used, or can be none; RF-S524 the task has
            none.
    """
    if not known.labelled and known.label is not None:
        raise StudyError(
            "RF-S524",
            N_("The task {task} predicts nothing, so there is no label {label}; leave --label out."),
            task=known.task,
            label=known.label,
        )
    candidates = [each for each in known.schema.features if each.name in known.allowed and each.categories]
    label = known.label
    if known.labelled and label is None and known.purpose is not None and len(candidates) == 1:
        label = candidates[0].name
    if label is not None and label not in {each.name for each in candidates}:
        raise StudyError(
            "RF-S361",
            N_("{label} cannot be the label here; these can, flags and categories of the purpose: {known}."),
            label=label,
            known=", ".join(each.name for each in candidates) or "-",
        )
    head = _HEAD.format(
        id=_quote(f"{known.schema.id}-{known.purpose or 'study'}-1"[:64].rstrip("-.")),
        task=_quote(known.task),
        schema=_quote(known.reference),
        purpose=_quote(known.purpose)
        if known.purpose
        else f'"???"  # one of: {", ".join(known.purposes) or "docs/reference/purposes.md"}',
    )
    tail = _TAIL.format(
        delta=_quote(f"{_delta(known.max_customers):f}"),
        customers=known.max_customers,
        least=3,
        price="".join(f"# {line}\n" for line in known.price),
        settings="".join(f"{line}\n" for line in known.settings) or _SETTINGS,
        fraction=_FRACTIONS[known.labelled],
    )
    asked = _label(label, candidates, known.schema.future) if known.labelled else ""
    return head + asked + _features(known, label) + _holders(known) + tail


def _label(label: str | None, candidates: Sequence[Feature], future: Sequence[str]) -> str:
    if label is None:
        names = ", ".join(each.name for each in candidates) or "none: no flag or category may be used"
        told = "".join(f"#   {each.name}: {each.title}\n" for each in candidates if each.name in future)
        return (
            f'label = "???"  # the feature to predict, one of: {names}\n{told}'
            '# positive = "yes"  # its category that counts as 1; needed for a category, "yes" for a flag\n'
        )
    feature = next(each for each in candidates if each.name == label)
    categories: Sequence[str] = feature.categories or ()
    lines = f"label = {_quote(label)}\n"
    if feature.kind == "flag":
        return lines + f"positive = {_quote(list(categories)[1])}  # counts as 1\n"
    return lines + f'positive = "???"  # the one that counts as 1, of: {", ".join(categories)}\n'


def _features(known: StudyOutline, label: str | None) -> str:
    names = [name for name in known.allowed if name != label and name not in known.schema.future]
    # Tables are of the features that their questions name, whatever the purpose will be.
    if (known.labelled and (label is None or known.purpose is None)) or not names:
        return "# features = []  # left out: all but the label that every holder gives to the purpose\n"
    listed = "".join(f"    {_quote(name)},\n" for name in names)
    return f"features = [  # delete what the question does not need\n{listed}]\n"


def _holders(known: StudyOutline) -> str:
    if not known.holders:
        return ""
    names = ", ".join(known.holders)
    return f"# The holders are entered when it is signed, by their declarations: {names}\n"


def _delta(max_customers: int) -> Decimal:
    """A power of ten that is at most a tenth of one over the largest number of customers."""
    return Decimal(1).scaleb(-len(str(10 * max_customers)))


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
