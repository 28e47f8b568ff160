"""A real SMTP server for tests: STARTTLS, AUTH, recipients refused for now (451) and for good (550), a message that is
refused for now the first time (`tired@`), and one after which the connection breaks (`silent@`).

Usage: smtp_server.py CERT KEY FOLDER. Prints the port once it listens; stops when standard input closes.
"""

import asyncio
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.count = 0
        self.silent = 0
        self.tired = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("later@"):
            return "451 4.7.1 try again later"
        if address.startswith("never@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if envelope.rcpt_tos[0].startswith("tired@") and self.tired == 0:
            self.tired += 1
            return "451 4.3.2 try again later"
        if envelope.rcpt_tos[0].startswith("silent@"):
            self.silent += 1
            (self.folder / f"{self.silent:04}.silent").touch()
            server.transport.close()
            return "250 never seen"
        self.count += 1
        path = self.folder / f"{self.count:04}.eml"
        path.write_bytes(envelope.original_content)
        path.with_suffix(".to").write_text("\n".join(envelope.rcpt_tos))
        return f"250 2.0.0 Ok: queued as Q{self.count}"


def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and data.login == b"neon" and data.password == b"secret"
    return AuthResult(success=good, handled=False)


async def serve(cert: str, key: str, folder: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    handler = Handler(pathlib.Path(folder))
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        return SMTP(
            handler,
            hostname="localhost",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
            loop=loop,
        )

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:4]))
