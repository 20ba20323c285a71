"""Artefacts of every kind, small, with a string planted in each place in which one may hide."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save

from ringfence.privacy.release import Artefact, Cleared, ColumnRule, ExportPolicy, ReleaseRefused, examine

PLAIN = (
    ColumnRule(name="feature", sensitivity="plain"),
    ColumnRule(name="points", sensitivity="plain"),
    ColumnRule(name="phone 13800138001", sensitivity="plain"),
)
TABLE = pd.DataFrame({"feature": ["tenure", "contract"], "points": [12, -7]})


def svg(inside: str) -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">{inside}</svg>'.encode()


def html(inside: str, head: str = "<title>Report</title>") -> bytes:
    top = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{head}</head>'
    return f"{top}<body>{inside}</body></html>".encode()


def npz(**arrays: Any) -> bytes:
    sink = io.BytesIO()
    np.savez(sink, **arrays)
    return sink.getvalue()


def parquet(frame: pd.DataFrame, metadata: Mapping[str, str] | None = None) -> bytes:
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=False)
    return parquet_of(table.replace_schema_metadata(metadata) if metadata else table)


def parquet_of(table: Any) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def artefact(kind: Any, content: Any, **more: Any) -> Artefact:
    suffix = {"text": "txt", "markdown": "md"}.get(kind, kind)
    name = more.pop("name", f"report.{suffix}")
    return Artefact(name=name, kind=kind, content=content, columns=more.pop("columns", PLAIN), **more)


def codes(answer: Cleared | ReleaseRefused) -> set[str]:
    return {reason.code for reason in answer.reasons} if isinstance(answer, ReleaseRefused) else set()


def found(made: Artefact, policy: ExportPolicy | None = None) -> set[str]:
    """Codes that an artefact is refused with; empty for one that may leave."""
    return codes(examine(made, policy or ExportPolicy()))


def carriers(leak: str) -> dict[str, Artefact]:
    """One artefact a place in which a string may hide."""
    table = TABLE.assign(feature=["tenure", leak])
    return {
        "csv frame": artefact("csv", table),
        "csv bytes": artefact("csv", table.to_csv(index=False).encode()),
        "parquet": artefact("parquet", table),
        "json value": artefact("json", json.dumps({"a": [{"b": leak}]}).encode(), columns=()),
        "json key": artefact("json", json.dumps({"a": {leak: 1}}, ensure_ascii=False).encode(), columns=()),
        "toml": artefact("toml", f"a = 1\nb = {json.dumps(leak)}\n".encode()),
        "text": artefact("text", f"Notes.\n{leak}\n".encode()),
        "markdown": artefact("markdown", f"# Notes\n\n| a | b |\n|---|---|\n| {leak} | 2 |\n".encode()),
        "npz text": artefact("npz", npz(names=np.array(["x", leak]))),
        "safetensors metadata": artefact("safetensors", save({"w": np.ones(2, np.float32)}, {"note": leak})),
    }


def markup_carriers(leak: str) -> dict[str, Artefact]:
    """Places in reports and pictures."""
    return {
        "html text": artefact("html", html(f"<p>{leak}</p>")),
        "html cell": artefact("html", html(f"<table><tr><td>a</td><td>{leak}</td></tr></table>")),
        "html attribute": artefact("html", html(f"<p title='{leak}'>x</p>")),
        "html comment": artefact("html", html(f"<!-- {leak} -->")),
        "svg text": artefact("svg", svg(f"<text>{leak}</text>")),
        "column name": artefact(
            "csv", pd.DataFrame({leak: ["x"]}), columns=(ColumnRule(name=leak, sensitivity="plain"),)
        ),
        "tensor name": artefact("safetensors", save({leak: np.ones(1, np.float32)})),
        "safetensors JSON": artefact(
            "safetensors", save({"w": np.ones(1, np.float32)}, {"r": json.dumps({"features": [leak]})})
        ),
    }
