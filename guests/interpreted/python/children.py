"""Commands that run beside the plugin, held and let go of as a language with a garbage collector does."""

import gc
from itertools import permutations

from componentize_py_types import Err
from wit_world.imports import command
from wit_world.imports.streams import InputStream, StreamError_Closed

READ = 65536
PIPES = command.Stdio(stdin=command.Input.PIPE, stdout=command.Sink.PIPE, stderr=command.ErrorSink.PIPE)


def spawn(program: str, *args: str) -> command.Child:
    """Starts a command; where too many are still running, when one of them has ended."""
    request = command.Request(program, list(args), cwd=None, env=[], inherit_env=False, timeout=None)
    while True:
        try:
            return command.spawn(request, PIPES)
        except Err as error:
            if error.value != command.Error_Limit(command.Limit.CHILDREN):
                raise Err(f"{error.value}") from error


def read_to_end(stream: InputStream) -> bytes:
    data = bytearray()
    while True:
        try:
            data += stream.blocking_read(READ)
        except Err as error:
            if error.value != StreamError_Closed():
                raise Err(f"{error.value}") from error
            return bytes(data)


def one_after_the_other(script: str) -> str:
    """Reads standard output to its end before the first byte of standard error."""
    child = spawn("sh", "-c", script)
    stdout, stderr = child.stdout(), child.stderr()
    lengths = [len(read_to_end(stream)) for stream in (stdout, stderr)]
    return f"{lengths} {child.wait().exit}"


def every_order() -> str:
    """Lets go of a child and of what belongs to it in every order there is."""
    count = 0
    for order in permutations(range(5)):
        child = spawn("cat")
        stdout = child.stdout()
        held = [child, child.stdin(), stdout, stdout.subscribe(), child.subscribe()]
        del child, stdout
        for index in order:
            # The last reference: it is dropped here.
            held[index] = None
        count += 1
    return str(count)


def garbage(number: int) -> str:
    """Loses children in cycles that only the collector finds."""
    for _ in range(number):
        lost = {"child": spawn("sleep", "100")}
        lost["stdout"] = lost["child"].stdout()
        lost["itself"] = lost
        del lost
        gc.collect()
    return str(number)


def output_outlives_child() -> str:
    child = spawn("echo", "still here")
    stdout = child.stdout()
    child.wait()
    del child
    return read_to_end(stdout).decode().strip()
