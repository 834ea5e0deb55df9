# Payload in Python, also for the programs that load a Python file.
import os, signal, socket, stat, subprocess


def attempt(act):
    try:
        act()
    except BaseException:
        pass


def keep(name, data):
    with open("@grant@/" + name, "ab") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write():
    with open("@target@", "w") as file:
        file.write("@nonce@")


def unix():
    with socket.socket(socket.AF_UNIX) as end:
        end.connect("@socket@")


keep("gain.run", b"%d\n" % (@nonce@ * 3 + 1))
attempt(lambda: keep("gain.secret", read("@secret@")))
attempt(lambda: keep("gain.environ", read("@environ@")))
attempt(write)
attempt(lambda: os.chmod("@moded@", stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP))
attempt(lambda: socket.create_connection(("127.0.0.1", @port@)).close())
attempt(unix)
attempt(lambda: keep("gain.id", subprocess.check_output(["/usr/bin/id"])))
attempt(lambda: os.kill(@victim@, signal.SIGUSR1))
keep("tried", b"done\n")
