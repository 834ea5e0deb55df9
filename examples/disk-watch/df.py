"""What `df -P -k` prints, as data."""

import re
from dataclasses import dataclass

# Names of devices and mount points may have spaces; what lies between them is numbers.
LINE = re.compile(
    r"(?P<source>\S.*?)\s+(?P<size>\d+)\s+(?P<used>\d+)\s+(?P<available>-?\d+)\s+(?:\d+%|-)\s+(?P<mount>/.*)"
)


class UnexpectedOutput(Exception):
    """`df` printed something else than a heading and one line."""


@dataclass(frozen=True)
class FileSystem:
    source: str
    """The device, or the name of what stands for one."""
    size: int
    """KiB in all."""
    used: int
    """KiB in use."""
    available: int
    """KiB that an ordinary user may still take; less than none where the reserve is in use."""

    @property
    def percent_used(self) -> int | None:
        """As `df` counts: of what ordinary users may have, rounded up. None where there is nothing to fill."""
        total = self.used + self.available
        if self.size == 0 or total <= 0:
            return None if self.size == 0 else 100
        return -(-100 * self.used // total)


def parse(output: str) -> FileSystem:
    lines = output.splitlines()
    if len(lines) != 2:
        raise UnexpectedOutput(f"{len(lines)} lines instead of 2")
    match = LINE.fullmatch(lines[1])
    if match is None:
        raise UnexpectedOutput(f"`{lines[1]}` is no line about a file system")
    return FileSystem(match["source"], *(int(match[name]) for name in ("size", "used", "available")))
