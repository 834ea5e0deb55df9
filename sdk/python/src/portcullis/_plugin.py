"""What makes a plugin of a function."""

from collections.abc import Callable
from typing import Any, TypeVar

from portcullis._host import IS_COMPONENT, Err
from portcullis.errors import Error, Failure

Main = TypeVar("Main", bound=Callable[[list[str]], str | None])


def plugin(main: Main) -> Main:
    """Makes a function of the plugin's arguments its work: what it returns is what `portcullis run` prints.

    `Failure`, and an `Error` that nobody caught, is the plugin's error, with exit code 1. Any other exception is a
    crash with its traceback. The function itself stays what it is, to be called by tests.
    """
    if IS_COMPONENT:
        # The name that `componentize-py` looks for in the plugin's module.
        main.__globals__["WitWorld"] = _world(main)
    return main


def _world(main: Callable[[list[str]], str | None]) -> type:
    from wit_world import WitWorld as World  # type: ignore[import-not-found, unused-ignore]

    class WitWorld(World):  # type: ignore[misc, unused-ignore]
        def run(self, args: list[str]) -> str:
            try:
                answer: Any = main(args)
            except (Failure, Error) as failure:
                raise Err(str(failure)) from failure
            if not isinstance(answer, str | None):
                raise TypeError(f"a plugin returns text, and this one returned {answer!r}")
            return answer or ""

    return WitWorld
