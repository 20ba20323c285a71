"""The methods that benchmarks compare with, asked for first so that no run ends in the middle."""

from __future__ import annotations

from importlib.util import find_spec

from ringfence.privacy.errors import N_, UsageError

# What `ringfence[bench]` brings, Ringfence's own packages included, by the name under which it is imported.
PACKAGES = {
    "altair": "altair",
    "flwr": "flwr",
    "interpret": "interpret-core",
    "opacus": "opacus",
    "opendp": "opendp",
    "sklearn": "scikit-learn",
    "vl_convert": "vl-convert-python",
}


def require(*modules: str) -> None:
    """Find out whether peers are installed; none is imported.

    Args:
        modules: names of `PACKAGES`.

    Raises:
        UsageError: RF-U370 one is not.
    """
    absent = [PACKAGES[module] for module in modules if find_spec(module) is None]
    if absent:
        raise UsageError(
            "RF-U370",
            N_(
                "This benchmark compares with packages that are not installed: {packages}. They come with "
                "ringfence[bench]: pip install 'ringfence[bench]'."
            ),
            packages=", ".join(absent),
        )
