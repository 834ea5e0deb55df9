"""Requests over HTTP, to hosts that were granted. Redirects are not followed, and any status is a response."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from portcullis import _host
from portcullis.errors import asking

__all__ = ["Headers", "Response", "get", "request"]

http = _host.interface("http")


class Headers(Mapping[str, str]):
    """Headers of a response, by their names in any case; of those with one name, the values with commas between."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get_all(self, name: str) -> list[str]:
        """Each value of a name."""
        return list(self._values.get(name.lower(), []))


@dataclass(frozen=True)
class Response:
    """What a server answered."""

    status: int
    headers: Headers
    body: bytes
    #: Whether there was more of the body than a plugin is given, 4 MiB unless policy says otherwise.
    truncated: bool

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as UTF-8, with U+FFFD for what is none."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def request(method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | str = b"") -> Response:
    """Sends a request and waits for the whole response."""
    sent = http.Request(
        method=method.upper(),
        url=url,
        headers=list((headers or {}).items()),
        body=body.encode() if isinstance(body, str) else body,
    )
    with asking(f"{sent.method} {_shown(url)}"):
        got = http.send(sent)
    return Response(got.status, Headers(got.headers), got.body, got.truncated)


def get(url: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Sends a GET and waits for the whole response."""
    return request("GET", url, headers=headers)


def _shown(url: str) -> str:
    """The URL without its query, which may have a secret in it."""
    return f"`{url.partition('?')[0]}`"
