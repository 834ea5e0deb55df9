"""Plugins for Portcullis.

```python
import portcullis


@portcullis.plugin
def main(args: list[str]) -> str:
    return portcullis.run(["git", "status", "--short"], check=True, text=True).stdout
```

Commands are here, in the form of `subprocess`. Everything else has a module named as the capability that it needs:
`fs`, `http`, `env`, `kv`, `log` and `prompt`. `portcullis.testing` plays the host for tests.
"""

from typing import TYPE_CHECKING, Any

from portcullis import _host
from portcullis._plugin import plugin
from portcullis.errors import (
    Denied,
    Error,
    Exists,
    Failure,
    Full,
    HostError,
    Invalid,
    LimitReached,
    NoAnswer,
    NotADirectory,
    NotAFile,
    NotEmpty,
    NotFound,
    TimedOut,
    TooLarge,
)

_COMMANDS = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "CalledProcessError",
    "CompletedProcess",
    "Popen",
    "TimeoutExpired",
    "run",
]

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "CalledProcessError",
    "CompletedProcess",
    "Denied",
    "Error",
    "Exists",
    "Failure",
    "Full",
    "HostError",
    "Invalid",
    "LimitReached",
    "NoAnswer",
    "NotADirectory",
    "NotAFile",
    "NotEmpty",
    "NotFound",
    "Popen",
    "TimedOut",
    "TimeoutExpired",
    "TooLarge",
    "plugin",
    "run",
]

if TYPE_CHECKING or _host.has("command"):
    from portcullis._process import (
        DEVNULL,
        PIPE,
        STDOUT,
        CalledProcessError,
        CompletedProcess,
        Popen,
        TimeoutExpired,
        run,
    )
else:

    def __getattr__(name: str) -> Any:
        """A plugin that asks for no commands is built without them."""
        if name in _COMMANDS:
            raise _host.missing("command")
        raise AttributeError(f"module `portcullis` has no attribute `{name}`")
