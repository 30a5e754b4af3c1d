"""Runs a shell script in a terminal of its own and answers what programs ask a person.

    terminal.py <script>

Passwords are `correct horse battery staple`, one-time codes are those of the secret that was
shown last. A code is accepted once, so the next one is waited for where the same would come.
Everything that is shown goes to standard output; ends as the script does.
"""

import base64
import fcntl
import hmac
import os
import pty
import re
import signal
import socket
import struct
import sys
import time

PASSWORD = "correct horse battery staple"


def loopback_up():
    """A new network has a loopback that is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.unpack("16sh", fcntl.ioctl(control, 0x8913, struct.pack("16sh", b"lo", 0))[:18])[1]
        fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", flags | 1))


class App:
    """Somebody's app for one-time codes."""

    def __init__(self):
        self.secret = None
        self.last = 0

    def code(self):
        step = int(time.time()) // 30
        while step <= self.last:
            time.sleep(0.2)
            step = int(time.time()) // 30
        self.last = step
        digest = hmac.new(self.secret, struct.pack(">Q", step), "sha1").digest()
        start = digest[-1] & 15
        return "%06d" % ((struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFFFFFF) % 1_000_000)


def answer(app, shown):
    """What a person types after this, if it asks for something."""
    line = shown.rsplit("\n", 1)[-1].lstrip("\r")
    if re.search(r"[Pp]assword( again)?: $", line):
        return PASSWORD
    if re.search(r"[Cc]ode[^:]*: $", line):
        return app.code()
    if line.endswith("[y/N]: "):
        return "y"
    return None


def main():
    loopback_up()
    process, terminal = pty.fork()
    if process == 0:
        os.execvp("bash", ["bash", sys.argv[1]])
    app, shown = App(), ""
    while True:
        try:
            part = os.read(terminal, 65536).decode(errors="replace")
        except OSError:
            break
        if not part:
            break
        sys.stdout.write(part)
        sys.stdout.flush()
        shown = (shown + part)[-20_000:]
        found = re.findall(r"otpauth://totp/\S*?secret=([A-Z2-7]+)", shown)
        if found:
            secret = base64.b32decode(found[-1] + "=" * (-len(found[-1]) % 8))
            if secret != app.secret:
                app.secret, app.last = secret, 0
        # A script prompts for a code by name, and gets it as a line.
        reply = answer(app, shown)
        if reply is not None:
            os.write(terminal, (reply + "\n").encode())
            shown += "\n"
    status = os.waitpid(process, 0)[1]
    sys.exit(os.waitstatus_to_exitcode(status) if os.waitstatus_to_exitcode(status) >= 0 else 1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
