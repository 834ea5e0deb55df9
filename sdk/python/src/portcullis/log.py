"""Lines in the operator's log, by the `logging` of Python.

```python
logging.basicConfig(level=logging.INFO, handlers=[log.Handler()])
logging.info("it begins")
```
"""

import logging

from portcullis import _host

__all__ = ["Handler"]

log = _host.interface("log")

_LEVELS = (
    (logging.ERROR, log.Level.ERROR),
    (logging.WARNING, log.Level.WARN),
    (logging.INFO, log.Level.INFO),
    (logging.DEBUG, log.Level.DEBUG),
)


class Handler(logging.Handler):
    """Writes each record as one line of the operator's log, which has the level already."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        level = next((level for least, level in _LEVELS if record.levelno >= least), log.Level.TRACE)
        log.write(level, self.format(record))
