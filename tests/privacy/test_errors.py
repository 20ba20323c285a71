"""Sentences of errors: fields are filled in as they are, but for clauses, which are translated with the
sentence.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from gettext import NullTranslations

import pytest
from checkout import CODE, parsed, python_files

from ringfence.privacy import errors
from ringfence.privacy.errors import Clause, UsageError, use_language


@pytest.fixture
def shouting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A language in which every word is upper-case, fields apart."""

    class Catalogue(NullTranslations):
        def gettext(self, message: str) -> str:
            return message.upper().replace("{RULE}", "{rule}").replace("{NAME}", "{name}")

    monkeypatch.setattr(errors, "catalogue_of", lambda languages: Catalogue())
    use_language("xx")
    yield
    use_language(None)


@pytest.mark.usefixtures("shouting")
def test_a_clause_is_translated_and_a_name_is_not() -> None:
    fault = UsageError(
        "RF-U000", "{name} was refused: the rule is that {rule}.", name="theta", rule=Clause("it fits")
    )
    assert fault.sentence() == "theta WAS REFUSED: THE RULE IS THAT IT FITS."


def test_in_english_a_clause_stands_as_it_is() -> None:
    use_language("en")
    try:
        assert str(UsageError("RF-U000", "It {rule}.", rule=Clause("fits"))) == "RF-U000: It fits."
    finally:
        use_language(None)


def clauses(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Functions that make a clause of one of their arguments, and which one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            made = {ast.unparse(call) for call in ast.walk(node) if isinstance(call, ast.Call)}
            for place, argument in enumerate(node.args.args):
                if f"Clause({argument.arg})" in made:
                    yield node.name, place


def unmarked(tree: ast.AST) -> Iterator[str]:
    """Clauses that no translator would be shown."""
    places = dict(clauses(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (place := places.get(ast.unparse(node.func))) is not None:
            clause = node.args[place]
            if not (isinstance(clause, ast.Call) and ast.unparse(clause.func) == "N_"):
                yield ast.unparse(node)


def test_every_clause_is_shown_to_translators() -> None:
    trees = [parsed(name) for name in python_files(*CODE)]
    assert sum(1 for tree in trees for _ in clauses(tree)) >= 6
    assert [call for tree in trees for call in unmarked(tree)] == []
    rule = "def _expect(holds, rule):\n    raise E(rule=Clause(rule))\n"
    assert list(unmarked(ast.parse(rule + "_expect(x > 0, 'x is positive')")))
    assert not list(unmarked(ast.parse(rule + "_expect(x > 0, N_('x is positive'))")))
