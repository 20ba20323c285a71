"""Time zones as documents name them, of the IANA database of this machine."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from ringfence.privacy.errors import N_
from ringfence.privacy.toml.faults import refuse


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        refuse(
            "RF-C174",
            N_("Not a time zone that this machine knows; for example: Asia/Shanghai, Europe/Berlin, UTC."),
        )
    return name


TimeZone: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,63}$"), AfterValidator(_zone)]
