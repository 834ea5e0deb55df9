"""A plugin that fails in every way a Python program can."""

import os
import sys

from componentize_py_types import Err
from wit_world import WitWorld as PluginWorld


class Mishap(Exception):
    """Something that nobody catches."""


class WitWorld(PluginWorld):
    def env_overlay(self) -> list[tuple[str, str]]:
        # Called by the host before anything else, and not of a type that could carry an error.
        if "FAIL_IN_OVERLAY" in os.environ:
            raise Mishap("no overlay today")
        return []

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
