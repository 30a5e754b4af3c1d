"""An SMTP server for the tests: `python smtp_server.py <port> <folder>`.

Each mail it takes becomes `<number>.json` in the folder: whom it is from and to as the
envelope says, its headers, and its text and HTML decoded by a parser that is not ours.
Port 0 takes a free one; the port is the first line on standard output.

`later-<n>@…` is told 451 the first n times, `never@…` always 550.
"""

import asyncio
import email
import email.policy
import json
import os
import re
import sys

from aiosmtpd.smtp import SMTP


class Handler:
    def __init__(self, folder):
        self.folder = folder
        self.asked = {}
        self.taken = len(os.listdir(folder))

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        times = re.fullmatch(r"later-(\d+)", name)
        asked = self.asked[address] = self.asked.get(address, 0) + 1
        if times and asked <= int(times[1]):
            return "451 4.3.0 not now, try again"
        if name == "never":
            return "550 5.1.1 there is nobody of this name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: message.get_body(preferencelist=(kind,)).get_content()
        taken = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name: str(value) for name, value in message.items()},
            "text": part("plain"),
            "html": part("html"),
        }
        self.taken += 1
        # Whole or not there: the test reads while this writes.
        beside = os.path.join(self.folder, f".{self.taken}")
        with open(beside, "w") as file:
            json.dump(taken, file)
        os.rename(beside, os.path.join(self.folder, f"{self.taken:04}.json"))
        return "250 OK"


async def main(port, folder):
    handler = Handler(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname="localhost", enable_SMTPUTF8=True), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
