#!/usr/bin/env python3
"""Run one real py2p node, driven by JSON lines on stdin and answering with JSON lines on stdout.

js_peer.js offers the same interface; README.md beside this file describes it.
"""

import argparse
import json
import os
import socket
import sys
import threading
import time
import traceback

import py2p.messages
from py2p import ChordSocket, MeshSocket, SyncSocket, flags
from py2p.base import Protocol
from py2p.chord import ChordConnection


# How many times as often as it would, a chord node looks for values that it waits for.
HURRY = 20


def to_json(value):
    """The JSON form of a MessagePack value."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return {"bin": bytes(value).hex()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        plain = all(isinstance(key, str) for key in value)
        if plain and list(value) not in (["bin"], ["map"]):
            return {key: to_json(item) for key, item in value.items()}
        return {"map": [[to_json(key), to_json(item)] for key, item in value.items()]}
    return {"other": repr(value)}


def from_json(value):
    """The MessagePack value of a JSON form."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, dict):
        if list(value) == ["bin"]:
            return bytes.fromhex(value["bin"])
        if list(value) == ["map"]:
            return {hashable(from_json(key)): from_json(item) for key, item in value["map"]}
        return {key: from_json(item) for key, item in value.items()}
    return value


def hashable(key):
    """A list as a map key must be a tuple in Python."""
    return tuple(hashable(item) for item in key) if isinstance(key, list) else key


def id_text(node_id):
    """A node id as text, whatever type it came in."""
    if isinstance(node_id, (bytes, bytearray)):
        return bytes(node_id).decode("utf-8", "backslashreplace")
    return str(node_id)


def id_type(node_id):
    """Whether an id came as text or as binary."""
    return "bin" if isinstance(node_id, (bytes, bytearray)) else "str"


class MeshPeer:
    """A node of the mesh kind, and what the other kinds share with it."""

    socket_type = MeshSocket

    def __init__(self, args, out):
        self.out = out
        self.out_lock = threading.Lock()
        self.last_message = None
        self.done = False
        port = args.port or free_port(args.host)
        protocol = Protocol(args.subnet or args.kind, args.transport)
        self.node = self.socket_type(args.host, port, prot=protocol, **self.options(args))
        threading.excepthook = self.on_thread_exception
        self.node.on("connect", lambda _node: self.emit({"event": "connect"}))
        self.node.on("message", self.on_message)
        self.listen_to_keys()
        self.emit({"event": "ready", "id": id_text(self.node.id), "host": args.host, "port": port})

    @staticmethod
    def options(_args):
        """Constructor arguments beyond those of a mesh node."""
        return {}

    def listen_to_keys(self):
        """Subscribe to the dictionary events of the kind."""

    def emit(self, line):
        with self.out_lock:
            print(json.dumps(line), file=self.out, flush=True)

    def on_message(self, _node):
        while (message := self.node.recv()) is not None:
            self.last_message = message
            subflag, *packets = message.packets
            self.emit(
                {
                    "event": "message",
                    "sender": id_text(message.sender),
                    "sender_type": id_type(message.sender),
                    "subflag": subflag,
                    "packets": to_json(packets),
                }
            )

    def on_thread_exception(self, error):
        """Make the death of py2p's thread visible in its status."""
        text = traceback.format_exception(error.exc_type, error.exc_value, error.exc_traceback)
        self.node.daemon.exceptions.append("".join(text))

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

    def connection(self, text):
        """The routing table entry with this id as text."""
        for node_id, connection in list(self.node.routing_table.items()):
            if id_text(node_id) == text:
                return connection
        raise KeyError(f"not a peer: {text}")

    def cmd_connect(self, command):
        return {"dialled": self.node.connect(command["host"], command["port"]) is not False}

    def cmd_disconnect(self, command):
        self.node.disconnect(self.connection(command["id"]))

    def cmd_send(self, command):
        self.node.send(*from_json(command["packets"]))

    def cmd_whisper(self, command):
        packets = from_json(command["packets"])
        self.connection(command["to"]).send(flags.whisper, flags.whisper, *packets)

    def cmd_reply(self, command):
        if self.last_message is None:
            raise ValueError("no message to reply to")
        self.last_message.reply(*from_json(command["packets"]))

    def cmd_peers(self, _command):
        peers = [
            self.describe(node_id, connection)
            for node_id, connection in list(self.node.routing_table.items())
        ]
        return {"peers": peers, "awaiting": len(self.node.awaiting_ids)}

    def describe(self, node_id, connection):
        """One entry of the `peers` answer."""
        return {
            "id": id_text(node_id),
            "id_type": id_type(node_id),
            "addr": to_json(connection.addr),
            "outgoing": connection.outgoing,
            "compression": to_json(connection.compression),
        }

    def cmd_status(self, _command):
        return {"status": self.node.status}

    def cmd_quit(self, _command):
        self.done = True

    def close(self):
        self.node.close()


class DictionaryPeer(MeshPeer):
    """What the kinds with a dictionary share."""

    def cmd_set(self, command):
        self.node.set(from_json(command["key"]), from_json(command["value"]))

    def cmd_get(self, command):
        return {"key": command["key"], "value": to_json(self.lookup(command))}

    def lookup(self, command):
        """The value of a key, None if there is none."""
        return self.node.get(from_json(command["key"]))

    def cmd_del(self, command):
        del self.node[from_json(command["key"])]

    def cmd_delta(self, command):
        self.node.apply_delta(from_json(command["key"]), from_json(command["delta"]))

    def cmd_keys(self, _command):
        return {"keys": to_json(list(self.node.keys()))}


class SyncPeer(DictionaryPeer):
    """A node of the sync kind."""

    socket_type = SyncSocket

    @staticmethod
    def options(args):
        return {"leasing": not args.no_leasing}

    def listen_to_keys(self):
        self.node.on("update", self.on_update)
        self.node.on("delete", self.on_delete)

    def on_update(self, _node, key, value, meta):
        self.emit(
            {
                "event": "update",
                "key": to_json(key),
                "value": to_json(value),
                "owner": id_text(meta.owner),
                "timestamp": meta.timestamp,
            }
        )

    def on_delete(self, _node, key):
        self.emit({"event": "delete", "key": to_json(key)})


class ChordPeer(DictionaryPeer):
    """A node of the chord kind."""

    socket_type = ChordSocket

    def __init__(self, args, out):
        super().__init__(args, out)
        # py2p's thread and ours work on the same things without a lock. It switches a link's
        # compression off while it sends a handshake, which join() and unjoin() do in our thread:
        # what the other thread decodes in that moment fails its checksum. And the set of messages
        # seen, which grows with all that is sent, must not while the other thread clears it out.
        # Each costs a link. Hence the two threads take turns.
        self.turn = threading.RLock()
        process_data = self.node.daemon.process_data

        def process_data_in_turn(connection):
            with self.turn:
                process_data(connection)

        self.node.daemon.process_data = process_data_in_turn
        send = ChordConnection.send

        self.stored_by = []

        def send_in_turn(connection, *args, **kargs):
            with self.turn:
                if args[:2] == (flags.whisper, flags.store):
                    self.stored_by.append(id_text(connection.id))
                return send(connection, *args, **kargs)

        ChordConnection.send = send_in_turn

        # While it waits for a value, py2p looks ten times a second whether it has come, by waiting
        # for so long for the end of its thread. `lookup` makes it look more often.
        self.hurry = 1
        thread = self.node.daemon.daemon
        wait_for_end = thread.join
        thread.join = lambda limit=None: wait_for_end(limit and limit / self.hurry)

    def listen_to_keys(self):
        self.node.on("add", lambda _node, key: self.emit({"event": "add", "key": to_json(key)}))
        self.node.on(
            "delete", lambda _node, key: self.emit({"event": "delete", "key": to_json(key)})
        )

    def describe(self, node_id, connection):
        return {**super().describe(node_id, connection), "leeching": connection.leeching}

    def lookup(self, command):
        timeout = HURRY * command.get("timeout", 10)
        self.hurry = HURRY
        try:
            return self.node.getSync(from_json(command["key"]), timeout=timeout)
        finally:
            self.hurry = 1

    def cmd_delta(self, command):
        self.hurry = HURRY
        try:
            promise = self.node.apply_delta(from_json(command["key"]), from_json(command["delta"]))
            return {"value": to_json(promise.get(command.get("timeout", 15)))}
        finally:
            self.hurry = 1

    def cmd_set_many(self, command):
        stored_by = []
        for key, value in command["pairs"]:
            with self.turn:
                self.stored_by.clear()
                self.node.set(from_json(key), from_json(value))
                stored_by.append(self.stored_by[:])
        return {"stored_by": stored_by}

    def cmd_update(self, command):
        self.node.update(from_json(command["map"]))

    def cmd_get_many(self, command):
        values, millis = [], []
        for key in command["keys"]:
            start = time.monotonic()
            values.append(to_json(self.lookup({**command, "key": key})))
            millis.append(1000 * (time.monotonic() - start))
        return {"values": values, "millis": millis}

    def cmd_connect(self, command):
        with self.turn:
            return super().cmd_connect(command)

    def cmd_join(self, _command):
        with self.turn:
            self.node.join()

    def cmd_unjoin(self, _command):
        with self.turn:
            self.node.unjoin()


def free_port(host):
    """A port nobody listens on: py2p must know it beforehand, as it goes into the node id."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def restrict_compression(choice):
    """Keep only the chosen methods in the list py2p announces and decodes."""
    if choice != "default":
        names = [] if choice == "none" else choice.split(",")
        wanted = [getattr(flags, name) for name in names]
        py2p.messages.compression[:] = [
            method for method in py2p.messages.compression if method in wanted
        ]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=sorted(KINDS), default="mesh")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--subnet", help="default: the kind")
    parser.add_argument("--transport", choices=["Plaintext", "SSL"], default="Plaintext")
    parser.add_argument("--no-leasing", action="store_true", help="sync only")
    parser.add_argument(
        "--compression", default="default", help="default, none, or names such as zlib,bz2"
    )
    return parser.parse_args()


def main():
    args = parse_arguments()
    # py2p prints its warnings to stdout, which belongs to the JSON lines here.
    out, sys.stdout = sys.stdout, sys.stderr
    restrict_compression(args.compression)
    peer = KINDS[args.kind](args, out)
    for line in sys.stdin:
        peer.handle_line(line)
        if peer.done:
            break
    peer.close()
    # py2p's finalizers would unjoin and close once more, at some time or never.
    os._exit(0)


KINDS = {"mesh": MeshPeer, "sync": SyncPeer, "chord": ChordPeer}

if __name__ == "__main__":
    main()
