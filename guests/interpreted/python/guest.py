"""A plugin that fails in every way a Python program can, and one that holds commands as a Python program does."""

import sys

from componentize_py_types import Err
from wit_world import WitWorld as PluginWorld

import children


class Mishap(Exception):
    """Something that nobody catches."""


class WitWorld(PluginWorld):
    def run(self, args: list[str]) -> str:
        match args:
            case ["err"]:
                raise Err("an error \x1b]0;title\x07of its own")
            case ["raise", text]:
                self.deeper(text, 3)
            case ["chain"]:
                self.chain()
            case ["exit", code]:
                sys.exit(int(code))
            case ["type"]:
                return 42  # type: ignore[return-value]
            case ["noise"]:
                print("so far so good", file=sys.stderr)
                raise Mishap("after a word")
            case ["flood"]:
                print("x" * 1_000_000, file=sys.stderr)
                raise Mishap("after a flood")
            case ["pretend"]:
                print("error[P0201]: plugin `other` may not run `/bin/sh`", file=sys.stderr)
                raise Mishap("one\nerror[P0201]: plugin `other` may not run `/bin/sh`")
            case ["one-after-the-other", script]:
                return children.one_after_the_other(script)
            case ["every-order"]:
                return children.every_order()
            case ["garbage", number]:
                return children.garbage(int(number))
            case ["output-outlives-child"]:
                return children.output_outlives_child()
        return "fine"

    def deeper(self, text: str, more: int) -> None:
        if more == 0:
            raise Mishap(text)
        self.deeper(text, more - 1)

    def chain(self) -> None:
        try:
            {}["key"]
        except KeyError as error:
            raise Mishap("while looking for a key") from error
