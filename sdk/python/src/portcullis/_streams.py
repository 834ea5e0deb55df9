"""Streams of the host as files of Python."""

import io
from typing import Any, BinaryIO, TextIO, TypeAlias, cast

from portcullis import _host
from portcullis.errors import HostError

streams = _host.interface("streams")

Codec: TypeAlias = tuple[str, str]

#: What the host gives at most for one read, and a pipe of the system holds.
CHUNK = 65536
#: What one blocking write of `wasi:io` may have.
_WRITE = 4096


class _Stream(io.RawIOBase):
    """One end of a pipe to a command. Letting go of it is all that the other end learns."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream = stream
        self._name = name

    def subscribe(self) -> Any:
        return self._stream.subscribe()

    def close(self) -> None:
        if not self.closed:
            self._stream.__exit__(None, None, None)
        super().close()


class Reader(_Stream):
    """What a command writes, as it comes."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.blocking_read(min(len(buffer), CHUNK))
        except _host.Err as error:
            self._check_end(error)
            return 0
        buffer[: len(data)] = data
        return len(data)

    def read_some(self) -> bytes | None:
        """What is there now; `None` at the end."""
        try:
            return bytes(self._stream.read(CHUNK))
        except _host.Err as error:
            self._check_end(error)
            return None

    def _check_end(self, error: Any) -> None:
        if not isinstance(error.value, streams.StreamError_Closed):
            raise HostError(f"cannot read the {self._name}: something of it was lost, since nobody read it in time")


class Writer(_Stream):
    """What a command reads, until it is closed. Everything is written when `write` returns, so that there is nothing to flush."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.closed:
            raise ValueError("write to closed file")
        view = memoryview(data).cast("B")
        for at in range(0, len(view), _WRITE):
            try:
                self._stream.blocking_write_and_flush(bytes(view[at : at + _WRITE]))
            except _host.Err:
                raise BrokenPipeError(f"{self._name} does not read its input any more") from None
        return len(view)

    def write_some(self, data: memoryview) -> int | None:
        """Writes what there is room for now and says how much; `None` if nobody reads it any more."""
        try:
            room = min(int(self._stream.check_write()), len(data))
            if room:
                self._stream.write(bytes(data[:room]))
            return room
        except _host.Err:
            return None


def text_reader(raw: Reader, codec: Codec | None) -> BinaryIO | TextIO:
    buffered = io.BufferedReader(raw, CHUNK)
    return io.TextIOWrapper(buffered, *codec) if codec else cast(BinaryIO, buffered)


def text_writer(raw: Writer, codec: Codec | None) -> BinaryIO | TextIO:
    if codec is None:
        return cast(BinaryIO, raw)
    return io.TextIOWrapper(cast(BinaryIO, raw), *codec, newline="\n", write_through=True)
