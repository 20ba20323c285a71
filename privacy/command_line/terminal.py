"""What the commands of client, server and simulate share: one way to speak, to fail and to write JSON.

A command is a function `(argv) -> status`; `run` calls it and turns whatever happens into at most one
sentence on standard error and an exit status: 0 done, 1 refused or failed, 2 called wrongly, 130 stopped from
the keyboard. A user's mistake never shows a traceback. This module imports the standard library only; `rich`
is imported by the methods that draw with it, so `--help` stays fast.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol, TextIO, runtime_checkable

from ringfence.privacy.command_line.lines import complaining
from ringfence.privacy.command_line.usage import CommandHelp, fault_in_words, in_the_readers_language
from ringfence.privacy.errors import N_, RingfenceError, UsageError, _, reason_of, use_language

if TYPE_CHECKING:
    from rich.console import Console

LANGUAGES = ("en", "zh")
STANDARD_OUTPUT = "-"
INTERRUPTED = 130
BROKEN_PIPE = 141


@runtime_checkable
class Spoken(Protocol):
    """An exception that carries a code, a sentence and an exit status, whichever folder it comes from.

    The audit log has an error family of its own, of this same form, which this layer may not import.
    """

    @property
    def code(self) -> str:
        """Such as `RF-A003`."""
        ...

    @property
    def exit_status(self) -> int:
        """1 refused or failed, 2 usage."""
        ...

    def sentence(self) -> str:
        """The sentence in the chosen language."""
        ...


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `UsageError` with one sentence instead of printing its usage.

    Args:
        examples: command lines shown at the end of `--help`.
    """

    def __init__(self, *, examples: Sequence[str] = (), **options: object) -> None:
        lines = [_("Examples:"), *(f"  {line}" for line in examples)] if examples else []
        settings = {
            "epilog": "\n".join(lines) or None,
            "formatter_class": CommandHelp,
            "allow_abbrev": False,
            "add_help": False,
            **options,
        }
        super().__init__(**settings)  # type: ignore[arg-type]  # argparse's own keywords, passed through
        in_the_readers_language(self)

    def error(self, message: str) -> NoReturn:
        """Refuse a command line that cannot be understood."""
        raise UsageError(
            "RF-U901",
            N_("This command line was not understood: {problem}. `{program} --help` shows what is expected."),
            problem=fault_in_words(message.rstrip(".")),
            program=self.prog,
        )


class _Version(argparse.Action):
    """Print the name of the command and the installed version, looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_rest: object) -> NoReturn:
        from importlib.metadata import version

        print(f"{parser.prog} {version('ringfence')}")
        parser.exit()


def add_version(parser: argparse.ArgumentParser) -> None:
    """Give a command `--version`."""
    parser.add_argument("--version", action=_Version, nargs=0, help=_("show the version and exit"))


def add_language(parser: argparse.ArgumentParser) -> None:
    """Give a command or a sub-command `--lang`; `run` has obeyed it before the parser sees it."""
    parser.add_argument(
        "--lang",
        choices=LANGUAGES,
        default=argparse.SUPPRESS,
        help=_("language of messages (default: that of the environment)"),
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Give a command or a sub-command `--json PATH`, checked before any work begins."""
    parser.add_argument(
        "--json",
        metavar="PATH",
        type=_json_target,
        default=None,
        help=_(
            "also write the result as JSON; - is standard output, and text for people then goes to standard "
            "error"
        ),
    )


def _json_target(text: str) -> str:
    if text == STANDARD_OUTPUT:
        return text
    path = Path(text)
    if path.is_dir():
        raise UsageError("RF-U902", N_("--json names the folder {path}; name a file in it."), path=text)
    if not path.parent.is_dir():
        raise UsageError(
            "RF-U903",
            N_("--json cannot write {path}: the folder {folder} does not exist. Make it first."),
            path=text,
            folder=str(path.parent),
        )
    if path.is_file() or not path.exists():  # a pipe or a device is written to as it is
        require_writable(path)
    return text


def require_writable(path: Path) -> None:
    """Find out, before any work, whether something new can be made at a path; nothing stays there.

    Raises:
        OSError: it cannot; it names the path, and `run` puts it into words.
    """
    folder = Path(os.path.realpath(path)).parent
    while not folder.exists():
        folder = folder.parent
    with _naming(path), tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let a fault of the operating system name the path that the user knows, not a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """Where one command writes: text for people, JSON for programs, progress on a terminal only.

    Attributes:
        json_target: a path, `-` for standard output, or None when no JSON is wanted.
    """

    json_target: str | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Terminal:
        """The terminal that the parsed `--json` asks for."""
        return cls(json_target=getattr(arguments, "json", None))

    @property
    def people(self) -> TextIO:
        """The stream for text: standard output, unless JSON takes it."""
        return sys.stderr if self.json_target == STANDARD_OUTPUT else sys.stdout

    def say(self, text: str = "") -> None:
        """Write one line for people, as it is (no markup)."""
        print(text, file=self.people, flush=True)

    def console(self) -> Console:
        """A rich console on the stream for people, for tables; markup and emoji codes are off."""
        from rich.console import Console

        return Console(file=self.people, markup=False, emoji=False, highlight=False)

    def write_json(self, document: Mapping[str, object]) -> None:
        """Write the result where `--json` says, whole or not at all; without `--json` nothing happens.

        Decimals become strings. Raises ValueError for NaN and infinities, which JSON does not have.
        """
        if self.json_target is None:
            return
        if self.json_target == STANDARD_OUTPUT:
            unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
            sys.stdout.write(_dump(document, ascii_only=not unicode))
        else:
            write_atomically(Path(self.json_target), _dump(document, ascii_only=False).encode())

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar on standard error while the block runs; silent when standard error is no terminal.

        Yields a function that moves the bar on by so many steps.
        """
        if not sys.stderr.isatty():
            yield lambda _steps: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(file=sys.stderr, markup=False), transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda steps: bar.advance(task, steps)


def _dump(document: Mapping[str, object], *, ascii_only: bool) -> str:
    def other(value: object) -> str:
        if isinstance(value, Decimal):
            return str(value)
        raise TypeError(f"Expected a JSON value, found {type(value).__name__}.")

    return json.dumps(document, ensure_ascii=ascii_only, allow_nan=False, indent=2, default=other) + "\n"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by new content; a reader, or a crash, sees the old one or the new one, never a part.

    The new file gets the permissions that any new file would get from the umask, and is synced before it is
    named. A link is followed. What is no ordinary file, such as a pipe or `/dev/null`, is written to and
    never replaced.
    """
    with _naming(path):
        _replace(Path(os.path.realpath(path)), content)


def _replace(path: Path, content: bytes) -> None:
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def run(
    command: Callable[[Sequence[str]], int | None],
    argv: Sequence[str] | None = None,
    *,
    program: str,
    speakers: Sequence[Callable[[str | None], None]] = (),
) -> int:
    """Call a command and return its exit status; everything that can go wrong ends in one sentence.

    Args:
        command: takes the arguments after the program's name; returns a status, None meaning 0.
        argv: those arguments; by default the process's own.
        program: the name of the command, for the report of an unforeseen fault.
        speakers: choose the language of sentences with a catalogue of their own, as the log's have.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a stream that a caller put there may not be re-configurable
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    for speaker in (use_language, *speakers):
        speaker(_language_in(arguments))
    complain = complaining(arguments)
    try:
        status = command(arguments) or 0
        sys.stdout.flush()
    except SystemExit as stop:  # argparse ends --help and --version so
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BrokenPipeError:
        return _pipe_closed()
    except KeyboardInterrupt:
        complain(RingfenceError("RF-U904", N_("Stopped from the keyboard before the work was done.")))
        return INTERRUPTED
    except Exception as error:
        spoken = error if isinstance(error, Spoken) else _in_words(error, program)
        complain(spoken)
        return spoken.exit_status
    return status


def _language_in(arguments: Sequence[str]) -> str | None:
    """The language of `--lang`, read before parsing so that help and faults of parsing obey it too."""
    for index, argument in enumerate(arguments):
        if argument == "--":
            break
        name, equals, value = argument.partition("=")
        if name == "--lang":
            chosen = value if equals else next(iter(arguments[index + 1 :]), "")
            return chosen if chosen in LANGUAGES else None
    return None


def _pipe_closed() -> int:
    """The reader of our output is gone (`| head`): point the stream at nothing, so closing it stays quiet."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _in_words(error: Exception, program: str) -> RingfenceError:
    """The sentence for an exception that is none of ours."""
    if isinstance(error, MemoryError):
        return RingfenceError("RF-U905", N_("Memory ran out. Use fewer rows at a time or a larger machine."))
    if isinstance(error, OSError) and (
        error.errno == errno.ENOSPC or (error.errno is not None and error.filename is not None)
    ):
        return _file_fault(error)
    return _unforeseen(error, program)


def _file_fault(error: OSError) -> RingfenceError:
    path = _("a file") if error.filename is None else os.fsdecode(error.filename)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return RingfenceError(
                "RF-U906",
                N_("There is no space left to write {path}. Free some space and start again."),
                path=path,
            )
        case errno.EROFS:
            return RingfenceError(
                "RF-U907",
                N_("{path} is on a read-only file system. Choose a place that can be written."),
                path=path,
            )
        case errno.EACCES | errno.EPERM:
            return RingfenceError(
                "RF-U908", N_("This user may not open {path}. Check its owner and permissions."), path=path
            )
        case errno.ENOENT:
            return RingfenceError("RF-U909", N_("There is no file {path}. Check the name."), path=path)
        case _:
            return RingfenceError(
                "RF-U910",
                N_("The operating system refused {path}: {reason}."),
                path=path,
                reason=reason_of(error),
            )


def _unforeseen(error: Exception, program: str) -> RingfenceError:
    """Keep the traceback in a file only its owner can read; the terminal gets one sentence."""
    kind = type(error).__name__
    try:
        descriptor, name = tempfile.mkstemp(prefix=f"{program}-fault-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return RingfenceError(
            "RF-U998",
            N_(
                "{program} met a fault it has no sentence for ({kind}), and its details could not be "
                "written. Report it as SECURITY.md or CONTRIBUTING.md says."
            ),
            program=program,
            kind=kind,
        )
    return RingfenceError(
        "RF-U999",
        N_(
            "{program} met a fault it has no sentence for ({kind}). The details are in {path}; they may show "
            "values of your data, so read them before you attach them to a report (CONTRIBUTING.md says "
            "how)."
        ),
        program=program,
        kind=kind,
        path=name,
    )
