"""A user with slixmpp whose connection is cut again and again. Usage: python client.py HOST PORT JID PASSWORD

Commands, one JSON object on a line: {"do": "send", "to": JID, "count": N} sends N more, numbered.
Events, the same: {"event": "started"}, "resumed", "failed", {"event": "got", "body": ..}, {"event": "fault", ..}
"""

import asyncio
import json
import sys
import threading

from slixmpp import ClientXMPP


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class User(ClientXMPP):
    def __init__(self, host, port, jid, password):
        super().__init__(jid, password)
        self.address = (host, int(port))
        self.enable_starttls = self.enable_direct_tls = False
        self.enable_plaintext = True
        self.plugin["feature_mechanisms"].unencrypted_scram = True
        self.up, self.sent, self.pending = False, 0, []
        self.register_plugin("xep_0198")
        # slixmpp 1.17 stops counting when a connection is lost, but still works off its queue then: what stood in
        # there is neither sent nor sent again. So it has to go on counting.
        self.del_event_handler("disconnected", self.plugin["xep_0198"].disconnected)
        self.add_event_handler("session_start", lambda _: self.send_presence())
        self.add_event_handler("sm_enabled", self.started)
        self.add_event_handler("session_resumed", self.resumed)
        self.add_event_handler("sm_failed", lambda _: tell("failed"))
        self.add_event_handler("disconnected", self.cut)
        self.add_event_handler("message", lambda m: tell("got", body=m["body"]))
        for fault in ("failed_all_auth", "stream_error"):
            self.add_event_handler(fault, lambda what, fault=fault: tell("fault", text=f"{fault}: {what}"))

    def begin(self):
        self.connect(*self.address)

    def started(self, _):
        # The session has begun before, but what comes until now is lost with its connection.
        self.up = True
        tell("started")
        self.pump()

    def resumed(self, _):
        self.up = True
        tell("resumed")
        self.pump()

    def cut(self, _):
        self.up = False
        self.begin()

    def pump(self):
        # The library keeps what was sent while a stream was up, and only that.
        while self.up and self.pending:
            self.send_message(mto=self.pending.pop(0), mbody=str(self.sent), mtype="chat")
            self.sent += 1


async def main():
    loop, commands = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(commands.put_nowait, json.loads(line))
        loop.call_soon_threadsafe(commands.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    user = User(*sys.argv[1:])
    user.begin()
    while (command := await commands.get()) is not None:
        user.pending += [command["to"]] * command["count"]
        user.pump()


asyncio.run(main())
