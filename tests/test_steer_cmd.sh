#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_steer_cmd.sh - weir steer from outside: what it changes, and what it refuses

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
instance=steer-$$

# fails <status> <text that stderr must have> <arguments of weir>...
fails() {
	want=$1 text=$2
	shift 2
	timeout 30 "$weir" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null
	got=$?
	if [ $got != "$want" ] || ! grep -qF -e "$text" "$tmp/err"; then
		{ echo "weir $*: status $got, wanted $want and \"$text\""; cat "$tmp/err"; } >> "$tmp/log"
		return 1
	fi
}

steer() {
	"$weir" steer "$@" > "$tmp/out" 2>> "$tmp/log"
}

# says <text>: the last command printed that and nothing else
says() {
	[ "$(cat "$tmp/out")" = "$1" ] || { echo "wanted $1:"; cat "$tmp/out"; return 1; } >> "$tmp/log"
}

# Connects this many times; each is answered before the next.
clients() {
	python3 - "$port" "$1" >> "$tmp/log" 2>&1 <<-'END'
	import socket, sys
	for i in range(int(sys.argv[2])):
	    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
	        s.sendall(b"x")
	        assert s.recv(1) == b"x"
	END
}

# picked <worker>: how often steering chose it
picked() {
	"$weir" show workers -i "$instance" -j |
		python3 -c 'import json, sys; print(json.load(sys.stdin)[int(sys.argv[1])]["picked"])' "$1"
}

"$weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log"
json "$tmp/doctor" 'd["rung"] in ("steer", "flow", "full")' 2> /dev/null ||
	skip_all "BPF is refused here or not built in: see weir doctor"
: > "$tmp/log"

echo "TAP version 13"
echo "1..13"

fails 2 "policy, weight" steer && fails 2 "frob is not policy" steer frob &&
	fails 2 "policy: wants INSTANCE" steer policy weir && fails 2 "drain: wants" steer drain weir 1 2 &&
	fails 2 "'a/b' is not 1 to 31" steer policy a/b hash && fails 2 "'..'" steer get .. &&
	fails 2 "'fastest' is not hash, cpu" steer policy weir fastest &&
	fails 2 "'-' is not the number of a worker" steer drain weir - &&
	fails 2 "worker 256" steer drain weir 256 && fails 2 "'0' is not a weight" steer weight weir 0 0 &&
	fails 2 "'10001' is not a weight" steer weight weir 0 10001 &&
	fails 2 "needs a value" steer set weir scan_max 4 stale_ns &&
	fails 2 "nonsense: no such member" steer set weir nonsense 4 &&
	fails 2 "nonsense: no such member" steer get weir nonsense &&
	fails 2 "scan_max: more than once" steer set weir scan_max 4 scan_max 5 &&
	fails 2 "is not a number of nanoseconds" steer set weir stale_ns soon &&
	fails 2 "is not a number of microseconds" steer set weir window_us 1500ns &&
	fails 2 "is not hash" steer set weir policy 3
is "a bad command line has status 2 and names the word"

fails 1 "there is none of that name" steer policy "$instance" hash &&
	fails 1 "there is none of that name" steer get "$instance" &&
	fails 1 "there is none of that name" steer drain "$instance" 0
is "an instance that is not there has status 1 and is named"

mkfifo "$tmp/fifo"
"$weir" serve echo --port 0 --instance "$instance" --workers 3 --policy hash > "$tmp/fifo" 2> "$tmp/err" &
server=$!
exec 3< "$tmp/fifo"
line=''
IFS= read -r line <&3
port=$(expr "$line" : 'listening on 127\.0\.0\.1:\([0-9]*\): ')
[ -n "$port" ] || cat "$tmp/err" >> "$tmp/log"
[ -n "$port" ] && "$weir" show vips -i "$instance" > "$tmp/out" && says '' &&
	"$weir" show xdp -i "$instance" > "$tmp/out" && says ''
is "a service of three workers runs, without networks and without XDP"

steer get "$instance" policy && says hash && steer policy "$instance" least && says '' &&
	steer get "$instance" policy && says least && steer policy "$instance" p2c -j &&
	json "$tmp/out" "d == {'instance': '$instance', 'policy': 'p2c'}"
is "the policy changes while it runs"

steer policy "$instance" hash && steer set "$instance" ramp_ns 0 && steer drain "$instance" 1 -j &&
	json "$tmp/out" 'd["worker"] == 1 and d["admin"] == "DRAIN"' && before=$(picked 1) && clients 40 &&
	[ "$(picked 1)" = "$before" ] && [ "$(picked 0)" -gt 0 ] && [ "$(picked 2)" -gt 0 ]
is "a worker that drains gets nothing new"

steer resume "$instance" 1 -j &&
	json "$tmp/out" "d == {'instance': '$instance', 'worker': 1, 'admin': 'ON', 'weight': 100}" &&
	clients 60 && [ "$(picked 1)" -gt "$before" ]
is "a worker that was resumed does"

steer weight "$instance" 2 250 -p && json "$tmp/out" 'd["weight"] == 250 and d["worker"] == 2' &&
	steer weight "$instance" 2 100 &&
	fails 1 "there is no worker 3" steer weight "$instance" 3 100 &&
	fails 1 "there is no worker 3" steer drain "$instance" 3
is "weights are stored, and workers that are not there are named"

steer set "$instance" stale_ns 40ms rescue_ns 60000000 window_us 200ms sendq_high_bytes 4k sendq_low_bytes 1k -j &&
	json "$tmp/out" 'd["stale_ns"] == 40000000 and d["rescue_ns"] == 60000000 and
		d["window_us"] == 200000 and d["sendq_high_bytes"] == 4096' &&
	steer get "$instance" sendq_low_bytes && says 1024
is "members take values in their unit, and pairs change together"

steer get "$instance" && cp "$tmp/out" "$tmp/before" &&
	fails 1 "rescue_ns: out of range" steer set "$instance" scan_max 3 stale_ns 70ms &&
	fails 1 "workers: out of range" steer set "$instance" workers 4 &&
	fails 1 "shed_permille: out of range (0 to 1000)" steer set "$instance" shed_permille 1001 &&
	fails 1 "flags: says what is attached" steer set "$instance" flags 0 &&
	steer get "$instance" && cmp "$tmp/out" "$tmp/before" >> "$tmp/log"
is "what is out of range is named and changes nothing"

python3 - "$weir" "$instance" >> "$tmp/log" 2>&1 <<-'END'
	import fcntl, subprocess, sys
	weir, instance = sys.argv[1:]
	def weight():
	    p = subprocess.run([weir, "steer", "weight", instance, "0", "100"], capture_output=True,
	                       text=True, timeout=20)
	    print(p)
	    return p
	# As who may read the configuration can: open for reading is enough.
	with open(f"/sys/fs/bpf/weir/{instance}/weir_cfg") as pin:
	    fcntl.flock(pin, fcntl.LOCK_SH)
	    p = weight()
	    assert p.returncode == 1 and "another process holds the lock" in p.stderr
	assert weight().returncode == 0
	END
is "who keeps the lock of a configuration keeps nobody waiting"

# A listener of the same user may join the group, and a filter of his replaces the program.
name="a stranger who takes the group over is told by the service and by show"
if ! json "$tmp/doctor" 'd["rung"] == "full"'; then
	skip "$name" "takes CAP_PERFMON: see weir doctor"
else
	timeout 60 python3 - "$weir" "$instance" "$port" >> "$tmp/log" 2>&1 <<-'END'
	import ctypes, json, socket, struct, subprocess, sys, time
	weir, instance, port = sys.argv[1:]
	def show(noun):
	    return json.loads(subprocess.run([weir, "show", noun, "-i", instance, "-j"], check=True,
	                                     stdout=subprocess.PIPE).stdout)
	def told(edge):
	    return [e for e in show("events") if (e["kind"], e["edge"]) == ("FOREIGN", edge)]
	assert all(g["chooser"] == "ours" for g in show("group")) and not told("on")
	s = socket.socket()
	s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
	s.bind(("127.0.0.1", int(port)))
	s.listen(1)
	insn = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # return 0: the first
	s.setsockopt(socket.SOL_SOCKET, 51, struct.pack("HP", 1, ctypes.addressof(insn)))
	assert all(g["chooser"] == "foreign" and g["prog"] != g["own"] for g in show("group"))
	while not told("on"):
	    time.sleep(0.05)
	assert told("on")[0]["limit"] == show("group")[0]["own"], show("events")
	END
	rc=$?
	# It says so when it has raised the event.
	[ $rc = 0 ] && await grep -q "somebody took its program" "$tmp/err"
	is "$name"
fi

name="who may not write to the pins is refused"
if command -v setpriv > /dev/null; then
	chmod 755 "$tmp"
	cp "$weir" "$tmp/weir" && chmod 755 "$tmp/weir"
	refused=0
	for words in "policy $instance hash" "drain $instance 0" "weight $instance 0 1" "set $instance scan_max 1" \
		"get $instance"; do
		# shellcheck disable=SC2086 # several words
		setpriv --reuid=65534 --regid=65534 --clear-groups "$tmp/weir" steer $words > "$tmp/out" 2> "$tmp/err"
		if [ $? != 1 ] || ! grep -q "the mode of its pins" "$tmp/err"; then
			{ echo "steer $words:"; cat "$tmp/err"; } >> "$tmp/log"
			refused=1
		fi
	done
	[ $refused = 0 ]
	is "$name"
else
	skip "$name" "needs setpriv"
fi

kill -TERM $server && cat <&3 > /dev/null && wait $server
rc=$?
server=''
[ $rc = 0 ] && fails 1 "there is none of that name" steer get "$instance"
is "the service ends, and there is nothing left to steer"
exit $bad
