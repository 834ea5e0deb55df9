"""A scripted command that runs beside the plugin. Its time passes when the plugin waits for it, at once."""

from collections.abc import Callable
from typing import Any

from portcullis.testing._wit import Err, Ok, command, streams


class Child:
    def __init__(
        self,
        stdio: Any,
        answer: Callable[[bytes], bytes] | None,
        stdout: bytes,
        stderr: bytes,
        exit: Any,
        delay: float,
    ) -> None:
        merged = stdio.stderr == command.ErrorSink.MERGED
        self._answer = answer
        self._stdio = stdio
        self._exit = exit
        self.buffers = {"stdout": bytearray(stdout + stderr if merged else stdout), "stderr": bytearray(stderr)}
        # One that answers to what it reads runs until it has read everything.
        self._reads = answer is not None and stdio.stdin == command.Input.PIPE
        self._runs = self._reads or delay > 0

    def stdin(self) -> "Output | None":
        return Output(self) if self._stdio.stdin == command.Input.PIPE else None

    def stdout(self) -> "Input | None":
        return Input(self, "stdout") if self._stdio.stdout == command.Sink.PIPE else None

    def stderr(self) -> "Input | None":
        return Input(self, "stderr") if self._stdio.stderr == command.ErrorSink.PIPE else None

    @property
    def runs(self) -> bool:
        return self._runs

    def pass_time(self) -> None:
        """It comes to its end, unless it still reads."""
        if self._reads:
            raise AssertionError("the plugin waits for a command that waits for the plugin: its `stdin` is not closed")
        self._runs = False

    def given(self, data: bytes) -> None:
        if not self._runs and self._reads:
            raise Err(streams.StreamError_Closed())
        if self._answer:
            self.buffers["stdout"] += self._answer(data)

    def end_of_input(self) -> None:
        if self._reads:
            self._reads = self._runs = False

    def wait(self) -> Any:
        if self._runs:
            self.pass_time()
        return command.Outcome(self._exit, False, False, 0)

    def try_wait(self) -> Any:
        return None if self._runs else Ok(self.wait())

    def kill(self) -> None:
        if self._runs:
            self._runs = self._reads = False
            self._exit = command.Exit_Killed(command.Reason.ASKED)


class Input:
    """What the child writes."""

    def __init__(self, child: Child, name: str) -> None:
        self._child = child
        self._buffer = child.buffers[name]

    def read(self, length: int) -> bytes:
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        if not data and not self._child.runs:
            raise Err(streams.StreamError_Closed())
        return data

    def blocking_read(self, length: int) -> bytes:
        self.block()
        return self.read(length)

    def block(self) -> None:
        if not self._buffer and self._child.runs:
            self._child.pass_time()

    def subscribe(self) -> "Input":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Output:
    """What the child reads."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def check_write(self) -> int:
        return 65536

    def write(self, data: bytes) -> None:
        self._child.given(data)

    blocking_write_and_flush = write

    def block(self) -> None:
        """There is always room."""

    def subscribe(self) -> "Output":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end_of_input()
