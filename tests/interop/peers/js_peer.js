#!/usr/bin/env node
/**
 * Run one real js2p node, driven by JSON lines on stdin and answering with JSON lines on stdout.
 *
 * py_peer.py offers the same interface; README.md beside this file describes it. js2p is looked up
 * through NODE_PATH, as the packages are installed elsewhere.
 */

"use strict";

// js2p uses `new Buffer`, and prints its warnings to stdout, which belongs to the JSON lines here.
process.noDeprecation = true;
console.log = console.error;

const net = require("net");
const readline = require("readline");
const { parseArgs } = require("util");
const js2p = require("js2p");

const flags = js2p.base.flags;

/** The JSON form of a MessagePack value as js2p decodes it. */
function toJson(value) {
    if (value === undefined || value === null) {
        return null;
    }
    if (Buffer.isBuffer(value) || value instanceof Uint8Array) {
        return { bin: Buffer.from(value).toString("hex") };
    }
    if (Array.isArray(value)) {
        return value.map(toJson);
    }
    if (typeof value !== "object") {
        return value;
    }
    const entries = Object.entries(value).map(([key, item]) => [key, toJson(item)]);
    const ambiguous = entries.length === 1 && ["bin", "map"].includes(entries[0][0]);
    return ambiguous ? { map: entries } : Object.fromEntries(entries);
}

/** The value js2p shall encode for a JSON form; js2p has text keys only. */
function fromJson(value) {
    if (Array.isArray(value)) {
        return value.map(fromJson);
    }
    if (value === null || typeof value !== "object") {
        return value;
    }
    const keys = Object.keys(value);
    if (keys.length === 1 && keys[0] === "bin") {
        return Buffer.from(value.bin, "hex");
    }
    const entries = keys.length === 1 && keys[0] === "map" ? value.map : Object.entries(value);
    const decoded = entries.map(([key, item]) => [String(fromJson(key)), fromJson(item)]);
    return Object.fromEntries(decoded);
}

function emit(line) {
    process.stdout.write(`${JSON.stringify(line)}\n`);
}

function idType(id) {
    return typeof id === "string" ? "str" : "bin";
}

/** The commands that every kind of node has. */
class MeshPeer {
    constructor(node) {
        this.node = node;
        this.lastMessage = null;
        this.done = false;
        node.on("connect", () => emit({ event: "connect" }));
        node.on("message", () => this.onMessage());
    }

    static create(host, port, protocol) {
        return new js2p.mesh.MeshSocket(host, port, protocol);
    }

    onMessage() {
        for (const message of this.node.recv(this.node.queue.length)) {
            this.lastMessage = message;
            const [subflag, ...packets] = message.packets;
            emit({
                event: "message",
                sender: String(message.sender),
                sender_type: idType(message.sender),
                subflag,
                packets: toJson(packets),
            });
        }
    }

    /** Execute one command and answer it. */
    async handleLine(line) {
        try {
            const command = JSON.parse(line);
            if (!(`cmd_${command.cmd}` in this)) {
                throw new Error(`no such command: ${command.cmd}`);
            }
            const answer = await this[`cmd_${command.cmd}`](command);
            emit({ reply: command.cmd, ...answer });
        } catch (error) {
            emit({ error: String(error), command: line });
        }
    }

    /** The routing table entry with this id as text. */
    connection(text) {
        for (const [id, connection] of this.node.routing_table) {
            if (String(id) === text) {
                return connection;
            }
        }
        throw new Error(`not a peer: ${text}`);
    }

    cmd_connect({ host, port }) {
        // connect() answers undefined when it dials, true or false when it refuses to.
        return { dialled: this.node.connect(host, port) === undefined };
    }

    cmd_disconnect({ id }) {
        this.node.disconnect(this.connection(id));
    }

    cmd_send({ packets }) {
        this.node.send(fromJson(packets));
    }

    cmd_whisper({ to, packets }) {
        this.connection(to).send(flags.whisper, [flags.whisper, ...fromJson(packets)]);
    }

    cmd_reply({ packets }) {
        if (!this.lastMessage) {
            throw new Error("no message to reply to");
        }
        this.lastMessage.reply(fromJson(packets));
    }

    cmd_peers() {
        const peers = [...this.node.routing_table].map((entry) => this.describe(...entry));
        return { peers, awaiting: this.node.awaiting_ids.length };
    }

    /** One entry of the `peers` answer. */
    describe(id, connection) {
        return {
            id: String(id),
            id_type: idType(id),
            addr: toJson(connection.addr),
            outgoing: connection.outgoing,
            compression: toJson(connection.compression),
        };
    }

    cmd_status() {
        const status = this.node.status;
        const text = (error) => (error && error.stack) || String(error);
        return { status: Array.isArray(status) ? status.map(text) : status };
    }

    cmd_quit() {
        this.done = true;
    }
}

/** What the kinds with a dictionary share. */
class DictionaryPeer extends MeshPeer {
    cmd_set({ key, value }) {
        this.node.set(fromJson(key), fromJson(value));
    }

    cmd_get({ key }) {
        return { key, value: toJson(this.node.get(fromJson(key))) };
    }

    cmd_del({ key }) {
        this.node.del(fromJson(key));
    }

    cmd_delta({ key, delta }) {
        this.node.apply_delta(fromJson(key), fromJson(delta));
    }

    cmd_keys() {
        return { keys: toJson([...this.node.keys()]) };
    }
}

class SyncPeer extends DictionaryPeer {
    constructor(node) {
        super(node);
        node.on("update", (_node, key, value, meta) =>
            emit({
                event: "update",
                key: toJson(key),
                value: toJson(value),
                owner: String(meta.owner),
                timestamp: meta.timestamp,
            }),
        );
        node.on("delete", (_node, key) => emit({ event: "delete", key: toJson(key) }));
    }

    static create(host, port, protocol, leasing) {
        return new js2p.sync.SyncSocket(host, port, protocol, leasing);
    }
}

class ChordPeer extends DictionaryPeer {
    constructor(node) {
        super(node);
        node.on("add", (_node, key) => emit({ event: "add", key: toJson(key) }));
        node.on("delete", (_node, key) => emit({ event: "delete", key: toJson(key) }));
    }

    static create(host, port, protocol) {
        return new js2p.chord.ChordSocket(host, port, protocol);
    }

    describe(id, connection) {
        return { ...super.describe(id, connection), leeching: connection.leeching };
    }

    async cmd_get({ key, timeout = 10 }) {
        try {
            return { key, value: toJson(await this.node.get(fromJson(key), null, timeout)) };
        } catch (error) {
            // js2p rejects where py2p gives its fallback; its text goes on with a dump of objects.
            return { key, value: null, reason: String(error).split("\n")[0] };
        }
    }

    async cmd_delta({ key, delta, timeout = 15 }) {
        const limit = new Promise((_resolve, reject) => {
            setTimeout(() => reject(new Error("timeout")), timeout * 1000);
        });
        const merged = this.node.apply_delta(fromJson(key), fromJson(delta));
        return { value: toJson(await Promise.race([merged, limit])) };
    }

    cmd_set_many({ pairs }) {
        for (const [key, value] of pairs) {
            this.cmd_set({ key, value });
        }
    }

    cmd_update({ map }) {
        this.node.update(fromJson(map));
    }

    async cmd_get_many({ keys, timeout = 10, at_once = 10 }) {
        const values = [];
        const millis = [];
        const rest = [...keys.entries()];
        const work = async () => {
            for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
                const start = Date.now();
                values[next[0]] = (await this.cmd_get({ key: next[1], timeout })).value;
                millis[next[0]] = Date.now() - start;
            }
        };
        await Promise.all(Array.from({ length: at_once }, work));
        return { values, millis };
    }

    cmd_join() {
        this.node.join();
    }

    cmd_unjoin() {
        this.node.unjoin();
    }
}

const kinds = { mesh: MeshPeer, sync: SyncPeer, chord: ChordPeer };

/** A port nobody listens on: js2p must know it beforehand, as it goes into the node id. */
function freePort(host) {
    return new Promise((resolve, reject) => {
        const probe = net.createServer();
        probe.on("error", reject);
        probe.listen(0, host, () => {
            const { port } = probe.address();
            probe.close(() => resolve(port));
        });
    });
}

/** Keep only the chosen methods in the list js2p announces and decodes. */
function restrictCompression(choice) {
    if (choice !== "default") {
        const wanted = choice === "none" ? [] : choice.split(",").map((name) => flags[name]);
        const kept = js2p.base.compression.filter((method) => wanted.includes(method));
        js2p.base.compression.splice(0, Infinity, ...kept);
    }
}

function parseArguments() {
    const { values } = parseArgs({
        options: {
            kind: { type: "string", default: "mesh" },
            host: { type: "string", default: "127.0.0.1" },
            port: { type: "string", default: "0" },
            subnet: { type: "string" },
            transport: { type: "string", default: "Plaintext" },
            "no-leasing": { type: "boolean", default: false },
            "default-leasing": { type: "boolean", default: false },
            compression: { type: "string", default: "default" },
        },
    });
    if (!(values.kind in kinds)) {
        throw new Error(`no such kind: ${values.kind}`);
    }
    return values;
}

async function main() {
    const args = parseArguments();
    restrictCompression(args.compression);
    const host = args.host;
    const port = Number(args.port) || (await freePort(host));
    const protocol = new js2p.base.Protocol(args.subnet || args.kind, args.transport);
    const Peer = kinds[args.kind];
    const leasing = args["default-leasing"] ? undefined : !args["no-leasing"];
    const peer = new Peer(Peer.create(host, port, protocol, leasing));
    await new Promise((resolve) => peer.node.incoming.on("listening", resolve));
    emit({ event: "ready", id: peer.node.id, host, port });

    for await (const line of readline.createInterface({ input: process.stdin })) {
        await peer.handleLine(line);
        if (peer.done) {
            break;
        }
    }
    peer.node.close();
    process.exit(0);
}

main();
