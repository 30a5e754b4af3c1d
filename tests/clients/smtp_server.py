"""An SMTP server for the tests: `python smtp_server.py <port> <folder> [tls]`.

Each mail it takes becomes `<number>.json` in the folder: whom it is from and to as the
envelope says, its headers, and its text and HTML decoded by a parser that is not ours.
Port 0 takes a free one; the port is the first line on standard output.

`later-<n>@…` is told 451 the first n times, `never@…` always 550.

With `tls` it speaks TLS from the first byte, with a certificate for localhost that it makes
anew and leaves beside the folder as `certificate.pem`, and takes mails only from whoever
logs in as ROBOT.
"""

import asyncio
import datetime
import email
import email.policy
import json
import os
import re
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

ROBOT = LoginPassword(b"robot@example.org", b"s:cr@t/")


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
        # Complete or absent: the test reads while this writes.
        beside = os.path.join(self.folder, f".{self.taken}")
        with open(beside, "w") as file:
            json.dump(taken, file)
        os.rename(beside, os.path.join(self.folder, f"{self.taken:04}.json"))
        return "250 OK"


def certificate(folder):
    """A certificate for localhost that signs itself; where it and its key are."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = [os.path.join(folder, os.pardir, file) for file in ("certificate.pem", "key.pem")]
    with open(paths[0], "wb") as file:
        file.write(made.public_bytes(serialization.Encoding.PEM))
    with open(paths[1], "wb") as file:
        file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return paths


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=data == ROBOT, handled=False)


async def main(port, folder, tls):
    handler = Handler(folder)
    context, login = None, {}
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate(folder))
        # It requires STARTTLS for a login, which is not needed within TLS.
        login = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False}
    loop = asyncio.get_running_loop()
    make = lambda: SMTP(handler, hostname="localhost", enable_SMTPUTF8=True, **login)
    server = await loop.create_server(make, "127.0.0.1", port, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:] == ["tls"]))
