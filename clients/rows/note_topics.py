"""Turns service texts into topics of the schema: masked first, looked at then, kept never.

Invariants: no word or pattern sees a text before `privacy.identifiers.masking` has taken the identifiers out
of it. A text's topic depends on that text and on the signed schema alone: nothing is fitted on texts, and no
list of customers is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ringfence.privacy.agreements.inputs import NoteTopic
from ringfence.privacy.identifiers.masking import Mask, mask_text
from ringfence.privacy.tables.celltext import compute

_AT_ONCE: Final = 1 << 13
_STARS: Final = Mask(keep=0)
"""Stars hold no word that a topic could be told by."""
_GIVEN_UP: Final = "[REDACTED]"


def topics_of(texts: Any, topics: Sequence[NoteTopic], longest: int) -> tuple[npt.NDArray[np.int64], int]:
    """Position of each text's topic.

    Args:
        texts: an Arrow array, null for none.
        topics: of the schema; a text has the first that is found in it.
        longest: characters of a text that are read.

    Returns:
        Position among the topics, `len(topics)` for none of them, -1 for no text, int64 `(n,)`; and how many
        texts were longer than what is read.
    """
    coded = texts.dictionary_encode()
    lengths = compute().utf8_length(texts)
    cut = int(compute().sum(compute().greater(lengths, longest)).as_py() or 0)
    distinct = coded.dictionary
    table = np.full(len(distinct) + 1, -1, dtype=np.int64)
    for begin in range(0, len(distinct), _AT_ONCE):
        part = compute().utf8_slice_codeunits(distinct.slice(begin, _AT_ONCE), 0, longest)
        table[begin : begin + len(part)] = first_topics(without_identifiers(part), topics)
    return table[coded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)], cut


def without_identifiers(texts: Any) -> Any:
    """Texts with stars in place of identifiers; one that cannot be brought that far is empty."""
    import pyarrow as pa

    found = [mask_text(text, _STARS).text for text in texts.to_pylist()]
    return pa.array(["" if text == _GIVEN_UP else text for text in found], pa.string())


def first_topics(texts: Any, topics: Sequence[NoteTopic]) -> npt.NDArray[np.int64]:
    """Position of the first topic that is found in each masked text, `len(topics)` for none, `(n,)`."""
    folded = compute().utf8_lower(compute().utf8_normalize(texts, "NFKC"))
    found = np.full(len(texts), len(topics), dtype=np.int64)
    for place, topic in reversed(list(enumerate(topics))):
        hits = compute().match_substring_regex(folded, topic.expression)
        found[hits.to_numpy(zero_copy_only=False)] = place
    return found
