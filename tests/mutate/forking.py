"""Runs the tests of a module on a mutant of it, in a process of its own that a warm one is split into.

The warm process has loaded what tests need from elsewhere and nothing of the product, so that a mutant is
seen by whoever imports it. It stays on one processor, gives way to everything else, and a mutant has a fixed
time of the processor: one that runs for ever is noticed, as a test suite that hangs would be.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from mutate.generating import ROOT, Mutant

LOADED_BEFORE = (
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "hypothesis",
    "mpmath",
    "numpy",
    "pandas",
    "presidio_analyzer.nlp_engine",
    "presidio_analyzer.predefined_recognizers",
    "pyarrow.parquet",
    "pydantic",
    "rfc8785",
    "safetensors.numpy",
    "scipy.signal",
    "scipy.stats",
    "sqlalchemy",
    "torch",
)


# A database server of its own for every mutant takes longer than all else, and no rule hangs on it alone.
_ASKED = ("-m", "not soak and not slow", "-k", "not postgresql")
_OPTIONS = ("-x", "-q", "--assert=plain", "-p", "no:cacheprovider", *_ASKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Whether the tests noticed a mutant, and the seconds it took."""

    mutant: Mutant
    noticed: bool
    seconds: float


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module as changed text; it is asked before all others."""

    def __init__(self, name: str, path: str, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, name: str, path: object, target: object = None) -> object:
        if name != self.name:
            return None
        return importlib.util.spec_from_loader(name, self, origin=self.path)

    def create_module(self, spec: object) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self.path
        exec(compile(self.source, self.path, "exec"), vars(module))


def warm_up() -> None:
    """Load what no mutant is of."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in LOADED_BEFORE:
        importlib.import_module(name)
    with suppress(OSError):
        os.nice(15)


def examine(mutant: Mutant, tests: Sequence[str], seconds: int) -> Result:
    """Run a module's tests on a mutant.

    Args:
        mutant: of the module.
        tests: arguments for pytest.
        seconds: of the processor, before it counts as hanging.
    """
    started = time.perf_counter()
    code = _in_a_child(mutant, tests, seconds)
    return Result(mutant=mutant, noticed=code != 0, seconds=time.perf_counter() - started)


def baseline(module: str, tests: Sequence[str], seconds: int) -> float:
    """The processor's seconds of a module's tests on the module as it is.

    Raises:
        RuntimeError: they fail, or there are none.
    """
    text = (ROOT / module).read_text(encoding="utf-8")
    whole = Mutant(module=module, line=0, function="", minus="", plus="", source=text)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.NamedTemporaryFile() as told:
        code = _in_a_child(whole, tests, seconds, told.name)
        said = Path(told.name).read_text(encoding="utf-8", errors="replace")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code != 0:
        raise RuntimeError(f"{module}: its tests do not pass as they are (exit {code})\n{said[-4000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _in_a_child(mutant: Mutant, tests: Sequence[str], seconds: int, told: str = os.devnull) -> int:
    child = os.fork()
    if not child:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            _told_to(told)
            name = "ringfence." + mutant.module.removesuffix(".py").replace("/", ".").removesuffix(
                ".__init__"
            )
            sys.meta_path.insert(0, _Changed(name, str(ROOT / mutant.module), mutant.source))
            os.chdir(ROOT)
            code = int(pytest.main([*_OPTIONS, *tests]))
            sys.stdout.flush()
            os._exit(code)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    # A test that waits for ever uses no processor time; such a child is ended by the clock on the wall.
    deadline = time.monotonic() + 20 * seconds
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)


def _told_to(path: str) -> None:
    """Nothing is read; what is printed goes to a file."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    target = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.dup2(target, 1)
    os.dup2(target, 2)
