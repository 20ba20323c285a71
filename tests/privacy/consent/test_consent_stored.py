"""What stands in the store, to the byte: a later version reads old registries, cohorts and commitments."""

from __future__ import annotations

import hashlib
import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.consent_kit import KEY, NOW, PURPOSE, eligible_keys, grant, refusal, write
from kits.journal_kit import Notebook
from pyroaring import BitMap
from sqlalchemy import select

from ringfence.privacy.consent import ALL_PURPOSES, Cohort, ConsentRegistry, EventKind, tables
from ringfence.privacy.consent.pseudonym import RegistryKeys
from ringfence.privacy.consent.snapshot import commitment
from ringfence.privacy.consent.tables import FOREVER, to_micros
from ringfence.privacy.errors import ConsentError
from ringfence.privacy.stores.store import open_store

FRAUD = "fraud-prevention"
HOUR = timedelta(hours=1)


def canonical(**values: object) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def keyed(key: bytes, person: bytes, *parts: bytes) -> bytes:
    return hashlib.blake2b(b"".join(parts), key=key, digest_size=32, person=person).digest()


@pytest.fixture
def registry() -> ConsentRegistry:
    return ConsentRegistry.open(open_store(None), KEY)


def rows(registry: ConsentRegistry, table: Any) -> list[dict[str, Any]]:
    with registry.engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


def test_a_commitment_is_keyed_blake2b_over_the_question_and_the_members_in_order() -> None:
    at, separate = datetime(2026, 6, 1, 0, 0, 0, 7, tzinfo=UTC), ("provision", "cross-border")
    found = commitment(
        b"k" * 32, purpose=PURPOSE, at=at, separate=separate, sequence=7, eligible=BitMap([70000, 1])
    )
    header = canonical(purpose=PURPOSE, at="1780272000000007", separate=list(separate), sequence=7)
    members = b"\x01\0\0\0\x70\x11\x01\0"
    digest = keyed(b"k" * 32, b"rf-snapshot", len(header).to_bytes(8, "big"), header, members)
    assert found == "blake2b:" + digest.hex()


def test_a_registrys_keys_are_three_and_its_row_tells_the_right_one(registry: ConsentRegistry) -> None:
    derived = [
        hashlib.blake2b(b"", key=KEY, person=person).digest()[:32]
        for person in (b"rf-subject", b"rf-commit", b"rf-seal")
    ]
    keys = RegistryKeys.derive(KEY)
    assert [keys.subject, keys.commitment, keys.seal] == derived
    check = hashlib.blake2b(b"ringfence consent registry", key=derived[1], person=b"rf-check").digest()[:16]
    assert rows(registry, tables.registry) == [{"id": 1, "key_check": check, "subjects": 0}]


def test_a_cohort_stands_in_the_store_with_its_question_its_instant_and_a_seal_over_all(
    registry: ConsentRegistry, tmp_path: Path
) -> None:
    both = "cross-border; provision"
    registry.import_file(write(tmp_path / "c.csv", [grant(k, separate_consents=both) for k in "abc"]))
    at = NOW + timedelta(microseconds=3)
    cohort = Cohort.freeze(
        registry,
        study="s",
        run="r",
        purpose=PURPOSE,
        at=at,
        indices=registry.indices(["a", "b", "stranger"]),
        separate=["provision", "cross-border", "provision"],
    )
    assert cohort.separate == ("cross-border", "provision")
    (row,) = rows(registry, tables.cohort)
    asked = {"study": "s", "run": "r", "purpose": PURPOSE}
    assert {name: row[name] for name in asked} == asked
    assert (row["separate"], row["frozen_at"]) == ("cross-border,provision", to_micros(at))
    assert BitMap.deserialize(row["members"]) == BitMap(registry.indices(["a", "b"]).astype(np.uint32))
    header = canonical(**asked, separate=["cross-border", "provision"])
    length = len(header).to_bytes(8, "big")
    assert row["seal"] == keyed(registry.keys.seal, b"rf-cohort", length, header, row["members"])
    assert Cohort.load(registry, study="s", run="r") == cohort


def test_cohorts_of_other_studies_and_runs_are_others(registry: ConsentRegistry, tmp_path: Path) -> None:
    registry.import_file(write(tmp_path / "c.csv", [grant(k) for k in "abcd"]))
    asked = {("s", "r"): "ab", ("s", "q"): "cd", ("t", "r"): "abc", ("t", "q"): "d"}
    for (study, run), keys in asked.items():
        indices = registry.indices(list(keys))
        Cohort.freeze(registry, study=study, run=run, purpose=PURPOSE, at=NOW, indices=indices)
    registry.withdraw(["a"], PURPOSE, NOW + HOUR)
    found = Cohort.load(registry, study="s", run="r")
    assert len(found.current(registry, NOW + HOUR)) == 1
    sizes = {
        (study, run): len(Cohort.load(registry, study=study, run=run).members(registry))
        for study, run in asked
    }
    assert sizes == {("s", "r"): 1, ("s", "q"): 2, ("t", "r"): 3, ("t", "q"): 1}
    for study, run in (("s", "other"), ("other", "r")):
        with pytest.raises(ConsentError, match="RF-N021"):
            Cohort.load(registry, study=study, run=run)
        with pytest.raises(ConsentError, match="RF-N021"):
            Cohort(study=study, run=run, purpose=PURPOSE).members(registry)


def test_every_batch_says_what_it_came_from_when_and_how_many_events_it_has(
    registry: ConsentRegistry, tmp_path: Path
) -> None:
    later = datetime(2090, 1, 1, tzinfo=UTC)
    before = to_micros(datetime.now(UTC))
    registry.import_file(write(tmp_path / "1.csv", [grant(k, "2089-01-01") for k in "abc"]), now=later)
    days = [
        refusal("a", "objected", "2026-02-01", ALL_PURPOSES),
        refusal("b", "expired", "2026-02-01T00:00:00Z"),
    ]
    registry.import_file(write(tmp_path / "2.csv", days), now=NOW)
    registry.withdraw(["c", "d"], FRAUD, NOW, kind=EventKind.REFUSED)
    batches = rows(registry, tables.batch)
    assert [(batch["source"], batch["rows"]) for batch in batches] == [
        ("import", 3),
        ("import", 2),
        ("day", 1),
        ("ahead", 1),
        ("ahead", 1),
        ("refused", 2),
    ]
    assert all(before <= batch["recorded"] <= to_micros(datetime.now(UTC)) for batch in batches)
    events = rows(registry, tables.event)
    counted = {batch["id"]: batch["rows"] for batch in batches}
    assert {n: sum(e["batch"] == n for e in events) for n in counted} == counted
    day = to_micros(datetime(2026, 2, 1, tzinfo=UTC))
    last, ahead = day + 86_400_000_000 - 1, to_micros(datetime(2089, 1, 1, tzinfo=UTC))
    mine = int(registry.indices(["a"])[0])
    assert [
        tuple(e[n] for n in ("purpose", "kind", "at", "valid_from", "valid_until", "terms"))
        for e in events
        if e["subject"] == mine
    ] == [
        (PURPOSE, EventKind.GRANTED, ahead, ahead, FOREVER, 1),
        (ALL_PURPOSES, EventKind.OBJECTED, day, day, FOREVER, None),
        (ALL_PURPOSES, EventKind.OBJECTED, last, day, FOREVER, None),
        (ALL_PURPOSES, EventKind.OBJECTED, ahead, ahead, FOREVER, None),
    ]
    assert registry.status("b", later)[PURPOSE].kind == EventKind.EXPIRED


def test_terms_of_every_combination_go_with_their_own_rows(registry: ConsentRegistry, tmp_path: Path) -> None:
    choices = {
        "notice_id": ["n1", "n2"],
        "notice_version": ["1", "2", "3"],
        "notice_language": ["en", "zh-CN"],
        "recipients": ["", "Shop", "Bank; Shop"],
        "separate_consents": ["", "provision"],
        "letter_digest": ["", "sha256:" + "1" * 64],
    }
    made = [
        grant(f"k{number}", **dict(zip(choices, values, strict=True)))
        for number, values in enumerate(itertools.product(*choices.values()))
    ]
    lines = [",".join(made[0]), *(",".join(row.values()) for row in made)]
    path = tmp_path / "c.csv"
    path.write_text("\n".join(lines))
    registry.import_file(path)
    assert len(rows(registry, tables.terms)) == len(made)
    for row in made[::7]:
        terms = registry.status(row["customer_key"], NOW)[PURPOSE].terms
        assert terms is not None
        assert terms["notice"] == {
            "id": row["notice_id"],
            "version": row["notice_version"],
            "language": row["notice_language"],
            "digest": row["notice_digest"],
        }
        assert terms["party"]["recipients"] == [p for p in row["recipients"].split("; ") if p]
        assert terms["processing"]["separateConsents"] == [p for p in [row["separate_consents"]] if p]
        assert terms["processing"]["authorisationLetter"] == row["letter_digest"]
    # The same terms once more are stored once.
    path.write_text("\n".join(lines[:2]))
    registry.import_file(path)
    assert len(rows(registry, tables.terms)) == len(made)


def test_lists_of_terms_are_trimmed_sorted_and_have_each_entry_once(
    registry: ConsentRegistry, tmp_path: Path
) -> None:
    listed = grant("a", recipients=" Shop;; Bank ;Shop; ", separate_consents="provision; cross-border")
    registry.import_file(write(tmp_path / "c.csv", [listed]))
    terms = registry.status("a", NOW)[PURPOSE].terms
    assert terms is not None
    assert terms["party"]["recipients"] == ["Bank", "Shop"]
    assert terms["processing"]["separateConsents"] == ["cross-border", "provision"]
    assert registry.status("a")[PURPOSE].eligible
    assert registry.coverage()[PURPOSE].eligible == 1


def test_what_is_journalled_names_the_registry_and_counts_every_kind(tmp_path: Path) -> None:
    journal = Notebook()
    registry = ConsentRegistry.open(open_store(None), KEY, journal=journal)
    given = [grant("a"), grant("b"), refusal("c", "refused", "2026-02-01"), grant("a", event="renewed")]
    report = registry.import_file(write(tmp_path / "c.csv", given))
    kinds = {"granted": 2, "renewed": 1, "refused": 1, "withdrawn": 0, "expired": 0, "objected": 0}
    assert (report.rows, report.new_subjects, report.by_kind) == (4, 3, kinds)
    registry.withdraw([" a ", "a", "d", ""], ALL_PURPOSES, NOW)
    assert [(event.resource, event.private) for event in journal.events] == [
        ("consent-registry", {"rows": 4, "new_subjects": 3, **kinds}),
        ("consent-registry", {"subjects": 2, "new_subjects": 1}),
    ]
    assert rows(registry, tables.registry)[0]["subjects"] == 4


def test_erasing_many_customers_forgets_each_of_them(registry: ConsentRegistry, tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(1200)]
    registry.import_file(write(tmp_path / "c.csv", [grant(key) for key in keys]))
    registry.indices([*keys, *(f"x{number}" for number in range(2500))])  # now an index is in memory
    assert registry.erase([f" {key} " for key in keys[:1100]] + ["", keys[0]], NOW) == 1100
    assert registry.indices(keys[:1100]).tolist() == [-1] * 1100
    assert eligible_keys(registry, keys, NOW) == set(keys[1100:])
    assert sum(row["pseudonym"] is None for row in rows(registry, tables.subject)) == 1100
