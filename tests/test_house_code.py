"""Guard: no unsafe deserialisation, no foreign randomness, one source of noise, a verifier without
dependencies.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from checkout import CODE, ROOT, parsed, python_files

PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"read_pickle", "to_pickle"}
# A seed may fix splits and the start of a model (models, simulations), never noise, keys or masks.
SEEDED = {"Generator", "default_rng", "SeedSequence", "Philox", "PCG64"}
NO_SEED_AT_ALL = {"audit", "clients", "privacy", "server"}
VERIFYING_HALF = ("__init__", "merkle", "note", "checkpoint", "verification/verify", "cli")


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Absolute names of all modules that a file imports, anywhere in it; `from a import b` gives a and
    a.b.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def dotted(node: ast.expr) -> str:
    """`np.random.normal` as text; empty for what is no plain chain of names."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{dotted(value)}.{attribute}"
    return ""


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Ways to turn bytes into code."""
    for module, line in imported(tree):
        if module.split(".")[0] in PICKLES:
            yield f"{line}: imports {module}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if name in {"eval", "exec", "compile", "__import__"} or name.split(".")[-1] in UNSAFE_CALLS:
            yield f"{node.lineno}: calls {name}"
        if "allow_pickle" in given and ast.unparse(given["allow_pickle"]) != "False":
            yield f"{node.lineno}: allows pickle"
        if name in {"yaml.load", "yaml.unsafe_load"}:
            yield f"{node.lineno}: calls {name}"
        if name == "torch.load" and ast.unparse(given.get("weights_only", ast.Constant(None))) != "True":
            yield f"{node.lineno}: loads more than weights"


def randomness(tree: ast.AST, *, seeded: bool) -> Iterator[str]:
    """Random numbers that are not the operating system's; `seeded` allows numpy's explicit generators."""
    for module, line in imported(tree):
        parts = module.split(".")
        if parts[0] == "random" or (parts[:2] == ["numpy", "random"] and not seeded):
            yield f"{line}: imports {module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            parts = dotted(node).split(".")
            if parts[:2] in (["np", "random"], ["numpy", "random"]) and len(parts) == 3:
                if not seeded or parts[2] not in SEEDED:
                    yield f"{node.lineno}: uses {dotted(node)}"
            elif (
                not seeded and parts[0] == "torch" and parts[-1] in {"manual_seed", "randn", "rand", "normal"}
            ):
                yield f"{node.lineno}: uses {dotted(node)}"


def noise_sources(tree: ast.AST) -> Iterator[str]:
    """Classes that could stand in for the source of noise: those with a method `share` that takes a plan."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef) or any("Protocol" in ast.unparse(base) for base in node.bases):
            continue
        for method in node.body:
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name == "share":
                notes = [argument.annotation for argument in (*method.args.args, *method.args.kwonlyargs)]
                if any(note is not None and "Plan" in ast.unparse(note) for note in notes):
                    yield node.name


def in_all(names: Iterable[Path], scan: str, **options: bool) -> list[str]:
    function = {"unsafe": unsafe, "randomness": randomness}[scan]
    return [f"{name}:{fault}" for name in names for fault in function(parsed(name), **options)]


def test_nothing_is_deserialised_into_code() -> None:
    assert in_all(python_files(*CODE), "unsafe") == []


def test_no_randomness_but_the_operating_systems_where_noise_and_keys_are() -> None:
    assert in_all(python_files(*NO_SEED_AT_ALL), "randomness", seeded=False) == []


def test_models_and_simulations_take_explicit_generators_only() -> None:
    assert in_all(python_files("models", "simulations"), "randomness", seeded=True) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "np.load(f, allow_pickle=True)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "pd.read_pickle(f)",
        "frame.to_pickle(f)",
    ],
)
def test_the_scan_for_unsafe_code_finds_it(source: str) -> None:
    assert list(unsafe(ast.parse(source)))


@pytest.mark.parametrize(
    "source", ["model.eval()", "torch.load(f, weights_only=True)", "np.load(f, allow_pickle=False)"]
)
def test_the_scan_for_unsafe_code_leaves_the_rest_alone(source: str) -> None:
    assert not list(unsafe(ast.parse(source)))


@pytest.mark.parametrize(
    "source", ["import random", "from random import gauss", "np.random.normal()", "numpy.random.seed(1)"]
)
def test_the_scan_for_randomness_finds_it(source: str) -> None:
    assert list(randomness(ast.parse(source), seeded=True))


@pytest.mark.parametrize(
    "source", ["np.random.default_rng(1)", "from numpy.random import Generator", "torch.manual_seed(1)"]
)
def test_seeds_are_found_where_none_may_be(source: str) -> None:
    assert list(randomness(ast.parse(source), seeded=False))
    assert not list(randomness(ast.parse(source), seeded=True))


def test_there_is_one_source_of_noise_and_it_is_in_mechanisms() -> None:
    found = [(name, each) for name in python_files(*CODE) for each in noise_sources(parsed(name))]
    assert [name.parts[:2] for name, _class in found] == [("privacy", "mechanisms")], found


def test_the_scan_for_noise_sources_finds_one() -> None:
    body = "    def share(self, plan: RoundPlan, lengths: dict[str, int]) -> int: ...\n"
    assert list(noise_sources(ast.parse(f"class Zero:\n{body}"))) == ["Zero"]
    assert list(noise_sources(ast.parse(f"class NoiseSource(Protocol):\n{body}"))) == []


def test_an_auditor_needs_the_standard_library_and_cryptography_only() -> None:
    """What the verifying half imports when it is loaded; its command may load the writing half where it is
    asked to.
    """
    seen: set[str] = set()
    waiting = list(VERIFYING_HALF)
    foreign: list[str] = []
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name, line in imported_on_load(parsed(Path("audit", f"{module}.py"))):
            parts = name.split(".")
            if parts[:2] == ["ringfence", "audit"]:
                inside = "/".join(parts[2:])
                waiting += [each for each in (inside, inside.rpartition("/")[0]) if stands(each)]
            elif parts[0] not in sys.stdlib_module_names | {"cryptography"}:
                foreign.append(f"audit/{module}.py:{line} {name}")
    assert foreign == []


def stands(module: str) -> bool:
    return bool(module) and (ROOT / "audit" / f"{module}.py").exists()


def imported_on_load(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Imports outside functions and outside `if TYPE_CHECKING`."""
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield from imported(node)


# What a guard of the proof or of a stage reaches for on purpose: each with its reason.
_ENTERED = {
    ("tests/audit/test_audit_house.py", "_"),  # the marker of a sentence
}


def private_names(tree: ast.Module) -> set[str]:
    """Names with one underscore in front that are taken out of a module of ours: imported, read, replaced."""
    modules, found = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ringfence"):
            modules |= {alias.asname or alias.name for alias in node.names}
            found |= {alias.name for alias in node.names if alias.name.startswith("_")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            found.add(node.attr)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "setattr"
        ):
            texts = [part.value for part in node.args[:2] if isinstance(part, ast.Constant)]
            found |= {text.rpartition(".")[2] for text in texts if isinstance(text, str)}
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


@pytest.mark.parametrize("name", python_files("tests"), ids=str)
def test_tests_reach_into_no_private_names(name: Path) -> None:
    """What is private may change without a word; a test that needs it shows a part with a name of its own."""
    assert {each for each in private_names(parsed(name)) if (name.as_posix(), each) not in _ENTERED} == set()


def test_every_exception_for_a_private_name_is_still_needed() -> None:
    entered = {(path, each) for path, _name in _ENTERED for each in private_names(parsed(Path(path)))}
    assert entered >= _ENTERED


def test_the_search_for_private_names_finds_them() -> None:
    source = (
        "from ringfence.a import _b\nfrom ringfence import c\nc._d()\nm.setattr(c, '_e', 1)\n"
        "m.setattr('ringfence.f._g', 1)\nself._h()\nc.__name__"
    )
    assert private_names(ast.parse(source)) == {"_b", "_d", "_e", "_g"}


# What several modules offer, each for its own kind: the same question with the same meaning.
_PARTS = {
    *("main", "command", "parser", "add"),  # a command line and its commands
    *("options_of", "design", "plan", "lengths", "start", "step", "so_far", "contribute"),  # a task
    *("residuals", "scores", "gradient_sum", "add_clipped"),  # a model's arithmetic
    *("draw", "draw_values", "event_of"),  # a law of noise
    *("load_settings", "log_origin", "make_home", "export_gate", "packed", "unpacked"),  # holder, coordinator
    *("lock", "reading", "N_", "use_language"),  # what audit has of its own
    "upgrade",  # a migration
    *("measure", "line", "lines", "render"),  # a benchmark, a page
}


def classes(tree: ast.AST) -> Iterator[str]:
    """Names of all classes of a file, those inside others too."""
    return (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def standing_twice(named: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Names that stand in several places, with these places."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for name, place in named:
        places[name].append(place)
    return {name: found for name, found in places.items() if len(found) > 1}


def test_one_name_stands_for_one_class() -> None:
    """Who reads `Layout` or `Standing` in a module is to know which without looking at its imports."""
    named = ((each, path.as_posix()) for path in python_files(*CODE) for each in classes(parsed(path)))
    assert standing_twice(named) == {}


def functions(tree: ast.Module) -> Iterator[str]:
    """Names of the functions that a module offers."""
    made = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return (node.name for node in made if not node.name.startswith("_"))


def test_one_name_stands_for_one_function_or_one_part_that_several_modules_play() -> None:
    named = ((each, path.as_posix()) for path in python_files(*CODE) for each in functions(parsed(path)))
    assert set(standing_twice(named)) == _PARTS


def test_the_search_for_names_that_stand_twice_finds_them() -> None:
    source = ast.parse("class A:\n    class B: ...\nclass B: ...\ndef f():\n    class C: ...\n")
    assert list(classes(source)) == ["A", "B", "B", "C"]
    assert standing_twice((name, "here") for name in "ABB") == {"B": ["here", "here"]}


DESKS = [name for name in python_files("clients", "server") if "desk" in name.parts]


@pytest.mark.parametrize("name", DESKS, ids=str)
def test_a_desk_knows_nothing_of_command_lines(name: Path) -> None:
    """A console is to stand on it as the commands do."""
    parsing = {"argparse", "sys", "ringfence.privacy.command_line.commands"}
    assert [module for module, _line in imported(parsed(name)) if module in parsing] == []
