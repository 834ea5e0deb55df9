"""The interfaces of the host under the names that `componentize-py` gives them, answered by the `Host` of the test.

It has what the SDK uses and nothing else; `wit/cli-0.1.0` says what it means.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

#: The hosts of the `with` blocks that the test is in.
hosts: list[Any] = []


@dataclass(frozen=True)
class Err(Exception):
    """What a function of an interface raises for the error of its result."""

    value: Any


@dataclass(frozen=True)
class Ok:
    value: Any


def _ask(function: str) -> Callable[..., Any]:
    def ask(*args: Any) -> Any:
        if not hosts:
            raise RuntimeError("there is no host here: `with portcullis.testing.Host() as host:` plays one")
        return getattr(hosts[-1], function)(*args)

    return staticmethod(ask)


def _enum(name: str, *cases: str) -> Any:
    return Enum(name, list(cases), start=0)


def _variant(name: str) -> Any:
    """A case without a value."""
    return dataclass(type(name, (), {}))


def _variant_of(name: str) -> Any:
    return dataclass(type(name, (), {"__annotations__": {"value": Any}}))


class command:
    @dataclass
    class Request:
        program: str
        args: list[str]
        cwd: str | None
        env: list[tuple[str, str]]
        inherit_env: bool
        timeout: int | None

    Limit = _enum("Limit", "CHILDREN", "RATE", "TOTAL_OUTPUT")
    Error_Denied = _variant("Error_Denied")
    Error_NotFound = _variant("Error_NotFound")
    Error_TimedOut = _variant("Error_TimedOut")
    Error_Limit = _variant_of("Error_Limit")
    Error_Invalid = _variant("Error_Invalid")
    Error_Io = _variant("Error_Io")

    Reason = _enum("Reason", "ASKED", "OUTPUT", "TOTAL_OUTPUT", "MEMORY")
    Exit_Exited = _variant_of("Exit_Exited")
    Exit_Signalled = _variant_of("Exit_Signalled")
    Exit_TimedOut = _variant("Exit_TimedOut")
    Exit_Killed = _variant_of("Exit_Killed")

    @dataclass
    class Output:
        exit: Any
        stdout: bytes
        stderr: bytes
        stdout_truncated: bool
        stderr_truncated: bool
        duration: int

    Input = _enum("Input", "NULL", "PIPE")
    Sink = _enum("Sink", "NULL", "PIPE", "INHERIT")
    ErrorSink = _enum("ErrorSink", "NULL", "PIPE", "MERGED", "INHERIT")

    @dataclass
    class Stdio:
        stdin: Any
        stdout: Any
        stderr: Any

    @dataclass
    class Outcome:
        exit: Any
        stdout_truncated: bool
        stderr_truncated: bool
        duration: int

    run = _ask("_run")
    spawn = _ask("_spawn")


class streams:
    StreamError_Closed = _variant("StreamError_Closed")
    StreamError_LastOperationFailed = _variant_of("StreamError_LastOperationFailed")


class poll:
    poll = _ask("_poll")


class fs:
    Error = _enum(
        "Error",
        "DENIED",
        "NOT_FOUND",
        "EXISTS",
        "NOT_EMPTY",
        "NOT_A_FILE",
        "NOT_A_DIRECTORY",
        "TOO_LARGE",
        "LIMIT",
        "INVALID",
        "IO",
    )
    Kind = _enum("Kind", "FILE", "DIRECTORY", "LINK", "OTHER")

    @dataclass
    class Entry:
        name: str
        kind: Any

    @dataclass
    class Metadata:
        kind: Any
        size: int
        modified: int

    read = _ask("_fs_read")
    write = _ask("_fs_write")
    entries = _ask("_fs_entries")
    stat = _ask("_fs_stat")
    make_directory = _ask("_fs_make_directory")
    remove = _ask("_fs_remove")
    rename = _ask("_fs_rename")


class http:
    Error = _enum("Error", "DENIED", "INVALID", "TOO_LARGE", "LIMIT", "TIMED_OUT", "IO")

    @dataclass
    class Request:
        method: str
        url: str
        headers: list[tuple[str, str]]
        body: bytes

    @dataclass
    class Response:
        status: int
        headers: list[tuple[str, str]]
        body: bytes
        truncated: bool

    send = _ask("_http_send")


class env:
    Error = _enum("Error", "LIMIT", "IO")
    get = _ask("_env_get")


class kv:
    Error = _enum("Error", "DENIED", "TOO_LARGE", "FULL", "LIMIT", "IO")

    @dataclass
    class Page:
        keys: "list[str]"
        more: bool

    get = _ask("_kv_get")
    set = _ask("_kv_set")
    delete = _ask("_kv_delete")
    list = _ask("_kv_list")
    compare_and_swap = _ask("_kv_compare_and_swap")


class log:
    Level = _enum("Level", "ERROR", "WARN", "INFO", "DEBUG", "TRACE")
    write = _ask("_log_write")


class prompt:
    Error = _enum("Error", "NOBODY", "INVALID", "LIMIT", "IO")
    text = _ask("_prompt_text")
    confirm = _ask("_prompt_confirm")
    choose = _ask("_prompt_choose")
    choose_some = _ask("_prompt_choose_some")
