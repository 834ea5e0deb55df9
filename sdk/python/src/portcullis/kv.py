"""Keys and values that the plugin keeps from one run to the next. What a call says was done is on disk."""

from collections.abc import Iterator

from portcullis import _host
from portcullis.errors import asking

__all__ = ["compare_and_swap", "delete", "get", "keys", "set"]

kv = _host.interface("kv")

#: Keys that the host gives at most at once.
_PAGE = 1000


def get(key: str) -> bytes | None:
    """The value of a key, if it has one."""
    with asking(f"get the key `{key}`"):
        value: bytes | None = kv.get(key)
    return value


def set(key: str, value: bytes) -> None:
    """Gives a key a value, whatever it had."""
    with asking(f"set the key `{key}`"):
        kv.set(key, value)


def delete(key: str) -> bool:
    """Takes a key and its value away, and says whether it was there."""
    with asking(f"delete the key `{key}`"):
        return bool(kv.delete(key))


def keys(prefix: str = "") -> Iterator[str]:
    """Keys that begin with a prefix, in the order of their bytes."""
    after: str | None = None
    while True:
        with asking(f"list the keys that begin with `{prefix}`"):
            page = kv.list(prefix, after, _PAGE)
        yield from page.keys
        if not page.more:
            return
        after = page.keys[-1]


def compare_and_swap(key: str, expected: bytes | None, value: bytes) -> bool:
    """Gives a key a value if it has the expected one, or none where `None` is expected. Says whether it did."""
    with asking(f"swap the key `{key}`"):
        return bool(kv.compare_and_swap(key, expected, value))
