"""Sentences of errors: fields are filled in as they are, but for clauses, which are translated with the sentence."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from gettext import NullTranslations

import pytest
from checkout import parsed, python_files

from ringfence.privacy import errors
from ringfence.privacy.errors import Clause, UsageError, use_language


@pytest.fixture
def shouting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A language in which every word is upper-case, fields apart."""

    class Catalogue(NullTranslations):
        def gettext(self, message: str) -> str:
            return message.upper().replace("{RULE}", "{rule}").replace("{NAME}", "{name}")

    monkeypatch.setattr(errors, "_catalogue", lambda languages: Catalogue())
    use_language("xx")
    yield
    use_language(None)


@pytest.mark.usefixtures("shouting")
def test_a_clause_is_translated_and_a_name_is_not() -> None:
    fault = UsageError("RF-U000", "{name} was refused: the rule is that {rule}.", name="theta", rule=Clause("it fits"))
    assert fault.sentence() == "theta WAS REFUSED: THE RULE IS THAT IT FITS."


def test_in_english_a_clause_stands_as_it_is() -> None:
    use_language("en")
    try:
        assert str(UsageError("RF-U000", "It {rule}.", rule=Clause("fits"))) == "RF-U000: It fits."
    finally:
        use_language(None)


def unmarked(tree: ast.AST) -> Iterator[str]:
    """Rules of `_expect` that no translator would be shown."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_expect":
            rule = node.args[1]
            if not (isinstance(rule, ast.Call) and ast.unparse(rule.func) == "N_"):
                yield ast.unparse(node)


def test_every_rule_of_a_query_is_shown_to_translators() -> None:
    asked = [name for name in python_files("models") if "def _expect(" in ast.unparse(parsed(name))]
    assert len(asked) >= 3
    assert [call for name in asked for call in unmarked(parsed(name))] == []
    assert list(unmarked(ast.parse("_expect(x > 0, 'x is positive')")))
