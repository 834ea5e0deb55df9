"""Commands, in the form of `subprocess`.

What differs is what the host does: a command is never a line for a shell, its output is always captured by `run`, and
it gets none of the plugin's environment unless `inherit_env` and the policy say so.
"""

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from subprocess import DEVNULL, PIPE, STDOUT
from types import TracebackType
from typing import IO, Any, AnyStr, Generic, Literal, Self, TypeAlias, overload

from portcullis import _host
from portcullis._streams import Reader, Writer, text_reader, text_writer
from portcullis.errors import Error, LimitReached, TimedOut, asking, refused

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "CalledProcessError",
    "CompletedProcess",
    "Popen",
    "TimeoutExpired",
    "run",
]

command = _host.interface("command")

Args: TypeAlias = Sequence[str | os.PathLike[str]]
Path: TypeAlias = str | os.PathLike[str]

_SIGKILL = 9
_WORD = re.compile("[a-z][a-z-]*")


class CompletedProcess(subprocess.CompletedProcess[AnyStr]):
    """A command that ran to its end; its `returncode` is negative for a signal."""

    def __init__(self, args: list[str], returncode: int, stdout: Any, stderr: Any, output: Any) -> None:
        super().__init__(args, returncode, stdout, stderr)
        #: Whether it wrote more than policy keeps of a stream, 10 MiB unless it says otherwise.
        self.stdout_truncated: bool = output.stdout_truncated
        self.stderr_truncated: bool = output.stderr_truncated
        #: Seconds from its start to the end of the last process that it started.
        self.duration: float = output.duration / 1e9

    def check_returncode(self) -> None:
        if self.returncode:
            raise CalledProcessError(self.returncode, self.args, self.stdout, self.stderr)


class CalledProcessError(Error, subprocess.CalledProcessError):
    """A command that was to succeed ended with another status than 0."""

    kind = "failed"

    def __str__(self) -> str:
        ended = f"status {self.returncode}" if self.returncode > 0 else f"signal {-self.returncode}"
        said = self.stderr.decode(errors="replace") if isinstance(self.stderr, bytes) else self.stderr or ""
        return f"{_shown(self.cmd)} ended with {ended}" + (f": {said.strip()}" if said.strip() else "")


class TimeoutExpired(subprocess.TimeoutExpired, TimedOut):
    """A command whose time was over, with what it wrote until then."""

    stdout: Any
    stderr: Any

    def __str__(self) -> str:
        after = f" after {self.timeout} s" if self.timeout else ""
        return f"{_shown(self.cmd)} was stopped: its time was over{after}"


@overload
def run(
    args: Args,
    *,
    input: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherit_env: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: Literal[True],
    encoding: str | None = None,
    errors: str | None = None,
) -> CompletedProcess[str]: ...


@overload
def run(
    args: Args,
    *,
    input: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherit_env: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    encoding: str,
    errors: str | None = None,
) -> CompletedProcess[str]: ...


@overload
def run(
    args: Args,
    *,
    input: bytes | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherit_env: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: Literal[False] | None = None,
    encoding: None = None,
    errors: None = None,
) -> CompletedProcess[bytes]: ...


def run(
    args: Args,
    *,
    input: str | bytes | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherit_env: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
) -> CompletedProcess[Any]:
    """Runs a command and waits for it and for every process it started; `subprocess.run` with its output captured.

    Raises `TimeoutExpired` with what it wrote until then, `CalledProcessError` if it is to be checked, `LimitReached`
    if the host killed it for what it wrote or needed, and `Denied`, `NotFound` and their like if it never ran.
    """
    argv = _argv(args)
    decode = _Decoder(encoding, errors) if text or encoding or errors else None
    stdin = input.encode(encoding or "utf-8", errors or "strict") if isinstance(input, str) else input
    request = _request(argv, cwd, env, inherit_env, timeout)
    try:
        with asking(f"run {_shown(argv)}"):
            output = command.run(request, stdin)
    except TimedOut:
        # Before it was started: to the plugin the same, with nothing written.
        raise TimeoutExpired(argv, timeout or 0, *(("", "") if decode else (b"", b""))) from None
    stdout, stderr = output.stdout, output.stderr
    _check_exit(output.exit, argv, timeout, *(map(decode.partial, (stdout, stderr)) if decode else (stdout, stderr)))
    if decode:
        stdout, stderr = decode(stdout), decode(stderr)
    process = CompletedProcess(argv, _returncode(output.exit), stdout, stderr, output)
    if check:
        process.check_returncode()
    return process


class Popen(Generic[AnyStr]):
    """A command that runs beside the plugin; `subprocess.Popen` whose outputs are pipes unless something else is said.

    `stdin` is `DEVNULL` or `PIPE`; `stdout` also `None`, the plugin's own, which policy has to allow; `stderr` also
    `STDOUT`. What is written to `stdin` is sent at once, and `for line in process.stdout` has each line as it comes.

    `timeout` is the command's own time. It is killed at its end, at the end of the `with` block if an exception
    leaves it, with its last reference, and with the plugin.
    """

    args: list[str]
    returncode: int | None
    stdin: IO[AnyStr] | None
    stdout: IO[AnyStr] | None
    stderr: IO[AnyStr] | None

    _timeout: float | None
    _decode: "_Decoder | None"
    _writer: Writer | None
    _readers: list[Reader | None]

    @overload
    def __init__(
        self: "Popen[str]",
        args: Args,
        *,
        stdin: int = DEVNULL,
        stdout: int | None = PIPE,
        stderr: int | None = PIPE,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        inherit_env: bool = False,
        timeout: float | None = None,
        text: Literal[True],
        encoding: str | None = None,
        errors: str | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self: "Popen[bytes]",
        args: Args,
        *,
        stdin: int = DEVNULL,
        stdout: int | None = PIPE,
        stderr: int | None = PIPE,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        inherit_env: bool = False,
        timeout: float | None = None,
        text: Literal[False] | None = None,
        encoding: None = None,
        errors: None = None,
    ) -> None: ...

    def __init__(
        self,
        args: Args,
        *,
        stdin: int = DEVNULL,
        stdout: int | None = PIPE,
        stderr: int | None = PIPE,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        inherit_env: bool = False,
        timeout: float | None = None,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
    ) -> None:
        self.args = _argv(args)
        self.returncode = None
        self._timeout = timeout
        self._decode = _Decoder(encoding, errors) if text or encoding or errors else None
        stdio = command.Stdio(
            stdin={DEVNULL: command.Input.NULL, PIPE: command.Input.PIPE}[stdin],
            stdout={DEVNULL: command.Sink.NULL, PIPE: command.Sink.PIPE, None: command.Sink.INHERIT}[stdout],
            stderr={
                DEVNULL: command.ErrorSink.NULL,
                PIPE: command.ErrorSink.PIPE,
                STDOUT: command.ErrorSink.MERGED,
                None: command.ErrorSink.INHERIT,
            }[stderr],
        )
        with asking(f"start {_shown(self.args)}"):
            self._child = command.spawn(_request(self.args, cwd, env, inherit_env, timeout), stdio)
        name = _shown(self.args)
        self._writer = Writer(self._child.stdin(), name) if stdin == PIPE else None
        self._readers = [
            Reader(self._child.stdout(), f"standard output of {name}") if stdout == PIPE else None,
            Reader(self._child.stderr(), f"standard error of {name}") if stderr == PIPE else None,
        ]
        codec = self._decode.codec if self._decode else None
        files: list[Any] = [reader and text_reader(reader, codec) for reader in self._readers]
        self.stdin = self._writer and text_writer(self._writer, codec)  # type: ignore[assignment]
        self.stdout, self.stderr = files

    def poll(self) -> int | None:
        """The status, if it is over; `None` while it runs."""
        if self.returncode is None:
            ended = self._child.try_wait()
            if isinstance(ended, _host.Err):
                raise refused(f"run {_shown(self.args)}", ended.value)
            if ended is not None:
                self._exit = ended.value.exit
                self.returncode = _returncode(self._exit)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits until it and every process it started are gone.

        With a time, it raises `TimeoutExpired` if it is not over by then, and lets it run on.
        """
        if self.returncode is None and timeout is None:
            with asking(f"run {_shown(self.args)}"):
                self._exit = self._child.wait().exit
            self.returncode = _returncode(self._exit)
        deadline = time.monotonic() + (timeout or 0)
        while self.poll() is None:
            self._pause(deadline, timeout)
        _check_exit(self._exit, self.args, self._timeout, *self._nothing())
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        """Kills it and everything it started."""
        self._child.kill()

    terminate = kill

    def communicate(self, input: AnyStr | None = None, timeout: float | None = None) -> tuple[AnyStr, AnyStr]:
        """Writes all of `input`, reads both outputs to their ends, and waits; nothing of either is lost.

        With a time, it raises `TimeoutExpired` with what was read, and lets the command run on.
        """
        deadline = time.monotonic() + (timeout or 0)
        codec = self._decode.codec if self._decode else ("utf-8", "strict")
        pending = memoryview(input.encode(*codec) if isinstance(input, str) else input or b"")
        read = [bytearray(), bytearray()]
        writer = self._writer if self._writer and not self._writer.closed else None
        readers: list[tuple[Reader, bytearray]] = [
            (reader, data) for reader, data in zip(self._readers, read) if reader and not reader.closed
        ]
        while writer or readers:
            moved = False
            if writer:
                count = writer.write_some(pending) if pending else None
                pending = pending[count or 0 :]
                if count is None or not pending:
                    # All is written, or nobody reads it any more.
                    self.stdin.close()  # type: ignore[union-attr]
                    writer = None
                moved = bool(count) or writer is None
            for reader, data in list(readers):
                chunk = reader.read_some()
                data += chunk or b""
                moved = moved or chunk != b""
                if chunk is None:
                    readers.remove((reader, data))
            if moved:
                continue
            if timeout is None:
                waited = [stream.subscribe() for stream in (writer, *(reader for reader, _ in readers)) if stream]
                _host.interface("poll").poll(waited)
            else:
                self._pause(deadline, timeout, *map(self._partial, read))
        remaining = None if timeout is None else max(deadline - time.monotonic(), 0.001)
        try:
            self.wait(remaining)
        except subprocess.TimeoutExpired as expired:
            raise TimeoutExpired(self.args, expired.timeout, *map(self._partial, read)) from None
        stdout, stderr = (self._decode(bytes(data)) if self._decode else bytes(data) for data in read)
        return stdout, stderr  # type: ignore[return-value]

    def _partial(self, data: bytearray) -> Any:
        return self._decode.partial(bytes(data)) if self._decode else bytes(data)

    def _nothing(self) -> tuple[Any, Any]:
        return ("", "") if self._decode else (b"", b"")

    def _pause(self, deadline: float, timeout: float | None, stdout: Any = None, stderr: Any = None) -> None:
        """Lets the command run for a moment, as long as there is time."""
        if time.monotonic() >= deadline:
            raise TimeoutExpired(self.args, timeout or 0, stdout, stderr)
        time.sleep(0.005)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                stream.close()
        if kind is None:
            self.wait()


class _Decoder:
    """Bytes to text as `subprocess` has it: every end of a line is a newline."""

    def __init__(self, encoding: str | None, errors: str | None) -> None:
        self.codec = (encoding or "utf-8", errors or "strict")

    def __call__(self, data: bytes) -> str:
        return data.decode(*self.codec).replace("\r\n", "\n").replace("\r", "\n")

    def partial(self, data: bytes) -> str:
        """Of a command that was stopped: it may have been within a character."""
        return data.decode(self.codec[0], "replace")


def _argv(args: Args) -> list[str]:
    if isinstance(args, str | bytes):
        raise TypeError(f"a command is a list of its program and arguments, never a line for a shell: {args!r}")
    if not args:
        raise ValueError("a command has a program")
    return [os.fsdecode(argument) for argument in args]


def _request(
    argv: list[str], cwd: Path | None, env: Mapping[str, str] | None, inherit_env: bool, timeout: float | None
) -> Any:
    return command.Request(
        program=argv[0],
        args=argv[1:],
        cwd=None if cwd is None else os.fspath(cwd),
        env=list((env or {}).items()),
        inherit_env=inherit_env,
        timeout=None if timeout is None else max(int(timeout * 1e9), 0),
    )


def _shown(argv: Sequence[str]) -> str:
    """The program with its sub-command, if what follows it is a word, and nothing that may be a secret."""
    return f"`{' '.join(argv[: 2 if _WORD.fullmatch(argv[1] if argv[1:] else '') else 1])}`"


def _returncode(end: Any) -> int:
    match end:
        case command.Exit_Exited(value=code):
            return int(code)
        case command.Exit_Signalled(value=signal):
            return -int(signal)
        case _:
            # Stopped by the host, which kills.
            return -_SIGKILL


_KILLED_FOR = {
    "OUTPUT": "it wrote far more than is kept",
    "TOTAL_OUTPUT": "the plugin's commands wrote more in all than they may",
    "MEMORY": "it needed more memory than it may have",
}


def _check_exit(end: Any, argv: list[str], timeout: float | None, stdout: Any, stderr: Any) -> None:
    """Raises what a command's end is, if the host put it there without being asked by the plugin."""
    match end:
        case command.Exit_TimedOut():
            raise TimeoutExpired(argv, timeout or 0, stdout, stderr)
        case command.Exit_Killed(value=reason) if reason.name in _KILLED_FOR:
            raise LimitReached(f"{_shown(argv)} was killed: {_KILLED_FOR[reason.name]}")
