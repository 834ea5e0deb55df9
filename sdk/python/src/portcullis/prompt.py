"""Questions to the person who runs the plugin.

`id` names a question, so that it can be answered beforehand (`--answer ID=VALUE`). Where nobody answers, the default
is the answer; without one it is `NoAnswer`.
"""

from collections.abc import Sequence

from portcullis import _host
from portcullis.errors import Invalid, asking

__all__ = ["choose", "choose_some", "confirm", "text"]

prompt = _host.interface("prompt")


def text(id: str, message: str, default: str | None = None) -> str:
    """Asks for a line of text."""
    with asking(f"ask `{id}`"):
        return str(prompt.text(id, message, default))


def confirm(id: str, message: str, default: bool = False) -> bool:
    """Asks for yes or no."""
    with asking(f"ask `{id}`"):
        return bool(prompt.confirm(id, message, default))


def choose(id: str, message: str, options: Sequence[str], default: str | None = None) -> str:
    """Asks for one of the options."""
    place = None if default is None else _place(id, options, default)
    with asking(f"ask `{id}`"):
        return options[int(prompt.choose(id, message, list(options), place))]


def choose_some(id: str, message: str, options: Sequence[str], defaults: Sequence[str] = ()) -> list[str]:
    """Asks for some of the options; they are in the order in which they were chosen."""
    places = [_place(id, options, default) for default in defaults]
    with asking(f"ask `{id}`"):
        return [options[int(place)] for place in prompt.choose_some(id, message, list(options), places)]


def _place(id: str, options: Sequence[str], default: str) -> int:
    if default not in options:
        raise Invalid(f"cannot ask `{id}`: the default `{default}` is none of the options")
    return options.index(default)
