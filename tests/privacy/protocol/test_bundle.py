"""Every party computes the same bundle, byte for byte, on every machine and Python."""

from __future__ import annotations

import io
import zipfile

from ringfence.privacy.protocol.bundle import PROTOCOL, SPOKEN, bundle, bundle_hash, version_of


def test_the_hash_is_the_agreed_one() -> None:
    """A changed hash is another protocol version to every holder: change `PROTOCOL` with it."""
    assert bundle_hash(4) == "2ff3fc2424e74eeba342b817aa88403df14eeda612831518da6b594712e6be80"


def test_it_holds_a_description_and_no_code() -> None:
    with zipfile.ZipFile(io.BytesIO(bundle())) as archive:
        assert archive.namelist() == ["pyproject.toml"]
        text = archive.read("pyproject.toml").decode()
    assert f'version = "{PROTOCOL}.0.0"' in text


def test_only_spoken_versions_are_known() -> None:
    assert [version_of(bundle_hash(version)) for version in SPOKEN] == list(SPOKEN)
    for other in (bundle_hash(1), bundle_hash(2), bundle_hash(3), bundle_hash(99), "", "0" * 64):
        assert version_of(other) is None
