"""A user with a desktop client: slixmpp over TCP. Usage: python desktop.py

One JSON object on a line each way, as for browser.mjs.
Commands: login {host, port, tls: "starttls" | "direct", ca, jid, password}, logout,
          subscribe {to}, approve {to}, send {to, prefix, count}, talk {to, prefix, count, lead}
Events:   ready, online {jid, mechanism}, offline, presence {from, type}, message {from, body}, fault {text}
"""

import asyncio
import json
import sys
import threading
from pathlib import Path

from slixmpp import ClientXMPP


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class User(ClientXMPP):
    heard = said = count = lead = 0

    def __init__(self, jid, password, tls, ca):
        super().__init__(jid, password)
        self.ca_certs = Path(ca)
        self.enable_starttls = tls == "starttls"
        self.enable_direct_tls = tls == "direct"
        self.auto_authorize = None  # the test decides who may see us
        self.auto_subscribe = False
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("disconnected", lambda _: tell("offline"))
        for fault in ("failed_all_auth", "connection_failed", "stream_error"):
            self.add_event_handler(fault, lambda what, fault=fault: tell("fault", text=f"{fault}: {what}"))
        for kind in ("available", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed"):
            self.add_event_handler(f"presence_{kind}", self.on_presence)

    async def begin(self, _):
        await self.get_roster()
        self.send_presence()

    def on_presence(self, presence):
        jid, kind = str(presence["from"]), presence["type"]
        # Our own presence comes back (RFC 6121, 4.2.2): now the server has it.
        if jid == self.boundjid.full and kind == "available":
            tell("online", jid=jid, mechanism=self.plugin["feature_mechanisms"].mech.name)
        else:
            tell("presence", **{"from": jid, "type": kind})

    def on_message(self, message):
        if not message["body"]:
            return  # that someone writes, or has read
        tell("message", **{"from": str(message["from"]), "type": message["type"], "body": message["body"]})
        self.heard += 1
        self.go_on_talking()

    def talk(self, to, prefix, count, lead):
        self.to, self.prefix, self.count, self.lead = to, prefix, count, lead
        self.go_on_talking()

    def go_on_talking(self):
        while self.said < min(self.count, self.heard + self.lead):
            self.send_message(mto=self.to, mbody=f"{self.prefix}{self.said}", mtype="chat")
            self.said += 1


class Desktop:
    """Does what the test says."""

    user = None

    def login(self, host, port, tls, ca, jid, password):
        self.user = User(jid, password, tls, ca)
        self.user.connect(host, port)

    def logout(self):
        self.user.disconnect()

    def subscribe(self, to):
        self.user.send_presence_subscription(pto=to, ptype="subscribe")

    def approve(self, to):
        self.user.send_presence_subscription(pto=to, ptype="subscribed")

    def send(self, to, prefix, count):
        for n in range(count):
            self.user.send_message(mto=to, mbody=f"{prefix}{n}", mtype="chat")

    def talk(self, to, prefix, count, lead):
        """Sends so many messages, at most `lead` more than came: both sides so are never far from each other."""
        self.user.talk(to, prefix, count, lead)


async def main():
    loop, commands = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(commands.put_nowait, json.loads(line))
        loop.call_soon_threadsafe(commands.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    desktop = Desktop()
    tell("ready")
    while (command := await commands.get()) is not None:
        verb = command.pop("do")
        try:
            getattr(desktop, verb)(**command)
        except Exception as error:  # whatever it is, the test is to hear of it
            tell("fault", text=f"{verb}: {error!r}")


asyncio.run(main())
