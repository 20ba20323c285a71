"""A message that travels as one piece: another one each time, with nothing but the message in it."""

from __future__ import annotations

import pytest

from ringfence.privacy.protocol import carried
from ringfence.privacy.protocol.carried import NONCE_BYTES, of_one_piece, one_piece


@pytest.mark.parametrize("data", [b"\x00", b"sealed", bytes(range(256))])
def test_the_bytes_come_out_as_they_went_in_and_no_two_pieces_are_alike(data: bytes) -> None:
    """A link knows a piece by its hash: the same piece, sent again, would be no message of its own."""
    pieces = {one_piece(data) for _ in range(20)}
    assert len(pieces) == 20
    assert {of_one_piece(piece) for piece in pieces} == {data}


def test_a_piece_of_another_size_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "MAX_MESSAGE", 10)
    assert of_one_piece(bytes(NONCE_BYTES + 10)) == bytes(10)
    for size in (0, NONCE_BYTES - 1, NONCE_BYTES, NONCE_BYTES + 11):
        assert of_one_piece(bytes(size)) == b""
