"""Random alterations of a bundle: every one is found, and the first bad event is named."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kits.audit_kit import edited, faults, lines, rewrite, signed_log

from ringfence.audit import merkle
from ringfence.audit.canonical import dumps
from ringfence.audit.note import MemorySigner
from ringfence.audit.verification.localise import first_difference, name_alteration
from ringfence.audit.verification.report import BundleRefused
from ringfence.audit.verification.verify import verify_bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed log of twelve events that each differ."""
    folder = tmp_path_factory.mktemp("pristine")
    base = {
        "actor": "client",
        "organisation": "a",
        "outcome": "allow",
        "profile": "durable",
        "private": "0" * 64,
    }
    events = [
        dumps(
            {
                "specversion": "1.0",
                "id": f"{number:032x}",
                "source": "a#client",
                "type": "ringfence.waist.send",
                "time": "2026-11-01T00:00:00.000000Z",
                "subject": f"study:{number}",
                "datacontenttype": "application/json",
                "data": {**base, "sequence": number, "public": {"epsilon": "0.5"}},
            }
        )
        for number in range(12)
    ]
    return signed_log(folder, events, MemorySigner())


def alter(data: st.DataObject, events: list[bytes]) -> list[bytes]:
    place = data.draw(st.integers(0, len(events) - 1))
    kind = data.draw(st.sampled_from(["edit", "insert", "delete", "swap", "cut"]))
    match kind:
        case "edit" if not events[place]:
            return [*events[:place], b"x", *events[place + 1 :]]
        case "edit":
            at = data.draw(st.integers(0, len(events[place]) - 1))
            flip = data.draw(st.integers(1, 255).filter(lambda n: events[place][at] ^ n != 0x0A))
            line = events[place][:at] + bytes([events[place][at] ^ flip]) + events[place][at + 1 :]
            return [*events[:place], line, *events[place + 1 :]]
        case "insert":
            return [*events[:place], data.draw(st.sampled_from([*events, b"{}", b""])), *events[place:]]
        case "delete":
            return [*events[:place], *events[place + 1 :]]
        case "swap":
            other = data.draw(st.integers(0, len(events) - 1).filter(lambda n: n != place))
            moved = list(events)
            moved[place], moved[other] = moved[other], moved[place]
            return moved
        case _:
            return events[:place]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_random_alteration_is_found_and_the_first_bad_event_named(
    data: st.DataObject, pristine: Path
) -> None:
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(pristine, copy)
        events = lines(copy)
        altered = events
        for _ in range(data.draw(st.integers(1, 3))):
            altered = alter(data, altered) if altered else altered
        if altered == events:
            verify_bundle(copy)
            return
        rewrite(copy, altered)
        pairs = zip(altered, events, strict=False)
        expected = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(altered), len(events)))
        with pytest.raises(BundleRefused) as caught:
            verify_bundle(copy)
        first = caught.value.report.all_faults()[0]
        assert first.event == expected
        # A forger who fits the table and the manifest as well is found all the same.
        rewrite(copy, altered, hashes=True)
        with pytest.raises(BundleRefused):
            verify_bundle(copy)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_flipped_byte_of_every_file_is_found(data: st.DataObject, pristine: Path) -> None:
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(pristine, copy)
        path = copy / data.draw(
            st.sampled_from(["log.jsonl", "hashes", "checkpoint", "key.pub", "manifest.json"])
        )
        whole = path.read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
        with pytest.raises(BundleRefused):
            verify_bundle(copy)


def test_a_verifier_that_trusts_the_table_would_pass_a_forgery(pristine: Path, tmp_path: Path) -> None:
    """The table of hashes alone proves nothing: fitted to forged events, it agrees with them."""
    copy = tmp_path / "copy"
    shutil.copytree(pristine, copy)
    rewrite(copy, [edited(lines(copy)[0]), *lines(copy)[1:]], hashes=True)
    found = b"".join(map(merkle.leaf_hash, lines(copy)))
    assert first_difference(found, (copy / "hashes").read_bytes()) is None
    assert [code for code, _ in faults(copy)] == ["RF-A093"]


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_first_difference_is_the_first(one: list[str], other: list[str]) -> None:
    found, stated = (b"".join(sha256(item.encode()).digest() for item in items) for items in (one, other))
    expected = next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    assert first_difference(found, stated) == (None if one == other else expected)
    if one != other:
        assert name_alteration(found, stated)[1] == expected
