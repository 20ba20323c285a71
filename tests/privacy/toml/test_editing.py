"""Values entered into a person's TOML file: one key changes, everything else stays byte for byte."""

from __future__ import annotations

import tomllib

import pytest

from ringfence.privacy.errors import UsageError
from ringfence.privacy.toml.editing import ListItem, with_entries, with_value

ONE = ListItem(value="ed25519:" + "1" * 32, comment="north")
TWO = ListItem(value="ed25519:" + "2" * 32, comment="south")


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ('id = "a"  # mine\n', []),
        ('id = "a"\npeers = []  # none yet\n[source]\nfile = "x"\n', []),
        ('peers = ["p"]\n', ["p"]),
        ('peers = ["p", ]\n', ["p"]),
        ('peers = [ "p" # by telephone\n  , "q" ] # all\n', ["p", "q"]),
        (
            'peers = [\n    "p",  # by telephone, 3 May, ] and "\n    # more to come\n]\n[a]\npeers = 1\n',
            ["p"],
        ),
        ('peers = [\n    "p"  # ,\n]\n', ["p"]),
        ("# peers = []  # a hint\nid = 1\n[a]\n", []),
        ("[[column]]\npeers = [1]\n", []),
        ("", []),
        ("# only\n# words", []),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_entries_are_added_and_nothing_else_changes(text: str, before: list[str], end: str) -> None:
    text = (text or "# begun\n").replace("\n", end)
    made = with_entries(text, "peers", [ONE, TWO])
    assert tomllib.loads(made) == {**tomllib.loads(text), "peers": [*before, ONE.value, TWO.value]}
    assert f'    "{ONE.value}",  # north{end}' in made
    assert ("\n" in made.replace("\r\n", "")) == (end == "\n")
    for line in text.split(end):  # every comment is still there
        if "#" in line:
            assert line[line.index("#") :].rstrip("] ") in made
    again = with_entries(made, "peers", [ListItem(value="r", comment="")])
    assert tomllib.loads(again)["peers"] == [*before, ONE.value, TWO.value, "r"]


def test_a_list_that_is_missing_stands_behind_its_hint_or_above_the_tables() -> None:
    made = with_entries('id = "a"\n# peers = []  # hint\nversion = 1\n\n[source]\n', "peers", [ONE])
    assert made == (
        'id = "a"\n# peers = []  # hint\npeers = [\n'
        f'    "{ONE.value}",  # north\n]\nversion = 1\n\n[source]\n'
    )
    assert with_value('id = "a"\n[source]\n', "contract", "c.toml") == (
        'id = "a"\ncontract = "c.toml"\n\n[source]\n'
    )
    # The hint of a table's own key is none of the top level.
    assert tomllib.loads(with_value("[a]\n# contract = 1\nx = 1\n", "contract", "c"))["contract"] == "c"


@pytest.mark.parametrize("text", ["version = 1 # first\nid = 2\n", "id = 2\nversion=1", "id = 2\n"])
def test_one_value_is_replaced(text: str) -> None:
    assert tomllib.loads(with_value(text, "version", 2)) == {"id": 2, "version": 2}
    assert ("# first" in text) == ("# first" in with_value(text, "version", 2))


def test_a_comment_is_one_line_and_a_value_is_quoted() -> None:
    made = with_entries("", "peers", [ListItem(value='a"\n\\b', comment="x\ny = 1")])
    assert tomllib.loads(made) == {"peers": ['a"\n\\b']}


@pytest.mark.parametrize("text", ["peers = 1\n", 'peers = "x"\n', "[peers]\na = 1\n", "peers.a = 1\n"])
def test_what_is_no_list_is_left_to_a_person(text: str) -> None:
    with pytest.raises(UsageError, match="RF-U660"):
        with_entries(text, "peers", [ONE])
