"""What the host answers instead of what was asked for.

Each kind is a class of its own, and a subclass of what Python raises in the same case: a file that is missing is a
`NotFound` and a `FileNotFoundError`.
"""

from enum import Enum
from typing import Any, ClassVar

from portcullis._host import Err


class Failure(Exception):
    """The plugin could not do its work: raised out of it, its text is the plugin's error."""


class Error(Exception):
    """The host refused, or could not do, what was asked. The text says what that was.

    Raised out of the plugin it is the plugin's error, as `Failure` is.
    """

    kind: ClassVar[str] = "error"


class Denied(Error, PermissionError):
    """It was not granted."""

    kind = "denied"


class NotFound(Error, FileNotFoundError):
    """The program or file was granted and is not there."""

    kind = "not-found"


class TimedOut(Error, TimeoutError):
    """Its time was over."""

    kind = "timed-out"


class Exists(Error, FileExistsError):
    """It is there already."""

    kind = "exists"


class NotEmpty(Error, OSError):
    """The directory has something in it."""

    kind = "not-empty"


class NotAFile(Error, OSError):
    """It is no regular file."""

    kind = "not-a-file"


class NotADirectory(Error, NotADirectoryError):
    """It is no directory."""

    kind = "not-a-directory"


class TooLarge(Error, OSError):
    """It is larger than policy allows at once."""

    kind = "too-large"


class Full(Error, OSError):
    """There is no room for more keys or bytes."""

    kind = "full"


class LimitReached(Error):
    """A limit of the plugin is reached: of calls within a minute, of commands at once, of what they write or need."""

    kind = "limit"


class Invalid(Error, ValueError):
    """The host can make no sense of it."""

    kind = "invalid"


class NoAnswer(Error, EOFError):
    """Nobody answered, and there is no default."""

    kind = "nobody"


class HostError(Error, OSError):
    """The host or the system could not do it."""

    kind = "io"


_CLASSES: dict[str, type[Error]] = {
    each.kind: each
    for each in (
        Denied,
        NotFound,
        TimedOut,
        Exists,
        NotEmpty,
        NotAFile,
        NotADirectory,
        TooLarge,
        Full,
        LimitReached,
        Invalid,
        NoAnswer,
        HostError,
    )
}

_REASONS = {
    "denied": "denied: the operator's policy does not allow it",
    "not-found": "not found",
    "timed-out": "timed out",
    "exists": "already exists",
    "not-empty": "directory not empty",
    "not-a-file": "not a regular file",
    "not-a-directory": "not a directory",
    "too-large": "too large",
    "full": "no room left",
    "limit": "a limit of the plugin is reached",
    "children": "as many commands are running as may run at once",
    "rate": "too many commands were started within a minute",
    "total-output": "the plugin's commands have written all they may",
    "invalid": "invalid request",
    "nobody": "nobody answered, and there is no default",
    "io": "the host could not do it",
}


def _word(value: Any) -> str:
    """How the WIT spells a case: `NOT_FOUND` and `Error_NotFound` are `not-found`."""
    if isinstance(value, Enum):
        return value.name.lower().replace("_", "-")
    name = type(value).__name__.partition("_")[2]
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def refused(asked: str, value: Any) -> Error:
    """The error for what an interface of the host raised when it was asked to do something."""
    kind = _word(value)
    # Which limit, where the interface says it.
    detail = _word(value.value) if kind == "limit" and not isinstance(value, Enum) else kind
    return _CLASSES.get(kind, Error)(f"cannot {asked}: {_REASONS.get(detail, detail)}")


class asking:
    """`with asking("read `x`"):` raises whatever the host refuses as an error that says so.

    No generator with `contextlib`, which writes to the exception it passes on: an `Err` is frozen.
    """

    def __init__(self, asked: str) -> None:
        self._asked = asked

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Err):
            raise refused(self._asked, error.value) from None
