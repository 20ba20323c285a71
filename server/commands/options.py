"""How the coordinator's sub-commands name its home."""

from __future__ import annotations

from functools import partial

from ringfence.privacy.command_line import commands
from ringfence.privacy.errors import N_

leaf = partial(
    commands.leaf,
    settings="server.toml",
    config=N_("the coordinator's server.toml, or its folder (default: server.toml here)"),
)
