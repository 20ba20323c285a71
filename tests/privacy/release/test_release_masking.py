"""Masking before the check, and the privacy loss that an artefact states."""

from __future__ import annotations

import base64
from decimal import Decimal

import numpy as np
import pytest
from kits.artefact_kit import artefact, carriers, codes, html, npz, svg
from safetensors.numpy import save

from ringfence.privacy.identifiers.customers import CustomerList
from ringfence.privacy.identifiers.pii import Scanner
from ringfence.privacy.release import Artefact, Cleared, ExportPolicy, examine

POLICY = ExportPolicy(scanner=Scanner(customers=CustomerList.of(bytes(16), names=["赵敏"])))
MAIL = "wang.fang@example.cn"
LEAKS = {
    "resident id": "11010519491231002X",
    "mobile, full width": "联系１３８００１３８００１本人",
    "mail beside Chinese": f"邮箱{MAIL}已核",
    "name on the list, zh": "昨日赵敏来访",
}


@pytest.mark.parametrize(
    "kind", ["csv frame", "csv bytes", "parquet", "json value", "json key", "text", "markdown"]
)
@pytest.mark.parametrize("name", LEAKS)
def test_masking_first_lets_it_out_without_the_leak(kind: str, name: str) -> None:
    given = carriers(LEAKS[name])[kind]
    made = Artefact(
        name=given.name, kind=given.kind, content=given.content, columns=given.columns, masking="presidio"
    )
    answer = examine(made, POLICY)
    assert isinstance(answer, Cleared), answer
    assert "Masked before the check." in answer.notes
    again = examine(artefact(given.kind, answer.content, columns=given.columns), POLICY)
    assert isinstance(again, Cleared), again
    if given.kind != "parquet":
        assert LEAKS[name] not in answer.content.decode()


def test_what_masking_cannot_reach_is_refused() -> None:
    hidden = artefact("text", base64.b64encode(MAIL.encode()), masking="presidio")
    assert codes(examine(hidden, POLICY)) == {"RF-X040"}
    for kind, content in (
        ("html", html("x")),
        ("svg", svg("")),
        ("npz", npz(a=np.ones(1))),
        ("toml", b"a = 1"),
        ("safetensors", save({"w": np.ones(1)})),
    ):
        assert codes(examine(artefact(kind, content, masking="presidio"), POLICY)) == {"RF-X046"}


def test_epsilon_is_held_against_the_study() -> None:
    limited = ExportPolicy(epsilon=Decimal("2.0"))
    made = artefact("text", b"fine\n")
    assert codes(examine(made, limited)) == {"RF-X045"}
    for epsilon, expected in (
        ("2.0", set()),
        ("2.01", {"RF-X044"}),
        ("-1", {"RF-X044"}),
        ("NaN", {"RF-X044"}),
        ("Infinity", {"RF-X044"}),
    ):
        stated = artefact("text", b"fine\n", epsilon=Decimal(epsilon))
        assert codes(examine(stated, limited)) == expected
        assert codes(examine(stated, ExportPolicy())) == {"RF-X044"}
