# What the scripts that start throwaway servers share. Sourced by them, never run.
# shellcheck shell=bash

set -euo pipefail

# die MESSAGE...
die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# A loopback port that nobody listens on now, below the range that outgoing connections use. Another
# process may still take it first, so callers try again with a new one.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# as USER COMMAND...: runs COMMAND, and as USER when we are root, whom the database servers refuse.
# Replaces the shell it runs in, so that in `as … &` the id of the job is that of the server.
as() {
    local user=$1
    shift
    if [ "$(id -u)" -eq 0 ]; then
        exec setpriv --reuid="$user" --regid="$user" --init-groups "$@"
    fi
    exec "$@"
}

# server_pid DIR: the id of the live server that DIR/pid names; fails when there is none. The command
# line has to mention DIR, because ids are used again.
server_pid() {
    local pid
    pid=$(cat "$1/pid" 2>/dev/null) && [ -n "$pid" ] || return 1
    grep -qaF -- "$1" "/proc/$pid/cmdline" 2>/dev/null || return 1
    echo "$pid"
}

# wait_until PID COMMAND...: waits up to two minutes for COMMAND to succeed; fails when PID ends first.
wait_until() {
    local pid=$1 end=$((SECONDS + 120))
    shift
    until "$@" >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# stop_server DIR SIGNAL: ends the server of DIR and waits until it is gone. A server that is not
# there is a success; one that ignores SIGNAL for 20 seconds is killed.
stop_server() {
    local dir=$1 signal=$2 pid end=$((SECONDS + 20))
    if pid=$(server_pid "$dir"); then
        kill -s "$signal" "$pid"
        while server_pid "$dir" >/dev/null; do
            [ $SECONDS -lt $end ] || kill -s KILL "$pid" 2>/dev/null || true
            sleep 0.1
        done
    fi
    rm -f "$dir/pid" "$dir/url"
}

# The virtual environment that has the reference Keystone and the Python clients.
keystone_venv() {
    echo "${KEYSTONE_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/archstone/venv}"
}

# The folder of the Node packages that the client tests use.
node_folder() {
    echo "${ARCHSTONE_NODE:-${XDG_CACHE_HOME:-$HOME/.cache}/archstone/node}"
}

# The tools that check the sources, in its bin.
tools_folder() {
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/archstone/tools"
}
