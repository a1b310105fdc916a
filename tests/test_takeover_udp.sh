#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_takeover_udp.sh - services of datagrams, and of an acceptor, are succeeded

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
name=takeover-udp-$$

[ "$(id -u)" = 0 ] || skip_all "needs root: /run/weir and the bpffs"
# Addresses and ports of a namespace of its own: those of the host may be in use.
if [ "${WEIR_TAKEOVER_NETNS:-}" != yes ]; then
	unshare -n true 2> /dev/null || skip_all "no private network namespace"
	command -v ip > /dev/null || skip_all "no ip"
	rm -rf "$tmp"
	WEIR_TAKEOVER_NETNS=yes exec unshare -n "$0" "$@"
fi
ip link set lo up

# start <arguments>...: sets started and line when it serves
start() {
	first_line "$tmp/serve" "$weir" serve "$@" --instance "$name"
}

# first <arguments>...: the owner
first() {
	start "$@" && server=$started &&
		{ [ "$bpf" = no ] || "$weir" steer set "$name" shed_max_permille 0 >> "$tmp/log" 2>&1; }
}

# next <arguments>...: takes over, and the one before ends well
next() {
	start "$@" --takeover && succeeded
}

stop() {
	kill -TERM "$server" && wait "$server"
	rc=$?
	server=''
	return $rc
}

# refused <status> <text> <arguments>...: and the owner answers still
refused() {
	status=$1 want=$2
	shift 2
	timeout 20 "$weir" serve "$@" --takeover --instance "$name" > "$tmp/out" 2> "$tmp/err"
	got=$?
	cat "$tmp/err" >> "$tmp/log"
	[ $got = "$status" ] && grep -qF -e "$want" "$tmp/err"
}

load() {
	timeout 60 "$weir" bench udp-echo --port 7000 "$@" -R 1000 --timeout 20s -j \
		> "$tmp/load" 2>> "$tmp/log" &
	load=$!
}

# answered <requests>: every one, and so many at least
answered() {
	wait "$load" && json "$tmp/load" "d['lost'] == 0 and sum(d['errors'].values()) == 0 and
		d['requests'] > $1"
}

# through <options>: the same number of workers, more, fewer
through() {
	first udp-echo --port 7000 --workers 2 "$@" && load -c 40 -d 3s &&
		next udp-echo "$@" && expr "$line" : '.*: 2 workers' >> "$tmp/log" &&
		next udp-echo --workers 5 "$@" && expr "$line" : '.*: 5 workers' >> "$tmp/log" &&
		next udp-echo --workers 1 "$@" && expr "$line" : '.*: 1 worker,' >> "$tmp/log" &&
		answered 2000
}

echo "TAP version 13"
echo "1..15"

bpf=no
through --no-bpf
is "without BPF: three successors, and every datagram was answered"

refused 1 'weir serve udp-echo takes these' echo --no-bpf &&
	refused 2 'memory of its process' udp-echo --xdp lo && load -c 4 -d 200ms && answered 100
is "one for connections, or by AF_XDP, is refused, and the service goes on"
stop && [ ! -e "/run/weir/$name.sock" ]
is "the last one stops and leaves no socket"

first echo --no-bpf --port 7000 && refused 1 'weir serve echo takes these' udp-echo --no-bpf &&
	stop
is "one for datagrams does not succeed one for connections"

# What a hung worker has not taken yet is there for the successor.
first udp-echo --no-bpf --port 7000 && hang "$server" weir-w0 && load -c 10 -d 1s &&
	start udp-echo --takeover --no-bpf && helper=$started && answered 500 &&
	grep -q '1 workers do not come' "$tmp/log"
is "nobody waits for a predecessor that hangs"
hang_end
server=$helper
helper=''
stop

# one listener for all
first echo --acceptor --no-bpf --port 7000 --workers 3
timeout 60 "$weir" bench echo --port 7000 -d 2s -c 60 -n -R 500 --timeout 20s -j > "$tmp/new" \
	2>> "$tmp/log" &
new=$!
timeout 60 "$weir" bench echo --port 7000 -d 2s -c 20 --timeout 20s -j > "$tmp/keep" 2>> "$tmp/log" &
keep=$!
refused 1 'it has one listener, of --acceptor' echo --workers 2 --no-bpf &&
	refused 1 'it has one listener, of --acceptor' echo &&
	next echo --acceptor && expr "$line" : '.*: 3 workers' >> "$tmp/log" &&
	next echo --acceptor --workers 5 && next echo --no-bpf && wait "$new" && wait "$keep" &&
	json "$tmp/new" 'sum(d["errors"].values()) == 0 and d["requests"] > 900' &&
	json "$tmp/keep" 'sum(d["errors"].values()) == 0 and d["requests"] > 100'
is "an acceptor's service is succeeded by others, and no request failed"
timeout 20 "$weir" serve echo --acceptor --port 7001 --instance "$name" 2> "$tmp/taken"
taken=$?
stop
timeout 20 "$weir" serve echo --acceptor --takeover 2> "$tmp/err"
[ $? = 2 ] && grep -q 'needs --instance' "$tmp/err" && [ $taken = 1 ] &&
	grep -q "or be instance $name: .*in use" "$tmp/taken"
is "an acceptor has a name only where it is told one, and nobody else has it"

"$weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log"
if json "$tmp/doctor" 'd["rung"] in ("flow", "full")' 2> /dev/null; then
	bpf=yes
	through
	is "with BPF: three successors, and every datagram was answered"
	stop && [ ! -e "/sys/fs/bpf/weir/$name" ]
	is "with BPF: the last one stops and leaves no pins"

	first udp-echo --port 7000 --workers 2 --vip 127.9.0.0/16 && load -a 127.9.1.2 -c 20 -d 2s &&
		next udp-echo && [ "$("$weir" steer vip "$name" list)" = 127.9.0.0/16:7000 ] &&
		answered 1500
	is "with BPF: a network goes on to be answered on, without a gap"

	# What the flows have, and the operator said, is the successor's.
	"$weir" steer weight "$name" 1 42 2>> "$tmp/log" && load -c 30 -d 2s && next udp-echo &&
		"$weir" show workers -i "$name" -j > "$tmp/workers" 2>> "$tmp/log" && answered 1500 &&
		json "$tmp/workers" '(d["workers"] if isinstance(d, dict) else d)[1]["weight"] == 42' &&
		"$weir" show gate -i "$name" -j > "$tmp/gate" 2>> "$tmp/log" &&
		json "$tmp/gate" 'd[0]["dgram_moved"] == 0 and d[0]["dgram_kept"] > 1500'
	is "with BPF: no flow moves to another worker"
	stop

	# The program, and what it refuses, go with the one that has brought it.
	budget='prefix_rate 1 prefix_burst 1'
	# shellcheck disable=SC2086 # names and values
	first udp-echo --port 7000 --workers 3 && "$weir" steer set "$name" $budget 2>> "$tmp/log" &&
		next udp-echo --no-bpf && load -c 20 -d 500ms && answered 300
	is "with BPF: one without it is rid of its predecessor's program"
	next udp-echo --workers 2 && load -c 20 -d 500ms && answered 300
	is "with BPF: one with fewer workers succeeds one without it"
	stop
	# shellcheck disable=SC2086 # as above
	first echo --port 7000 --workers 1 && "$weir" steer set "$name" $budget 2>> "$tmp/log" &&
		next echo --acceptor --workers 2 &&
		timeout 60 "$weir" bench echo --port 7000 -d 500ms -c 20 -n -R 500 --timeout 20s -j > "$tmp/new" \
			2>> "$tmp/log" &&
		json "$tmp/new" 'sum(d["errors"].values()) == 0 and d["requests"] > 100'
	is "with BPF: so is an acceptor"
	stop

	if ip link add weir-a type veth peer name weir-b 2>> "$tmp/log" &&
	   ip addr add 10.99.0.1/24 dev weir-a && ip link set weir-a up && ip link set weir-b up &&
	   first udp-echo --addr 10.99.0.1 --port 7000 --xdp weir-a:generic; then
		refused 1 'it cannot be taken over' udp-echo && kill -0 "$server" && stop
		is "with BPF: a service by AF_XDP is not taken over, and goes on"
	else
		skip "with BPF: a service by AF_XDP is not taken over, and goes on" "no AF_XDP here"
	fi
else
	: > "$tmp/log"
	for what in "three successors, and every datagram was answered" \
		"the last one stops and leaves no pins" \
		"a network goes on to be answered on, without a gap" \
		"no flow moves to another worker" \
		"one without it is rid of its predecessor's program" \
		"one with fewer workers succeeds one without it" "so is an acceptor" \
		"a service by AF_XDP is not taken over, and goes on"; do
		skip "with BPF: $what" "BPF is refused here or not built in: see weir doctor"
	done
fi
exit $bad
