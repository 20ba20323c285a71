"""The Merkle tree of RFC 6962, section 2.1: hashes, roots, inclusion and consistency proofs.

Names follow the RFC. A tree is given by a function `node(level, index)`: the hash of the complete subtree
over the leaves `[index * 2^level, (index + 1) * 2^level)`; so the same recursion serves a list and a
database. Every `verify_*` raises; none returns a bool that could be forgotten.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import TypeAlias

from ringfence.audit.errors import N_, ProofError

Node: TypeAlias = Callable[[int, int], bytes]

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf): the prefix keeps leaves and nodes apart (second preimages)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def list_node(leaf_hashes: Sequence[bytes]) -> Node:
    """The `node` function of a tree whose leaf hashes stand in memory."""

    def node(level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hashes[index]
        return node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    return node


def _split(count: int) -> int:
    """k, the largest power of two smaller than `count` (count >= 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def _mth(start: int, end: int, node: Node) -> bytes:
    """MTH(D[start:end]) for ranges that the RFC's splits make: their left parts are complete subtrees."""
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, start >> level)
    middle = start + _split(count)
    return node_hash(_mth(start, middle, node), _mth(middle, end, node))


def root(size: int, node: Node) -> bytes:
    """MTH(D[n]): the root of the first `size` leaves."""
    return _mth(0, size, node) if size else EMPTY_ROOT


def inclusion_path(index: int, size: int, node: Node) -> list[bytes]:
    """PATH(m, D[n]): the sibling hashes from leaf `index` up to the root of the first `size` leaves."""
    if not 0 <= index < size:
        raise ProofError(
            "RF-A020",
            N_("There is no leaf {index} in a tree of {size} leaves; ask for one from 0 up to size - 1."),
            index=index,
            size=size,
        )
    start, end, path = 0, size, list[bytes]()
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_mth(middle, end, node))
            end = middle
        else:
            path.append(_mth(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old: int, size: int, node: Node) -> list[bytes]:
    """PROOF(m, D[n]): shows that the first `old` leaves are a prefix of the first `size` leaves."""
    if not 0 <= old <= size:
        raise ProofError(
            "RF-A021",
            N_("A tree of {size} leaves has no earlier state of {old} leaves; this log is shorter."),
            size=size,
            old=old,
        )
    if old in (0, size):
        return []
    start, end, whole, proof = 0, size, True, list[bytes]()
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_mth(middle, end, node))
            end = middle
        else:
            proof.append(_mth(start, middle, node))
            start, whole = middle, False
    if not whole:
        proof.append(_mth(start, end, node))
    return proof[::-1]


def _refuse_shape(proof: Sequence[bytes]) -> None:
    if any(len(item) != HASH_SIZE for item in proof):
        raise ProofError("RF-A022", N_("A proof holds an item that is not a 32-byte hash."))


def must_agree(found: bytes, expected: bytes, what: str) -> None:
    """Refuse a hash that a proof does not lead to.

    Raises:
        ProofError: they differ.
    """
    if not hmac.compare_digest(found, expected):
        raise ProofError(
            "RF-A023",
            N_("The {what} computed from the proof differs from the stated one; the proof does not hold."),
            what=what,
        )


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf hash stands at `index` in the tree of `size` leaves (RFC 9162, 2.1.3.2).

    Args:
        index: place of the leaf, from 0.
        size: number of leaves under `root`.
        leaf: the leaf's hash, 32 bytes.
        proof: sibling hashes from the leaf up.
        root: the tree's root, from a verified checkpoint.

    Raises:
        ProofError: when it does not.
    """
    if not 0 <= index < size:
        raise ProofError(
            "RF-A024",
            N_("The proof is for leaf {index} of {size} leaves; there is none."),
            index=index,
            size=size,
        )
    _refuse_shape([leaf, *proof])
    inner = (index ^ (size - 1)).bit_length()
    if len(proof) != inner + (index >> inner).bit_count():
        raise ProofError(
            "RF-A025",
            N_("The inclusion proof has {count} hashes; its place needs another number."),
            count=len(proof),
        )
    found = leaf
    for level, sibling in enumerate(proof):
        on_left = level >= inner or (index >> level) & 1
        found = node_hash(sibling, found) if on_left else node_hash(found, sibling)
    must_agree(found, root, "root")


def verify_consistency(old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `old` leaves is a prefix of the tree of `size` leaves (RFC 9162, 2.1.4.2).

    Raises:
        ProofError: when it is not, or the proof is not exactly the one the RFC defines.
    """
    if not 0 <= old <= size:
        raise ProofError(
            "RF-A026", N_("A tree of {size} leaves cannot continue one of {old} leaves."), size=size, old=old
        )
    if old in (0, size):
        if proof:
            raise ProofError(
                "RF-A027", N_("The consistency proof must be empty between these sizes; it is not.")
            )
        must_agree(old_root, root if old == size else EMPTY_ROOT, "old root")
        if old == 0:
            _refuse_shape([root])
            must_agree(old_root, EMPTY_ROOT, "old root")
        return
    hashes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    _refuse_shape(hashes)
    first, last = old - 1, size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    if not hashes:
        raise ProofError("RF-A028", N_("The consistency proof is empty between different sizes."))
    found_old = found = hashes[0]
    for item in hashes[1:]:
        if last == 0:
            raise ProofError("RF-A029", N_("The consistency proof is longer than its sizes allow."))
        if first & 1 or first == last:
            found_old, found = node_hash(item, found_old), node_hash(item, found)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            found = node_hash(found, item)
        first, last = first >> 1, last >> 1
    if last:
        raise ProofError("RF-A030", N_("The consistency proof is shorter than its sizes need."))
    must_agree(found_old, old_root, "old root")
    must_agree(found, root, "root")


class Frontier:
    """The right edge of a growing tree: one hash per set bit of its size, the largest subtree first.

    It is all an append needs, at most 64 hashes, so it can be kept in one row of a database.
    """

    __slots__ = ("edge", "size")

    def __init__(self, size: int = 0, edge: Iterable[bytes] = ()) -> None:
        self.size = size
        self.edge = list(edge)
        if len(self.edge) != size.bit_count() or any(len(item) != HASH_SIZE for item in self.edge):
            raise ProofError(
                "RF-A019", N_("The tree's right edge does not fit its size of {size}."), size=size
            )

    @classmethod
    def unpack(cls, size: int, packed: bytes) -> Frontier:
        """Read the form `pack` wrote."""
        return cls(size, [packed[i : i + HASH_SIZE] for i in range(0, len(packed), HASH_SIZE)])

    def pack(self) -> bytes:
        """The hashes one after another."""
        return b"".join(self.edge)

    def append(self, leaf: bytes) -> list[bytes]:
        """Take one leaf hash; return the complete subtrees that end with it, smallest (the leaf) first."""
        closed, size = [leaf], self.size
        while size & 1:
            closed.append(node_hash(self.edge.pop(), closed[-1]))
            size >>= 1
        self.edge.append(closed[-1])
        self.size += 1
        return closed

    def root(self) -> bytes:
        """MTH of all leaves taken so far."""
        if not self.edge:
            return EMPTY_ROOT
        found = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            found = node_hash(left, found)
        return found


def prefix_roots(hashes: bytes | bytearray, sizes: Iterable[int]) -> dict[int, bytes]:
    """Roots of the first n leaves for several n, in one pass.

    Args:
        hashes: leaf hashes one after another, 32 bytes each.
        sizes: the n asked for; those beyond the table are left out.
    """
    tree, roots = Frontier(), dict[int, bytes]()
    for size in sorted(sizes):
        if size * HASH_SIZE > len(hashes):
            break
        for start in range(tree.size * HASH_SIZE, size * HASH_SIZE, HASH_SIZE):
            tree.append(bytes(hashes[start : start + HASH_SIZE]))
        roots[size] = tree.root()
    return roots
