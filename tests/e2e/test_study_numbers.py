"""One roster, one number: a call that was answered is not answered anew, and a study's split is its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kits.parties import Parties, federation_of
from kits.small import schema_of, study_of

from ringfence.clients.joining import split_key
from ringfence.clients.rows.splitting import split_values
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.rounds import run_study

ROSTERS = {
    "retry": {MessageKind.ROSTER_CALL},
    "recover": {MessageKind.KEY_CALL, MessageKind.SHARE_CALL},
}


@pytest.mark.parametrize("dropouts", ROSTERS)
def test_a_roster_number_is_used_once(tmp_path: Path, dropouts: str) -> None:
    """The coordinator asks again for keys, or for an echo, under the number it has an answer for: what is the
    same gets the same answer, and nothing is made anew.
    """
    parties = Parties.of(
        federation_of(tmp_path, model={"iterations": 1}, privacy={"dropouts": dropouts, "min_holders": 3})
    )
    again: list[tuple[str, bool]] = []

    def twice(name: str, message: bytes, reply: bytes) -> bytes:
        kind = read_header(message).kind
        if kind in ROSTERS[dropouts]:
            again.append((kind, parties.agents[name].handle(message) == reply))
        return reply

    parties.wire.on_reply = twice
    release = run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
    assert {asked for asked, _ in again} == ROSTERS[dropouts]
    assert all(same for _, same in again)
    assert set(release.attempts) == {1}, "nothing was disturbed"


def test_no_two_studies_split_their_customers_alike() -> None:
    schema = schema_of()
    study = study_of(schema)
    other_schema = schema.revised(version=2)
    studies = [study, study_of(schema, id="another"), study_of(other_schema)]
    keys = [split_key(each) for each in studies]
    assert keys[0] == f"ringfence/split/v1/{study.id}/{schema.digest()}".encode()
    customers = [f"customer-{i}" for i in range(200)]
    tests = [split_values(customers, key)[0] < np.uint64(2**63) for key in keys]
    for i, one in enumerate(tests):
        assert 50 < one.sum() < 150
        for other in tests[:i]:
            assert 50 < int((one == other).sum()) < 150, "two splits are related"
