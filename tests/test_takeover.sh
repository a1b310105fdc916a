#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_takeover.sh - a service is succeeded under load, and recovered after a crash

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
name=takeover-$$

[ "$(id -u)" = 0 ] || skip_all "needs root: /run/weir and the bpffs"

# start <file> <arguments>...: sets started and port when it listens
start() {
	file=$1
	shift
	first_line "$tmp/$file" "$weir" serve echo "$@"
	port=$(expr "$line" : 'listening on 127\.0\.0\.1:\([0-9]*\): ')
	[ -n "$port" ]
}

# load <file> <arguments>...: in the background
load() {
	file=$1
	shift
	timeout 60 "$weir" bench echo --port "$port" --timeout 20s -j "$@" > "$tmp/$file" \
		2>> "$tmp/log" &
}

# clean <file> <requests>: so many at least, and none failed
clean() {
	json "$tmp/$1" "sum(d['errors'].values()) == 0 and d['requests'] > $2"
}

# succeed <arguments>...: takes over in the middle of two loads; status of both ends
succeed() {
	start old --port 0 --workers 2 --instance "$name" "$@" || return 1
	server=$started
	# On a busy machine all workers may be slow: a share of clients would be refused.
	"$weir" steer set "$name" shed_max_permille 0 >> "$tmp/log" 2>&1
	load keep -d 3s -c 40
	keep=$!
	load new -d 3s -c 100 -n -R 800
	new=$!
	# Both loads have clients in the old service.
	python3 - "$port" >> "$tmp/log" 2>&1 <<-'END' || return 1
	import socket, sys, time
	c = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
	end = time.time() + 1
	while time.time() < end:
	    c.send(b"x")
	    assert c.recv(1) == b"x"
	END
	old_port=$port
	start next --takeover --instance "$name" "$@" || return 1
	helper=$started
	[ "$port" = "$old_port" ] || return 1
	wait $keep && wait $new && wait "$server"
	rc=$?
	server=''
	cat "$tmp/old.err" "$tmp/next.err" >> "$tmp/log"
	return $rc
}

stop_next() {
	kill -TERM "$helper" && wait "$helper"
	rc=$?
	helper=''
	return $rc
}

echo "TAP version 13"
echo "1..18"

succeed --no-bpf
is "without BPF: the old service drains and ends with status 0"
clean keep 100 && clean new 1000
is "without BPF: no request failed, on connections that last and on new ones"
stop_next && [ ! -e "/run/weir/$name.sock" ]
is "without BPF: the new one stops and leaves no socket"

"$weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log"
if json "$tmp/doctor" 'd["rung"] in ("steer", "flow", "full")' 2> /dev/null; then
	succeed
	is "with BPF: the old service drains and ends with status 0"
	clean keep 100 && clean new 1000
	is "with BPF: no request failed, on connections that last and on new ones"

	# Both services' accepts are in the rows of one.
	"$weir" show workers -i "$name" -j > "$tmp/workers" 2>> "$tmp/log"
	python3 - "$tmp" >> "$tmp/log" 2>&1 <<-'END'
	import json, sys
	t = sys.argv[1]
	want = sum(json.load(open(f"{t}/{n}"))["connects"] for n in ("keep", "new")) + 1
	d = json.load(open(f"{t}/workers"))
	rows = d["workers"] if isinstance(d, dict) else d
	got = sum(w["accepted"] for w in rows)
	print("connects", want, "accepted", got)
	sys.exit(got != want)
	END
	is "every connection was counted once, in rows that both had"

	server=$helper
	load new -d 2s -c 100 -n -R 800
	new=$!
	start more --takeover --instance "$name" --workers 5 && helper=$started &&
		expr "$line" : '.*: 5 workers' >> "$tmp/log" && wait "$server" && server=$helper &&
		start third --takeover --instance "$name" --workers 2 && helper=$started &&
		expr "$line" : '.*: 2 workers' >> "$tmp/log" && wait "$server" && wait $new &&
		clean new 500
	is "to another number of workers, more and then fewer, and no request failed"
	server=''

	# With another number of workers counters begin at zero.
	{
		timeout 60 "$weir" bench echo --port "$port" -d 1s -c 20 -n -R 800
		"$weir" steer set "$name" rtx_burst 9
		"$weir" steer policy "$name" least
	} >> "$tmp/log" 2>&1
	"$weir" show workers -i "$name" -j > "$tmp/workers"
	kill -KILL "$helper"
	wait "$helper" 2>/dev/null
	start again --port 0 --workers 2 --instance "$name" && helper=$started &&
		"$weir" show cfg -i "$name" -j > "$tmp/cfg" 2>> "$tmp/log" &&
		"$weir" show workers -i "$name" -j > "$tmp/after" 2>> "$tmp/log"
	is "after kill -9 the next start comes up by itself"
	grep -q '"rtx_burst": *9\b' "$tmp/cfg" && expr "$line" : '.* bpf least' >> "$tmp/log"
	is "with the configuration of the dead one"
	python3 - "$tmp" >> "$tmp/log" 2>&1 <<-'END'
	import json, sys
	def sums(name):
	    d = json.load(open(f"{sys.argv[1]}/{name}"))
	    rows = d["workers"] if isinstance(d, dict) else d
	    return sum(w["accepted"] for w in rows), sum(w.get("picked", 0) for w in rows)
	print(sums("workers"), sums("after"))
	sys.exit(not (sums("workers") == sums("after") and sums("after")[0] > 100))
	END
	is "and its counters"
	stop_next && [ ! -e "/sys/fs/bpf/weir/$name" ]
	is "the recovered one stops and leaves no pins"

	start first --no-bpf --port 0 --instance "$name" && server=$started
	timeout 20 "$weir" serve echo --port 0 --instance "$name" > "$tmp/out" 2> "$tmp/err"
	rc=$?
	cat "$tmp/out" "$tmp/err" >> "$tmp/log"
	[ $rc = 1 ] && [ ! -s "$tmp/out" ] && [ ! -e "/sys/fs/bpf/weir/$name" ] &&
		grep -q "instance $name: its service lives" "$tmp/err" &&
		start heir --takeover --instance "$name" && succeeded
	is "the name of one without BPF that lives is refused, and taken over"
	kill -TERM "$server" && wait "$server"
	server=''
else
	: > "$tmp/log"
	for what in "with BPF: the old service drains and ends with status 0" \
		"with BPF: no request failed, on connections that last and on new ones" \
		"every connection was counted once, in rows that both had" \
		"to another number of workers, more and then fewer, and no request failed" \
		"after kill -9 the next start comes up by itself" \
		"with the configuration of the dead one" "and its counters" \
		"the recovered one stops and leaves no pins" \
		"the name of one without BPF that lives is refused, and taken over"; do
		skip "$what" "BPF is refused here or not built in: see weir doctor"
	done
fi

refused() {
	want=$1
	shift
	timeout 20 "$weir" serve "$@" --takeover --instance "$name" > "$tmp/out" 2> "$tmp/err"
	got=$?
	cat "$tmp/err" >> "$tmp/log"
	[ $got = 2 ] && grep -qF -e "$want" "$tmp/err"
}
refused 'memory of its process' udp-echo --xdp lo
is "what cannot be taken over is refused by its reason"

! start none --takeover --no-bpf --instance "$name" && grep -q 'there is no live service' "$tmp/none.err"
is "there must be one to take over"

# Whatever comes, the service goes on, and ends when it is told to.
start deaf --no-bpf --port 0 --instance "$name" && server=$started &&
	python3 - "$name" "$port" >> "$tmp/log" 2>&1 <<-'END'
	import os, random, socket, struct, sys
	name, port = sys.argv[1], int(sys.argv[2])
	def ctl():
	    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	    s.settimeout(20)
	    s.connect(f"/run/weir/{name}.sock")
	    return s
	random.seed(1)
	magic = 0x7765697263746c32
	devnull = os.open("/dev/null", os.O_RDONLY)
	bad = [b"", b"x", random.randbytes(24), random.randbytes(4096)]
	bad += [struct.pack("=QIIiI", magic, kind, count, 0, 0)
	        for kind in (0, 2, 3, 4, 5, 6, 8, 9, 0xffffffff) for count in (0, 1, 0xffffffff)]
	for message in bad:
	    with ctl() as s:
	        if message:
	            s.send(message)
	            assert s.recv(64) == b"", message
	with ctl() as s:		# descriptors that nobody asked for
	    socket.send_fds(s, [struct.pack("=QIIiI", magic, 1, 0, 0, 0)], [devnull] * 3)
	    assert s.recv(64) == b""
	with ctl() as s:		# asks, and leaves
	    s.send(struct.pack("=QIIiI", magic, 1, 0, 0, 0))
	    data, fds, flags, _ = socket.recv_fds(s, 64, 8)
	    assert len(fds) == 1, fds
	c = socket.create_connection(("127.0.0.1", port), 5)
	c.send(b"hello")
	assert c.recv(5) == b"hello"
	assert os.stat(f"/run/weir/{name}.sock").st_mode & 0o777 == 0o600
	END
is "garbage at the control socket is refused, and a successor that leaves changes nothing"
if command -v setpriv > /dev/null; then
	chmod 755 "$tmp"
	cp "$weir" "$tmp/weir" && chmod 755 "$tmp/weir"
	! setpriv --reuid=65534 --regid=65534 --clear-groups "$tmp/weir" serve echo --takeover \
		--no-bpf --instance "$name" > "$tmp/out" 2> "$tmp/err" &&
		grep -q 'cannot take it over: .*denied' "$tmp/err" && kill -TERM "$server" && wait "$server"
	rc=$?
	cat "$tmp/err" >> "$tmp/log"
	[ $rc = 0 ]
	is "nobody else may ask, and the service ends as it is told to"
else
	kill -TERM "$server"
	skip "nobody else may ask, and the service ends as it is told to" "needs setpriv"
fi
server=''

# What it waits for on the listener, first in line, must not take the wake-ups.
start hung --no-bpf --port 0 --instance "$name" && server=$started && hang "$server" weir-w0 &&
	start next --takeover --no-bpf --instance "$name" && helper=$started &&
	python3 - "$port" >> "$tmp/log" 2>&1 <<-'END' &&
	import socket, sys
	for _ in range(20):
	    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20) as c:
	        c.send(b"x")
	        assert c.recv(1) == b"x"
	END
	grep -q '1 workers do not come' "$tmp/hung.err"
is "nobody waits for a predecessor that hangs"
hang_end
stop_next

start many --no-bpf --port 0 --workers 70 --conns 4 --instance "$name" && server=$started &&
	start next --takeover --no-bpf --conns 4 --instance "$name" && helper=$started &&
	expr "$line" : '.*: 70 workers' >> "$tmp/log" && wait "$server"
rc=$?
server=''
stop_next && [ $rc = 0 ]
is "more listeners than one message carries are taken over"
exit $bad
