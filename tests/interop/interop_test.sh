#!/usr/bin/env bash
# quring against quiche, both ways, over loopback: interop_test.sh QURING_PEER IMPAIR_RUN
#
# quiche comes as the native module of npm's @matrixai/quic, installed into a temporary directory.
# Exit: 0 all went well; 1 something failed; 77 quiche cannot be had here (one line says why).
set -euo pipefail

package=@matrixai/quic@2.0.9
peer=$(readlink -f "$1")
impair=$(readlink -f "$2")
network=() # what impair_run makes of the way between them; empty: nothing stands between
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
home=$(mktemp -d) # what all parts use; each has its own `work`
work=$home
pids=()
server_pid=
host=127.0.0.1
io=uring

clean_up() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    wait
    rm -rf "$work"
}

# part NAME COMMAND...: runs beside the other parts; what it prints comes when all have ended.
part() {
    local name=$1
    shift
    (
        work=$home/$name
        pids=()
        mkdir "$work"
        trap clean_up EXIT
        trap 'exit 143' TERM INT HUP PIPE
        "$@"
    ) >"$home/$name.out" 2>&1 &
    parts+=("$name")
    pids+=($!)
}
trap clean_up EXIT
trap 'exit 143' TERM INT HUP PIPE

skip() {
    echo "skipped: $*"
    exit 77
}

install_quiche() {
    command -v node >/dev/null || skip 'node is not installed'
    command -v npm >/dev/null || skip 'npm is not installed'
    export npm_config_cache=${npm_config_cache:-${HOME:-$home}/.npm}
    timeout 120 npm install --prefix "$home/npm" --ignore-scripts --no-audit --no-fund \
        --no-package-lock --no-save --prefer-offline "$package" >"$home/npm.log" 2>&1 ||
        skip "npm cannot install $package: $(grep -m 1 -i 'npm err' "$home/npm.log" || echo 'no answer')"
    export QUICHE_MODULES=$home/npm/node_modules
    node "$here/quiche_client.mjs" --help >"$home/node.log" 2>&1 ||
        skip "$package does not load here: $(grep -m 1 Error "$home/node.log" || true)"
}

# The command of one side: side quring|quiche server|client [PORT] OPTIONS
side() {
    local who=$1 role=$2
    shift 2
    case "$who $role" in
    'quring server') command=("$peer" server "[$host]:0" --io "$io" "$@") ;;
    'quring client') command=("$peer" client "[$host]:$1" --io "$io" "${@:2}") ;;
    'quiche server')
        command=(node "$here/quiche_server.mjs" "$host" "$home/cert.pem" "$home/key.pem" "$@")
        ;;
    'quiche client') command=(node "$here/quiche_client.mjs" "$host" "$@") ;;
    esac
    if [ "$host" = 127.0.0.1 ]; then
        command=("${command[@]//'[127.0.0.1]'/127.0.0.1}")
    fi
}

# Starts a command with a time limit; its process is in `started`.
spawn() {
    local out=$1
    shift
    timeout --kill-after=2 70 "$@" >"$out" 2>"$out.err" &
    started=$!
    pids+=("$started")
}

# port_of server|network: where it listens.
port_of() {
    local port tries
    for ((tries = 0; tries < 200; tries++)); do
        port=$(sed -n 's/^listening //p' "$work/$1")
        if [ -n "$port" ]; then
            echo "$port"
            return
        fi
        kill -0 "$started" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

# Starts the network before the server at port $1, if there is to be one: prints the port to connect to.
put_between() {
    if [ "${#network[@]}" -eq 0 ]; then
        echo "$1"
        return
    fi
    local address=$host:$1
    [ "$host" = 127.0.0.1 ] || address=[$host]:$1
    timeout --kill-after=2 75 "$impair" "$address" "${network[@]}" >"$work/network" 2>&1 &
    started=$!
    echo "$started" >"$work/network.pid"
    port_of network
}

# Ends it; it must have done to datagrams what was asked for.
end_between() {
    [ "${#network[@]}" -gt 0 ] || return 0
    local tries pid
    pid=$(cat "$work/network.pid")
    kill "$pid" 2>/dev/null || return 1
    for ((tries = 0; tries < 100; tries++)); do
        if grep -q '^{' "$work/network"; then
            grep -qE "\"$between\": [1-9]" "$work/network"
            return
        fi
        sleep 0.02
    done
    return 1
}

# Every line of the second argument is a string the file must hold.
holds() {
    local line
    while IFS= read -r line; do
        [ -z "$line" ] || grep -qF -- "$line" "$1" || return 1
    done <<<"$2"
}

# interop NAME SERVER SERVER-OPTIONS SERVER-SAYS CLIENT-OPTIONS CLIENT-SAYS: SERVER is quring or quiche,
# the client the other one. SERVER-SAYS '-': no connection comes about, the server is ended.
interop() {
    local name="$2 server, $io, $host: $1" server=$2 client=quring port file status=0
    [ "$server" = quiche ] || client=quiche
    local -a server_options client_options
    local began=$EPOCHREALTIME seconds
    read -ra server_options <<<"$3"
    read -ra client_options <<<"$5"
    pids=()
    side "$server" server "${server_options[@]}"
    for file in server server.err network network.err client client.err; do
        : >"$work/$file" # the last server's port must not be read for this one's
    done
    spawn "$work/server" "${command[@]}"
    server_pid=$started
    if port=$(port_of server) && port=$(put_between "$port"); then
        side "$client" client "$port" "${client_options[@]}"
        spawn "$work/client" "${command[@]}"
        wait "$started" || status=1
    else
        status=1
    fi
    if [ "$4" = - ] || [ "$status" -ne 0 ]; then
        kill "$server_pid" 2>/dev/null || true
        wait "$server_pid" || true
    else
        wait "$server_pid" || status=1
        holds "$work/server" "$4" || status=1
    fi
    holds "$work/client" "$6" || status=1
    end_between || status=1
    pids=()
    seconds=$(awk -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "%5.1f s", to - from }')
    if [ "$status" -eq 0 ]; then
        echo "ok      $seconds  $name"
        return
    fi
    echo "FAILED  $seconds  $name"
    for file in server server.err network client client.err; do
        sed "s/^/        $file: /" "$work/$file" | tail -n 8
    done
}

# Of either back end: transfers, Retry, flow control of streams.
transfers() {
    local server=$1 end='exchanges=1 down=5000000 up=100000'
    local large='--down 5000000 --up 100000'
    interop '5 MB down, 100 kB up' "$server" '' "closed peer_app 7 \"done\" $end" \
        "$large" "closed local_app 7 \"done\" $end"
    interop 'the same after a Retry' "$server" --retry "retry=1
$end" "$large" "$end"
    interop '300 streams, beyond the first limit' "$server" '' \
        'exchanges=300 down=300000 up=600000' '--streams 300 --down 1000 --up 2000' \
        'exchanges=300 down=300000 up=600000'
    lossy "$server"
    interop '4 large streams at once' "$server" '' 'exchanges=4 down=4000000 up=4000000' \
        '--streams 4 --down 1000000 --up 1000000' 'exchanges=4 down=4000000 up=4000000'
}

# Where packets get lost quiche's probe timeout may grow to more than ten seconds, round trips of a millisecond
# notwithstanding: once in some hundred transfers both sides would end at an idle timeout of ten.
patience='--idle-ms 30000'

# quiche, whichever side it is, loses 3 % of what it sends and of what it gets.
lossy() {
    local at_server='' at_client='--drop 3'
    [ "$1" = quring ] || { at_server='--drop 3' at_client=''; }
    interop '2 MB each way, 3 % lost' "$1" "$patience $at_server" 'exchanges=1 down=2000000' \
        "--down 2000000 --up 2000000 $patience $at_client" 'exchanges=1 down=2000000 up=2000000'
}

line=(--delay 15 --rate 10000000 --queue 25)

# Nothing but patience: who does not get the other's close, either, stays for its idle timeout.
heavy_loss() {
    local server=$1
    host=$2
    io=epoll
    between=dropped
    network=("${line[@]}" --drop 30,3)
    interop '30 % lost each way' "$server" "$patience" 'exchanges=1 down=1000 up=1000' \
        "--down 1000 --up 1000 $patience" 'exchanges=1 down=1000 up=1000'
}

# The interop runner's bad networks between the two.
networks() {
    local server=$1 mb="--down 2000000 --up 500000 $patience" end='exchanges=1 down=2000000 up=500000'
    host=$2
    io=epoll
    between=dropped
    network=("${line[@]}" --drop 2,3)
    interop '2 % lost each way, 3 in a row at most' "$server" "$patience" "$end" "$mb" "$end"
    between=corrupted
    network=("${line[@]}" --corrupt 2,3)
    interop '2 % damaged each way' "$server" "$patience" "$end" "$mb" "$end"
    between=hole
    network=("${line[@]}" --hole 500,1000,1)
    interop 'nothing passes for a second' "$server" "$patience" "$end" "$mb" "$end"
    if [ "$server" = quring ]; then
        between=rebinds
        network=("${line[@]}" --rebind 700,0,1)
        interop 'the NAT forgets the client' "$server" "$patience" "$end" "$mb" "$end"
    fi
}

# How connections end, and how they never begin.
endings() {
    local server=$1
    interop 'the server closes' "$server" '--close 55' 'closed local_app 55' \
        '--down 10 --linger' 'closed peer_app 55 "server is done" exchanges=1'
    interop "idle, the server's timeout" "$server" '--idle-ms 700' 'closed idle_timeout' \
        '--down 10 --linger' 'closed idle_timeout 0'
    interop "idle, the client's timeout" "$server" '' 'closed idle_timeout' \
        '--down 10 --linger --idle-ms 700' 'closed idle_timeout 0'
    interop 'no common application protocol' "$server" '--alpn other' \
        'closed local_transport 376' '--down 10' 'closed peer_transport 376'
}

all_transfers() {
    for io in "$@"; do
        transfers quring
        transfers quiche
    done
}

the_rest() {
    io=epoll
    endings quring
    endings quiche
    interop 'versions told on an unknown one' quring '' - --unknown-version '1,6b3343cf'
    interop 'no common version' quiche --refuse-version - '--down 10' 'closed version'
    interop 'a challenge on a second path is answered' quring '' 'closed peer_app 7' '--down 5000000 --migrate' \
        'migrated
exchanges=1 down=5000000'
    [ "${#hosts[@]}" -gt 1 ] || return 0
    host=::1
    interop IPv6 quring '' 'down=5000000' '--down 5000000' 'down=5000000'
    interop IPv6 quiche '' 'down=5000000' '--down 5000000' 'down=5000000'
}

install_quiche
"$peer" cert "$home"
status=0
backends=(uring epoll)
"$peer" server 127.0.0.1:0 --io uring --seconds 0 >/dev/null 2>"$home/uring.err" || status=$?
if [ "$status" -eq 77 ]; then
    echo "without io_uring: $(tail -n 1 "$home/uring.err")"
    backends=(epoll)
fi

hosts=(127.0.0.1)
grep -q . /proc/net/if_inet6 2>/dev/null && hosts+=(::1) # its size is told as 0
parts=()
pids=()
part transfers all_transfers "${backends[@]}"
part rest the_rest
for host in "${hosts[@]}"; do
    for server in quring quiche; do
        part "networks.$server.$host" networks "$server" "$host"
        part "loss.$server.$host" heavy_loss "$server" "$host"
    done
done
failed=0
for i in "${!parts[@]}"; do
    wait "${pids[i]}" || failed=$((failed + 1)) # a part that did not come to its end
    cat "$home/${parts[i]}.out"
done
passed=$(cat "$home"/*.out | grep -c '^ok ' || true)
failed=$((failed + $(cat "$home"/*.out | grep -c '^FAILED ' || true)))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
