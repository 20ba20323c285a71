"""The Merkle tree against the RFC's definition, the public vectors, and wrong implementations."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.audit import merkle
from ringfence.audit.errors import ProofError

VECTORS = Path(
    os.environ.get("RINGFENCE_VECTORS", Path(__file__).resolve().parents[3] / "shared" / "vectors")
)
LEAVES = [f"leaf {number}".encode() for number in range(70)]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
NODE = merkle.list_node(HASHES)


def load(kind: str) -> list[Any]:
    folder = VECTORS / "merkle" / "testdata" / kind
    if not folder.is_dir():
        pytest.skip(
            f"no Merkle vectors under {VECTORS}; set RINGFENCE_VECTORS to the folder that holds merkle/"
        )
    return [json.loads(path.read_bytes()) for path in sorted(folder.rglob("*.json"))]


def hashes(texts: Sequence[str] | None) -> list[bytes]:
    return [base64.b64decode(text) for text in texts or ()]


def check_inclusion(case: Any) -> None:
    leaf, root = hashes([case["leafHash"], case["root"]])
    merkle.verify_inclusion(case["leafIdx"], case["treeSize"], leaf, hashes(case["proof"]), root)


def check_consistency(case: Any) -> None:
    old_root, root = hashes([case["root1"], case["root2"]])
    merkle.verify_consistency(case["size1"], case["size2"], old_root, root, hashes(case["proof"]))


def misjudged(cases: Sequence[Any], check: Callable[[Any], None]) -> list[str]:
    """The cases a verifier gets wrong."""
    wrong = []
    for case in cases:
        try:
            check(case)
            refused = False
        except ProofError:
            refused = True
        if refused != case["wantErr"]:
            wrong.append(case["desc"])
    return wrong


def test_all_inclusion_vectors() -> None:
    cases = load("inclusion")
    assert len(cases) == 98
    assert 0 < sum(case["wantErr"] for case in cases) < 98
    assert misjudged(cases, check_inclusion) == []


def test_all_consistency_vectors() -> None:
    cases = load("consistency")
    assert len(cases) == 98
    assert 0 < sum(case["wantErr"] for case in cases) < 98
    assert misjudged(cases, check_consistency) == []


def test_vectors_refuse_a_verifier_without_the_node_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merkle, "node_hash", lambda left, right: sha256(left + right).digest())
    assert misjudged(load("inclusion"), check_inclusion)
    assert misjudged(load("consistency"), check_consistency)


def test_vectors_refuse_a_verifier_with_swapped_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merkle, "node_hash", lambda left, right: sha256(b"\x01" + right + left).digest())
    assert misjudged(load("inclusion"), check_inclusion)
    assert misjudged(load("consistency"), check_consistency)


def test_vectors_refuse_a_verifier_that_compares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merkle, "must_agree", lambda *_: None)
    assert misjudged(load("inclusion"), check_inclusion)
    assert misjudged(load("consistency"), check_consistency)


def mth(leaves: Sequence[bytes]) -> bytes:
    """MTH word by word from RFC 6962, section 2.1."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(len(LEAVES) + 1))
def test_roots_are_those_of_the_rfc(size: int) -> None:
    tree = merkle.Frontier()
    for leaf in HASHES[:size]:
        tree.append(leaf)
    expected = mth(LEAVES[:size])
    assert merkle.root(size, NODE) == expected
    assert tree.root() == expected
    assert merkle.Frontier.unpack(size, tree.pack()).root() == expected
    assert merkle.prefix_roots(b"".join(HASHES), [size, 999]) == {size: expected}


def test_frontier_closes_exactly_the_subtrees_that_end_with_a_leaf() -> None:
    tree = merkle.Frontier()
    for number, leaf in enumerate(HASHES):
        closed = tree.append(leaf)
        assert closed == [NODE(level, ((number + 1) >> level) - 1) for level in range(len(closed))]
        assert (number + 1) % (1 << len(closed)) != 0


@pytest.mark.parametrize(("size", "edge"), [(3, [HASHES[0]]), (1, [b"short"]), (0, [HASHES[0]])])
def test_frontier_that_does_not_fit_its_size_is_refused(size: int, edge: list[bytes]) -> None:
    with pytest.raises(ProofError, match="RF-A019"):
        merkle.Frontier(size, edge)


@settings(deadline=None)
@given(st.data())
def test_every_inclusion_proof_verifies_and_no_altered_one_does(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    root = merkle.root(size, NODE)
    proof = merkle.inclusion_path(index, size, NODE)
    merkle.verify_inclusion(index, size, HASHES[index], proof, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index)) if size > 1 else size
    with pytest.raises(ProofError):
        merkle.verify_inclusion(other, size, HASHES[index], proof, root)
    with pytest.raises(ProofError):
        merkle.verify_inclusion(index, size, merkle.leaf_hash(b"other"), proof, root)
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        with pytest.raises(ProofError):
            merkle.verify_inclusion(index, size, HASHES[index], proof[:place] + proof[place + 1 :], root)


@settings(deadline=None)
@given(st.data())
def test_every_consistency_proof_verifies_and_no_altered_one_does(data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(LEAVES)))
    old = data.draw(st.integers(0, size))
    old_root, root = merkle.root(old, NODE), merkle.root(size, NODE)
    proof = merkle.consistency_proof(old, size, NODE)
    merkle.verify_consistency(old, size, old_root, root, proof)
    with pytest.raises(ProofError):
        merkle.verify_consistency(old, size, old_root, root, [*proof, HASHES[0]])
    with pytest.raises(ProofError):
        merkle.verify_consistency(old, size, merkle.leaf_hash(b"other"), root, proof)
    if old not in (0, size):
        with pytest.raises(ProofError):
            merkle.verify_consistency(old, size, old_root, merkle.leaf_hash(b"other"), proof)
        place = data.draw(st.integers(0, len(proof) - 1))
        with pytest.raises(ProofError):
            merkle.verify_consistency(old, size, old_root, root, proof[:place] + proof[place + 1 :])


def test_proofs_of_what_does_not_exist_are_refused() -> None:
    with pytest.raises(ProofError, match="RF-A020"):
        merkle.inclusion_path(3, 3, NODE)
    with pytest.raises(ProofError, match="RF-A021"):
        merkle.consistency_proof(4, 3, NODE)
    with pytest.raises(ProofError, match="RF-A026"):
        merkle.verify_consistency(4, 3, HASHES[0], HASHES[1], [])
    with pytest.raises(ProofError, match="RF-A028"):
        merkle.verify_consistency(3, 5, HASHES[0], HASHES[1], [])
    with pytest.raises(ProofError, match="RF-A022"):
        merkle.verify_inclusion(0, 2, HASHES[0], [b"short"], HASHES[1])


def refusal(call: Callable[[], None]) -> str:
    with pytest.raises(ProofError) as caught:
        call()
    return caught.value.code


def test_a_proof_is_refused_for_what_is_wrong_with_it() -> None:
    root, proof = merkle.root(5, NODE), merkle.inclusion_path(2, 5, NODE)

    def inclusion(index: int, proof: Sequence[bytes]) -> str:
        return refusal(lambda: merkle.verify_inclusion(index, 5, HASHES[2], proof, root))

    assert [inclusion(index, proof) for index in (-1, 5, 6)] == ["RF-A024"] * 3
    assert [inclusion(2, each) for each in ([*proof, proof[0]], proof[:-1], [])] == ["RF-A025"] * 3
    assert inclusion(2, [proof[1], proof[0], *proof[2:]]) == "RF-A023"
    old, proof = merkle.root(3, NODE), merkle.consistency_proof(3, 5, NODE)

    def consistency(proof: Sequence[bytes]) -> str:
        return refusal(lambda: merkle.verify_consistency(3, 5, old, root, proof))

    assert consistency([*proof, proof[0]]) == "RF-A029"
    assert consistency(proof[:-1]) == "RF-A030"
    assert consistency([proof[0][:-1], *proof[1:]]) == "RF-A022"


def test_between_equal_sizes_and_from_nothing_the_roots_decide() -> None:
    empty, root, other = merkle.EMPTY_ROOT, merkle.root(3, NODE), HASHES[9]
    merkle.verify_consistency(0, 0, empty, empty, [])
    merkle.verify_consistency(0, 3, empty, root, [])
    merkle.verify_consistency(3, 3, root, root, [])
    for old, size, before, after in ((0, 0, other, other), (0, 3, other, root), (3, 3, other, root)):
        code = refusal(lambda o=old, s=size, b=before, a=after: merkle.verify_consistency(o, s, b, a, []))
        assert code == "RF-A023"
    assert refusal(lambda: merkle.verify_consistency(0, 3, empty, root[:-1], [])) == "RF-A022"
    assert refusal(lambda: merkle.verify_consistency(3, 3, root, root, [other])) == "RF-A027"
