"""Every scenario of `../scenarios.toml`, each a function named as it."""

import logging
from collections.abc import Callable

import portcullis
from portcullis import PIPE, env, fs, http, kv, log, prompt

logging.basicConfig(level=logging.INFO, handlers=[log.Handler()])

SCENARIOS: dict[str, Callable[..., str]] = {}


@portcullis.plugin
def main(args: list[str]) -> str:
    name, *rest = args
    if name not in SCENARIOS:
        raise portcullis.Failure(f"there is no scenario `{name}`")
    return SCENARIOS[name](*rest)


def scenario(function: Callable[..., str]) -> Callable[..., str]:
    SCENARIOS[function.__name__.strip("_").replace("_", "-")] = function
    return function


@scenario
def output() -> str:
    return portcullis.run(["printf", "one\\ntwo\\n"], text=True).stdout.removesuffix("\n")


@scenario
def arguments() -> str:
    return portcullis.run(["printf", "[%s]", "a b", "$x", "", "*"], text=True).stdout


@scenario
def bytes() -> str:
    return portcullis.run(["printf", "\\377\\000"]).stdout.hex()


@scenario
def status() -> str:
    return f"status {portcullis.run(['false']).returncode}"


@scenario
def must_succeed() -> str:
    try:
        portcullis.run(["cat", "missing"], check=True, text=True)
    except portcullis.CalledProcessError as error:
        return f"failed {error.returncode} {error.stderr.splitlines()[0]}"
    return "it succeeded"


@scenario
def signal() -> str:
    return f"signal {-portcullis.run(['sh', '-c', 'kill -9 $$']).returncode}"


@scenario
def both_outputs() -> str:
    process = portcullis.run(["sh", "-c", "echo out; echo err >&2"], text=True)
    return f"{process.stdout.strip()}|{process.stderr.strip()}"


@scenario
def environment() -> str:
    return portcullis.run(["printenv", "GREETING"], env={"GREETING": "hello"}, text=True).stdout.strip()


@scenario
def directory() -> str:
    return portcullis.run(["pwd"], cwd="sub", text=True).stdout.strip().rpartition("/")[2]


@scenario
def input() -> str:
    return portcullis.run(["cat"], input="héllo", text=True).stdout


@scenario
def large_input() -> str:
    return portcullis.run(["wc", "-c"], input=b"x" * 1_048_576).stdout.decode().strip()


@scenario
def deadline() -> str:
    try:
        portcullis.run(["sh", "-c", "echo begun; exec sleep 30"], timeout=2, text=True)
    except portcullis.TimeoutExpired as error:
        return f"timed out {error.stdout.strip()}"
    return "it ended"


@scenario
def denied() -> str:
    try:
        portcullis.run(["id"])
    except portcullis.Denied:
        return "denied"
    return "it ran"


@scenario
def not_found() -> str:
    try:
        portcullis.run(["no-such-program"])
    except portcullis.NotFound:
        return "not found"
    return "it ran"


@scenario
def lines() -> str:
    with portcullis.Popen(["sh", "-c", "echo one; sleep 0.1; echo two"], text=True) as process:
        assert process.stdout
        return ",".join(line.strip() for line in process.stdout)


@scenario
def conversation() -> str:
    with portcullis.Popen(["cat"], stdin=PIPE, text=True) as process:
        assert process.stdin and process.stdout
        said = []
        for line in ("ping\n", "pong\n"):
            process.stdin.write(line)
            said.append(process.stdout.readline().strip())
        process.stdin.close()
        return " ".join([*said, str(process.wait())])


@scenario
def kill() -> str:
    with portcullis.Popen(["sleep", "30"]) as process:
        process.kill()
        return f"signal {-process.wait()}"


@scenario
def files() -> str:
    fs.write_text("notes.txt", "text")
    text, size = fs.read_text("notes.txt"), fs.stat("notes.txt").size
    fs.rename("notes.txt", "kept.txt")
    fs.mkdir("made")
    names = [entry.name for entry in fs.iterdir(".")]
    fs.remove("kept.txt")
    fs.remove("made")
    return " ".join([text, str(size), *names])


@scenario
def file_missing() -> str:
    try:
        return fs.read_text("missing.txt")
    except portcullis.NotFound:
        return "not found"


@scenario
def file_denied() -> str:
    try:
        return fs.read_text("/etc/passwd")
    except portcullis.Denied:
        return "denied"


@scenario
def get(url: str) -> str:
    response = http.get(url)
    return f"{response.status} {response.headers['x-kind']} {response.text}"


@scenario
def post(url: str) -> str:
    return http.request("POST", url, headers={"x-kind": "loud"}, body="quiet").text


@scenario
def http_denied() -> str:
    try:
        return http.get("https://example.com/").text
    except portcullis.Denied:
        return "denied"


@scenario
def variable() -> str:
    return f"{env.get('PARITY')} {env.get('PATH', 'none')}"


@scenario
def state() -> str:
    kv.set("a", b"1")
    kv.set("b", b"2")
    swaps = [kv.compare_and_swap("a", b"1", value) for value in (b"3", b"4")]
    words = ["swapped" if swapped else "not swapped" for swapped in swaps]
    keys = ",".join(kv.keys())
    kv.delete("b")
    values = [value.decode() if value is not None else "none" for value in map(kv.get, "ab")]
    return " ".join([*words, keys, *values])


@scenario
def log_() -> str:
    logging.info("it begins")
    return "logged"


@scenario
def questions() -> str:
    name = prompt.text("name", "What is your name?")
    sure = "yes" if prompt.confirm("sure", "Are you sure?") else "no"
    return f"{name} {sure} {prompt.choose('colour', 'Which colour?', ['red', 'green', 'blue'])}"


@scenario
def plugin_arguments(*args: str) -> str:
    return "|".join(args)


@scenario
def error() -> str:
    raise portcullis.Failure("it does not work")


@scenario
def crash() -> str:
    raise RuntimeError("it broke")
