"""Files of named arrays with a description: safetensors, whose one metadata field `ringfence` holds JSON.

The format has no code in it, so a file from elsewhere can be refused but cannot run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Tensors = Mapping[str, npt.NDArray[Any]]


def write_tensors(described: Mapping[str, Any], tensors: Tensors) -> bytes:
    """The bytes of a file; `described` is JSON and says its `format`."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    return save(arrays, metadata={"ringfence": json.dumps(dict(described), sort_keys=True)})


def read_tensors(data: bytes) -> tuple[dict[str, Any], Tensors]:
    """Description and arrays of a file.

    Raises:
        ValueError: it is no such file; what it says is for its reader to judge.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        described = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["ringfence"])
        if not isinstance(described, dict) or not isinstance(described["format"], str):
            raise ValueError("no format")
    except (SafetensorError, KeyError, TypeError, RecursionError) as reason:
        raise ValueError("no file of named arrays") from reason
    return described, tensors
