"""Who may connect: an invitation admits one holder, once, in its time; what ended lets nobody in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ringfence.privacy.errors import WaistError
from ringfence.privacy.stores.store import open_store
from ringfence.server.connections.admissions import Admissions, AdmittedHolder

pytestmark = pytest.mark.usefixtures("each_database")

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BANK, OTHER = "ab" * 32, "cd" * 32


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admissions(clock: Clock) -> Admissions:
    found = Admissions(open_store(None), clock)
    with found.engine.begin() as connection:
        for number in ("1", "2"):
            found.invite(number * 64, "bank", NOW + timedelta(days=14), connection=connection)
    return found


def admit(admissions: Admissions, number: str = "1", name: str = "bank", key: str = BANK) -> str:
    certificate = f"{number}{len(admissions.listed())}".ljust(64, "0")
    holder = AdmittedHolder(
        holder=name,
        identity=key,
        certificate=certificate,
        node_key=f"node key {number}",
        until=(NOW + timedelta(days=397)).isoformat(),
    )
    with admissions.engine.begin() as connection:
        admissions.admit(number * 64, holder, connection=connection)
    return certificate


def test_an_invitation_admits_once(admissions: Admissions) -> None:
    certificate = admit(admissions)
    assert [each.certificate for each in admissions.let_in()] == [certificate]
    with pytest.raises(WaistError, match="RF-W351"):
        admit(admissions)


@pytest.mark.parametrize(("number", "name"), [("3", "bank"), ("1", "shop")])
def test_another_number_or_another_holder_is_not_admitted(
    admissions: Admissions, number: str, name: str
) -> None:
    with pytest.raises(WaistError, match="RF-W350"):
        admit(admissions, number, name)
    assert admissions.listed() == ()


def test_an_invitation_ends(admissions: Admissions, clock: Clock) -> None:
    clock.now = NOW + timedelta(days=14)
    with pytest.raises(WaistError, match="RF-W352"):
        admit(admissions)


def test_a_name_does_not_pass_to_another_key_unless_it_was_revoked(admissions: Admissions) -> None:
    admit(admissions)
    with pytest.raises(WaistError, match="RF-W353"):
        admit(admissions, "2", key=OTHER)
    assert [each.identity for each in admissions.let_in()] == [BANK]


def test_a_key_has_one_name(admissions: Admissions) -> None:
    """A holder that answers another one's invitation with its own key would use it up under that name."""
    admit(admissions)
    with admissions.engine.begin() as connection:
        admissions.invite("3" * 64, "shop", NOW + timedelta(days=14), connection=connection)
    with pytest.raises(WaistError, match="RF-W358"):
        admit(admissions, "3", "shop", BANK)
    admit(admissions, "3", "shop", OTHER)
    assert [each.holder for each in admissions.let_in()] == ["bank", "shop"]


def test_a_new_certificate_takes_the_place_of_the_old_one(admissions: Admissions) -> None:
    admit(admissions)
    second = admit(admissions, "2")
    assert [each.certificate for each in admissions.let_in()] == [second]
    assert len(admissions.listed()) == 2


def test_what_was_revoked_lets_nobody_in_and_voids_what_is_open(admissions: Admissions) -> None:
    admit(admissions)
    with admissions.engine.begin() as connection:
        admissions.revoke("bank", connection=connection)
    assert admissions.let_in() == ()
    with pytest.raises(WaistError, match="RF-W351"):
        admit(admissions, "2")
    with pytest.raises(WaistError, match="RF-W354"), admissions.engine.begin() as connection:
        admissions.revoke("bank", connection=connection)


def test_a_certificate_that_ended_lets_nobody_in(admissions: Admissions, clock: Clock) -> None:
    admit(admissions)
    clock.now = NOW + timedelta(days=397)
    assert admissions.let_in() == ()
    assert len(admissions.listed()) == 1
