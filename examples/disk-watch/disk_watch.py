"""A plugin that reports how full file systems are, and fails when one is above its threshold.

It runs `df` once for each directory, always with the same arguments before it, so that a policy can list them word for
word.
"""

from componentize_py_types import Err
from wit_world import WitWorld as PluginWorld
from wit_world.imports import process

import report
from df import FileSystem, UnexpectedOutput, parse

USAGE = "usage: disk-watch [--above PERCENT] [DIRECTORY[=PERCENT]]..."
DEFAULT_THRESHOLD = 80
# Sizes in KiB, one line for each file system; what follows `--` is no option, whatever it is called.
DF = ["-P", "-k", "--"]


class WitWorld(PluginWorld):
    def run(self, args: list[str]) -> str:
        """Reports on the directories in `args`, or on the project directory."""
        watched = parse_arguments(args)
        entries, failures = [], []
        for directory, threshold in watched:
            try:
                entries.append(report.Entry(directory, threshold, ask_df(directory)))
            except DfFailed as error:
                failures.append(str(error))
        text = report.render(entries)
        if failures or any(entry.is_above for entry in entries):
            # The error of `run`: the host prints it to standard error and exits with code 1.
            raise Err("\n".join([text, *failures] if text else failures))
        return text


class DfFailed(Exception):
    """What `df` could not say of one directory, and why."""


def ask_df(directory: str) -> FileSystem:
    request = process.ExecRequest(
        program="df", args=[*DF, directory], cwd=None, env=[], inherit_env=False, stdin=None
    )
    try:
        result = process.exec(request)
    except Err as refusal:
        # The host did not run it; which rule said so is for the operator to know, not for a plugin.
        raise DfFailed(f"cannot ask df about `{directory}`: {refusal.value}") from refusal
    if result.status != 0:
        complaint = result.stderr.decode(errors="replace").strip() or "it said nothing"
        raise DfFailed(f"df failed for `{directory}` with status {result.status}: {complaint}")
    try:
        return parse(result.stdout.decode(errors="replace"))
    except UnexpectedOutput as error:
        raise DfFailed(f"cannot read what df says of `{directory}`: {error}") from error


def parse_arguments(args: list[str]) -> list[tuple[str, int]]:
    """Returns each directory with its threshold in percent."""
    threshold, directories = DEFAULT_THRESHOLD, []
    rest = iter(args)
    for argument in rest:
        if argument == "--above":
            threshold = percent(next(rest, ""))
        elif argument.startswith("-"):
            raise Err(USAGE)
        else:
            directories.append(argument)
    return [with_threshold(directory, threshold) for directory in directories or ["."]]


def with_threshold(argument: str, default: int) -> tuple[str, int]:
    directory, equals, number = argument.rpartition("=")
    # A directory may have `=` in its name.
    if equals and directory and number.isascii() and number.isdigit():
        return directory, percent(number)
    return argument, default


def percent(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 100:
        return int(text)
    raise Err(f"`{text}` is no percentage between 0 and 100; {USAGE}")
