"""Names of Flower that are not its public interface, looked for before anything is started with them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import reduce
from importlib import import_module
from importlib.metadata import version

from ringfence.privacy.errors import N_, WaistError


def require_names(names: Mapping[str, str]) -> None:
    """Refuse to start where a name is gone, or takes other arguments than those that were tried.

    Args:
        names: `module:name`, and the arguments of the function or the fields of the message.

    Raises:
        WaistError: RF-W371.
    """
    for name, expected in names.items():
        module, _, inner = name.partition(":")
        try:
            found: object = reduce(getattr, inner.split("."), import_module(module))
            descriptor = getattr(found, "DESCRIPTOR", None)
            if descriptor is None:
                shape = " ".join(inspect.signature(found).parameters)  # type: ignore[arg-type]
            else:
                shape = " ".join(field.name for field in descriptor.fields)
        except (ImportError, AttributeError, TypeError, ValueError):
            shape = None
        if shape != expected:
            raise WaistError(
                "RF-W371",
                N_(
                    "Flower {version} does not have {name} as this version of Ringfence uses it, so nothing "
                    "is started. Install a version that was tried: pip install 'flwr>=1.41,<1.43'"
                ),
                version=version("flwr"),
                name=name,
            )
