"""Who saw what in the run, and who did not."""

from __future__ import annotations

from ringfence.models.pages.markup import Html, TableColumn, bullets, element, joined_html, section, table
from ringfence.models.pages.words import Words, count_text
from ringfence.privacy.errors import N_
from ringfence.simulations.report.facts import RunFacts
from ringfence.simulations.report.traces import Party


def parties_section(facts: RunFacts, words: Words) -> Html:
    """Who saw what, and who did not."""
    columns = [
        TableColumn(title=words(N_("Party"))),
        TableColumn(title=words(N_("Saw"))),
        TableColumn(title=words(N_("Did not see"))),
    ]
    rows = [
        (_party_name(each, words), bullets(_saw(each, words)), bullets(_unseen(each, words)))
        for each in facts.parties
    ]
    rows.append(
        (
            words(N_("reader of this page")),
            bullets(
                [
                    words(N_("the questions that were asked"))
                    if facts.tables
                    else words(N_("the scorecard: features, bins and weights")),
                    words(N_("the price, the budgets and the numbers of events")),
                    words(N_("noisy figures of quality; exact ones beside them in a simulation only")),
                ]
            ),
            bullets(
                [
                    words(N_("any row, identifier or prediction of a customer")),
                    words(N_("how many customers a holder has")),
                ]
            ),
        )
    )
    absent = joined_html(
        [
            element(
                "p",
                words(
                    N_(
                        "Absent: {names}. Why a holder stayed away is known to its own people only, who find "
                        "it with the command below; the coordinator was told “unavailable” and nothing else."
                    ),
                    names=words.names(facts.absent),
                ),
            ),
            element("pre", element("code", "ringfence-client log")),
        ]
    )
    return section(
        "parties",
        words(N_("Who saw what")),
        table(
            words(N_("What each party could see in this run, counted from the audit logs")),
            columns,
            rows,
            form="prose",
        ),
        *([absent] if facts.absent else []),
    )


def _party_name(party: Party, words: Words) -> str:
    name = words.fixed(party.name) if party.role == "coordinator" else party.name
    return name if party.present else words(N_("{name} (absent)"), name=name)


def _saw(party: Party, words: Words) -> list[str]:
    if party.role == "coordinator":
        vectors = (
            N_(
                "{vectors} vectors, {count} noisy numbers without masks: each private by its own holder's "
                "noise"
            )
            if party.visible
            else N_(
                "{vectors} vectors, {count} noisy numbers under masks: random to whoever lacks a peer's key"
            )
        )
        return [
            words(vectors, vectors=count_text(party.vectors), count=count_text(party.words)),
            words(N_("{sums} noisy sums over the holders"), sums=count_text(party.sums)),
            words(
                N_("public keys of {count} holders, echoes of the roster, two approvals from each"),
                count=count_text(party.peers),
            ),
            words(N_("size and root of each holder's audit log, number and hash of its last ledger entry")),
            words(N_("who answered, and when")),
        ]
    if not party.vectors:
        return [words(N_("the signed study that was offered"))]
    return [
        words(N_("its own customers, in the columns and by the consents that the purpose allows")),
        words(N_("public keys and roster echoes of {count} other holders"), count=count_text(party.peers)),
        words(N_("what each round asks: bins and weights that follow from earlier noisy sums")),
        words(N_("digest of the released model, if it stayed to the end")),
        words(
            N_("it sent {vectors} noisy vectors without masks, {count} numbers in all")
            if party.visible
            else N_("it sent {vectors} masked vectors, {count} numbers in all"),
            vectors=count_text(party.vectors),
            count=count_text(party.words),
        ),
    ]


def _unseen(party: Party, words: Words) -> list[str]:
    if party.role == "coordinator":
        return [
            words(N_("any row, identifier, consent record or count of one holder")),
            words(
                N_("any single holder's vector without its noise")
                if party.visible
                else N_("any single holder's vector without its mask")
            ),
            words(N_("any sum without noise")),
            words(N_("why a holder did not answer")),
        ]
    return [
        words(N_("rows, counts or vectors of another holder")),
        words(N_("which of its customers are also at another holder")),
    ]
