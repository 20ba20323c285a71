"""Guard: links lead somewhere, error codes are unique and documented, sentences are translated."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import errors as error_tool
import links
import messages
import pytest
from checkout import CODE, ROOT, files, parsed, python_files


@pytest.mark.parametrize("name", [name for name in files() if name.suffix == ".md"], ids=str)
def test_every_relative_link_leads_somewhere(name: Path) -> None:
    assert list(links.faults_of(name, (ROOT / name).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "[a](absent.md)",
        "![a](absent.svg)",
        "[![a](absent.svg)](README.md)",
        '<img alt="x" src="absent.svg">',
        "[a](README.md#no-such-heading-here)",
        "[a](../outside.md)",
        "[a](..)",
    ],
)
def test_a_broken_link_is_found(text: str) -> None:
    assert list(links.faults_of(Path("page.md"), text))


@pytest.mark.parametrize(
    "text", ["`[a](absent.md)`", "```\n[a](absent.md)\n```", "[a](https://example.org/x)"]
)
def test_code_and_the_web_are_left_alone(text: str) -> None:
    assert list(links.faults_of(Path("page.md"), text)) == []


def test_an_anchor_is_formed_as_github_does() -> None:
    assert links.anchor("What it does *not* protect: `a`, b") == "what-it-does-not-protect-a-b"


def paths_named_in(text: str) -> set[str]:
    """Paths of the repository that a page writes in code style."""
    return set(re.findall(rf"`((?:{'|'.join((*CODE, 'docs', 'tests'))})/[^`\s]*)`", text))


def stands(path: str) -> bool:
    return any(any(ROOT.glob(form)) for form in (path.rstrip("/"), f"{path}.py"))


@pytest.mark.parametrize("name", [name for name in files() if name.suffix == ".md"], ids=str)
def test_every_file_that_a_page_names_is_there(name: Path) -> None:
    named = paths_named_in((ROOT / name).read_text(encoding="utf-8"))
    assert sorted(path for path in named if not stands(path)) == []


def files_named_in(code: str) -> set[str]:
    """Files that comments and docstrings name with their folders, such as `accounting/noise_laws.py`."""
    return set(re.findall(r"(?<![\w/.<{}-])(?:[a-z_]+/)+[a-z_.]+\.(?:py|md|toml)\b", code))


@cache
def _endings() -> frozenset[str]:
    """Every file of the checkout by all the ways to name it, from its full path to its last folder."""
    parts = (path.parts for path in files())
    return frozenset("/".join(each[place:]) for each in parts for place in range(len(each)))


@pytest.mark.parametrize("name", python_files(*CODE), ids=str)
def test_every_file_that_a_comment_names_is_there(name: Path) -> None:
    named = files_named_in((ROOT / name).read_text(encoding="utf-8"))
    assert named - _endings() == set()


def test_a_file_that_a_comment_names_is_found() -> None:
    code = "# See mechanisms/law.py and docs/design.md.\nopen(f'{folder}/law.py'); open('law.py')"
    assert files_named_in(code) == {"mechanisms/law.py", "docs/design.md"}


def test_a_file_that_is_not_there_is_found() -> None:
    named = paths_named_in(
        "see `privacy/errors.py`, `privacy/absent.py`, `tests/test_house_*.py` and `other/x`"
    )
    assert {path: stands(path) for path in named} == {
        "privacy/errors.py": True,
        "privacy/absent.py": False,
        "tests/test_house_*.py": True,
    }


def test_one_code_has_one_sentence() -> None:
    by_code: dict[str, set[str]] = defaultdict(set)
    for sentence in error_tool.collect():
        by_code[sentence.code].add(sentence.template)
    assert {code: sorted(templates) for code, templates in by_code.items() if len(templates) > 1} == {}


def test_every_code_stands_beside_its_sentence() -> None:
    """A code that is passed around without its sentence would be missing from the page."""
    spoken = {sentence.code for sentence in error_tool.collect()}
    lonely = [
        f"{name}:{line} {code}"
        for name in python_files(*CODE)
        for code, line in error_tool.codes_in(parsed(name))
        if code not in spoken
    ]
    assert lonely == []


def test_every_field_of_a_sentence_is_filled() -> None:
    """`sentence()` would itself fail with KeyError on a field that the raise forgets."""
    unfilled = [
        f"{sentence.place} {sentence.code} {sorted(sentence.fields - sentence.given)}"
        for sentence in error_tool.collect()
        if sentence.given is not None and not sentence.fields <= sentence.given
    ]
    assert unfilled == []


def test_every_code_has_a_known_letter() -> None:
    assert {sentence.code[3] for sentence in error_tool.collect()} <= set(error_tool.AREAS)


def test_the_page_of_codes_is_current() -> None:
    page = (ROOT / error_tool.PAGE).read_text(encoding="utf-8")
    assert page == error_tool.page(error_tool.collect()), "run python docs/tools/errors.py"


def test_the_search_for_codes_sees_calls_tuples_and_tables() -> None:
    source = (
        'raise E("RF-C001", N_("a {x}"), x=1)\n'
        'T = (("RF-C002", _("b")),)\n'
        'D = {"RF-C003": N_("c")}\n'
        'f(ctx, "RF-C004", N_("d {y}"))\n'
        'g("RF-C005")\n'
        'P(code="RF-C006", path=p, template=N_("e {z}"), values={"z": 1})\n'
        'M = {"k": N_("f")}\n'
        'g(1, "RF-C007", M["k"])\n'
        'h(N_("g"), "RF-C008")\n'
    )
    tree = ast.parse(source)
    found = {s.code: s for s in error_tool.sentences_in(tree, Path("x.py"))}
    assert sorted(found) == [f"RF-C00{number}" for number in (1, 2, 3, 4, 6, 7, 8)]
    assert found["RF-C006"].fields == found["RF-C006"].given == {"z"}
    assert found["RF-C007"].template == "f"
    assert found["RF-C001"].fields == found["RF-C001"].given == {"x"}
    assert found["RF-C004"].given is None
    assert {code for code, _line in error_tool.codes_in(tree)} - set(found) == {"RF-C005"}


@pytest.mark.parametrize("domain", messages.DOMAINS, ids=lambda domain: domain.name)
def test_every_sentence_is_translated(domain: messages.Domain) -> None:
    assert list(messages.faults(domain)) == [], "run make messages, translate what is empty, run it again"


def test_untranslated_fuzzy_and_stale_sentences_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "x.py").write_text('N_("one {a}")\n_("two")\nN_("three")\n', encoding="utf-8")
    monkeypatch.setattr(messages, "ROOT", tmp_path)
    monkeypatch.setattr(messages, "python_files", lambda *_folders: (Path("audit/x.py"),))
    domain = messages.Domain(name="d", folders=("audit",), home="audit")
    assert list(messages.faults(domain)) == [f"{domain.po} does not exist"]

    messages.update(domain)
    assert len(list(messages.faults(domain))) == 4  # three untranslated, no .mo

    po = tmp_path / domain.po
    text = po.read_text(encoding="utf-8")
    for english, chinese in (("one {a}", "一 {b}"), ("two", "二"), ("three", "三")):
        text = text.replace(f'msgid "{english}"\nmsgstr ""', f'msgid "{english}"\nmsgstr "{chinese}"')
    po.write_text(text.replace('msgid "two"', '#, fuzzy\nmsgid "two"'), encoding="utf-8")
    messages.compile_(domain)
    found = "\n".join(messages.faults(domain))
    assert "other fields" in found
    assert "marked fuzzy" in found

    po.write_text(text.replace("{b}", "{a}"), encoding="utf-8")
    assert list(messages.faults(domain)) == [f"{domain.mo} is older than its .po"]
    messages.compile_(domain)
    assert list(messages.faults(domain)) == []
    messages.update(domain)
    assert list(messages.faults(domain)) == []
