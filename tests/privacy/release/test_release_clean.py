"""Clean artefacts leave as they are; figures, dates and pictures are not taken for people."""

from __future__ import annotations

import base64
import json
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from kits.artefact_kit import PLAIN, artefact, codes, html, npz, parquet, svg
from safetensors.numpy import save

from ringfence.privacy.release import Artefact, Cleared, ColumnRule, ExportPolicy, ReleaseRefused, examine

POLICY = ExportPolicy()
MAIL = "wang.fang@example.cn"


def png(text: bytes = b"") -> str:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    parts = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        chunk(b"IDAT", zlib.compress(b"\0\0")),
    ]
    if text:
        parts.append(chunk(b"tEXt", text))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")).decode()


GENERATOR = np.random.default_rng(7)
SCORECARD = pd.DataFrame(
    {
        "feature": ["tenure", "monthly_charges", "contract", "合同类型"] * 25,
        "points": np.round(GENERATOR.normal(500, 100, 100), 6),
    }
)
METRICS = {
    "auc": 0.8431928374650192,
    "pr_auc": 0.65,
    "epsilon": "2.0",
    "delta": "1e-06",
    "holders": 4,
    "rows": 7043,
    "seconds": 12.25,
    "peak_rss_mb": 412,
    "metrics": "exact (simulation only)",
    "study": "sha256:" + "9f86d081884c7d65" * 4,
    "started": "2026-11-22T10:11:12Z",
    "unix": 1767225600,
    "curve": GENERATOR.random(200).tolist(),
    "bins": [{"low": 0.0, "high": 12.5, "points": 41}, {"low": 12.5, "high": 1e6, "points": -3}],
    "purpose": {"iri": "https://w3id.org/dpv#CustomerManagement", "标题": "客户流失预测"},
}
CLEAN: list[Artefact] = [
    artefact("csv", SCORECARD),
    artefact("csv", SCORECARD.to_csv(index=False).encode()),
    artefact("parquet", SCORECARD),
    artefact("parquet", parquet(SCORECARD)),
    artefact("json", json.dumps(METRICS, ensure_ascii=False).encode(), columns=()),
    artefact("json", SCORECARD, columns=PLAIN),
    artefact(
        "toml", 'id = "telco"\nversion = 3\nsigned = 2026-11-22T10:00:00Z\nnote = """两\n行"""\n'.encode()
    ),
    artefact(
        "text",
        "Released on 2026-11-22.\nAUC 0.84 over 41,188 customers.\n发布说明：模型通过审核。\n".encode(),
    ),
    artefact(
        "markdown",
        b"# Model card\n\n- intended use: churn\n- points: 12, -7, 512\n\n```\nepsilon = 2.0\n```\n",
    ),
    artefact(
        "safetensors", save({"w": GENERATOR.normal(size=(64, 64)).astype(np.float32)}, {"format": "np"})
    ),
    artefact("npz", npz(edges=np.linspace(0, 1e6, 50), names=np.array(["tenure", "合同"]))),
    artefact(
        "svg",
        svg(
            '<style>.a{fill:#123456}</style><g class="a"><path d="M13 80 01 38 00 0L1,1"/><text '
            'x="1.5">0.843</text></g>'
        ),
    ),
    artefact(
        "html",
        html(
            '<h1>Churn</h1><table><tr><th scope="col">AUC</th><td>0.84</td><td>0.81</td></tr></table><img '
            f'alt="ROC" src="data:image/png;base64,{png()}">'
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 480"><use href="#dot"/><text>客户数 '
            "41,188</text></svg><p>发布于2026年11月22日</p>",
            head="<title>流失报告</title><style>td{padding:2px}a::before{content:''}</style>",
        ),
    ),
]


@pytest.mark.parametrize("made", CLEAN, ids=[f"{i} {a.kind}" for i, a in enumerate(CLEAN)])
def test_a_clean_artefact_leaves(made: Artefact) -> None:
    answer = examine(made, POLICY)
    assert isinstance(answer, Cleared), answer
    if isinstance(made.content, bytes) and made.kind not in ("parquet", "npz"):
        assert answer.content == made.content


def test_random_figures_are_not_blocked() -> None:
    """200 tables of probabilities, points, counts, dates and codes: none is refused."""
    generator = np.random.default_rng(11)
    rules = tuple(
        ColumnRule(name=n, sensitivity="plain") for n in ("p", "points", "money", "day", "stamp", "code")
    )
    blocked = 0
    for _ in range(100):
        frame = pd.DataFrame(
            {
                "p": generator.random(20),
                "points": generator.integers(-1000, 1000, 20),
                "money": np.round(generator.lognormal(12, 2, 20), 2),
                "day": pd.Timestamp("2020-01-01")
                + pd.to_timedelta(generator.integers(0, 2000, 20), unit="D"),
                "stamp": generator.integers(1_500_000_000, 1_800_000_000, 20),
                "code": [f"SKU-{n:08d}" for n in generator.integers(0, 10**8, 20)],
            }
        )
        for made in (artefact("csv", frame, columns=rules), artefact("json", frame, columns=rules)):
            blocked += isinstance(examine(made, ExportPolicy()), ReleaseRefused)
    assert blocked == 0


def test_pictures_with_text_in_them_are_refused() -> None:
    for text, expected in ((b"", set()), (b"Author\x00someone", {"RF-X021"})):
        page = html(f'<img alt="ROC" src="data:image/png;base64,{png(text)}">')
        assert codes(examine(artefact("html", page), POLICY)) == expected
    trailing = base64.b64encode(base64.b64decode(png()) + MAIL.encode()).decode()
    assert codes(
        examine(artefact("html", html(f'<img src="data:image/png;base64,{trailing}">')), POLICY)
    ) == {"RF-X021"}
