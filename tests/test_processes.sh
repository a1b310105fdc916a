#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_processes.sh - workers that are processes: stopped, killed, their parent killed

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
name=test-$$
# A worker is started again by a parent that has threads, and has threads itself.
export TSAN_OPTIONS="die_after_fork=0 ${TSAN_OPTIONS-}"

# A network namespace of its own: the counts of others do not disturb.
if [ -z "${IN_NETNS-}" ] && [ "$(id -u)" = 0 ] && unshare -n true 2> /dev/null; then
	rm -rf "$tmp"
	IN_NETNS=1 exec unshare -n "$0"
fi
[ -n "${IN_NETNS-}" ] && ip link set lo up

# start <option>...: sets $server and $port
start() {
	"$weir" serve echo --processes --workers 3 --port 0 -i $name "$@" \
		> "$tmp/out" 2>> "$tmp/log" &
	server=$!
	for _ in $(seq 600); do
		grep -q '^listening' "$tmp/out" && [ "$(children | wc -l)" = 3 ] && break
		kill -0 $server 2> /dev/null || break
		sleep 0.05
	done
	port=$(sed -n 's/^listening on 127\.0\.0\.1:\([0-9]*\): .*/\1/p' "$tmp/out")
	cat "$tmp/out" >> "$tmp/log"
	helper=$(children)
	[ -n "$port" ] || {
		echo "Bail out! the service did not start: $(cat "$tmp/log")"
		exit 1
	}
	# On a busy machine all workers may be slow: a share of clients would be refused.
	[ "$1" = --no-bpf ] || "$weir" steer set "$name" shed_max_permille 0 >> "$tmp/log" 2>&1
}

children() {
	pgrep -P "$server"
}

stop() {
	kill -TERM "$server"
	wait "$server"
	rc=$?
	server=
	return $rc
}

# clients <count> <milliseconds each>: all are answered, none is reset
clients() {
	python3 - "$port" "$1" "$2" >> "$tmp/log" 2>&1 <<-'END'
	import socket, sys, time
	port, count, ms = map(int, sys.argv[1:])
	worst = 0
	for i in range(count):
	    begun = time.monotonic()
	    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
	        s.sendall(b"hello")
	        assert s.recv(5, socket.MSG_WAITALL) == b"hello"
	    worst = max(worst, time.monotonic() - begun)
	print("%d clients, the slowest %.1f ms" % (count, worst * 1e3))
	sys.exit(worst * 1e3 > ms)
	END
}

echo "TAP version 13"
echo "1..10"

start --no-bpf
is "three processes serve without BPF"
[ "$(children | wc -l)" = 3 ] && clients 20 5000
is "clients are answered"
stop && [ -z "$(pgrep -f -- "-i $name( |\$)")" ]
is "they end when their parent is told to"

if ! "$weir" doctor -j 2>> "$tmp/log" > "$tmp/doctor" ||
   ! json "$tmp/doctor" 'd["rung"] in ("flow", "full")' 2> /dev/null; then
	for what in 1 2 3 4 5 6 7; do
		skip "with steering, $what" "BPF is refused here or not built in: see weir doctor"
	done
	exit $bad
fi

start --policy least
grep -q 'rescue: on$' "$tmp/out"
is "the line says that queues are moved"

# shellcheck disable=SC2046 # three numbers
set -- $(children)
kill -STOP "$1"
clients 60 5000
is "nobody waits for one that is stopped while it is parked"
kill -CONT "$1"

# One that is stopped in the middle of a turn: it hangs half of the time.
stop
start --policy least --stall 0:400/800
# shellcheck disable=SC2046 # three numbers
set -- $(children)
for _ in $(seq 100); do
	kill -STOP "$1"
	"$weir" show workers -j -i $name > "$tmp/show" 2>> "$tmp/log"
	json "$tmp/show" 'd[0]["state"] == "RUN"' 2> /dev/null && break
	kill -CONT "$1"
	sleep 0.1
done
json "$tmp/show" 'd[0]["state"] == "RUN"' && clients 60 5000
is "nobody waits for one that is stopped while it runs"
kill -CONT "$1"
stop

# all_stopped <pid>: every thread of it
all_stopped() {
	[ -z "$(sed 's/.*) \(.\).*/\1/; /T/d' "/proc/$1/task/"*/stat 2> /dev/null)" ]
}

# Stopped first: one that is told to die accepts until it does.
start --policy hash
# shellcheck disable=SC2046 # three numbers
set -- $(children)
kill -STOP "$2"
until all_stopped "$2"; do
	sleep 0.01
done
kill -KILL "$2"
clients 60 5000
is "nobody is reset when one is killed"
for _ in $(seq 600); do
	sleep 0.05
	[ "$(children | wc -l)" = 3 ] || continue
	"$weir" show workers -j -i $name > "$tmp/show" 2>> "$tmp/log"
	json "$tmp/show" 'all(w["state"] in ("RUN", "PARKED") and w["pending"] == 0 for w in d)' \
		2> /dev/null && break
done
[ "$(children | wc -l)" = 3 ] && ! children | grep -qx "$2" &&
	json "$tmp/show" 'all(w["pending"] == 0 for w in d)' && clients 60 5000
is "it is started again and serves"

# The parent is the supervisor: without it workers serve on.
# shellcheck disable=SC2046 # three numbers
set -- $(children)
helper=$(children)
kill -KILL "$server"
wait "$server" 2> /dev/null
clients 60 5000
is "workers serve on without their parent"
kill -TERM "$@"
for pid in "$@"; do
	for _ in $(seq 600); do
		kill -0 "$pid" 2> /dev/null || break
		sleep 0.05
	done
	kill -0 "$pid" 2> /dev/null && bad=1
done
server=
"$weir" clean $name >> "$tmp/log" 2>&1
is "what the parent left is cleaned"
exit $bad
