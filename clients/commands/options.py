"""How the holder's sub-commands name its home."""

from __future__ import annotations

from functools import partial

from ringfence.privacy.command_line import commands
from ringfence.privacy.errors import N_

leaf = partial(
    commands.leaf,
    settings="client.toml",
    config=N_("the holder's client.toml, or its folder (default: client.toml here)"),
)
