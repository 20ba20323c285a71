"""Write a log out of its store as a bundle, with the checkpoints that were kept of it and of other logs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine

from ringfence.audit import store
from ringfence.audit.bundle import LogFiles, write_log
from ringfence.audit.checkpoint import Checkpoint

PAGE = 1000
HISTORY = 64


def export(
    engine: Engine, made: Checkpoint, files: LogFiles, directory: Path | str, log: int = store.FIRST
) -> None:
    """Write the events under a checkpoint, and the newest checkpoints kept in the store.

    Args:
        engine: the log's store.
        made: the checkpoint that the bundle stands under.
        files: its note, the log's key, and anchors besides the stored ones.
        directory: a folder that does not exist yet or is empty.
        log: its number in the store.

    Raises:
        BundleError: when the folder is not empty or cannot be written.
    """
    with store.reading(engine) as connection:
        own = store.read_checkpoints(connection, made.origin, HISTORY, log)
        others = [
            note
            for origin in store.anchored_origins(connection, made.origin, log)
            for _, note in store.read_checkpoints(connection, origin, HISTORY, log)
        ]
        changes = store.read_handovers(connection, made.origin)
    history = tuple(note for size, note in own if size < made.size)
    handovers = tuple(each.note for each in changes if each.size <= made.size)
    rows = store.read_leaves(engine, 0, made.size, None, None, PAGE, log)
    whole = replace(files, history=history, anchors=(*others, *files.anchors), handovers=handovers)
    write_log(Path(directory), whole, ((leaf, leaf_hash) for _, leaf, leaf_hash in rows))
