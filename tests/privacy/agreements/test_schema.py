"""The schema: faults with their lines, one digest for one meaning."""

from __future__ import annotations

import datetime
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.document_kit import GOOD, expected, found, museum
from pydantic import ValidationError

from ringfence.privacy.agreements.schema import Feature, Schema, load_schema
from ringfence.privacy.errors import SchemaError
from ringfence.privacy.toml.canonical import decimal_text
from ringfence.privacy.toml.faults import faults_of


@pytest.mark.parametrize("path", museum("bad_schemas"), ids=lambda path: path.stem)
def test_a_bad_schema_is_refused_with_every_line(path: Path) -> None:
    with pytest.raises(SchemaError) as caught:
        load_schema(path)
    assert found(caught.value) == expected(path)
    sentence = caught.value.sentence()
    for fault in faults_of(caught.value):
        assert fault.file == path.name
        assert fault.sentence in sentence
        assert "{" not in fault.sentence


def test_a_good_schema_is_read() -> None:
    schema = load_schema(GOOD / "schema.toml")
    assert schema.names == ("age", "spend", "plan", "joined", "notes", "churn")
    assert schema.feature("age").bounds == (Decimal(18), Decimal(100))
    assert schema.feature("spend").limits == (0.5, 1000.0)
    assert schema.feature("spend").missing_value == Decimal(1)
    assert schema.feature("churn").categories == ("no", "yes")
    assert schema.feature("joined").limits == (
        datetime.date(2000, 1, 1).toordinal(),
        datetime.date(2030, 12, 31).toordinal(),
    )
    with pytest.raises(SchemaError, match="RF-C048"):
        schema.feature("absent")
    with pytest.raises(SchemaError, match="RF-C032"):
        _ = schema.feature("plan").limits


def test_a_schema_inside_another_document_is_read(tmp_path: Path) -> None:
    file = tmp_path / "contract.toml"
    file.write_text(
        'nonsense = 1\n[schema]\nid = "s"\nversion = 1\n[[schema.feature]]\nname = "a"\nkind = "flag"\n'
    )
    assert load_schema(file).id == "s"
    file.write_text('[schema]\nid = "s"\nversion = 1\n[[schema.feature]]\nname = "a"\nkind = "flags"\n')
    with pytest.raises(SchemaError) as caught:
        load_schema(file)
    assert found(caught.value) == {(6, "RF-C014")}


def test_a_schema_does_not_change() -> None:
    schema = load_schema(GOOD / "schema.toml")
    with pytest.raises(ValidationError):
        schema.version = 2


def test_the_digest_is_over_known_bytes() -> None:
    schema = Schema(
        id="s", version=1, features=(Feature(name="a", kind="number", bounds=(Decimal("0.50"), Decimal(7))),)
    )
    assert schema.canonical() == (
        b'{"feature":[{"bounds":["0.5","7"],"kind":"number","missing":"category","name":"a","scale":"linear",'
        b'"unknown":"other"}],"id":"s","version":1}'
    )
    # echo -n ... | sha256sum
    import hashlib

    assert schema.digest() == "sha256:" + hashlib.sha256(schema.canonical()).hexdigest()


def test_a_signed_body_is_read_back_exactly() -> None:
    schema = load_schema(GOOD / "schema.toml")
    assert Schema.from_canonical(schema.canonical()) == schema


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", "RF-C072"),
        (b"\xff", "RF-C072"),
        (b"[" * 100_000, "RF-C072"),
        (b"[]", "RF-C001"),
        (b'{"id":"s"}', "RF-C001"),
        (b'{"feature":[{"kind":"flag","name":"a"}],"id":"s","version":1}', "RF-C071"),
    ],
)
def test_a_bad_signed_body_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.from_canonical(body)
    assert caught.value.code == code


names = st.text(alphabet="abcXYZ019年龄_", min_size=1, max_size=8).filter(lambda text: text[0] != "_")
numbers = st.decimals(-1000, 1000, allow_nan=False, places=3)


@st.composite
def features(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["number", "category", "flag", "text", "date"]))
    feature: dict[str, Any] = {"name": draw(names), "kind": kind}
    if kind == "number":
        low = draw(numbers)
        feature["bounds"] = [low, low + 1 + abs(draw(numbers))]
    elif kind == "date":
        day = draw(st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)))
        feature["bounds"] = [day, day + datetime.timedelta(days=draw(st.integers(1, 9999)))]
    elif kind == "category":
        feature["categories"] = draw(st.lists(names, min_size=2, max_size=4, unique=True))
    feature["unknown"] = draw(st.sampled_from(["other", "missing", "exclude"]))
    return feature


schemas = st.builds(
    lambda identifier, version, rows: {"id": identifier, "version": version, "feature": rows},
    names,
    st.integers(1, 9),
    st.lists(features(), min_size=1, max_size=4, unique_by=lambda feature: feature["name"]),
)


def shuffled(value: Any, order: random.Random) -> Any:
    """The same document with the keys of every table in another order."""
    if isinstance(value, dict):
        items = [(key, shuffled(item, order)) for key, item in value.items()]
        order.shuffle(items)
        return dict(items)
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@settings(max_examples=40, deadline=None)
@given(schemas, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_change_the_digest(data: dict[str, Any], order: random.Random) -> None:
    assert Schema.model_validate(data).digest() == Schema.model_validate(shuffled(data, order)).digest()


@settings(max_examples=40, deadline=None)
@given(schemas)
def test_reading_back_is_the_identity(data: dict[str, Any]) -> None:
    schema = Schema.model_validate(data)
    again = Schema.from_canonical(schema.canonical())
    assert again == schema
    assert again.digest() == schema.digest()


@settings(max_examples=40, deadline=None)
@given(schemas, schemas)
def test_two_meanings_have_two_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = Schema.model_validate(one), Schema.model_validate(other)
    assert (first == second) == (first.digest() == second.digest())


@settings(max_examples=40, deadline=None)
@given(schemas, st.data())
def test_any_change_changes_the_digest(data: dict[str, Any], choose: st.DataObject) -> None:
    schema = Schema.model_validate(data)
    changed = json.loads(schema.canonical())
    feature = choose.draw(st.sampled_from(changed["feature"]))
    match choose.draw(st.sampled_from(["id", "version", "name", "title", "order", "unknown"])):
        case "id":
            changed["id"] += "x"
        case "version":
            changed["version"] += 1
        case "name":
            feature["name"] += "-new"
        case "title":
            feature["title"] = "new"
        case "unknown":
            feature["unknown"] = "missing" if feature["unknown"] != "missing" else "other"
        case "order":
            changed["feature"].append({"name": "one-more", "kind": "flag"})
    assert Schema.model_validate(changed).digest() != schema.digest()


@given(st.decimals(-(10**12), 10**12, allow_nan=False, places=6))
def test_a_decimal_has_one_spelling_and_keeps_its_value(number: Decimal) -> None:
    text = decimal_text(number)
    assert Decimal(text) == number
    assert decimal_text(Decimal(text)) == text
    assert decimal_text(number + Decimal("0.0000000")) == text
    assert not text.startswith("-0") or "." in text


@pytest.mark.parametrize(
    ("spelling", "text"), [("-0.00", "0"), ("1E+2", "100"), ("1E-7", "0.0000001"), ("100", "100")]
)
def test_spellings_of_decimals(spelling: str, text: str) -> None:
    assert decimal_text(Decimal(spelling)) == text


@pytest.mark.parametrize("name", ["a", "9", "年龄", "a.b-c_d", "é", "x" * 64])
def test_names(name: str) -> None:
    assert Feature(name=name, kind="flag").name == name


@pytest.mark.parametrize(
    "name", ["", "_a", ".a", "-", "a b", "a\n", "a/b", "x" * 65, "a\u200b", "../a", "a,b", "=a"]
)
def test_what_is_not_a_name(name: str) -> None:
    with pytest.raises(ValidationError):
        Feature(name=name, kind="flag")
