"""How commands speak and fail: one sentence, one status, no traceback, whole files."""

from __future__ import annotations

import errno
import json
import os
import pty
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from ringfence.privacy import errors
from ringfence.privacy.command_line.terminal import (
    Parser,
    Terminal,
    add_json,
    add_language,
    add_version,
    run,
    write_atomically,
)
from ringfence.privacy.errors import ContractError, UsageError


@pytest.fixture(autouse=True)
def _language_is_put_back() -> Iterator[None]:
    yield
    errors.use_language(None)


def a_parser() -> Parser:
    parser = Parser(prog="ringfence-try", description="Try things.", examples=("ringfence-try --json -",))
    add_version(parser)
    add_language(parser)
    add_json(parser)
    parser.add_argument("--rounds", type=int)
    return parser


def status_of(work: Callable[[], object], argv: Sequence[str] = ()) -> int:
    def command(arguments: Sequence[str]) -> int:
        a_parser().parse_args(arguments)
        work()
        return 0

    return run(command, argv, program="ringfence-try")


def raising(error: BaseException) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


def test_a_command_that_ends_well_has_status_0_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(lambda: None) == 0
    assert run(lambda _argv: None, [], program="p") == 0
    assert capsys.readouterr() == ("", "")


def test_a_status_is_passed_on() -> None:
    assert run(lambda _argv: 1, [], program="p") == 1


def test_a_refusal_is_one_sentence_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(raising(ContractError("RF-C000", "The contract {name} forbids this.", name="a"))) == 1
    assert capsys.readouterr() == ("", "RF-C000: The contract a forbids this.\n")


def test_an_error_of_another_family_of_the_same_form_is_spoken(capsys: pytest.CaptureFixture[str]) -> None:
    class Foreign(Exception):
        code = "RF-A000"
        exit_status = 1

        def sentence(self) -> str:
            return "The log does not verify."

    assert status_of(raising(Foreign())) == 1
    assert capsys.readouterr().err == "RF-A000: The log does not verify.\n"


@pytest.mark.parametrize(
    "argv", [["--rounds", "many"], ["--unknown"], ["--round", "3"], ["extra"], ["--lang", "fr"]]
)
def test_a_wrong_command_line_is_one_sentence_and_status_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(lambda: None, argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("RF-U901: ")
    assert "`ringfence-try --help`" in err


def test_a_wrong_sub_command_names_itself() -> None:
    parser = Parser(prog="ringfence-try")
    parser.add_subparsers(required=True, metavar="COMMAND").add_parser("go").add_argument("--n", type=int)
    with pytest.raises(UsageError, match="ringfence-try go --help"):
        parser.parse_args(["go", "--n", "x"])
    with pytest.raises(UsageError, match="COMMAND"):
        parser.parse_args([])


def test_help_shows_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(lambda: None, ["--help"]) == 0
    assert "Examples:\n  ringfence-try --json -\n" in capsys.readouterr().out


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert status_of(lambda: None, ["--version"]) == 0
    assert capsys.readouterr().out == f"ringfence-try {version('ringfence')}\n"


def test_the_keyboard_stops_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err.startswith("RF-U904: Stopped")


def test_an_unforeseen_fault_keeps_its_traceback_off_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert status_of(raising(ZeroDivisionError("customer 4711"))) == 1
    out, err = capsys.readouterr()
    (report,) = tmp_path.iterdir()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("RF-U999: ")
    assert "4711" not in err
    assert str(report) in err
    assert "ZeroDivisionError: customer 4711" in report.read_text()
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_an_unforeseen_fault_with_nowhere_to_write_still_speaks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    assert status_of(raising(ZeroDivisionError())) == 1
    assert capsys.readouterr().err.startswith("RF-U998: ")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "RF-U906"),
        (errno.EDQUOT, "RF-U906"),
        (errno.EROFS, "RF-U907"),
        (errno.EACCES, "RF-U908"),
        (errno.EPERM, "RF-U908"),
        (errno.ENOENT, "RF-U909"),
        (errno.EISDIR, "RF-U910"),
    ],
)
def test_faults_of_files_have_sentences(number: int, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(raising(OSError(number, os.strerror(number), "ledger.db"))) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"{code}: ")
    assert "ledger.db" in err
    assert err.count("\n") == 1


def test_a_full_disk_without_a_name_and_a_full_memory_have_sentences(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status_of(raising(OSError(errno.ENOSPC, "full"))) == 1
    assert status_of(raising(MemoryError())) == 1
    assert [line[:7] for line in capsys.readouterr().err.splitlines()] == ["RF-U906", "RF-U905"]


def test_a_reader_that_leaves_is_no_fault() -> None:
    program = (
        "import sys; from ringfence.privacy.command_line.terminal import run\n"
        "def command(argv):\n"
        "    for number in range(200000): print(number)\n"
        "sys.exit(run(command, [], program='p'))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 141


@pytest.mark.parametrize("argv", [["--lang", "zh"], ["--lang=zh"], ["sub", "--lang", "zh"]])
def test_the_language_is_chosen_before_parsing(argv: list[str]) -> None:
    run(lambda _argv: None, argv, program="p")
    assert errors.chosen_language == ("zh_CN",)


@pytest.mark.parametrize("argv", [[], ["--", "--lang", "zh"], ["--lang"], ["--lang", "fr"]])
def test_without_a_known_language_the_environment_decides(argv: list[str]) -> None:
    run(lambda _argv: None, argv, program="p")
    assert errors.chosen_language is None


def test_json_goes_to_a_file_whole(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    arguments = a_parser().parse_args(["--json", str(target)])
    Terminal.of(arguments).write_json({"epsilon": Decimal("1.50"), "名": [1, True]})
    assert json.loads(target.read_text(encoding="utf-8")) == {"epsilon": "1.50", "名": [1, True]}
    assert list(tmp_path.iterdir()) == [target]


def test_json_on_standard_output_sends_text_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal.of(a_parser().parse_args(["--json", "-"]))
    terminal.say("for people")
    terminal.console().print("[also] :for: people")
    terminal.write_json({"a": 1})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert err == "for people\n[also] :for: people\n"


def test_without_json_text_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal.of(a_parser().parse_args([]))
    terminal.say("for people")
    terminal.write_json({"a": 1})
    assert capsys.readouterr() == ("for people\n", "")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_infinities(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        Terminal(json_target=str(tmp_path / "r.json")).write_json({"a": value})
    assert list(tmp_path.iterdir()) == []


def test_json_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="found bytes"):
        Terminal(json_target=str(tmp_path / "r.json")).write_json({"a": b""})


def test_a_json_path_is_checked_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def never() -> None:
        pytest.fail("the work began")

    assert status_of(never, ["--json", str(tmp_path)]) == 2
    assert status_of(never, ["--json", str(tmp_path / "absent" / "r.json")]) == 2
    assert [line[:7] for line in capsys.readouterr().err.splitlines()] == ["RF-U902", "RF-U903"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "r.json"
    target.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full") as caught:
        write_atomically(target, b"new")
    assert caught.value.filename == str(target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.write_bytes(b"")
    write_atomically(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == ordinary.stat().st_mode


def test_what_is_no_ordinary_file_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_link_stays_a_link_and_its_target_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_progress_is_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal().progress("Rounds", total=2) as advance:
        advance(1)
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_progress_is_drawn_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setenv("TERM", "xterm")
        with Terminal().progress("Rounds", total=2) as advance:
            advance(2)
    drawn = ""
    with suppress(
        OSError
    ):  # Linux ends a closed terminal's output with EIO, other systems with an empty read
        while part := os.read(master, 65536):
            drawn += part.decode()
    os.close(master)
    assert "Rounds" in drawn
    assert "2/2" in drawn
    assert capsys.readouterr().out == ""


def test_importing_is_light() -> None:
    program = (
        "import sys, ringfence.privacy.command_line.terminal; "
        "print(sorted({'rich', 'numpy', 'pydantic', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "缺少以下参数：kind"),
        (["x"], "参数 kind：不能是 'x'"),
        (["a", "--count", "y"], "参数 --count：值 'y' 无效"),
        (["a", "--count"], "参数 --count：需要一个值"),
        (["a", "--frob"], "无法识别的参数：--frob"),
        (["a", "--one", "--two"], "参数 --two：不能与参数 --one 同时使用"),
        (["a", "--one=1"], "参数 --one：不接受值，却给出了 '1'"),
    ],
)
def test_faults_of_a_command_line_and_its_help_are_in_the_readers_language(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    def command(arguments: Sequence[str]) -> int:
        parser = Parser(prog="x")
        parser.add_argument("kind", choices=("a", "b"))
        parser.add_argument("--count", type=int)
        either = parser.add_mutually_exclusive_group()
        either.add_argument("--one", action="store_true")
        either.add_argument("--two", action="store_true")
        add_language(parser)
        parser.parse_args(arguments)
        return 0

    assert run(command, [*words, "--lang=zh"], program="x") == 2
    assert said in capsys.readouterr().err
    assert run(command, ["--help", "--lang=zh"], program="x") == 0
    shown = capsys.readouterr().out
    errors.use_language(None)
    assert shown.startswith("用法：x [-h]")
    for english in ("usage", "positional", "options", "show this"):
        assert english not in shown
