#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_lat.sh - weir lat and weir show events --follow, from outside

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
instance=lat-$$

"$weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log"
json "$tmp/doctor" 'd["rung"] == "full"' 2> /dev/null ||
	skip_all "tracepoints are refused here or not built in: see weir doctor"
: > "$tmp/log"

echo "TAP version 13"
echo "1..6"

mkfifo "$tmp/fifo"
"$weir" serve echo --port 0 --instance "$instance" > "$tmp/fifo" 2> "$tmp/err" &
server=$!
exec 3< "$tmp/fifo"
line=''
IFS= read -r line <&3
port=$(expr "$line" : 'listening on 127\.0\.0\.1:\([0-9]*\): ')
[ -n "$port" ] || cat "$tmp/err" >> "$tmp/log"
[ -n "$port" ]
is "a service runs"

# echoes <count>: one connection, one request after the other
echoes() {
	python3 - "$port" "$1" >> "$tmp/log" 2>&1 <<-'END'
	import socket, sys
	with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
	    for i in range(int(sys.argv[2])):
	        s.sendall(b"x")
	        assert s.recv(1) == b"x"
	END
}

# attached <pid>: it holds two tracepoints
# shellcheck disable=SC2317 # called through await
attached() {
	[ "$(find "/proc/$1/fd" -lname 'anon_inode:bpf_link' 2> /dev/null | wc -l)" = 2 ]
}

# measured <pid>: weir lat runs while there are echoes, until it is told to stop
measured() {
	"$weir" lat --pid "$1" -d 60 -j > "$tmp/lat" 2>> "$tmp/log" &
	helper=$!
	await attached "$helper"
	echoes 200
	kill -INT "$helper"
	wait "$helper"
	rc=$?
	helper=''
	return $rc
}

if ! expr "$line" : '.*uring' > /dev/null; then
	skip "operations of a process are measured" "the service has no io_uring: $line"
else
	measured "$server" && json "$tmp/lat" '
		[o["count"] for o in d if o["op"] == "send"][0] >= 190 and
		all(sum(o["log2_ns"]) == o["count"] and
		    0 < o["p50_ns"] <= o["p99_ns"] <= o["max_ns"] and
		    o["mean_ns"] <= o["max_ns"] for o in d)'
	is "operations of a process are measured"
fi

measured $$ && json "$tmp/lat" 'd == []'
is "and of no other"

"$weir" lat --pid 0 2> "$tmp/out"; [ $? = 2 ] && grep -q -e '--pid' "$tmp/out" &&
	! setpriv --bounding-set=-all --inh-caps=-all --reuid=65534 --clear-groups \
		"$weir" lat -d 10ms 2> "$tmp/out" && grep -q 'CAP_PERFMON' "$tmp/out"
is "what it cannot do is said"

# Every round trip is an inflated one: the first is an edge.
"$weir" show events --follow -j -i "$instance" > "$tmp/events" 2>> "$tmp/log" &
helper=$!
"$weir" steer set "$instance" rtt_floor_us 0 rtt_off_permille 0 rtt_on_permille 0 flow_period_us 0 \
	>> "$tmp/log" 2>&1
# Others may be raised, too: a worker that the machine gave no time.
# shellcheck disable=SC2317 # called through await
raised() {
	echoes 20
	grep -m 1 '"kind":"RTT".*}$' "$tmp/events" > "$tmp/event"
}
await raised
kill -INT "$helper" && wait "$helper" &&
	json "$tmp/event" 'd["kind"] == "RTT" and d["edge"] == "on" and d["seq"] > 0 and d["cookie"] > 0'
is "events are printed as they are raised"
helper=''

"$weir" show events -i "$instance" -j > "$tmp/recent" 2>> "$tmp/log" &&
	json "$tmp/recent" 'any(e["kind"] == "RTT" for e in d)' &&
	"$weir" steer get "$instance" observers > "$tmp/out" 2>> "$tmp/log" && [ "$(cat "$tmp/out")" = 0 ]
is "they stay among the recent ones, and nobody observes any more"

kill -INT "$server" && wait "$server"
server=''
exit $bad
