"""Runs a program in a pseudo-terminal, for tests/shell.rs.

Arguments: columns, rows, the program and its arguments. Standard input: a JSON list of [until, send]: once `until` is
shown, behind what was waited for before, `send` is typed. Standard output: a JSON object of what was shown, without control
sequences, and the exit code. It fails where something is not shown in time.
"""

import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time

CONTROL = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[=>]|\r|\x07")
PATIENCE = 120


def main():
    columns, rows = int(sys.argv[1]), int(sys.argv[2])
    steps = json.load(sys.stdin)
    child, terminal = pty.fork()
    if child == 0:
        # The size must be right before the program asks for it.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execvp(sys.argv[3], sys.argv[3:])

    shown = b""
    ended = False

    def text():
        return CONTROL.sub(b"", shown).decode(errors="replace")

    def read(wait):
        nonlocal shown, ended
        ready, _, _ = select.select([terminal], [], [], wait)
        if ready:
            try:
                more = os.read(terminal, 65536)
            except OSError:
                more = b""
            ended = not more
            shown += more

    seen = 0
    for until, send in steps:
        deadline = time.monotonic() + PATIENCE
        while until not in text()[seen:]:
            if ended or time.monotonic() > deadline:
                sys.exit(f"{until!r} was not shown; this was:\n{text()}")
            read(0.1)
        seen = text().index(until, seen) + len(until)
        os.write(terminal, send.encode())
    deadline = time.monotonic() + PATIENCE
    while not ended and time.monotonic() < deadline:
        read(0.1)
    if not ended:
        os.kill(child, 9)
    _, status = os.waitpid(child, 0)
    json.dump({"shown": text(), "code": os.waitstatus_to_exitcode(status)}, sys.stdout)


main()
