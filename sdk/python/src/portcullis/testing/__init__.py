"""A host that answers by a script, so that a plugin is tested by plain Python.

```python
with portcullis.testing.Host() as host:
    host.command("git", "status", "--short", stdout=" M app.py\\n")
    host.files["notes.txt"] = "text"
    assert main([]) == " M app.py\\n"
assert host.calls[0].args == ["git", "status", "--short"]
```

What was not scripted is what it is on a host that granted everything: a file that is missing, a variable that is not
set, a question nobody answers. A command or request that was not scripted fails the test.
"""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any, Self, TypeAlias
from unittest.mock import ANY

from portcullis.testing import _wit
from portcullis.testing._child import Child
from portcullis.testing._wit import Err

__all__ = ["ANY", "Call", "Host", "Request"]

Bytes: TypeAlias = bytes | str
Request = _wit.http.Request


@dataclass(frozen=True)
class Call:
    """A command that the plugin ran or started."""

    args: list[str]
    cwd: str | None
    env: dict[str, str]
    inherit_env: bool
    #: Seconds.
    timeout: float | None
    #: All of it for `run`; of one that was started nothing.
    input: bytes | None


@dataclass(frozen=True)
class Script:
    """What a command does."""

    pattern: tuple[object, ...]
    stdout: Bytes | Callable[[bytes], Bytes]
    stderr: Bytes
    returncode: int
    delay: float
    error: str | None
    killed: str | None

    def matches(self, args: list[str]) -> bool:
        if self.pattern and self.pattern[-1] is ...:
            fixed = self.pattern[:-1]
            return list(fixed) == args[: len(fixed)]
        return list(self.pattern) == args

    def output(self, given: bytes) -> bytes:
        return _bytes(self.stdout(given) if callable(self.stdout) else self.stdout)

    def exit(self, timeout: int | None) -> Any:
        """How it ends within a time."""
        if timeout is not None and self.delay * 1e9 > timeout:
            return _wit.command.Exit_TimedOut()
        if self.killed:
            return _wit.command.Exit_Killed(_wit.command.Reason[_name(self.killed)])
        if self.returncode < 0:
            return _wit.command.Exit_Signalled(-self.returncode)
        return _wit.command.Exit_Exited(self.returncode)


@dataclass(eq=False)
class Host:
    """Plays the host within its `with` block."""

    #: Contents by path; directories are those of the files, and `directories`.
    files: dict[str, Bytes] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    variables: dict[str, str] = field(default_factory=dict)
    kv: dict[str, bytes] = field(default_factory=dict)
    #: Answers by the ids of questions: text, `True` or `False`, an option or a list of them.
    answers: dict[str, str | bool | list[str]] = field(default_factory=dict)
    #: What the plugin did: commands, requests, and lines of its log as `(level, message)`.
    calls: list[Call] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    logged: list[tuple[str, str]] = field(default_factory=list)
    _scripts: list[Script] = field(default_factory=list)
    _responses: dict[tuple[str, str], Callable[[Any], Any]] = field(default_factory=dict)
    _refusals: dict[tuple[str, str | None], str] = field(default_factory=dict)

    def command(
        self,
        *args: str | EllipsisType | Any,
        stdout: Bytes | Callable[[bytes], Bytes] = b"",
        stderr: Bytes = b"",
        returncode: int = 0,
        delay: float = 0,
        error: str | None = None,
        killed: str | None = None,
    ) -> None:
        """Scripts a command; of several for one the last counts.

        `ANY` stands for one argument, `...` at the end for all further ones.
        `stdout` may be a function of what it is given to read. A `returncode` below 0 is a signal. It takes `delay`
        seconds, which pass at once; `error` is the kind of error for which it never runs, such as `"denied"`;
        `killed` the host's reason to end it, such as `"memory"`.
        """
        self._scripts.insert(0, Script(args, stdout, stderr, returncode, delay, error, killed))

    def respond(
        self,
        method: str,
        url: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        body: Bytes | Callable[[Any], Bytes] = b"",
        truncated: bool = False,
    ) -> None:
        """Scripts the response to a request; `body` may be a function of the request."""

        def response(request: Any) -> Any:
            content = body(request) if callable(body) else body
            return _wit.http.Response(status, list((headers or {}).items()), _bytes(content), truncated)

        self._responses[(method, url)] = response

    def refuse(self, interface: str, kind: str, what: str | None = None) -> None:
        """Has an interface (`"fs"`) refuse with a kind of error (`"denied"`).

        It refuses all calls, or those about one path, URL, key or id.
        """
        self._refusals[(interface, what)] = kind

    def __enter__(self) -> Self:
        _wit.hosts.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _wit.hosts.remove(self)

    def _check(self, interface: str, what: str) -> None:
        kind = self._refusals.get((interface, what)) or self._refusals.get((interface, None))
        if kind:
            raise Err(getattr(_wit, interface).Error[_name(kind)])

    # Commands.

    def _script(self, request: Any, given: bytes | None) -> Script:
        args = [request.program, *request.args]
        timeout = None if request.timeout is None else request.timeout / 1e9
        self.calls.append(Call(args, request.cwd, dict(request.env), request.inherit_env, timeout, given))
        script = next((script for script in self._scripts if script.matches(args)), None)
        if script is None:
            raise AssertionError(f"no command was scripted for {args}: `command` does")
        if script.error:
            raise Err(_command_error(script.error))
        return script

    def _run(self, request: Any, stdin: bytes | None) -> Any:
        script = self._script(request, stdin)
        return _wit.command.Output(
            exit=script.exit(request.timeout),
            stdout=script.output(stdin or b""),
            stderr=_bytes(script.stderr),
            stdout_truncated=False,
            stderr_truncated=False,
            duration=int(script.delay * 1e9),
        )

    def _spawn(self, request: Any, stdio: Any) -> Child:
        script = self._script(request, None)
        return Child(
            stdio,
            script.output if callable(script.stdout) else None,
            b"" if callable(script.stdout) else script.output(b""),
            _bytes(script.stderr),
            script.exit(request.timeout),
            script.delay,
        )

    def _poll(self, waited: list[Any]) -> list[int]:
        """Time passes until the first is ready."""
        for pollable in waited:
            pollable.block()
        return list(range(len(waited)))

    # Files.

    def _path(self, path: str) -> str:
        self._check("fs", path)
        return posixpath.normpath(path)

    def _found(self, path: str) -> Any:
        """The kind of what is there."""
        if path in self._contents():
            return _wit.fs.Kind.FILE
        if path == "." or path in self._directories():
            return _wit.fs.Kind.DIRECTORY
        raise Err(_wit.fs.Error.NOT_FOUND)

    def _contents(self) -> dict[str, bytes]:
        return {posixpath.normpath(path): _bytes(content) for path, content in self.files.items()}

    def _directories(self) -> set[str]:
        found = {posixpath.normpath(path) for path in self.directories}
        for path in [*self._contents(), *found]:
            while path := posixpath.dirname(path):
                if path in found:
                    break
                found.add(path)
        return found

    def _delete(self, path: str) -> Bytes | None:
        """Takes a file or directory away under whatever spelling the test gave it."""
        for given in list(self.directories):
            if posixpath.normpath(given) == path:
                self.directories.remove(given)
        for given in list(self.files):
            if posixpath.normpath(given) == path:
                return self.files.pop(given)
        return None

    def _fs_read(self, path: str) -> bytes:
        path = self._path(path)
        if self._found(path) != _wit.fs.Kind.FILE:
            raise Err(_wit.fs.Error.NOT_A_FILE)
        return self._contents()[path]

    def _fs_write(self, path: str, content: bytes) -> None:
        path = self._path(path)
        if path in self._directories():
            raise Err(_wit.fs.Error.NOT_A_FILE)
        self._delete(path)
        self.files[path] = content

    def _fs_entries(self, path: str) -> list[Any]:
        path = self._path(path)
        if self._found(path) != _wit.fs.Kind.DIRECTORY:
            raise Err(_wit.fs.Error.NOT_A_DIRECTORY)
        within = "" if path == "." else path
        names = {
            posixpath.basename(other): self._found(other)
            for other in [*self._contents(), *self._directories()]
            if posixpath.dirname(other) == within and other != path
        }
        return [_wit.fs.Entry(name, kind) for name, kind in sorted(names.items())]

    def _fs_stat(self, path: str) -> Any:
        path = self._path(path)
        return _wit.fs.Metadata(self._found(path), len(self._contents().get(path, b"")), 0)

    def _fs_make_directory(self, path: str) -> None:
        path = self._path(path)
        if path in self._contents() or path in self._directories():
            raise Err(_wit.fs.Error.EXISTS)
        self.directories.add(path)

    def _fs_remove(self, path: str) -> None:
        path = self._path(path)
        if self._found(path) == _wit.fs.Kind.DIRECTORY and self._fs_entries(path):
            raise Err(_wit.fs.Error.NOT_EMPTY)
        self._delete(path)

    def _fs_rename(self, path: str, to: str) -> None:
        path, to = self._path(path), self._path(to)
        if self._found(path) == _wit.fs.Kind.FILE:
            content = self._delete(path)
            self._delete(to)
            self.files[to] = content or b""
            return
        for names in (self.files, self.directories):
            for given in list(names):
                normal = posixpath.normpath(given)
                if normal == path or normal.startswith(f"{path}/"):
                    moved = to + normal[len(path) :]
                    if isinstance(names, dict):
                        names[moved] = names.pop(given)
                    else:
                        names.remove(given)
                        names.add(moved)

    # Everything else.

    def _http_send(self, request: Any) -> Any:
        self.requests.append(request)
        self._check("http", request.url)
        respond = self._responses.get((request.method, request.url))
        if respond is None:
            raise AssertionError(f"no response was scripted for {request.method} {request.url}: `respond` does")
        return respond(request)

    def _env_get(self, name: str) -> str | None:
        self._check("env", name)
        return self.variables.get(name)

    def _kv_get(self, key: str) -> bytes | None:
        self._check("kv", key)
        return self.kv.get(key)

    def _kv_set(self, key: str, value: bytes) -> None:
        self._check("kv", key)
        self.kv[key] = value

    def _kv_delete(self, key: str) -> bool:
        self._check("kv", key)
        return self.kv.pop(key, None) is not None

    def _kv_list(self, prefix: str, after: str | None, limit: int) -> Any:
        self._check("kv", prefix)
        keys = sorted((key for key in self.kv if key.startswith(prefix)), key=str.encode)
        later = [key for key in keys if after is None or key.encode() > after.encode()]
        return _wit.kv.Page(later[:limit], len(later) > limit)

    def _kv_compare_and_swap(self, key: str, expected: bytes | None, value: bytes) -> bool:
        self._check("kv", key)
        if self.kv.get(key) != expected:
            return False
        self.kv[key] = value
        return True

    def _log_write(self, level: Any, message: str) -> None:
        self.logged.append((level.name.lower(), message))

    def _answer(self, id: str, default: Any, answered: Callable[[Any], Any]) -> Any:
        self._check("prompt", id)
        if id in self.answers:
            return answered(self.answers[id])
        if default is None:
            raise Err(_wit.prompt.Error.NOBODY)
        return default

    def _prompt_text(self, id: str, message: str, default: str | None) -> Any:
        return self._answer(id, default, str)

    def _prompt_confirm(self, id: str, message: str, default: bool) -> Any:
        return self._answer(id, default, bool)

    def _prompt_choose(self, id: str, message: str, options: list[str], default: int | None) -> Any:
        if not options:
            raise Err(_wit.prompt.Error.INVALID)
        return self._answer(id, default, options.index)

    def _prompt_choose_some(self, id: str, message: str, options: list[str], defaults: list[int]) -> Any:
        return self._answer(id, defaults, lambda chosen: [options.index(option) for option in chosen])


def _bytes(content: Bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _name(kind: str) -> str:
    return kind.upper().replace("-", "_")


def _command_error(kind: str) -> Any:
    """`"denied"`, `"not-found"`, …, or one of the limits: `"children"`, `"rate"`, `"total-output"`."""
    if _name(kind) in _wit.command.Limit.__members__:
        return _wit.command.Error_Limit(_wit.command.Limit[_name(kind)])
    return getattr(_wit.command, f"Error_{kind.title().replace('-', '')}")()
