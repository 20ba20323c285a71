"""An encrypted file opens whole, with its secret and for its purpose, or not at all."""

from __future__ import annotations

import io

import pytest

from ringfence.privacy.crypto import encrypted_files
from ringfence.privacy.crypto.encrypted_files import MAGIC, read_encrypted, write_encrypted
from ringfence.privacy.errors import KeyFault

SECRET, CONTEXT = bytes(range(32)), b"attested table"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encrypted_files, "PIECE", 10)


def written(content: bytes, secret: bytes = SECRET, context: bytes = CONTEXT) -> bytes:
    file = io.BytesIO()
    write_encrypted(file, secret, content, context=context)
    return file.getvalue()


def opened(data: bytes, secret: bytes = SECRET, context: bytes = CONTEXT) -> bytes:
    return read_encrypted(io.BytesIO(data), secret, context=context)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 35])
def test_content_comes_back(size: int) -> None:
    content = bytes(range(65, 65 + size))
    data = written(content)
    assert opened(data) == content
    assert len(data) == len(MAGIC) + 32 + size + 16 * max(1, -(-size // 10))
    assert size < 4 or content[:4] not in data


def test_two_files_of_the_same_content_have_nothing_in_common() -> None:
    first, second = written(b"x" * 30)[4:], written(b"x" * 30)[4:]
    assert not {first[at : at + 8] for at in range(len(first) - 8)} & {
        second[at : at + 8] for at in range(len(second) - 8)
    }


def pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    head, rest = data[:36], data[36:]
    return head, [rest[at : at + 26] for at in range(0, len(rest), 26)]


def test_what_was_altered_cut_swapped_or_repeated_does_not_open() -> None:
    data = written(b"abcdefghijklmnopqrstuvwxyz0123")
    head, parts = pieces(data)
    changed = [bytes([*data[:at], data[at] ^ 1, *data[at + 1 :]]) for at in range(0, len(data), 7)]
    broken = [
        head,
        data[:10],
        b"",
        data[:-1],
        data + b"\0",
        head + parts[0] + parts[1],
        head + parts[1] + parts[0] + parts[2],
        head + parts[0] + parts[0] + parts[1] + parts[2],
        b"RFE2" + data[4:],
        *changed,
    ]
    for each in broken:
        with pytest.raises(KeyFault) as caught:
            opened(each)
        assert caught.value.code == "RF-K110"


def test_another_secret_and_another_purpose_do_not_open() -> None:
    data = written(b"content")
    for secret, context in ((bytes(32), CONTEXT), (SECRET, b"another table")):
        with pytest.raises(KeyFault) as caught:
            opened(data, secret, context)
        assert caught.value.code == "RF-K110"
