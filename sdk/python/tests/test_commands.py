"""Commands in the form of `subprocess`, on a scripted host."""

import subprocess
import unittest
from pathlib import Path

import portcullis
from portcullis import DEVNULL, PIPE, STDOUT
from portcullis.testing import ANY, Host


class Run(unittest.TestCase):
    def test_a_command_that_ran_is_no_error_whatever_its_status(self) -> None:
        with Host() as host:
            host.command("grep", ..., stdout=b"\xff", stderr="none\n", returncode=1)
            host.command("loop", returncode=-11)
            process = portcullis.run(["grep", "x", "file"])
            self.assertEqual((process.returncode, process.stdout, process.stderr), (1, b"\xff", b"none\n"))
            self.assertIsInstance(process, subprocess.CompletedProcess)
            self.assertEqual(portcullis.run(["loop"]).returncode, -11)

    def test_what_is_asked_reaches_the_host(self) -> None:
        with Host() as host:
            host.command("env")
            portcullis.run(["env"], cwd="sub", env={"A": "1"}, inherit_env=True, timeout=1.5, input=b"in")
            portcullis.run(["env"])
        full, plain = host.calls
        self.assertEqual((full.cwd, full.env, full.inherit_env), ("sub", {"A": "1"}, True))
        self.assertEqual((full.timeout, full.input), (1.5, b"in"))
        self.assertEqual((plain.cwd, plain.env, plain.inherit_env), (None, {}, False))
        self.assertEqual((plain.timeout, plain.input), (None, None))

    def test_text_is_decoded_and_input_encoded(self) -> None:
        with Host() as host:
            host.command("cat", stdout=lambda given: given, stderr="a\r\nb\r")
            process = portcullis.run(["cat"], input="héllo", text=True)
            self.assertEqual((process.stdout, process.stderr), ("héllo", "a\nb\n"))
            self.assertEqual(host.calls[0].input, "héllo".encode())
            self.assertEqual(portcullis.run(["cat"], input="é", encoding="latin-1").stdout, "é")
            host.command("cat", stdout=b"\xff")
            with self.assertRaises(UnicodeDecodeError):
                portcullis.run(["cat"], text=True)
            self.assertEqual(portcullis.run(["cat"], text=True, errors="replace").stdout, "\ufffd")

    def test_a_line_for_a_shell_is_refused(self) -> None:
        with Host(), self.assertRaisesRegex(TypeError, "never a line for a shell"):
            portcullis.run("ls -l")

    def test_check_says_what_failed_and_how(self) -> None:
        with Host() as host:
            host.command("git", ..., returncode=128, stderr="fatal: no repository\n")
            host.command("loop", returncode=-9)
            with self.assertRaises(subprocess.CalledProcessError) as caught:
                portcullis.run(["git", "status", "--short"], check=True)
            self.assertIsInstance(caught.exception, portcullis.Error)
            self.assertEqual(str(caught.exception), "`git status` ended with status 128: fatal: no repository")
            self.assertEqual(caught.exception.returncode, 128)
            with self.assertRaisesRegex(portcullis.CalledProcessError, "`loop` ended with signal 9$"):
                portcullis.run(["loop"], check=True)

    def test_a_command_whose_time_is_over_has_what_it_wrote(self) -> None:
        with Host() as host:
            # Stopped within a character.
            host.command("slow", stdout="begun é".encode()[:-1], delay=5)
            self.assertEqual(portcullis.run(["slow"], timeout=6).returncode, 0)
            for expected in (subprocess.TimeoutExpired, TimeoutError, portcullis.TimedOut):
                with self.assertRaises(expected) as caught:
                    portcullis.run(["slow"], timeout=0.5, text=True)
                self.assertEqual(getattr(caught.exception, "stdout"), "begun \ufffd")
                self.assertEqual(str(caught.exception), "`slow` was stopped: its time was over after 0.5 s")
            host.command("late", error="timed-out")
            with self.assertRaises(portcullis.TimeoutExpired) as late:
                portcullis.run(["late"])
            self.assertEqual(late.exception.stdout, b"")

    def test_why_a_command_did_not_run(self) -> None:
        cases = {
            "denied": (
                portcullis.Denied,
                PermissionError,
                "cannot run `id`: denied: the operator's policy does not allow it",
            ),
            "not-found": (portcullis.NotFound, FileNotFoundError, "cannot run `id`: not found"),
            "invalid": (portcullis.Invalid, ValueError, "cannot run `id`: invalid request"),
            "io": (portcullis.HostError, OSError, "cannot run `id`: the host could not do it"),
            "children": (portcullis.LimitReached, portcullis.Error, "as many commands are running as may"),
            "rate": (portcullis.LimitReached, portcullis.Error, "too many commands were started"),
            "total-output": (portcullis.LimitReached, portcullis.Error, "have written all they may"),
        }
        for kind, (ours, theirs, text) in cases.items():
            with self.subTest(kind), Host() as host:
                host.command("id", ANY, error=kind)
                with self.assertRaises(ours) as caught:
                    portcullis.run(["id", "-u"])
                self.assertIsInstance(caught.exception, theirs)
                self.assertIn(text, str(caught.exception))

    def test_what_may_be_a_secret_is_not_said(self) -> None:
        with Host() as host:
            for args in (["mysql", "-psecret"], ["curl", "https://me:secret@a.example"], ["git", "push", "secret"]):
                host.command(*args, error="denied")
                with self.assertRaises(portcullis.Denied) as caught:
                    portcullis.run(args)
                self.assertNotIn("secret", str(caught.exception))

    def test_a_command_that_the_host_killed_is_an_error(self) -> None:
        for reason, text in (("memory", "needed more memory"), ("output", "far more than is kept")):
            with Host() as host:
                host.command("eat", killed=reason)
                with self.assertRaisesRegex(portcullis.LimitReached, text):
                    portcullis.run(["eat"])

    def test_a_command_that_was_not_scripted_fails_the_test(self) -> None:
        with Host() as host:
            host.command("git", "status")
            with self.assertRaisesRegex(AssertionError, "'git', 'push'"):
                portcullis.run(["git", "push"])

    def test_outside_of_a_host_there_is_none(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "there is no host here"):
            portcullis.run(["ls"])


class Beside(unittest.TestCase):
    def test_lines_as_they_come(self) -> None:
        with Host() as host:
            host.command("seq", "3", stdout="1\n2\n3\n", returncode=4)
            with portcullis.Popen(["seq", "3"], text=True) as process:
                assert process.stdout
                self.assertEqual([line for line in process.stdout], ["1\n", "2\n", "3\n"])
            self.assertEqual(process.returncode, 4)

    def test_a_conversation(self) -> None:
        with Host() as host:
            host.command("upper", stdout=lambda given: given.upper())
            with portcullis.Popen(["upper"], stdin=PIPE) as process:
                assert process.stdin and process.stdout
                for word in (b"ping\n", b"pong\n"):
                    process.stdin.write(word)
                    self.assertEqual(process.stdout.readline(), word.upper())
                self.assertIsNone(process.poll())
                process.stdin.close()
                self.assertEqual(process.wait(), 0)
                with self.assertRaises(ValueError):
                    process.stdin.write(b"late")

    def test_communicate_gives_everything(self) -> None:
        with Host() as host:
            host.command("cat", stdout=lambda given: given, stderr="aside")
            process = portcullis.Popen(["cat"], stdin=PIPE)
            self.assertEqual(process.communicate(b"x" * 200_000), (b"x" * 200_000, b"aside"))
            self.assertEqual(process.returncode, 0)

    def test_communicate_leaves_alone_what_was_closed(self) -> None:
        with Host() as host:
            host.command("cat", stdout=lambda given: given, stderr="aside")
            process = portcullis.Popen(["cat"], stdin=PIPE, text=True)
            assert process.stdin and process.stderr
            process.stdin.write("in")
            process.stdin.close()
            process.stderr.close()
            self.assertEqual(process.communicate(), ("in", ""))

    def test_arguments_may_be_paths(self) -> None:
        with Host() as host:
            host.command("cat", "a/b")
            portcullis.run(["cat", Path("a") / "b"], cwd=Path("c"))
        self.assertEqual(host.calls[0].cwd, "c")

    def test_where_outputs_go(self) -> None:
        with Host() as host:
            host.command("both", stdout="out", stderr="err")
            merged = portcullis.Popen(["both"], stderr=STDOUT, text=True)
            self.assertEqual(merged.communicate(), ("outerr", ""))
            self.assertIsNone(merged.stderr)
            dropped = portcullis.Popen(["both"], stdout=DEVNULL, text=True)
            self.assertEqual(dropped.communicate(), ("", "err"))

    def test_one_that_is_killed_ends_by_that_signal(self) -> None:
        with Host() as host:
            host.command("sleep", "30", delay=30)
            with portcullis.Popen(["sleep", "30"]) as process:
                self.assertIsNone(process.poll())
                process.kill()
                self.assertEqual((process.poll(), process.wait()), (-9, -9))

    def test_waiting_for_a_time_lets_it_run_on(self) -> None:
        with Host() as host:
            host.command("sleep", "30", stdout="so far", delay=30)
            process = portcullis.Popen(["sleep", "30"], text=True)
            with self.assertRaises(portcullis.TimeoutExpired):
                process.wait(timeout=0.01)
            with self.assertRaises(portcullis.TimeoutExpired) as caught:
                process.communicate(timeout=0.01)
            self.assertEqual(caught.exception.stdout, "so far")
            self.assertEqual(process.wait(), 0)

    def test_its_own_time_is_the_hosts_to_keep(self) -> None:
        with Host() as host:
            host.command("sleep", "30", delay=30)
            process = portcullis.Popen(["sleep", "30"], timeout=1)
            with self.assertRaises(portcullis.TimeoutExpired):
                process.wait()
            self.assertEqual(process.returncode, -9)

    def test_an_exception_in_the_block_kills_it(self) -> None:
        with Host() as host:
            host.command("sleep", "30", delay=30)
            with self.assertRaises(KeyError), portcullis.Popen(["sleep", "30"]) as process:
                raise KeyError
            self.assertEqual(process.wait(), -9)

    def test_waiting_for_one_that_waits_for_the_plugin_fails_the_test(self) -> None:
        with Host() as host:
            host.command("cat", stdout=lambda given: given)
            process = portcullis.Popen(["cat"], stdin=PIPE)
            with self.assertRaisesRegex(AssertionError, "is not closed"):
                process.wait()

    def test_one_that_may_not_start(self) -> None:
        with Host() as host:
            host.command("id", error="denied")
            with self.assertRaisesRegex(
                PermissionError, "cannot start `id`: denied: the operator's policy does not allow it"
            ):
                portcullis.Popen(["id"])


if __name__ == "__main__":
    unittest.main()
