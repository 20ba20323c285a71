"""Studies come into inboxes, people decide, the coordinator sees that alone; what is bad is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kits.inbox_kit import THREE, Post

from ringfence.clients.inbox import store as inbox_module
from ringfence.clients.inbox.store import InboxStudy
from ringfence.clients.letters import MOST_KEYS
from ringfence.privacy.crypto.approvals import approve
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import KeyFault, StudyError, WaistError
from ringfence.privacy.protocol.control import COORDINATOR, open_message, seal_message
from ringfence.privacy.protocol.notices import Notice, Standing
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.privacy.wire.fields import new_nonce, new_run_id
from ringfence.server.coordinator import OpenStudy

ALL = dict.fromkeys(THREE, "waiting")


@pytest.fixture
def here(tmp_path: Path) -> Post:
    return Post.of(tmp_path)


def ask(here: Post, opened: OpenStudy, name: str = "bank", **changes: Any) -> str:
    """The kind of a holder's answer to a notice that somebody made by hand; empty for none."""
    fields = {
        "identity": here.federation.coordinator.identity,
        "study": opened.digest,
        "recipient": name,
        "document": opened.document.to_json(),
        "schema": opened.schema_document.to_json(),
        "round": 0,
    } | changes
    data = seal_message(
        fields["identity"],
        Notice(study=fields["document"], schema=fields["schema"], nonce=new_nonce()),
        study=fields["study"],
        run=new_run_id(),
        sender=COORDINATOR,
        recipient=fields["recipient"],
        round=fields["round"],
    )
    reply = here.boxes[name].agent.handle(data)
    return read_header(reply).kind if reply else ""


def inboxed(here: Post, name: str = "bank") -> list[str]:
    holder = here.holders[name]
    return [each.name for each in holder.inbox.listed(holder.coordinator)]


def test_a_study_waits_until_people_decide(here: Post) -> None:
    opened = here.study()
    assert here.states(opened) == ALL
    here.approve("bank", opened.digest)
    here.approve("partner", opened.digest, here.federation.keys["partner"].approvers[0])
    here.reject("retailer", opened.digest)
    assert here.states(opened) == {"bank": "approved", "partner": "waiting", "retailer": "rejected"}
    here.approved.clear()
    assert here.states(opened)["bank"] == "waiting", "approvals that were taken back"
    assert here.told == []
    # Told once each: a repeated notice is no event, at neither side.
    assert [each[0] for each in here.actions("bank")] == ["study.delivered"]
    own = [each[0] for each in here.actions()]
    assert own.count("study.delivered") == 3
    assert own.count("study.standing") == 3 + 2 + 1


def test_paired_events_share_the_nonce(here: Post) -> None:
    here.post(here.study())
    log = here.federation.coordinator.log
    public = [each.event.public for each in log.events(action="study.delivered")]
    delivered = {each["holder"]: each["nonce"] for each in public}
    for name in THREE:
        (event,) = here.holders[name].log.events(action="study.delivered")
        assert event.event.public == {"nonce": delivered[name]}


def test_a_study_that_is_rejected_is_not_joined_though_two_people_approved_it(here: Post) -> None:
    from ringfence.clients.pipeline import allowed_now

    opened = here.study()
    here.approve("bank", opened.digest)
    assert allowed_now(here.holders["bank"], opened.study)
    here.reject("bank", opened.digest)
    with pytest.raises(StudyError, match="RF-S435"):
        allowed_now(here.holders["bank"], opened.study)
    assert here.states(opened)["bank"] == "rejected"


def test_who_is_away_or_silent_is_unreachable_since_the_first_time(here: Post) -> None:
    opened = here.study()
    here.away, here.silent = {"bank"}, {"partner"}
    first = here.post(opened)
    assert [name for name in THREE if first[name].missed] == ["bank", "partner"]
    assert [name for name in THREE if first[name].delivered] == ["retailer"]
    moment = here.submissions._clock() + timedelta(hours=5)
    here.submissions._clock = lambda: moment
    assert here.post(opened)["bank"].missed == first["bank"].missed
    here.away, here.silent = set(), set()
    assert here.states(opened) == ALL
    assert not any(each.missed for each in here.post(opened).values())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"study": "sha256:" + "ab" * 32}, "RF-W065", id="bound to another study"),
        pytest.param({"round": 1}, "RF-W065", id="bound to a round"),
        pytest.param({"document": "forged"}, "RF-K015", id="another signed the study"),
        pytest.param({"schema": "forged"}, "RF-K015", id="another signed the schema"),
    ],
)
def test_a_notice_that_does_not_hold_is_refused_and_recorded(
    here: Post, changes: dict[str, Any], code: str
) -> None:
    opened, stranger = here.study(), Identity.generate("coordinator")
    bodies = {"document": opened.document, "schema": opened.schema_document}
    for part in bodies.keys() & changes.keys():
        signed = SignedDocument(kind=bodies[part].kind, body=bodies[part].body).signed_by(stranger)
        changes = changes | {part: signed.to_json()}
    assert ask(here, opened, **changes) == "unavailable"
    assert here.actions("bank") == [("study.refused", "deny", [code])]
    assert here.said["bank"][0].startswith(f"{code}: ")
    assert inboxed(here) == []


def test_strangers_and_others_get_no_bytes_and_leave_no_event(here: Post) -> None:
    opened = here.study()
    assert ask(here, opened, identity=Identity.generate("coordinator")) == ""
    assert ask(here, opened, recipient="partner") == ""
    assert here.actions("bank") == []
    assert inboxed(here) == []


def test_a_study_of_other_holders_or_with_another_key_is_refused(here: Post) -> None:
    holders = [each.model_dump(by_alias=True) for each in here.study().study.holders]
    others = [each | {"name": f"other-{each['name']}"} for each in holders]
    keys = [each | {"key": Identity.generate().public.hex} for each in holders]
    for number, changed in enumerate((others, keys), start=1):
        assert ask(here, here.study(holders=changed)) == "unavailable"
        assert here.actions("bank")[-1] == ("study.refused", "deny", ["RF-S430"])
        assert len(here.actions("bank")) == number
    assert inboxed(here) == []


def test_a_schema_that_the_study_does_not_name_is_refused(here: Post) -> None:
    opened = here.study()
    other = opened.context.schema.model_copy(update={"version": 2})
    identity = here.federation.coordinator.identity
    signed = SignedDocument(kind="schema", body=other.canonical()).signed_by(identity)
    assert ask(here, opened, schema=signed.to_json()) == "unavailable"
    assert here.actions("bank") == [("study.refused", "deny", ["RF-S431"])]


def test_two_studies_under_one_id_are_refused_at_both_sides(here: Post) -> None:
    opened, twin = here.study(), here.study(dpia="another")
    here.post(opened)
    with pytest.raises(StudyError, match="RF-S441"):
        here.submit(twin)
    assert not here.submit(opened), "once by digest"
    assert ask(here, twin) == "unavailable"
    assert here.actions("bank")[-1] == ("study.refused", "deny", ["RF-S433"])
    assert (
        here.holders["bank"].inbox.document(here.holders["bank"].coordinator, opened.study.id)
        == opened.document.to_json()
    ), "the first stays"


def test_a_study_that_is_over_is_not_taken_in_and_one_that_is_there_still_has_its_standing(
    here: Post,
) -> None:
    opened = here.study(expires="2030-01-01")
    here.post(opened)
    late = here.holders["bank"].clock() + timedelta(days=9000)
    agent = here.boxes["bank"].agent
    agent.holder = replace(agent.holder, clock=lambda: late)
    assert ask(here, opened) == "standing"
    assert ask(here, here.study(id="late", expires="2030-01-01")) == "unavailable"
    assert here.actions("bank")[-1] == ("study.refused", "deny", ["RF-S432"])


def test_a_full_inbox_lets_go_what_is_over_and_takes_nothing_else(
    here: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert inbox_module.MOST_STUDIES == 1000
    monkeypatch.setattr(inbox_module, "MOST_STUDIES", 2)
    first, second, third = (here.study(id=name) for name in ("one", "two", "three"))
    here.post(first)
    here.post(second)
    assert here.states(third) == dict.fromkeys(THREE, "")
    assert all(each.heard and not each.missed for each in here.post(third).values())
    assert sorted(inboxed(here)) == ["one", "two"]
    assert here.told == [], "an answer that says nothing is no fault"
    holder = here.holders["bank"]
    over = InboxStudy(
        study="sha256:" + "cd" * 32,
        name="new",
        purpose="p",
        epsilon="1",
        delta="0.1",
        expires="9999-12-31",
        received="2036-01-01T00:00:00+00:00",
    )
    assert holder.inbox.keep(holder.coordinator, over, ("d", "s"), lambda _connection: None)
    assert inboxed(here) == ["new"]


def test_refused_notices_use_up_neither_the_record_of_refusals_nor_the_keys_of_runs(
    here: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "MOST_STUDIES", 0)
    opened = here.study()
    for _ in range(MOST_KEYS + 1):
        assert here.states(opened)["bank"] == ""
    box = here.boxes["bank"]
    assert not box._sessions
    assert len(box.agent._refusals) == 1


def test_an_answer_that_does_not_hold_changes_nothing(here: Post) -> None:
    """Each lie is told by the holder's own key, in a letter of its own."""
    opened = here.study()
    here.post(opened)
    bank, other = here.holders["bank"], Identity.generate("approver")
    keys = here.federation.keys["bank"].approvers
    lies: list[tuple[dict[str, Any], str]] = [
        ({"nonce": new_nonce()}, "RF-W390"),
        ({"study": "sha256:" + "ab" * 32}, "RF-W390"),
        ({"state": "approved"}, "RF-S032"),
        (
            {"state": "approved", "approvals": (approve(opened.digest, "bank", keys[0]).to_json(),) * 2},
            "RF-S032",
        ),
        (
            {
                "state": "approved",
                "approvals": tuple(approve(opened.digest, "partner", key).to_json() for key in keys),
            },
            "RF-S030",
        ),
        ({"approvals": (approve(opened.digest, "bank", other).to_json(),)}, "RF-W391"),
    ]
    agent = here.boxes["bank"].agent
    for lie, code in lies:

        class Lying:
            holder = bank
            report = staticmethod(lambda _sentence: None)

            def handle(self, data: bytes, lie: dict[str, Any] = lie) -> bytes:
                header = read_header(data)
                reply = agent.handle(data)
                _, said = open_message(
                    Standing,
                    reply,
                    senders={"bank": bank.identity.public},
                    study=header.study,
                    run=header.run,
                    recipient=COORDINATOR,
                )
                return seal_message(
                    bank.identity,
                    replace(said, **lie),
                    study=header.study,
                    run=header.run,
                    sender="bank",
                    recipient=COORDINATOR,
                )

        here.boxes["bank"].agent = Lying()  # type: ignore[assignment]
        assert here.states(opened) == ALL
        assert here.actions()[-1] == ("reply.refused", "deny", [code])
        assert here.told.pop().startswith(f"bank: {code}: ")
        assert not here.told


def test_a_replayed_answer_opens_nothing(here: Post) -> None:
    opened, kept = here.study(), dict[str, bytes]()

    def once(name: str, data: bytes) -> bytes:
        return kept.setdefault(name, data) if data[:4] == b"RFL2" else data

    here.up = once
    assert here.states(opened) == ALL
    here.approve("bank", opened.digest)
    assert here.states(opened)["bank"] == "waiting", "the old letter is for a key that is gone"
    here.up = lambda _name, data: data
    assert here.states(opened)["bank"] == "approved"


def test_a_notice_is_the_first_message_and_an_answer_is_not() -> None:
    from ringfence.privacy.wire.envelope import Expected

    assert Expected(kind=MessageKind.NOTICE, study=None, run=None, recipient="bank")
    with pytest.raises(WaistError, match="RF-W117"):
        Expected(kind=MessageKind.STANDING, study=None, run=None, recipient="bank")


def test_documents_that_are_no_documents_are_refused(here: Post) -> None:
    with pytest.raises(KeyFault):
        SignedDocument.from_json("{}")
    assert ask(here, here.study(), document="{}") == "unavailable"
    assert here.actions("bank") == [("study.refused", "deny", ["RF-K016"])]
