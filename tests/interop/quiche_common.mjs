// What quiche_client.mjs and quiche_server.mjs share: the binding, options, one direction of an
// exchange (exchange.h describes the bytes), and a connection over a UDP socket.
import { pathToFileURL } from 'node:url';

// QUICHE_MODULES is the node_modules directory that holds @matrixai/quic, whose native module is
// quiche itself.
export const quiche = (
    await import(
        pathToFileURL(`${process.env.QUICHE_MODULES}/@matrixai/quic/dist/native/quiche.js`).href
    )
).default;

export const REQUEST_HEAD = 8;
export const ANSWER_HEAD = 12;
const CHUNK = 16384;

// parseOptions reads "--name value" and, where the default is a boolean, "--name".
export function parseOptions(args, defaults) {
    const options = { ...defaults };
    for (let i = 0; i < args.length; i++) {
        const name = args[i].slice(2);
        if (!args[i].startsWith('--') || !(name in defaults)) {
            throw new Error(`unknown option ${args[i]}`);
        }
        if (typeof defaults[name] === 'boolean') {
            options[name] = true;
        } else {
            i++;
            options[name] = typeof defaults[name] === 'number' ? Number(args[i]) : args[i];
        }
    }
    return options;
}

function patternAt(off, up) {
    return (off ^ (off >> 8) ^ (off >> 16) ^ (up ? 0xa5 : 0)) & 0xff;
}

function sumByte(sum, byte) {
    return Math.imul(sum ^ byte, 0x01000193) >>> 0;
}

export function patternSum(len, up) {
    let sum = 0x811c9dc5;
    for (let i = 0; i < len; i++) {
        sum = sumByte(sum, patternAt(i, up));
    }
    return sum;
}

// Sends a head and `bodyLen` bytes of pattern, then the end.
export class Sender {
    constructor(id, head, bodyLen, up) {
        Object.assign(this, { id, head, up, total: head.length + bodyLen, off: 0, done: false });
    }

    pump(conn) {
        while (!this.done) {
            const chunk = new Uint8Array(Math.min(CHUNK, this.total - this.off));
            for (let i = 0, off = this.off; i < chunk.length; i++, off++) {
                const inHead = off < this.head.length;
                chunk[i] = inHead ? this.head[off] : patternAt(off - this.head.length, this.up);
            }
            const last = this.off + chunk.length === this.total;
            const sent = conn.streamSend(this.id, chunk, last);
            if (sent === null || (sent === 0 && chunk.length > 0)) {
                return;
            }
            this.off += sent;
            this.done = last && sent === chunk.length;
        }
    }
}

// Receives a head and a body, which must be the pattern.
export class Receiver {
    constructor(id, headLen, up) {
        const head = Buffer.alloc(headLen);
        Object.assign(this, { id, head, up, off: 0, sum: 0x811c9dc5, done: false });
    }

    get bodyLen() {
        return this.off - this.head.length;
    }

    pump(conn) {
        const buf = new Uint8Array(CHUNK);
        while (!this.done) {
            const got = conn.streamRecv(this.id, buf);
            if (got === null) {
                return;
            }
            const [len, fin] = got;
            this.take(buf.subarray(0, len));
            this.done = fin;
        }
        if (this.off < this.head.length) {
            throw new Error(`stream ${this.id} ended within its head`);
        }
    }

    take(data) {
        for (const byte of data) {
            if (this.off < this.head.length) {
                this.head[this.off++] = byte;
                continue;
            }
            if (byte !== patternAt(this.bodyLen, this.up)) {
                throw new Error(`stream ${this.id}: byte ${this.bodyLen} is not the pattern's`);
            }
            this.sum = sumByte(this.sum, byte);
            this.off++;
        }
    }
}

// configure sets what both roles want; windows are small, so that credit must flow.
export function configure(config, options) {
    config.verifyPeer(false);
    config.grease(true);
    config.setApplicationProtos([options.alpn]);
    config.setMaxIdleTimeout(options['idle-ms']);
    config.setMaxRecvUdpPayloadSize(1350);
    config.setMaxSendUdpPayloadSize(1350);
    config.setInitialMaxData(256 * 1024);
    config.setInitialMaxStreamDataBidiLocal(64 * 1024);
    config.setInitialMaxStreamDataBidiRemote(64 * 1024);
    config.setInitialMaxStreamDataUni(64 * 1024);
    config.setInitialMaxStreamsBidi(16);
    config.setInitialMaxStreamsUni(16);
    config.setActiveConnectionIdLimit(4);
    config.setDisableActiveMigration(false);
    config.enablePacing(false);
    return config;
}

// A quiche connection over one UDP socket or, once it migrates, several: datagrams in and out, its
// timer, and its end.
export class Link {
    // onProgress(link) is called after datagrams or time moved the connection; drop() says which
    // datagrams are lost on their way, in or out.
    constructor(conn, socket, local, drop, onProgress, onClosed) {
        Object.assign(this, { conn, drop, onProgress, onClosed });
        this.sockets = new Map([[local.port, socket]]); // by the port quiche believes it has
        this.timer = null;
        this.out = Buffer.alloc(1500);
        this.closed = false;
    }

    receive(data, from, local) {
        if (this.drop()) {
            return;
        }
        try {
            this.conn.recv(data, { from, to: local });
        } catch (error) {
            this.recvError = error.message;
        }
        this.turn();
    }

    close(code, reason) {
        this.conn.close(true, code, Buffer.from(reason));
    }

    turn() {
        if (this.closed) {
            return;
        }
        if (!this.conn.isClosed() && !this.conn.isDraining()) {
            this.onProgress(this);
        }
        for (let sent = this.conn.send(this.out); sent !== null; sent = this.conn.send(this.out)) {
            const [len, info] = sent;
            if (this.drop()) {
                continue;
            }
            const datagram = Buffer.from(this.out.subarray(0, len));
            this.sockets.get(info.from.port)?.send(datagram, info.to.port, info.to.host);
        }
        clearTimeout(this.timer);
        if (this.conn.isClosed()) {
            this.closed = true;
            this.onClosed(this);
            return;
        }
        const ms = this.conn.timeout();
        if (ms !== null) {
            this.timer = setTimeout(() => {
                this.conn.onTimeout();
                this.turn();
            }, Math.ceil(ms));
        }
    }

    // "closed KIND CODE REASON", the words quring_peer uses.
    closeLine() {
        const peer = this.conn.peerError();
        const local = this.conn.localError();
        if (peer !== null) {
            return `closed ${words('peer', peer)}`;
        }
        if (this.conn.isTimedOut()) {
            return 'closed idle_timeout 0 ""';
        }
        return local === null ? 'closed other 0 ""' : `closed ${words('local', local)}`;
    }
}

function words(who, error) {
    const kind = error.isApp ? 'app' : 'transport';
    return `${who}_${kind} ${error.errorCode} "${Buffer.from(error.reason)}"`;
}

// dropper decides which datagrams get lost: the same ones in each run.
export function dropper(percent) {
    let state = 1;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state % 10007 < percent * 100;
    };
}

// bind opens a UDP socket on `host` and gives it with its address; onMessage(data, from, local).
export async function bind(dgram, host, onMessage) {
    const type = host.includes(':') ? 'udp6' : 'udp4';
    const socket = dgram.createSocket({ type, recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
    await new Promise((resolve, reject) => {
        socket.once('error', reject);
        socket.bind(0, host, resolve);
    });
    const local = { host, port: socket.address().port };
    socket.on('message', (data, from) =>
        onMessage(data, { host: from.address, port: from.port }, local),
    );
    return { socket, local };
}
