"""How long an exchange may last: a floor, a ceiling, and in between what has to travel."""

from __future__ import annotations

from ringfence.server.limits import CEILING, FIRST_RATE, LEAST_MEASURED, LinkRates, time_limit


def test_nothing_to_carry_takes_the_floor() -> None:
    assert time_limit(120, 0, 0, FIRST_RATE) == 120


def test_the_limit_grows_with_what_travels_in_both_directions() -> None:
    assert time_limit(120, 1_000_000, 0, 100_000) == 140
    assert time_limit(120, 1_000_000, 500_000, 100_000) == 150


def test_a_fast_link_gets_less_than_a_slow_one_and_none_more_than_the_ceiling() -> None:
    assert time_limit(120, 1_000_000, 0, 1_000_000) == 122
    assert time_limit(120, 10**9, 10**9, 1.0) == CEILING * 120


def test_the_slowest_of_the_last_transfers_counts() -> None:
    rates = LinkRates()
    assert rates.rate("north") == FIRST_RATE
    rates.measured("north", 10_000_000, 10.0)
    rates.measured("north", 10_000_000, 2.0)
    assert rates.rate("north") == 1_000_000
    for _ in range(5):
        rates.measured("north", 10_000_000, 2.0)
    assert rates.rate("north") == 5_000_000, "what is long past is forgotten"
    assert rates.rate("south") == FIRST_RATE


def test_small_replies_and_no_time_say_nothing() -> None:
    rates = LinkRates()
    rates.measured("north", LEAST_MEASURED - 1, 1000.0)
    rates.measured("north", LEAST_MEASURED, 0.0)
    assert rates.rate("north") == FIRST_RATE
