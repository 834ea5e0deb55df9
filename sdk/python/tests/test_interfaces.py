"""Files, requests, variables, state, log and questions, on a scripted host."""

import logging
import unittest
from collections.abc import Callable

import portcullis
from portcullis import env, fs, http, kv, log, prompt
from portcullis.fs import Kind
from portcullis.testing import Host


class Files(unittest.TestCase):
    def test_files_and_directories(self) -> None:
        with Host(files={"./sub/a.txt": "é", "b.bin": b"\xff"}) as host:
            self.assertEqual(fs.read_text("sub/a.txt"), "é")
            self.assertEqual(fs.read_bytes("b.bin"), b"\xff")
            self.assertEqual(
                [(entry.name, entry.kind) for entry in fs.iterdir()], [("b.bin", Kind.FILE), ("sub", Kind.DIRECTORY)]
            )
            self.assertEqual((fs.stat("sub/a.txt").kind, fs.stat("sub/a.txt").size), (Kind.FILE, 2))
            fs.write_text("b.bin", "new")
            fs.rename("b.bin", "c.txt")
            fs.mkdir("made")
            fs.rename("sub", "moved")
            fs.remove("made")
            self.assertEqual(host.files, {"c.txt": b"new", "moved/a.txt": "é"})

    def test_what_is_refused_is_what_python_raises(self) -> None:
        with Host(files={"sub/a.txt": ""}) as host:
            host.refuse("fs", "denied", "/etc/passwd")
            cases: dict[tuple[type[Exception], str], Callable[[], object]] = {
                (
                    PermissionError,
                    "cannot read `/etc/passwd`: denied: the operator's policy does not allow it",
                ): lambda: fs.read_text("/etc/passwd"),
                (FileNotFoundError, "cannot read `b`: not found"): lambda: fs.read_text("b"),
                (FileExistsError, "cannot make the directory `sub`: already exists"): lambda: fs.mkdir("sub"),
                (NotADirectoryError, "cannot list `sub/a.txt`: not a directory"): lambda: fs.iterdir("sub/a.txt"),
                (portcullis.NotAFile, "cannot read `sub`: not a regular file"): lambda: fs.read_bytes("sub"),
                (portcullis.NotEmpty, "cannot remove `sub`: directory not empty"): lambda: fs.remove("sub"),
            }
            for (expected, text), action in cases.items():
                with self.subTest(text), self.assertRaises(expected) as caught:
                    action()
                self.assertIsInstance(caught.exception, portcullis.Error)
                self.assertEqual(str(caught.exception), text)


class Requests(unittest.TestCase):
    def test_a_response_is_read_as_it_is_needed(self) -> None:
        with Host() as host:
            host.respond("GET", "https://a.example/", headers={"X-Kind": "plain"}, body='{"a": 1}')
            response = http.get("https://a.example/", headers={"accept": "*/*"})
            self.assertEqual((response.status, response.ok, response.json()), (200, True, {"a": 1}))
            self.assertEqual((response.headers["x-kind"], response.headers.get("y")), ("plain", None))
            self.assertEqual(host.requests[0].headers, [("accept", "*/*")])

    def test_a_status_is_no_error_and_a_refusal_is(self) -> None:
        with Host() as host:
            host.respond("POST", "https://a.example/", status=404, body=lambda request: request.body.upper())
            host.refuse("http", "denied", "https://b.example/?token=secret")
            response = http.request("post", "https://a.example/", body="quiet")
            self.assertEqual((response.status, response.ok, response.text), (404, False, "QUIET"))
            with self.assertRaises(portcullis.Denied) as caught:
                http.get("https://b.example/?token=secret")
            self.assertEqual(
                str(caught.exception),
                "cannot GET `https://b.example/`: denied: the operator's policy does not allow it",
            )

    def test_headers_of_one_name(self) -> None:
        headers = http.Headers([("A", "1"), ("a", "2"), ("b", "3")])
        self.assertEqual((headers["A"], headers.get_all("a"), list(headers)), ("1, 2", ["1", "2"], ["a", "b"]))


class Everything(unittest.TestCase):
    def test_variables(self) -> None:
        with Host(variables={"A": "1"}) as host:
            self.assertEqual((env.get("A"), env.get("B"), env.get("B", "2")), ("1", None, "2"))
            host.refuse("env", "limit")
            with self.assertRaisesRegex(portcullis.LimitReached, "the variable `A`: a limit of the plugin"):
                env.get("A")

    def test_state(self) -> None:
        with Host() as host:
            kv.set("a", b"1")
            self.assertEqual((kv.get("a"), kv.get("b")), (b"1", None))
            self.assertEqual(
                [kv.compare_and_swap("a", b"1", b"2"), kv.compare_and_swap("a", b"1", b"3")], [True, False]
            )
            self.assertTrue(kv.compare_and_swap("c", None, b"4"))
            self.assertEqual((kv.delete("a"), kv.delete("a")), (True, False))
            host.kv = {f"k{number:04}": b"" for number in range(2500)} | {"other": b""}
            self.assertEqual(list(kv.keys("k")), sorted(host.kv)[:2500])
            host.refuse("kv", "full")
            with self.assertRaisesRegex(portcullis.Full, "cannot set the key `a`: no room left"):
                kv.set("a", b"1")

    def test_log(self) -> None:
        logger = logging.getLogger("test")
        logger.propagate = False
        logger.setLevel(1)
        logger.addHandler(log.Handler())
        with Host() as host:
            for level in (logging.CRITICAL, logging.WARNING, logging.INFO, logging.DEBUG, 5):
                logger.log(level, "line %d", level)
        levels = ["error", "warn", "info", "debug", "trace"]
        self.assertEqual(host.logged, list(zip(levels, [f"line {level}" for level in (50, 30, 20, 10, 5)])))

    def test_questions(self) -> None:
        answers: dict[str, str | bool | list[str]] = {
            "name": "Ada",
            "sure": True,
            "colour": "green",
            "some": ["b", "a"],
        }
        with Host(answers=answers) as host:
            self.assertEqual(prompt.text("name", "?"), "Ada")
            self.assertTrue(prompt.confirm("sure", "?"))
            self.assertEqual(prompt.choose("colour", "?", ["red", "green"]), "green")
            self.assertEqual(prompt.choose_some("some", "?", ["a", "b", "c"]), ["b", "a"])
            host.answers.clear()
            self.assertEqual(prompt.text("name", "?", "Bo"), "Bo")
            self.assertFalse(prompt.confirm("sure", "?"))
            self.assertEqual(prompt.choose("colour", "?", ["red", "green"], "red"), "red")
            self.assertEqual(prompt.choose_some("some", "?", ["a", "b"], ["b"]), ["b"])
            with self.assertRaisesRegex(portcullis.NoAnswer, "cannot ask `name`: nobody answered"):
                prompt.text("name", "?")
            with self.assertRaises(portcullis.Invalid):
                prompt.choose("colour", "?", ["red"], "blue")


class Plugin(unittest.TestCase):
    def test_the_function_stays_what_it_is(self) -> None:
        @portcullis.plugin
        def main(args: list[str]) -> str:
            return portcullis.run(["echo", *args], check=True, text=True).stdout

        with Host() as host:
            host.command("echo", "a", stdout="a\n")
            self.assertEqual(main(["a"]), "a\n")

    def test_hosts_within_hosts(self) -> None:
        with Host(variables={"A": "outer"}):
            with Host(variables={"A": "inner"}):
                self.assertEqual(env.get("A"), "inner")
            self.assertEqual(env.get("A"), "outer")


if __name__ == "__main__":
    unittest.main()
