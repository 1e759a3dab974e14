"""An echo bot: logs in over TCP with TLS and answers every message with its own text.

    XMPP_PASSWORD=secret python echo_bot.py echo@localhost --server 127.0.0.1:5222 --ca data/dev-cert.pem
"""

import argparse
import asyncio
import getpass
import os
import sys
from pathlib import Path

from slixmpp import ClientXMPP


class EchoBot(ClientXMPP):
    """Lets everyone see it, asks to see them in return (slixmpp's defaults), and echoes."""

    def __init__(self, jid, password):
        super().__init__(jid, password)
        self.refusal = None
        self.enable_direct_tls = False  # it starts in the clear and turns to TLS (STARTTLS)
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("message", self.echo)
        self.add_event_handler("failed_all_auth", self.refused)

    async def start(self, _event):
        # Roster first, presence second: then nobody's presence comes before we know who it is.
        await self.get_roster()
        self.send_presence()
        print(f"online as {self.boundjid.full}", flush=True)

    def echo(self, message):
        # Never answer an error, and never what has no text (someone is typing, a receipt).
        if message["type"] in ("chat", "normal") and message["body"]:
            message.reply(message["body"]).send()

    def refused(self, _event):
        self.refusal = "the server refuses this name and password"
        self.disconnect()


async def run():
    options = argparse.ArgumentParser(description="Answers every message with its own text.")
    options.add_argument("jid", help="the bot's account, such as echo@localhost")
    options.add_argument("--server", metavar="HOST:PORT", help="where to connect; without it the domain's DNS says")
    options.add_argument("--ca", type=Path, help="a certificate to trust, such as Herald's data/dev-cert.pem")
    options = options.parse_args()

    bot = EchoBot(options.jid, os.environ.get("XMPP_PASSWORD") or getpass.getpass())
    bot.ca_certs = options.ca
    if options.server:
        host, port = options.server.rsplit(":", 1)
        bot.connect(host, int(port))
    else:
        bot.connect()
    await bot.disconnected
    sys.exit(bot.refusal)


if __name__ == "__main__":
    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        pass
