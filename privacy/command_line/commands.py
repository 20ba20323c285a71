"""What the commands of holder and coordinator share: sub-commands, passphrases, exports, keys."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence.privacy.command_line.terminal import (
    Parser,
    Terminal,
    add_json,
    add_language,
    add_version,
    write_atomically,
)
from ringfence.privacy.errors import N_, UsageError, _

if TYPE_CHECKING:
    from ringfence.privacy.command_line.trust import Keys
    from ringfence.privacy.crypto.secret_files import Passphrases

_MOST_DIGITS = 100


def in_full(argv: Sequence[str], short: Mapping[str, str]) -> list[str]:
    """The command line with the sub-command that a word stands for by itself.

    Args:
        argv: as typed.
        short: word to sub-command, such as `log` to `list`: `log --all` is `log list --all`.
    """
    words = list(argv)
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] == "--lang" else 1
    if at < len(words) and words[at] in short:
        following = words[at + 1] if at + 1 < len(words) else "-"
        if following.startswith("-") and following not in {"-h", "--help"}:
            words.insert(at + 1, short[words[at]])
    return words


def top_parser(
    program: str,
    description: str,
    examples: Sequence[str],
    commands: Iterable[Callable[[argparse._SubParsersAction[Parser]], None]],
) -> Parser:
    """A program's parser.

    Args:
        program: its name.
        description: what it does, translated.
        examples: command lines.
        commands: what declares the sub-commands, in the order of the help.
    """
    top = Parser(prog=program, description=description, examples=examples)
    add_version(top)
    add_language(top)
    kinds = top.add_subparsers(metavar=_("COMMAND"), required=True)
    for declare in commands:
        declare(kinds)
    return top


def leaf(
    commands: argparse._SubParsersAction[Parser],
    name: str,
    text: str,
    *,
    more: str = "",
    examples: Sequence[str] = (),
    settings: str = "",
    config: str = "",
    home: bool = True,
    json: bool = True,
) -> Parser:
    """A sub-command with what nearly all have: `--config`, `--json`, `--lang`.

    Args:
        commands: what it belongs to.
        name: as typed.
        text: one line of help.
        more: further sentences for its own `--help`.
        examples: command lines.
        settings: name of the settings file in the program's homes; empty where it has none.
        config: the help of `--config`, in English.
        home: it works in such a home.
        json: it has a result for programs.
    """
    described = f"{text[:1].upper()}{text[1:]}" + _(".")
    description = " ".join((described, more)).strip() if _(".") == "." else described + more
    made = commands.add_parser(name, help=text, description=description, examples=examples)
    if settings and home:
        made.add_argument("--config", type=Path, default=Path(settings), metavar="FILE", help=_(config))
    if json:
        add_json(made)
    add_language(made)
    return made


def decimal(text: str) -> Decimal:
    """A number of the command line, exactly.

    Raises:
        UsageError: RF-U431 when it is none, RF-U602 when it has more digits than any amount has.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    exponent = number.as_tuple().exponent
    if (
        number.is_finite()
        and isinstance(exponent, int)
        and not (abs(number.adjusted()) <= _MOST_DIGITS >= -exponent)
    ):
        raise UsageError(
            "RF-U602",
            N_('"{text}" has too many digits for an amount; at most {most} before or after the point.'),
            text=text[:40],
            most=_MOST_DIGITS,
        )
    if not number.is_finite():
        raise UsageError(
            "RF-U431", N_('"{text}" is not a number; expected one such as 0.5 or 1e-6.'), text=text
        )
    return number


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Give a command `--passphrase-file`, for keys that are wrapped."""
    parser.add_argument(
        "--passphrase-file",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help=_(
            "first line of FILE unlocks the key instead of a prompt; only its owner may read it; several "
            "keys may have one each, in order"
        ),
    )


def add_wrapping(parser: argparse.ArgumentParser) -> None:
    """Give a command that makes keys the choice between a passphrase and none."""
    add_passphrase(parser)
    parser.add_argument(
        "--no-passphrase",
        action="store_true",
        help=_("leave the keys unwrapped; whoever copies the file has the key"),
    )


def passphrases(arguments: argparse.Namespace) -> Passphrases:
    """Where the command takes passphrases from."""
    from ringfence.privacy.crypto.secret_files import Passphrases

    return Passphrases(files=tuple(arguments.passphrase_file))


def new_passphrase(arguments: argparse.Namespace) -> str | None:
    """The passphrase for keys to be made, None for unwrapped ones.

    Raises:
        UsageError: RF-U430 both a passphrase and none were asked for.
    """
    if not arguments.no_passphrase:
        return passphrases(arguments).new()
    if arguments.passphrase_file:
        raise UsageError("RF-U430", N_("Give either --passphrase-file or --no-passphrase, not both."))
    return None


def add_limit(parser: argparse.ArgumentParser, shown: int = 50) -> None:
    """Give a listing `--limit`."""
    parser.add_argument(
        "--limit",
        type=int,
        default=shown,
        metavar="N",
        help=_("at most N events (default: {count})").format(count=shown),
    )


def limit(arguments: argparse.Namespace) -> int:
    """How much is listed at most.

    Raises:
        UsageError: RF-U451 when it is below 1.
    """
    asked: int = arguments.limit
    if asked < 1:
        raise UsageError("RF-U451", N_("--limit is at least 1; found {limit}."), limit=asked)
    return asked


def add_export(parser: argparse.ArgumentParser) -> None:
    """Give the export of a log its folder and its key's passphrase."""
    parser.add_argument("directory", type=Path, metavar="DIR", help=_("new or empty folder"))
    add_passphrase(parser)


def export_folder(arguments: argparse.Namespace) -> Path:
    """The folder that a log is exported to.

    Raises:
        UsageError: RF-U452 when something stands there.
    """
    folder: Path = arguments.directory
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            "RF-U452", N_("{folder} exists and is not an empty folder; choose a new one."), folder=str(folder)
        )
    return folder


def tell_export(arguments: argparse.Namespace, *, events: int, root: str, key: str) -> None:
    """Say what was exported."""
    terminal, folder = Terminal.of(arguments), str(arguments.directory)
    terminal.say(_("Events written to {folder}: {count}").format(count=events, folder=folder))
    terminal.say(_("Give the auditor the log's key by another way: {key}").format(key=key))
    terminal.write_json({"folder": folder, "events": events, "root": root, "key": key})


def add_compared(parser: argparse.ArgumentParser) -> None:
    """Give a command `--compared`."""
    parser.add_argument(
        "--compared",
        action="store_true",
        help=_(
            "you have compared every fingerprint with what its owner told you in person or by telephone; "
            "without it they are shown and nothing is written"
        ),
    )


def require_compared(arguments: argparse.Namespace, keys: Keys) -> None:
    """Say whose keys they are, and stop unless they were compared.

    Raises:
        UsageError: RF-U661 they were not.
    """
    terminal = Terminal.of(arguments)
    for line in keys.lines():
        terminal.say(line)
    if keys.new and not arguments.compared:
        raise UsageError(
            "RF-U661",
            N_(
                "Nothing was entered. Ask each owner for the fingerprint in person or by telephone, compare "
                "it with the one above, and run this again with --compared."
            ),
        )


def tell_entered(arguments: argparse.Namespace, file: Path, keys: Keys, **more: object) -> None:
    """Say whose keys were entered where; `more` is for programs."""
    terminal = Terminal.of(arguments)
    terminal.say(_("Entered into {file}: {count}").format(file=file, count=len(keys.new)))
    terminal.write_json({"file": str(file), **more, **keys.as_json()})


def add_drafting(parser: argparse.ArgumentParser) -> None:
    """Give the draft of a study what people may say beforehand, and where it goes."""
    parser.add_argument("--purpose", metavar="P", help=_("the purpose, of the catalogue"))
    parser.add_argument("--label", metavar="FEATURE", help=_("the feature to predict"))
    parser.add_argument("--task", default="scorecard", metavar="TASK", help=_("what is computed"))
    parser.add_argument("--out", type=Path, metavar="FILE", help=_("file to make (default: standard output)"))


def folder_of(out: Path | None) -> Path:
    """The folder that a file will stand in; the present one for standard output."""
    return Path() if out is None else out.parent


def tell_draft(arguments: argparse.Namespace, text: str) -> None:
    """Write a drafted study and say what is left to be filled in.

    Raises:
        UsageError: RF-U432 the file exists, RF-U433 its folder does not.
    """
    terminal, left = Terminal.of(arguments), text.count('"???"')
    if arguments.out is None:
        terminal.say(text.rstrip("\n"))
    else:
        new_file(arguments.out, text)
        terminal.say(
            _("Wrote {file}. To be filled in by a person: {count} places (???).").format(
                file=arguments.out, count=left
            )
        )
    terminal.write_json({"study": text, "open": left})


def seconds(number: Decimal | int) -> float:
    """A number of seconds from the command line.

    Raises:
        UsageError: RF-U524 it is no time that can be waited.
    """
    if not 0 < number <= 86400:
        raise UsageError(
            "RF-U524",
            N_("A time to wait is more than 0 and at most 86400 seconds; found {found}."),
            found=number,
        )
    return float(number)


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that is set when the process is told to end, from the keyboard or by its supervisor.

    Told a second time, it ends at once, whatever it is waiting for.
    """
    stop, former = threading.Event(), dict[int, Any]()

    def back() -> None:
        for kind, handler in former.items():
            signal.signal(kind, handler)

    def told(_signal: int, _frame: object) -> None:
        stop.set()
        back()

    if threading.current_thread() is threading.main_thread():
        former = {kind: signal.signal(kind, told) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        back()


def require_new_file(path: Path) -> None:
    """Refuse a file that is there already, before the work that would fill it.

    Raises:
        UsageError: RF-U432 it exists, RF-U433 its folder does not.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(
            "RF-U432", N_("{file} exists and is not overwritten; choose another name."), file=str(path)
        )
    if not path.absolute().parent.is_dir():
        raise UsageError("RF-U433", N_("The folder of {file} does not exist; make it first."), file=str(path))


def new_file(path: Path, text: str) -> None:
    """Write a file that does not exist yet, whole or not at all.

    Raises:
        UsageError: RF-U432 it exists, RF-U433 its folder does not.
    """
    require_new_file(path)
    write_atomically(path, text.encode())
