"""Every piece of Python in `docs/python.md`, run in its order on a scripted host."""

import logging
import re
import unittest
from pathlib import Path
from typing import Any

from portcullis.testing import Host

ROOT = Path(__file__).parents[3]
BOOK = ROOT / "docs/python.md"
#: What `portcullis new` begins with.
NEW = ROOT / "crates/portcullis-cli/src/kit/new/python/plugin.py"


@unittest.skipUnless(BOOK.is_file(), "the book is not beside the package")
class Book(unittest.TestCase):
    def test_all_of_it(self) -> None:
        root = logging.getLogger()
        self.addCleanup(root.setLevel, root.level)
        self.addCleanup(root.handlers.clear)
        pieces = re.findall(r"^```python\n(.*?)^```$", BOOK.read_text(), re.DOTALL | re.MULTILINE)
        self.assertEqual(pieces[0], NEW.read_text())
        names: dict[str, Any] = {"__name__": "book"}
        host = Host(
            files={"notes/a.txt": "abc", "settings.toml": "x = 1"}, variables={"LANG": "eo"}, answers={"remove": True}
        )
        host.command("ls", "-l", stdout="total 0\n")
        host.command("sha256sum", stdout=lambda given: given[::-1])
        host.command("grep", ..., returncode=1)
        host.command("tail", ..., stdout="fine\nan error\n", delay=60)
        host.command("bc", "-l", stdout=lambda given: str(eval(given)) + "\n")
        host.respond("GET", "https://api.example.com/status", body='{"status": "up"}')
        with host:
            for piece in pieces:
                exec(compile(piece, str(BOOK), "exec"), names)
        self.assertEqual(names["listing"].stdout, "total 0\n")
        self.assertEqual((names["digest"], names["found"]), (b"setyb emos", False))
        self.assertEqual((names["tail"].returncode, names["answer"]), (-9, "42\n"))
        self.assertEqual((names["language"], names["settings"]), ("eo", "x = 1"))
        self.assertEqual(host.logged, [("info", "a.txt has 3 bytes")])
        self.assertEqual((host.kv, "report.txt" in host.files), ({"status": b"up"}, False))
        tests = [name for name in names if name.startswith("test_")]
        self.assertEqual(len(tests), 2)
        for name in tests:
            names[name]()


if __name__ == "__main__":
    unittest.main()
