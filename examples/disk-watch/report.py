"""From numbers to the table a person reads."""

from dataclasses import dataclass

from df import FileSystem

HEADING = ("used", "limit", "free", "directory", "file system", "")


@dataclass(frozen=True)
class Entry:
    directory: str
    threshold: int
    file_system: FileSystem

    @property
    def is_above(self) -> bool:
        used = self.file_system.percent_used
        return used is not None and used > self.threshold

    def cells(self) -> tuple[str, ...]:
        used = self.file_system.percent_used
        return (
            "-" if used is None else f"{used}%",
            f"{self.threshold}%",
            "-" if used is None else size(max(self.file_system.available, 0)),
            self.directory,
            self.file_system.source,
            "above its limit" if self.is_above else "",
        )


def render(entries: list[Entry]) -> str:
    """A line for each entry under a heading; nothing for none."""
    if not entries:
        return ""
    rows = [HEADING, *(entry.cells() for entry in entries)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(line(row, widths) for row in rows)


def line(row: tuple[str, ...], widths: list[int]) -> str:
    numbers = [cell.rjust(width) for cell, width in zip(row[:3], widths[:3])]
    names = [cell.ljust(width) for cell, width in zip(row[3:], widths[3:])]
    return "  ".join(numbers + names).rstrip()


def size(kibibytes: int) -> str:
    amount = float(kibibytes)
    for unit in ("KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
