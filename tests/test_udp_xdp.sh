#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_udp_xdp.sh - weir serve udp-echo --xdp, over a pair of virtual interfaces

if [ -z "${UDP_XDP_NET-}" ] && unshare -n true 2> /dev/null; then
	UDP_XDP_NET=1 exec unshare -n "$0" "$@"
fi

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
SIZES=1400

[ -n "${UDP_XDP_NET-}" ] || skip_all "needs a network namespace"
[ "$(config CONFIG_XDP)" = y ] || skip_all "built without libxdp (CONFIG_XDP=n)"
"$weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log"
json "$tmp/doctor" 'd["rung"] in ("steer", "flow", "full")' 2> /dev/null ||
	skip_all "BPF is refused here: see weir doctor"

# The client has a namespace of its own: else nothing would leave by the interface.
mkfifo "$tmp/never"
unshare -n cat "$tmp/never" &
helper=$!
# It has it when it runs what it was told to.
while [ "$(cat /proc/$helper/comm 2> /dev/null)" != cat ]; do
	kill -0 "$helper" || skip_all "needs a second network namespace"
	sleep 0.01
done
if ! { ip link add s0 type veth peer name c0 netns "$helper" 2>> "$tmp/log" &&
	ip link set lo up && ip link set s0 up &&
	ip addr add 10.9.0.2/24 dev s0 && ip -6 addr add fd09::2/64 dev s0 nodad; }; then
	skip_all "needs ip link and veth"
fi

at_client() {
	nsenter -t "$helper" -n "$@" 2>> "$tmp/log"
}

# shellcheck disable=SC2317 # called through await
link_up() {
	"$@" | grep -q 'state UP'
}
if ! { at_client ip link set c0 up && at_client ip addr add 10.9.0.1/24 dev c0 &&
	at_client ip -6 addr add fd09::1/64 dev c0 nodad; }; then
	skip_all "needs nsenter"
fi
# Until the kernel has seen that its peer is up, an interface drops what it is to send.
await link_up ip link show s0
await link_up at_client ip link show c0

# start <mode> <options>: the line to $line, the port to $port
start() {
	mode=$1
	shift
	first_line "$tmp/serve" "$weir" serve udp-echo --addr :: --port 0 --instance "udp-xdp-$$" \
		--json-exit --xdp "s0:$mode" "$@"
	server=$started
	port=$(expr "$line" : 'listening on [^ ]*:\([0-9]*\): ')
}

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

client() {
	at_client python3 "$srctree/tests/udp_peer.py" c0 "$1" "$port" "$2"
}

has_program() {
	ip link show s0 | grep -q 'prog/xdp'
}

# shellcheck disable=SC2317 # called through await
no_program() {
	! has_program
}

# capable: has any thread but the kernel's own a capability?
capable() {
	for task in /proc/"$server"/task/*; do
		case $(cat "$task/comm" 2> /dev/null) in
		'' | iou-*) ;;
		*) ! grep -E '^Cap(Prm|Eff):' "$task/status" | grep -v '0000000000000000$' \
			>> "$tmp/log" || return 0 ;;
		esac
	done
	return 1
}

# errors: datagrams that the client's kernel found damaged
errors() {
	at_client cat /proc/net/snmp /proc/net/snmp6 |
		awk '/^Udp:/ { if (n) print $(n); else for (i = 1; i <= NF; i++)
				if ($i == "InCsumErrors") n = i }
		     /^Udp6InCsumErrors/ { print $2 }' | paste -sd ' '
}

fails() {
	want=$1 text=$2
	shift 2
	"$weir" serve "$@" > "$tmp/out" 2>&1
	[ $? = "$want" ] && grep -q -e "$text" "$tmp/out" && return 0
	cat "$tmp/out" >> "$tmp/log"
	return 1
}

echo "TAP version 13"
echo "1..14"

for mode in native generic; do
	start "$mode"
	has_program && expr "$line" : ".*, xdp: $mode s0" > /dev/null
	is "$mode: the program is attached, and the line says so"
	sanitizer=${SAN-}
	if [ "${sanitizer#*thread}" != "$sanitizer" ]; then
		skip "$mode: no capability is left" \
			"the thread sanitizer has a thread of its own, which keeps them"
	else
		! capable
		is "$mode: no capability is left"
	fi
	client 10.9.0.2 $SIZES && client fd09::2 $SIZES && [ "$(errors)" = "0 0" ]
	is "$mode: every byte of every size comes back with right checksums, IPv4 and IPv6"
	# Fragments are the kernel's, both ways. What stands in a frame for a checksum is
	# one by chance now and then.
	at_client python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(('10.9.0.2', $port))
for data in b'short', bytes(range(256)) * 12:
    s.send(data)
    assert s.recv(65536) == data" && finish &&
		json "$tmp/end" "d['xdp_received'] == d['xdp_sent'] == 2 * $SIZES + 1 and
			d['dgrams_in'] == d['dgrams_out'] == 2 * $SIZES + 2 and
			d['xdp_too_long'] == 1 and d['xdp_unverified'] > 2 * $SIZES - 8 and
			not (d['xdp_no_peer'] or d['xdp_no_buffer'] or d['xdp_no_socket'] or
			     d['xdp_damaged'] or d['xdp_lost'])"
	is "$mode: they came and went as frames, and fragments by the socket"
	! has_program && ! [ -e "/sys/fs/bpf/weir/udp-xdp-$$" ]
	is "$mode: nothing is left on the interface"
done

# flood <least>: how many of 50 datagrams are answered; so many are waited for
flood() {
	at_client python3 - "$port" "$1" <<-'END'
	import socket, sys
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	s.connect(("10.9.0.2", int(sys.argv[1])))
	good = 0
	for i in range(50):
	    s.send(b"x")
	try:
	    while True:
	        s.settimeout(20 if good < int(sys.argv[2]) else 1)
	        s.recv(64)
	        good += 1
	except socket.timeout:
	    print(good)
	END
}

# steer <what> <rate>...: of the service that runs
steer() {
	"$weir" steer xdp "udp-xdp-$$" "$@" > "$tmp/out" 2>> "$tmp/log"
}

start generic
steer dgrams 1 5 && [ ! -s "$tmp/out" ] && some=$(flood 5) && [ "$some" -ge 5 ] && [ "$some" -le 10 ] &&
	steer dgrams 0 && [ "$(flood 50)" = 50 ] && steer syns 7 -j &&
	json "$tmp/out" "d['syn_rate'] == d['syn_burst'] == 7 and d['dgram_rate'] == d['dgram_burst'] == 0" &&
	! steer frames 1 && ! steer syns -- -1 && ! steer syns 1 0
rc=$?
finish && [ $rc = 0 ]
is "a budget of datagrams or SYNs is given and taken away while it runs"

start native
has_program && kill -KILL "$server"
wait "$server" 2> /dev/null
server=''
# The kernel lets go of a dead process's links in a work of its own.
await no_program
is "a killed server leaves nothing on the interface"

start native && client 10.9.0.2 20 && finish && ! has_program
is "the next one goes on in its place"

fails 1 "nosuch" udp-echo --port 0 --instance "udp-xdp-$$" --xdp nosuch &&
	fails 1 "no native\|takes no XDP" udp-echo --port 0 --instance "udp-xdp-$$" --xdp lo:native &&
	fails 2 "is not an interface" udp-echo --xdp s0:fast &&
	fails 2 "is for datagrams" echo --xdp s0
is "what cannot be is refused by name"
[ $bad = 0 ]
