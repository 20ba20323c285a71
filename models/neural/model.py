"""The released network: an architecture, whole weights and their origin; on file as safetensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.models.features import FeatureMatrix
from ringfence.models.neural.architecture import Architecture
from ringfence.models.neural.holder import log_odds
from ringfence.models.neural.plan import KINDS, Kind, NetworkDesign, design
from ringfence.models.neural.rounding import WEIGHT_BITS
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.release.artefact import ResultFile
from ringfence.privacy.stores.tensors import read_tensors, write_tensors

FORMAT = "ringfence-network-1"
NETWORK_FILE = "network.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuralModel:
    """A perceptron, an LSTM or attention with nothing in it but released values.

    Attributes:
        kind: mlp, lstm or attention.
        study: digest of the signed study.
        schema: digest of the schema its features are written in.
        label: what is predicted; `positive` is the value whose probability is given.
        features: names of the features, in the study's order.
        architecture: shape of the network.
        weights: shape `(d,)`, int64, in units of 2^-16.
        holder: whose own network it is; empty for the one that all share.
    """

    kind: Kind
    study: str
    schema: str
    label: str
    positive: str
    features: tuple[str, ...]
    architecture: Architecture
    weights: npt.NDArray[np.int64]
    holder: str = ""

    @classmethod
    def of(
        cls, context: StudyContext, shape: NetworkDesign, weights: npt.NDArray[np.int64], *, holder: str = ""
    ) -> NeuralModel:
        """Put a study's network and its weights together."""
        from ringfence.privacy.agreements.study import positive_category

        return cls(
            kind=shape.kind,
            study=context.study.digest(),
            schema=context.schema.digest(),
            label=context.study.label or "",
            positive=positive_category(context.study, context.schema),
            features=context.features,
            architecture=shape.architecture,
            weights=weights,
            holder=holder,
        )

    def scores(self, context: StudyContext, features: FeatureMatrix) -> npt.NDArray[np.int64]:
        """Log odds of customers in units of 2^-16, shape `(n,)`."""
        return log_odds(design(self.kind, context), self.weights, features)

    def predict(self, context: StudyContext, features: FeatureMatrix) -> pd.DataFrame:
        """Probability of each customer, column `probability`, in the rows' order."""
        scores = self.scores(context, features) / 2**WEIGHT_BITS
        return pd.DataFrame({"probability": 1.0 / (1.0 + np.exp(-scores))})

    def to_safetensors(self) -> bytes:
        """The model as one safetensors file: int32 weights by name, everything else in its metadata."""
        named = {name: array.astype(np.int32) for name, array in self.architecture.split(self.weights)}
        return write_tensors(self._described(), named)

    def files(self) -> tuple[ResultFile, ...]:
        """The network as people get it."""
        return (ResultFile(name=NETWORK_FILE, kind="safetensors", content=self.to_safetensors()),)

    @classmethod
    def from_safetensors(cls, data: bytes) -> NeuralModel:
        """Read what `to_safetensors` wrote; there is no code in such a file.

        Raises:
            StudyError: it is no model of this version.
        """
        described, tensors = read_safetensors(data, FORMAT)
        try:
            lists = {
                name: tuple(value)
                for name, value in described["architecture"].items()
                if isinstance(value, list)
            }
            shape = Architecture(**{**described["architecture"], **lists})
            if {name: array.shape for name, array in tensors.items()} != dict(shape.shapes):
                raise ValueError
            weights = np.concatenate([tensors[name].ravel() for name in shape.shapes]).astype(np.int64)
            texts = {name: str(described[name]) for name in ("study", "schema", "label", "positive")}
            kind = KINDS[described["kind"]]
            features, holder = tuple(described["features"]), str(described.get("holder", ""))
            return cls(
                kind=kind, features=features, architecture=shape, weights=weights, holder=holder, **texts
            )
        except (KeyError, TypeError, ValueError):
            raise unreadable() from None

    def _described(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "kind": self.kind,
            "study": self.study,
            "schema": self.schema,
            "label": self.label,
            "positive": self.positive,
            "features": list(self.features),
            "architecture": asdict(self.architecture),
            "weight_unit": "2^-16",
            **({"holder": self.holder} if self.holder else {}),
        }

    def to_dict(self) -> dict[str, Any]:
        """What the model is, without its weights: strings, integers, lists and objects."""
        return {**self._described(), "weights": self.digest()}

    def digest(self) -> str:
        """`sha256:` and the SHA-256 of a header in canonical JSON and the weights as little-endian int64."""
        header = json.dumps(self._described(), sort_keys=True, separators=(",", ":")).encode()
        state = hashlib.sha256(len(header).to_bytes(8, "big") + header)
        state.update(np.ascontiguousarray(self.weights, dtype="<i8").tobytes())
        return "sha256:" + state.hexdigest()


def read_safetensors(data: bytes, form: str) -> tuple[dict[str, Any], Mapping[str, npt.NDArray[Any]]]:
    """Metadata and tensors of a file of ours.

    Raises:
        StudyError: it is no safetensors file, or one of another form or version.
    """
    try:
        described, tensors = read_tensors(data)
    except ValueError:
        raise unreadable() from None
    found = described["format"]
    if found != form:
        raise StudyError(
            "RF-S255",
            N_(
                "The file is of the form {found}; this version reads {expected}. Use the version that wrote "
                "it, or begin anew."
            ),
            found=found[:60],
            expected=form,
        )
    return described, tensors


def unreadable() -> StudyError:
    """The refusal of a file that is none of ours."""
    return StudyError(
        "RF-S256", N_("The file is no network of a study; it may be cut short or of another kind.")
    )
