// quiche_server.mjs HOST CERT KEY [OPTIONS]: a quiche server for interop tests. Prints
// "listening PORT", then quring_peer's lines; ends when its connections did.
//   --alpn NAME (perf)   --idle-ms N (10000)   --conns N, then end (1)
//   --drop PERCENT       loses datagrams, in and out
//   --retry              demands a token, as RFC 9000 8.1.2 has it
//   --refuse-version     answers every Initial with a version nobody has
//   --close CODE         ends the connection once an exchange is complete
import { randomBytes } from 'node:crypto';
import dgram from 'node:dgram';

import {
    ANSWER_HEAD,
    Link,
    Receiver,
    REQUEST_HEAD,
    Sender,
    bind,
    configure,
    dropper,
    parseOptions,
    quiche,
} from './quiche_common.mjs';

const [host, cert, key, ...rest] = process.argv.slice(2);
const options = parseOptions(rest, {
    alpn: 'perf',
    'idle-ms': 10000,
    drop: 0,
    conns: 1,
    retry: false,
    'refuse-version': false,
    close: -1,
});
const config = configure(new quiche.Config(), options);
config.loadCertChainFromPemFile(cert);
config.loadPrivKeyFromPemFile(key);

const CID_LEN = 16;
const links = new Map(); // by each connection ID a client may use, in hex
const tokens = new Map(); // Retry tokens given: the first connection ID, by token in hex
let ended = 0;
let failed = false;

function answer(receiver) {
    const head = Buffer.alloc(ANSWER_HEAD);
    head.writeBigUInt64BE(BigInt(receiver.bodyLen), 0);
    head.writeUInt32BE(receiver.sum, 8);
    return new Sender(receiver.id, head, Number(receiver.head.readBigUInt64BE(0)), false);
}

// serve moves every exchange of a connection on.
function serve(link) {
    const { conn } = link;
    if (conn.isEstablished() && !link.announced) {
        link.announced = true;
        console.log(`connected alpn=${Buffer.from(conn.applicationProto())} retry=${link.retry}`);
    }
    try {
        for (const id of conn.readable()) {
            if (!link.exchanges.has(id)) {
                link.exchanges.set(id, { in: new Receiver(id, REQUEST_HEAD, true), out: null });
            }
        }
        for (const [id, exchange] of link.exchanges) {
            exchange.in.pump(conn);
            if (exchange.in.done && exchange.out === null) {
                exchange.out = answer(exchange.in);
            }
            exchange.out?.pump(conn);
            if (exchange.out?.done) {
                link.complete++;
                link.down += exchange.out.total - ANSWER_HEAD;
                link.up += exchange.in.bodyLen;
                link.exchanges.delete(id);
            }
        }
        if (options.close >= 0 && link.complete > 0 && !link.ending) {
            link.ending = true; // quiche would close before it sent what is queued
            setTimeout(() => {
                link.close(options.close, 'server is done');
                link.turn();
            }, 100);
        }
    } catch (error) {
        failed = true;
        console.log(`failed ${error.message}`);
        link.close(8, 'exchange broken');
    }
}

function over(link) {
    console.log(
        `${link.closeLine()} exchanges=${link.complete} down=${link.down} up=${link.up}` +
            (link.recvError ? ` recv=${link.recvError}` : ''),
    );
    failed ||= link.exchanges.size > 0;
    ended++;
    if (ended >= options.conns) {
        socket.close();
    }
}

function accept(header, scid, odcid, from) {
    const conn = quiche.Connection.accept(scid, odcid, local, from, config);
    const link = new Link(conn, socket, local, dropper(options.drop), serve, over);
    Object.assign(link, { exchanges: new Map(), complete: 0, down: 0, up: 0 });
    link.retry = odcid === null ? 0 : 1;
    links.set(Buffer.from(header.dcid).toString('hex'), link);
    links.set(Buffer.from(scid).toString('hex'), link);
    return link;
}

// Answers without state: true when that was all there was to do.
function sendStateless(header, from) {
    const out = Buffer.alloc(1500);
    let len = 0;
    if (options['refuse-version']) {
        len = quiche.negotiateVersion(header.scid, header.dcid, out);
        const versionsAt = 7 + header.scid.length + header.dcid.length;
        for (let at = versionsAt; at < len; at += 4) {
            out.writeUInt32BE(0x5151abcd, at);
        }
    } else if (options.retry && header.token.length === 0) {
        const token = randomBytes(32);
        const scid = randomBytes(CID_LEN);
        tokens.set(token.toString('hex'), { odcid: header.dcid, scid });
        len = quiche.retry(header.scid, header.dcid, scid, token, header.version, out);
    }
    if (len > 0) {
        socket.send(out.subarray(0, len), from.port, from.host);
    }
    return len > 0;
}

// Null: damaged on its way.
function headerOf(data) {
    try {
        return quiche.Header.fromSlice(data, CID_LEN);
    } catch {
        return null;
    }
}

function onMessage(data, from) {
    const header = headerOf(data);
    if (header === null) {
        return;
    }
    let link = links.get(Buffer.from(header.dcid).toString('hex'));
    if (link === undefined) {
        if (header.ty !== quiche.Type.Initial || sendStateless(header, from)) {
            return;
        }
        const known = tokens.get(Buffer.from(header.token ?? []).toString('hex'));
        if (options.retry && !known?.scid.equals(Buffer.from(header.dcid))) {
            return;
        }
        const scid = known?.scid ?? randomBytes(CID_LEN);
        link = accept(header, scid, known?.odcid ?? null, from);
    }
    link.receive(data, from, local);
}

const { socket, local } = await bind(dgram, host, onMessage);
socket.on('close', () => process.exit(failed ? 1 : 0));
console.log(`listening ${local.port}`);
