#!/usr/bin/env python3
"""Run one real Bytestag node, driven by JSON lines on stdin and answering with JSON lines on stdout.

README.md beside this file describes the commands. Keys are hex text.
"""

import argparse
import hashlib
import json
import logging
import os
import sys
import tempfile
import threading
import time
import traceback
import warnings
import zlib

# Its optional UPnP library is not there, and it says so.
warnings.simplefilter("ignore")

import bytestag.dht.models  # noqa: E402
from bytestag.client import Client  # noqa: E402
from bytestag.dht.network import DHTNetwork  # noqa: E402
from bytestag.dht.tables import Node  # noqa: E402
from bytestag.events import EventReactor  # noqa: E402
from bytestag.keys import KeyBytes  # noqa: E402
from bytestag.network import UDP_INBOUND_EVENT, Network  # noqa: E402
from bytestag.storage import DatabaseKVPTable, MemoryKVPTable  # noqa: E402
from bytestag.tables import KVPID  # noqa: E402


def key_of(text):
    """A key of Bytestag. From bytes: given text it would try three notations."""
    return KeyBytes(bytes.fromhex(text))


def hex_of(key):
    return bytes(key).hex()


class PositionalJson:
    """The json module as of Python 3.2, where options could be given by their place."""

    loads = staticmethod(json.loads)
    names = "skipkeys ensure_ascii check_circular allow_nan cls indent separators default".split()

    @classmethod
    def dumps(cls, value, *places, **options):
        return json.dumps(value, **dict(zip(cls.names, places)), **options)


class Errors(logging.Handler):
    """What goes wrong in the library's threads."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts = []
        threading.excepthook = self.on_thread_exception
        logging.getLogger("bytestag").addHandler(self)

    def emit(self, record):
        self.texts.append(logging.Formatter().format(record))

    def on_thread_exception(self, error):
        text = traceback.format_exception(error.exc_type, error.exc_value, error.exc_traceback)
        self.texts.append("".join(text))


class Trace:
    """All datagrams, with the moment at which the node sent or got each."""

    def __init__(self, reactor):
        self.lines = []
        self.put = reactor.put
        reactor.put = self.on_event

    def watch_sends(self, client):
        send = client.send

        def send_and_note(address, data):
            # Noted before it leaves, so that no answer can come earlier.
            self.note("out", address, data)
            send(address, data)

        client.send = send_and_note

    def on_event(self, event, *data):
        if event is UDP_INBOUND_EVENT:
            self.note("in", *data)
        self.put(event, *data)

    def note(self, way, address, data):
        line = {"at": time.monotonic(), "way": way, "port": address[1], "bytes": len(data)}
        try:
            line["json"] = json.loads(zlib.decompress(data))
        except (ValueError, zlib.error):
            line["unreadable"] = data[:40].hex()
        # Chunks make up most of it, and their content is of no interest.
        content = line.get("json", {}).get("xfer_data")
        if isinstance(content, str):
            line["json"]["xfer_data"] = len(content) * 3 // 4 - content.count("=")
        self.lines.append(line)


class Peer:
    """A node with one of Bytestag's tables, or a whole client."""

    def __init__(self, args, out):
        self.out = out
        self.done = False
        self.errors = Errors()
        self.directory = tempfile.TemporaryDirectory(prefix="bytestag-peer-")
        address = (args.host, args.port)
        identity = key_of(args.id) if args.id else KeyBytes()
        if args.table == "client":
            self.client = Client(self.directory.name, address, identity)
            # It starts its event loop in its own thread, after a join that it is not told of.
            self.reactor = self.client.network.event_reactor
            self.trace = Trace(self.reactor)
            self.network, self.dht = self.client.network, self.client.dht_network
            self.values = self.client.cache_table
            self.table = self.client._aggregated_kvp_table
            self.thread = self.client
        else:
            self.client = None
            self.reactor = EventReactor()
            self.trace = Trace(self.reactor)
            self.network = Network(self.reactor, address)
            if args.table == "memory":
                self.values = MemoryKVPTable()
            else:
                self.values = DatabaseKVPTable(os.path.join(self.directory.name, "cache.db"))
            self.table = self.values
            self.dht = DHTNetwork(self.reactor, self.table, identity, self.network)
            self.thread = threading.Thread(target=self.reactor.start, daemon=True)
        self.trace.watch_sends(self.network._client)
        self.thread.start()
        host, port = self.dht.address
        self.emit({"event": "ready", "id": hex_of(self.dht.key), "host": host, "port": port})

    def emit(self, line):
        print(json.dumps(line), file=self.out, flush=True)

    def handle_line(self, line):
        """Execute one command and answer it."""
        try:
            command = json.loads(line)
            name = command["cmd"]
            method = getattr(self, f"cmd_{name}", None)
            if method is None:
                raise ValueError(f"no such command: {name}")
            answer = {"reply": name, **(method(command) or {})}
        except Exception as error:  # every failure is the answer to its command
            answer = {"error": f"{type(error).__name__}: {error}", "command": line.strip()}
        self.emit(answer)

    @staticmethod
    def node(command):
        return Node(key_of(command["id"]), (command["host"], command["port"]))

    @staticmethod
    def pair(command):
        key = key_of(command["key"])
        index = command.get("index")
        return KVPID(key, key_of(index) if index else key)

    def cmd_join(self, command):
        return {"joined": self.dht.join_network((command["host"], command["port"])).result()}

    def cmd_ping(self, command):
        answer = self.dht.ping_address((command["host"], command["port"])).result()
        return {"id": hex_of(answer[1].key) if answer else None}

    def cmd_table(self, _command):
        nodes = [node for bucket in self.dht.routing_table.buckets for node in bucket.nodes]
        return {"nodes": [self.describe(node) for node in nodes]}

    @staticmethod
    def describe(node):
        return {"id": hex_of(node.key), "host": node.address[0], "port": node.address[1]}

    def cmd_find_node(self, command):
        found = self.dht.find_node_shortlist(key_of(command["key"])).result()
        return {"nodes": [self.describe(node) for node in found.sorted_nodes]}

    def cmd_find_value(self, command):
        found = self.dht.find_value_shortlist(*self.pair(command)).result()
        return {
            "having": [self.describe(node) for node in found.useful_nodes],
            "nodes": [self.describe(node) for node in found.sorted_nodes],
        }

    def cmd_store(self, command):
        """Store what it holds, or a new value, on all nodes it finds."""
        if "value" in command:
            value = bytes.fromhex(command["value"])
            pair = KVPID(KeyBytes.new_hash(value), KeyBytes.new_hash(value))
            self.table[pair] = value
            # One without a time would be announced as of now, again and again.
            self.table.record(pair).timestamp = int(time.time())
        else:
            pair = self.pair(command)
        return {
            "key": hex_of(pair.key),
            "index": hex_of(pair.index),
            "stored": self.dht.store_value(pair.key, pair.index).result(),
        }

    def cmd_get(self, command):
        """The value of one node, by getval."""
        pair = self.pair(command)
        offset = command.get("offset")
        task = self.dht.get_value_from_node(self.node(command), pair.key, pair.index, offset)
        value = task.result().read()
        return {"size": len(value), "sha1": hashlib.sha1(value).hexdigest()}

    def cmd_values(self, _command):
        return {"values": [self.describe_value(pair) for pair in self.values.keys()]}

    def describe_value(self, pair):
        record = self.values.record(pair)
        return {
            "key": hex_of(pair.key),
            "index": hex_of(pair.index),
            "size": record.size,
            "sha1": hashlib.sha1(record.value).hexdigest(),
            "timestamp": record.timestamp,
            "time_to_live": record.time_to_live,
        }

    def cmd_share(self, command):
        """Scan a directory; the client publishes what is new by itself."""
        table = self.client.shared_files_table
        table.shared_directories.append(command["directory"])
        table.hash_directories().result()
        pairs = [pair for pair in table.keys() if pair.key != pair.index]
        return {
            "files": [{"key": hex_of(pair.key), "index": hex_of(pair.index)} for pair in pairs],
            "values": len(list(table.keys())),
        }

    def cmd_trace(self, _command):
        """All datagrams since the last time."""
        lines, self.trace.lines = self.trace.lines, []
        return {"trace": lines}

    def cmd_transfers(self, _command):
        """Downloads that it has not cleaned up yet; it does so 10 to 20 s after their end."""
        return {"transfers": len(self.network._downloads)}

    def cmd_status(self, _command):
        texts = list(self.errors.texts)
        if not self.thread.is_alive():
            texts.append("the event loop has ended")
        return {"status": texts or "Nominal"}

    def cmd_quit(self, _command):
        self.done = True


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--table", choices=["memory", "database", "client"], default="memory")
    parser.add_argument("--id", help="hex; default: a random one")
    return parser.parse_args()


def main():
    args = parse_arguments()
    bytestag.dht.models.json = PositionalJson
    # Whatever the library prints must not get between the JSON lines.
    out, sys.stdout = sys.stdout, sys.stderr
    peer = Peer(args, out)
    for line in sys.stdin:
        peer.handle_line(line)
        if peer.done:
            break
    peer.directory.cleanup()
    # Some of the library's threads never end.
    os._exit(0)


if __name__ == "__main__":
    main()
