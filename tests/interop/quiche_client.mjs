// quiche_client.mjs HOST PORT [OPTIONS]: a quiche client for interop tests, one connection. Prints
// quring_peer's lines and ends with the connection.
//   --alpn NAME (perf)   --idle-ms N (10000)   --down N   --up N   --streams N (1)
//   --drop PERCENT       loses datagrams, in and out
//   --linger             waits for the other side to end the connection
//   --rebind             goes on from another port in the middle, without knowing it (a NAT's doing)
//   --migrate            probes a second path in the middle and moves to it
//   --unknown-version    sends its first Initial with a version nobody has and shows the answer
import { randomBytes } from 'node:crypto';
import dgram from 'node:dgram';

import {
    ANSWER_HEAD,
    Link,
    Receiver,
    Sender,
    bind,
    configure,
    dropper,
    parseOptions,
    patternSum,
    quiche,
} from './quiche_common.mjs';

if (process.argv[2] === '--help') {
    console.log('quiche_client.mjs HOST PORT [OPTIONS]');
    process.exit(0);
}

const [host, portText, ...rest] = process.argv.slice(2);
const remote = { host, port: Number(portText) };
const options = parseOptions(rest, {
    alpn: 'perf',
    'idle-ms': 10000,
    drop: 0,
    down: 0,
    up: 0,
    streams: 1,
    linger: false,
    rebind: false,
    migrate: false,
    'unknown-version': false,
});
const config = configure(new quiche.Config(), options);
const exchanges = new Map();
const upSum = patternSum(options.up, true);
let opened = 0;
let complete = 0;
let moved = false;
let failed = false;

function open(conn) {
    while (opened < options.streams && conn.peerStreamsLeftBidi() > 0) {
        const id = opened * 4;
        const head = Buffer.alloc(8);
        head.writeBigUInt64BE(BigInt(options.down));
        opened++;
        const out = new Sender(id, head, options.up, true);
        exchanges.set(id, { in: new Receiver(id, ANSWER_HEAD, false), out });
        out.pump(conn); // quiche counts a stream once it was used
    }
}

function check(receiver) {
    const told = Number(receiver.head.readBigUInt64BE(0));
    const sum = receiver.head.readUInt32BE(8);
    if (told !== options.up || sum !== upSum || receiver.bodyLen !== options.down) {
        throw new Error(`answer: up ${told} sum ${sum} down ${receiver.bodyLen}`);
    }
}

// In the middle of a download: the same connection from another port. Rebinding keeps it from
// quiche; to migrate is quiche's own doing, once the new path answered its challenge.
async function move(link) {
    moved = true;
    const old = link.local;
    const next = await bind(dgram, host, (data, from, local) =>
        link.receive(data, from, options.rebind ? old : local),
    );
    if (options.rebind) {
        link.sockets.get(old.port).close();
        link.sockets.set(old.port, next.socket);
        console.log('rebound');
        link.conn.sendAckEliciting();
    } else {
        link.sockets.set(next.local.port, next.socket);
        link.conn.probePath(next.local, remote);
    }
    link.turn();
}

function followPaths(link) {
    for (;;) {
        const event = link.conn.pathEventNext();
        if (event === null || event === undefined) {
            return;
        }
        if (event.type === 'Validated' && event.local.port !== link.local.port) {
            link.conn.migrate(event.local, remote);
            console.log('migrated');
        }
    }
}

function use(link) {
    const { conn } = link;
    if (!conn.isEstablished()) {
        return;
    }
    if (!link.announced) {
        link.announced = true;
        console.log(`connected alpn=${Buffer.from(conn.applicationProto())}`);
        for (let left = conn.sourceCidsLeft(); left > 0; left--) {
            conn.newSourceCid(randomBytes(16), randomBytes(16).readBigUInt64BE(), false);
        }
    }
    try {
        open(conn);
        followPaths(link);
        for (const [id, exchange] of exchanges) {
            exchange.out.pump(conn);
            if (exchange.out.off > 0) {
                exchange.in.pump(conn);
            }
            if (!moved && (options.rebind || options.migrate) && exchange.in.off > options.down / 2) {
                move(link);
            }
            if (exchange.in.done) {
                check(exchange.in);
                complete++;
                exchanges.delete(id);
            }
        }
        if (complete === options.streams && !options.linger && !link.ending) {
            link.ending = true;
            link.close(7, 'done');
        }
    } catch (error) {
        failed = true;
        console.log(`failed ${error.message}`);
        link.close(8, 'exchange broken');
    }
}

function over(link) {
    console.log(
        `${link.closeLine()} exchanges=${complete} down=${complete * options.down} ` +
            `up=${complete * options.up}` + (link.recvError ? ` recv=${link.recvError}` : ''),
    );
    process.exit(failed || exchanges.size > 0 ? 1 : 0);
}

// Answers to a version nobody has: quiche reads them.
function showVersions(data, sent) {
    const header = quiche.Header.fromSlice(data, 16);
    const mirrored =
        Buffer.compare(Buffer.from(header.dcid), Buffer.from(sent.scid)) === 0 &&
        Buffer.compare(Buffer.from(header.scid), Buffer.from(sent.dcid)) === 0;
    const isVersions = header.ty === quiche.Type.VersionNegotiation && mirrored;
    console.log(`versions ${isVersions ? header.versions.map((v) => v.toString(16)) : 'no'}`);
    process.exit(isVersions ? 0 : 1);
}

let link = null;
let strange = null; // the header of the Initial of unknown version
const { socket, local } = await bind(dgram, host, (data, from, to) =>
    strange === null ? link.receive(data, from, to) : showVersions(data, strange),
);
const conn = quiche.Connection.connect('localhost', randomBytes(16), local, remote, config);
if (options['unknown-version']) {
    const datagram = Buffer.alloc(1500);
    const [len] = conn.send(datagram);
    strange = quiche.Header.fromSlice(datagram.subarray(0, len), 16);
    datagram.writeUInt32BE(0x5151abcd, 1);
    socket.send(datagram.subarray(0, len), remote.port, remote.host);
} else {
    link = new Link(conn, socket, local, dropper(options.drop), use, over);
    link.local = local;
    link.turn();
}
