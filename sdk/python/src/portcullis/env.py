"""The environment that Portcullis was started with, as far as it was granted."""

from typing import overload

from portcullis import _host
from portcullis.errors import asking

__all__ = ["get"]

env = _host.interface("env")


@overload
def get(name: str) -> str | None: ...


@overload
def get(name: str, default: str) -> str: ...


def get(name: str, default: str | None = None) -> str | None:
    """The value of a variable. What was not granted and what is not set look alike: the default is the answer."""
    with asking(f"ask for the variable `{name}`"):
        value: str | None = env.get(name)
    return default if value is None else value
