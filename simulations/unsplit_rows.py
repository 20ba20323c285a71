"""Rows none of which is set apart for testing, for what a simulation encodes without a holder's table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True, slots=True)
class UnsplitRows:
    """Customers as a minimised table would hold them, all of them in the training part.

    Attributes:
        frame: columns under their schema names, one row a customer.
    """

    frame: pd.DataFrame

    @property
    def is_test(self) -> npt.NDArray[np.bool_]:
        """False for everybody, shape `(n,)`."""
        return np.zeros(len(self.frame), dtype=np.bool_)
