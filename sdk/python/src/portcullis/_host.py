"""Where the host is: the only module that knows whether it runs in a component.

There, an interface of the host is a module that `componentize-py` makes of the plugin's world. Anywhere else it is
one of `portcullis.testing`, which has the same names and answers by a script.
"""

import importlib
import sys
from typing import Any

IS_COMPONENT = sys.platform == "wasi"

if IS_COMPONENT:
    from componentize_py_types import Err  # type: ignore[import-not-found, unused-ignore]
else:
    from portcullis.testing._wit import Err

__all__ = ["IS_COMPONENT", "Err", "has", "interface", "missing"]

_CAPABILITIES = {"command": "exec"}


def interface(name: str) -> Any:
    """The interface `portcullis:cli/NAME`, or one of `wasi:io` that it uses."""
    if not IS_COMPONENT:
        return getattr(importlib.import_module("portcullis.testing._wit"), name)
    try:
        return importlib.import_module(f"wit_world.imports.{name}")
    except ModuleNotFoundError:
        raise missing(name) from None


def has(name: str) -> bool:
    """Whether the plugin's world has an interface."""
    try:
        interface(name)
    except ImportError:
        return False
    return True


def missing(name: str) -> ImportError:
    """What to say of an interface that the plugin's world does not have."""
    capability = _CAPABILITIES.get(name, name)
    return ImportError(
        f'this plugin was built without the interface `{name}`: it needs `[[asks]]` with `capability = "{capability}"` '
        "in plugin.toml"
    )
