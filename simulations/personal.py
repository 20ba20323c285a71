"""Holders' own networks beside the common one, each judged exactly on its own test customers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ringfence.clients.holder import Holder
from ringfence.clients.own_model import own_path
from ringfence.models.features import FeatureMatrix
from ringfence.models.metrics.exact import auc
from ringfence.models.neural import NeuralModel
from ringfence.privacy.release import ResultFile
from ringfence.server.coordinator import OpenStudy


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNetwork:
    """What one holder has for itself.

    Attributes:
        holder: its name.
        content: its file.
        customers: of its test part.
        own: AUC of its own network on them; None where they all have one label.
        common: AUC of the network that all share, on the same customers.
    """

    holder: str
    content: bytes
    customers: int
    own: float | None
    common: float | None

    def file(self) -> ResultFile:
        """Its file as a researcher gets it from a simulation; a real holder's stays where it is."""
        return ResultFile(name=f"own-{self.holder}.safetensors", kind="safetensors", content=self.content)

    def as_json(self) -> dict[str, str | int | float | None]:
        """The figures."""
        return {
            "holder": self.holder,
            "test_customers": self.customers,
            "auc": self.own,
            "auc_common": self.common,
        }


def own_networks(
    opened: OpenStudy,
    holders: Mapping[str, Holder],
    tests: Mapping[str, FeatureMatrix],
    predictions: pd.DataFrame,
) -> tuple[OwnNetwork, ...]:
    """Read what the holders kept for themselves; empty for a study that gives them nothing.

    Args:
        opened: the study, and its run.
        holders: as the run left them.
        tests: test customers of those that took part, by holder.
        predictions: of the common network, columns `probability` and `holder`.
    """
    found = []
    for name, test in tests.items():
        path = own_path(holders[name].models, opened.study, opened.run, opened.window)
        if not path.exists():
            continue
        content = path.read_bytes()
        own = NeuralModel.from_safetensors(content).predict(opened.context, test)["probability"]
        common = predictions.loc[predictions["holder"] == name, "probability"]
        found.append(
            OwnNetwork(
                holder=name,
                content=content,
                customers=len(test.label),
                own=auc(own.to_numpy(dtype=np.float64), test.label),
                common=auc(common.to_numpy(dtype=np.float64), test.label),
            )
        )
    return tuple(found)
