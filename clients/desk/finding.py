"""A study as people name it: a file, or the id of one in the inbox (or its digest)."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from ringfence.clients.home import Home
from ringfence.clients.inbox import by_file
from ringfence.privacy.crypto.signed import SignedDocument, read_signed
from ringfence.privacy.errors import N_, StudyError, _

_CALLED = re.compile(r"[^\W_][\w.\-]{0,63}|sha256:[0-9a-f]{64}")
_FILES = (".json", ".toml")


def signed_study(home: Home, given: Path) -> SignedDocument:
    """The signed study, not yet verified; a file of the name comes before a study in the inbox,
    and that before a series that was approved from a file.

    Raises:
        KeyFault: RF-K020 there is no such file, RF-K016 or RF-K017 it is no signed document.
        StudyError: RF-S436 no study in the inbox is called so.
        UsageError: no coordinator is configured.
    """
    called = str(given)
    if given.is_file() or not _CALLED.fullmatch(called):
        return read_signed(given)
    inbox, coordinator = home.inbox, home.coordinator()
    text = inbox.document(coordinator, called)
    if text is not None:
        return SignedDocument.from_json(text)
    kept = by_file.called(by_file.kept_series(home.approvals_folder, coordinator), called)
    if kept is not None:
        return kept
    if called.endswith(_FILES):
        return read_signed(given)
    known = [each.name for each in inbox.listed(coordinator)]
    near = difflib.get_close_matches(called, known, n=3, cutoff=0.6)
    raise StudyError(
        "RF-S436",
        N_("No study in the inbox is called {study}, and no file here. {near}"),
        study=called,
        near=_("Near it: {names}.").format(names=", ".join(near))
        if near
        else _("ringfence-client study list names those that came."),
    )
