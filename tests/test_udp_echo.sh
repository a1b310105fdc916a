#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_udp_echo.sh - weir serve udp-echo and weir bench udp-echo

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir

# start <options>: a server on a free port; its line to $line, the port to $port
start() {
	first_line "$tmp/serve" "$weir" serve udp-echo --port 0 --json-exit "$@"
	server=$started
	port=$(expr "$line" : 'listening on 127\.0\.0\.1:\([0-9]*\): ')
}

# finish: end it; its counters to $tmp/end
finish() {
	kill -INT "$server" 2>> "$tmp/log"
	cat <&3 > "$tmp/end"
	exec 3<&-
	wait "$server"
	rc=$?
	server=''
	cat "$tmp/serve.err" >> "$tmp/log"
	return $rc
}

# load <how many datagrams> <options>: the rest of it waits for a slow machine
load() {
	count=$1
	shift
	timeout 100 "$weir" bench udp-echo --requests "$count" -d 60s -j "$@" > "$tmp/load" 2>> "$tmp/log"
}

fails() {
	want=$1 text=$2
	shift 2
	"$weir" "$@" > "$tmp/out" 2>&1
	[ $? = "$want" ] && grep -q -e "$text" "$tmp/out" && return 0
	cat "$tmp/out" >> "$tmp/log"
	return 1
}

echo "TAP version 13"
echo "1..7"

start --no-bpf --workers 2
load 2000 --port "$port" -c 10 -s 1200 &&
	json "$tmp/load" 'd["requests"] > 100 and d["errors"]["mismatch"] == 0 and
		d["options"]["udp"] and d["lost"] == d["errors"]["timeout"]'
is "every datagram that comes back is what was sent"
finish && json "$tmp/end" 'd["dgrams_in"] == d["requests"] == d["dgrams_out"] > 100'
is "it ends by a signal, and its counters agree"

start --no-bpf --backend epoll
load 500 --port "$port" -c 5 --new-conn &&
	json "$tmp/load" 'd["connects"] >= d["requests_total"] > 50 and d["errors"]["mismatch"] == 0'
is "a new socket for each datagram, on epoll"
finish

# One worker that hangs for longer than a datagram is waited for: some are lost.
start --no-bpf --stall 0:500/1000
"$weir" bench udp-echo --port "$port" -c 4 -R 100 -d 3s --timeout 200ms -j \
	> "$tmp/load" 2>> "$tmp/log"
json "$tmp/load" '0 < d["lost"] < d["issued"] and d["requests"] > 0'
is "what has no answer in time is counted as lost"
finish

load 500 --serve -c 5 &&
	json "$tmp/load" 'd["server"]["requests"] >= d["requests"] > 50'
is "the load generator brings a server of its own"

fails 2 "not for datagrams" serve udp-echo --acceptor &&
	fails 2 "at most 65507" bench udp-echo -s 65508 &&
	fails 1 "not one request was answered" bench udp-echo --port 9 -d 200ms
is "what cannot be is refused, and nobody there is a failure"

name="datagrams are steered, and the table knows them"
if "$weir" doctor -j 2>> "$tmp/log" > "$tmp/doctor" &&
   json "$tmp/doctor" 'd["rung"] in ("steer", "flow", "full")' 2> /dev/null; then
	start --workers 3 --instance "udp-test-$$"
	load 3000 --port "$port" -c 30 &&
		"$weir" show gate -i "udp-test-$$" -j > "$tmp/gate" 2>> "$tmp/log" &&
		json "$tmp/load" 'd["lost"] > 0 or d["requests_total"] == 3000' &&
		json "$tmp/gate" 'd[0]["asked"] >= 30 and d[0]["dgram_kept"] >= 2900'
	is "$name"
	finish
else
	: > "$tmp/log"
	skip "$name" "BPF is refused here or not built in: see weir doctor"
fi
[ $bad = 0 ]
