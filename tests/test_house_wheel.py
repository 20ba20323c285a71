"""Guard: what is in the wheel. It is built once, from a copy, so that no stale build folder can lend it
files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import PurePosixPath

import pytest
from checkout import CODE, ROOT, files, project


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[PurePosixPath]:
    """Names of all files in the wheel of this checkout."""
    copy = tmp_path_factory.mktemp("copy")
    for name in files():
        if name.parts[0] in CODE or len(name.parts) == 1:
            (copy / name.parent).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(copy / "dist"),
        str(copy),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (copy / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {PurePosixPath(name) for name in archive.namelist()}


def test_the_wheel_brings_one_top_level_name(names: set[PurePosixPath]) -> None:
    tops = {name.parts[0] for name in names if not name.parts[0].endswith(".dist-info")}
    assert tops == {"ringfence"}


def test_the_wheel_holds_every_file_of_the_code_folders(names: set[PurePosixPath]) -> None:
    """Code, catalogues, schemas, pages, styles, tables: all but the translators' sources."""
    wanted = {
        PurePosixPath("ringfence", *name.parts)
        for name in files()
        if name.parts[0] in CODE and name.suffix not in {".po", ".pot"}
    }
    packed = {name for name in names if name.parts[0] == "ringfence"}
    assert sorted(map(str, wanted - packed)) == []
    assert sorted(map(str, packed - wanted)) == []


def test_the_wheel_is_typed_and_licensed(names: set[PurePosixPath]) -> None:
    for folder in CODE:
        assert PurePosixPath("ringfence", folder, "py.typed") in names
    assert any(name.name == "LICENSE" for name in names)


def test_the_wheel_has_no_package_file_of_its_own(names: set[PurePosixPath]) -> None:
    """`ringfence` is a namespace: an `__init__.py` there would hide the other half of an editable install."""
    assert PurePosixPath("ringfence/__init__.py") not in names


def test_the_four_commands_are_declared(names: set[PurePosixPath]) -> None:
    """Each console script points at a module that is in the wheel."""
    table = project()["project"]
    assert isinstance(table, dict)
    scripts: dict[str, str] = table["scripts"]
    assert sorted(scripts) == [
        "ringfence-audit",
        "ringfence-client",
        "ringfence-server",
        "ringfence-simulate",
    ]
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert function == "main"
        assert PurePosixPath(*module.split(".")).with_suffix(".py") in names, f"{target} is not there"
