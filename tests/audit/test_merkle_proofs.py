"""Every small proof against the RFC's own recursion, every single change of one, and what a refusal says.

The oracle is written from RFC 6962, section 2.1, over lists of leaves; it shares nothing with the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

import pytest

from ringfence.audit import merkle
from ringfence.audit.errors import ProofError

SIZES = range(18)
LEAVES = [bytes([number]) * number for number in range(18)]
HASHES = [sha256(b"\x00" + leaf).digest() for leaf in LEAVES]
NODE = merkle.list_node(HASHES)


def halves(leaves: Sequence[bytes]) -> int:
    """The largest power of two that is smaller than their number."""
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return k


def mth(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = halves(leaves)
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = halves(leaves)
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = halves(leaves)
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def refused(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    try:
        merkle.verify_inclusion(index, size, leaf, proof, root)
    except ProofError:
        return True
    return False


def discontinued(old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> bool:
    try:
        merkle.verify_consistency(old, size, old_root, root, proof)
    except ProofError:
        return True
    return False


def flipped(value: bytes) -> Iterator[bytes]:
    """The first and the last bit changed, a byte less, a byte more, nothing."""
    yield bytes([value[0] ^ 0x80]) + value[1:]
    yield value[:-1] + bytes([value[-1] ^ 1])
    yield value[:-1]
    yield value + b"\0"
    yield b""


def changed(proof: Sequence[bytes]) -> Iterator[list[bytes]]:
    """A proof with one item changed, left out, doubled or put elsewhere."""
    whole = list(proof)
    for place, item in enumerate(whole):
        for other in flipped(item):
            yield [*whole[:place], other, *whole[place + 1 :]]
        yield whole[:place] + whole[place + 1 :]
        yield [*whole[: place + 1], item, *whole[place + 1 :]]
    for place in range(len(whole) - 1):
        yield [*whole[:place], whole[place + 1], whole[place], *whole[place + 2 :]]
    yield [*whole, bytes(32)]
    yield [bytes(32), *whole]


def test_hashes_are_the_published_ones() -> None:
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    # The leaf of no bytes, from the vectors of RFC 6962's reference implementation.
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.node_hash(b"a" * 32, b"b" * 32) == sha256(b"\x01" + b"a" * 32 + b"b" * 32).digest()
    assert merkle.HASH_SIZE == 32


@pytest.mark.parametrize("size", SIZES[1:])
def test_inclusion_of_every_leaf(size: int) -> None:
    root = mth(LEAVES[:size])
    for index in range(size):
        proof = path(index, LEAVES[:size])
        assert merkle.inclusion_path(index, size, NODE) == proof
        assert not refused(index, size, HASHES[index], proof, root)
        assert all(refused(index, size, HASHES[index], other, root) for other in changed(proof))
        assert all(refused(index, size, leaf, proof, root) for leaf in flipped(HASHES[index]))
        assert all(refused(index, size, HASHES[index], proof, other) for other in flipped(root))
        others = set(range(-2, size + 2)) - {index}
        assert all(refused(other, size, HASHES[index], proof, root) for other in others)


@pytest.mark.parametrize("size", SIZES)
def test_consistency_with_every_earlier_size(size: int) -> None:
    root = mth(LEAVES[:size])
    for old in range(size + 1):
        before = mth(LEAVES[:old])
        proof = [] if old in (0, size) else subproof(old, LEAVES[:size], True)
        assert merkle.consistency_proof(old, size, NODE) == proof
        assert not discontinued(old, size, before, root, proof)
        assert all(discontinued(old, size, before, root, other) for other in changed(proof))
        assert all(discontinued(old, size, other, root, proof) for other in flipped(before))
        if old:
            assert all(discontinued(old, size, before, other, proof) for other in flipped(root))
        elif size:
            assert all(
                discontinued(0, size, before, other, proof) for other in (root[:-1], root + b"\0", b"")
            )
        assert discontinued(-1, size, before, root, proof)
        assert discontinued(size + 1, size, before, root, proof)


@pytest.mark.parametrize("size", SIZES)
def test_proofs_are_made_for_what_exists(size: int) -> None:
    for index in (-1, size, size + 1):
        with pytest.raises(ProofError, match="RF-A020"):
            merkle.inclusion_path(index, size, NODE)
    for old in (-1, size + 1):
        with pytest.raises(ProofError, match="RF-A021"):
            merkle.consistency_proof(old, size, NODE)


def what(code: str, old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> object:
    with pytest.raises(ProofError) as caught:
        merkle.verify_consistency(old, size, old_root, root, proof)
    assert caught.value.code == code
    return caught.value.values.get("what")


def test_a_refusal_says_which_root_differs() -> None:
    """Which of two checkpoints is the wrong one is what an auditor asks next."""
    old, root, proof, other = mth(LEAVES[:3]), mth(LEAVES[:7]), subproof(3, LEAVES[:7], True), HASHES[0]
    assert what("RF-A023", 3, 7, other, root, proof) == "old root"
    assert what("RF-A023", 3, 7, old, other, proof) == "root"
    assert what("RF-A023", 7, 7, other, root, []) == "old root"
    assert what("RF-A023", 0, 7, other, root, []) == "old root"
    assert what("RF-A023", 4, 7, other, root, subproof(4, LEAVES[:7], True)) == "root"
    with pytest.raises(ProofError) as caught:
        merkle.verify_inclusion(1, 3, HASHES[1], path(1, LEAVES[:3]), other)
    assert (caught.value.code, caught.value.values["what"]) == ("RF-A023", "root")
    merkle.must_agree(root, root, "root")
    # A leaf hash of another length is no hash, whatever it leads to.
    for size, proof in ((1, []), (3, path(0, LEAVES[:3]))):
        with pytest.raises(ProofError, match="RF-A022"):
            merkle.verify_inclusion(0, size, HASHES[0][:-1], proof, root)


@pytest.mark.parametrize("old", [1, 2, 3, 4, 6])
def test_an_empty_proof_is_told_from_one_that_is_too_short(old: int) -> None:
    """From a power of two on, the old root itself begins the proof, so that an empty one is only short."""
    before, root = mth(LEAVES[:old]), mth(LEAVES[:7])
    assert what("RF-A028" if old & (old - 1) else "RF-A030", old, 7, before, root, []) is None
    proof = subproof(old, LEAVES[:7], True)
    assert what("RF-A029", old, 7, before, root, [*proof, HASHES[0]]) is None
    if len(proof) > 1:
        assert what("RF-A030", old, 7, before, root, proof[:-1]) is None


# --- the right edge --------------------------------------------------------------------------------------


def test_an_edge_begins_empty_and_is_its_own() -> None:
    tree, other = merkle.Frontier(), merkle.Frontier()
    assert (tree.size, tree.edge, tree.pack(), tree.root()) == (0, [], b"", mth([]))
    assert tree.append(HASHES[0]) == [HASHES[0]]
    assert (tree.size, other.size, other.edge) == (1, 0, [])
    given = [HASHES[0]]
    made = merkle.Frontier(1, given)
    made.append(HASHES[1])
    assert given == [HASHES[0]]
    assert (made.size, made.root()) == (2, mth(LEAVES[:2]))


@pytest.mark.parametrize("size", SIZES)
def test_an_edge_is_packed_and_read_back(size: int) -> None:
    tree = merkle.Frontier()
    for leaf in HASHES[:size]:
        tree.append(leaf)
    packed = tree.pack()
    assert len(packed) == 32 * size.bit_count()
    again = merkle.Frontier.unpack(size, packed)
    assert (again.size, again.edge, again.root()) == (size, tree.edge, mth(LEAVES[:size]))
    for wrong in (packed[:-1], packed + b"\0", packed + bytes(32)):
        if wrong != packed:
            with pytest.raises(ProofError, match="RF-A019"):
                merkle.Frontier.unpack(size, wrong)


def test_roots_of_prefixes_are_those_asked_for_and_there() -> None:
    table = b"".join(HASHES[:9])
    assert merkle.prefix_roots(table, []) == {}
    assert merkle.prefix_roots(b"", [0, 1]) == {0: mth([])}
    asked = [9, 0, 4, 4, 10, 7, 1]
    expected = {size: mth(LEAVES[:size]) for size in (0, 1, 4, 7, 9)}
    assert merkle.prefix_roots(table, asked) == expected
    assert merkle.prefix_roots(bytearray(table), iter(asked)) == expected
    # A hash that is cut counts for nothing.
    assert merkle.prefix_roots(table[:-1], [8, 9]) == {8: mth(LEAVES[:8])}
