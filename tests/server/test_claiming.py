"""One process of a machine starts and claims a run at a time: else one would take what another started."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import httpx
import pytest

from ringfence.privacy.errors import WaistError
from ringfence.server.connections.superlink import LinkFiles, SuperLink, claiming


def free(folder: Path) -> bool:
    """Whether somebody else could claim now."""
    handle = os.open(folder / "claim.lock", os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def test_the_lock_is_held_for_the_block(tmp_path: Path) -> None:
    with claiming(tmp_path):
        assert not free(tmp_path)
    assert free(tmp_path)
    with pytest.raises(RuntimeError), claiming(tmp_path):
        raise RuntimeError
    assert free(tmp_path)


def test_a_run_is_started_under_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[bool]()

    def start(_link: SuperLink, _content: bytes, _series: int | None) -> tuple[int, int]:
        seen.append(free(tmp_path))
        raise RuntimeError

    monkeypatch.setattr(SuperLink, "start_run", start)
    link = object.__new__(SuperLink)
    link.files = LinkFiles(folder=tmp_path, certificate=tmp_path, key=tmp_path, authority=tmp_path)
    with pytest.raises(RuntimeError), link.run():
        raise AssertionError
    assert seen == [False]
    assert free(tmp_path)


def test_a_link_that_ends_while_it_is_used_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at the start of a run or in its middle; what else goes wrong in the block is its own."""

    class Gone:
        def PushTaskOutput(self, _request: object) -> None:
            raise httpx.ConnectError("refused")

    class Grid:
        _runtime_client = Gone()

        def close(self) -> None: ...

    link = object.__new__(SuperLink)
    link.files = LinkFiles(folder=tmp_path, certificate=tmp_path, key=tmp_path, authority=tmp_path)
    monkeypatch.setattr(SuperLink, "start_run", lambda *_: (1, 1))
    monkeypatch.setattr(SuperLink, "claim_run", lambda *_: Grid())
    for fault in (httpx.ConnectError("refused"), httpx.RemoteProtocolError("cut")):
        with pytest.raises(WaistError, match="RF-N210"), link.run():
            raise fault
    with pytest.raises(OSError, match="disk"), link.run():
        raise OSError("disk")

    def start(*_: object) -> tuple[int, int]:
        raise httpx.ReadError("cut")

    monkeypatch.setattr(SuperLink, "start_run", start)
    with pytest.raises(WaistError, match="RF-N210"), link.run():
        raise AssertionError
