"""What an allowed study has to keep to, why a refused one is refused, and the words of both."""

from __future__ import annotations

import datetime

import pytest
from kits.document_kit import GOOD

from ringfence.privacy.agreements.contract import Contract, load_contract
from ringfence.privacy.agreements.law import SEPARATE_CONSENTS
from ringfence.privacy.agreements.obligations import Allowed, Decision, Obligations, Reason, Reasons
from ringfence.privacy.agreements.policy import Request, allowed_columns, decide, features_by_purpose
from ringfence.privacy.agreements.study import Participant, Study, load_study
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import StudyError

KEYS = [Identity.generate() for _ in range(3)]
PRINTS = tuple(key.public.fingerprint for key in KEYS)
LOADED = load_contract(GOOD / "contract.toml")
CONTRACT = LOADED.contract.model_copy(update={"peers": PRINTS[1:]})
NOW = datetime.datetime(2030, 6, 1, tzinfo=datetime.UTC)
STUDY = load_study(GOOD / "study.toml").model_copy(
    update={
        "holders": tuple(
            Participant(name=name, key=key.public.hex, max_customers=50000, overlap=2)
            for name, key in zip(("north", "h1", "h2"), KEYS, strict=True)
        )
    }
)


def request(study: Study = STUDY, contract: Contract = CONTRACT) -> Request:
    return Request(study=study, contract=contract, schema=LOADED.schema, now=NOW, key=KEYS[0].public)


def with_column(name: str, **values: object) -> Contract:
    columns = tuple(c.model_copy(update=values) if c.name == name else c for c in CONTRACT.columns)
    return CONTRACT.model_copy(update={"columns": columns})


def test_every_obligation_is_that_of_its_document() -> None:
    study = STUDY.model_copy(update={"features": ("spend", "age"), "legal_basis": "contract"})
    contract = CONTRACT.model_copy(update={"min_cohort": 777, "jurisdiction": "CN"})
    assert decide(request(study, contract)) == Decision(
        allow=True,
        reasons=Reasons(),
        obligations=Obligations(
            columns=Allowed(
                subject="customer_id",
                label="churn",
                features=("spend", "age"),
                headers={"churn": "churn", "spend": "spend", "age": "age"},
                sensitive=("spend",),
                separate=("sensitive-data",),
            ),
            honest=2,
            min_cohort=777,
            vouched=frozenset(PRINTS),
            min_vouched=3,
            purpose="churn-prediction",
            legal_basis="contract",
            jurisdiction="CN",
        ),
    )


def test_consents_asked_for_follow_the_columns_the_basis_and_the_recipients() -> None:
    def separate(**changes: object) -> tuple[str, ...]:
        return allowed_columns(CONTRACT, STUDY.model_copy(update=changes), LOADED.schema).separate

    assert separate() == ("provision", "cross-border"), "nobody's country is declared"
    assert separate(features=("spend",)) == tuple(SEPARATE_CONSENTS)
    assert separate(features=("spend",), legal_basis="contract") == ("sensitive-data",)
    assert separate(legal_basis="contract") == ()
    german = with_column("age", sensitivity="sensitive").model_copy(
        update={"jurisdiction": "DE", "transfers": ("JP",)}
    )
    abroad = STUDY.model_copy(update={"jurisdiction": "JP"})
    assert allowed_columns(german, abroad, LOADED.schema).separate == ("sensitive-data",)
    unsafe = STUDY.model_copy(update={"jurisdiction": "US"})
    assert allowed_columns(german, unsafe, LOADED.schema).separate == ("sensitive-data", "cross-border")


def test_the_label_alone_may_be_what_is_sensitive() -> None:
    found = allowed_columns(with_column("churn", sensitivity="sensitive"), STUDY, LOADED.schema)
    assert (found.sensitive, found.separate[0]) == (("churn",), "sensitive-data")


def test_each_header_is_decoded_once_the_key_first() -> None:
    allowed = Allowed(
        subject="id",
        label="y",
        features=("a", "b"),
        headers={"y": "Y", "a": "A", "b": "A"},
        sensitive=(),
        separate=(),
    )
    assert allowed.decode == ("id", "Y", "A")


def test_what_a_holder_tells_a_coordinator_it_gives_to_each_purpose() -> None:
    assert features_by_purpose(CONTRACT, LOADED.schema) == {
        "churn-prediction": ("age", "spend", "plan", "churn"),
        "service-quality": ("age",),
    }
    assert list(features_by_purpose(CONTRACT, LOADED.schema)) == ["churn-prediction", "service-quality"]
    hidden = with_column("age", sensitivity="identifier")
    assert features_by_purpose(hidden, LOADED.schema) == {"churn-prediction": ("spend", "plan", "churn")}
    key = with_column("plan", source="customer_id")
    assert "plan" not in features_by_purpose(key, LOADED.schema)["churn-prediction"]
    backwards = with_column("age", purposes=("service-quality", "credit-risk", "churn-prediction"))
    assert list(features_by_purpose(backwards, LOADED.schema)) == [
        "churn-prediction",
        "credit-risk",
        "service-quality",
    ]


def test_reasons_are_printed_one_a_line_with_their_codes() -> None:
    one = Reason(code="RF-S047", template="No {what} here.", values={"what": "column"})
    assert (one.sentence, str(one)) == ("No column here.", "No column here. (RF-S047)")
    assert Reason(code="X", template="Plain.").values == {}
    assert str(Reasons((one, one))) == "No column here. (RF-S047)\nNo column here. (RF-S047)"


def test_a_refusal_tells_what_was_found_and_what_was_expected() -> None:
    def told(study: Study = STUDY, contract: Contract = CONTRACT) -> dict[str, str]:
        return {reason.code: reason.sentence for reason in decide(request(study, contract)).reasons}

    large = STUDY.model_copy(update={"holders": (STUDY.holders[0].model_copy(update={"max_customers": 9}),)})
    found = told(large, CONTRACT.model_copy(update={"schema_ref": "sha256:" + 64 * "0"}))
    assert "The contract is written for another schema" in found["RF-S042"]
    assert "telco" in found["RF-S042"]
    assert "max_customers = 9 " in found["RF-S024"]
    assert found["RF-S024"].endswith("says 50000.")
    assert found["RF-S027"].endswith("its own among them: 1; needed: 3.")
    other = told(STUDY.model_copy(update={"schema_ref": "sha256:" + 64 * "0", "purpose": "credit-risk"}))
    assert "The study is written for another schema" in other["RF-S042"]
    assert other["RF-S046"] == 'The contract does not allow "plan" to be used for credit-risk.'
    steep = STUDY.privacy.model_copy(update={"delta": 1 / 50000})
    loose = told(STUDY.model_copy(update={"privacy": steep}))
    assert '1/50000, one over the max_customers of "h2"' in loose["RF-S013"]
    assert "1/50000" in loose["RF-S049"]


@pytest.mark.parametrize("allow", [True, False])
@pytest.mark.parametrize("some", [True, False])
def test_obligations_are_had_of_an_allowed_study_only(allow: bool, some: bool) -> None:
    duties = decide(request()).require() if some else None
    reason = Reason(code="RF-S047", template="No.")
    decision = Decision(allow=allow, reasons=Reasons((reason,)), obligations=duties)
    if allow and some:
        assert decision.require() is duties
        return
    with pytest.raises(StudyError) as caught:
        decision.require()
    assert (caught.value.code, caught.value.values["reasons"]) == ("RF-S041", (reason,))


@pytest.mark.parametrize(("noise", "few"), [("distributed", 3), ("local", 3)])
def test_strangers_fill_no_study_whatever_its_noise(noise: str, few: int) -> None:
    privacy = STUDY.privacy.model_copy(update={"noise": noise, "min_holders": few})
    study = STUDY.model_copy(update={"privacy": privacy})
    assert decide(request(study)).allow
    alone = CONTRACT.model_copy(update={"peers": PRINTS[1:2]})
    assert {reason.code for reason in decide(request(study, alone)).reasons} == {"RF-S027"}
