#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_vip.sh - weir serve --vip and weir steer vip: networks from the command line

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
instance=vip-$$

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

vip() {
	"$weir" steer vip "$instance" "$@" > "$tmp/out" 2>> "$tmp/log"
}

# answers <address> <port>: it echoes a byte; refused: nobody listens there
answers() {
	python3 - "$1" "$2" >> "$tmp/log" 2>&1 <<-'END'
	import socket, sys
	with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as s:
	    s.sendall(b"x")
	    assert s.recv(1) == b"x"
	END
}

refused() {
	python3 - "$1" "$2" >> "$tmp/log" 2>&1 <<-'END'
	import errno, socket, sys
	s = socket.socket()
	assert s.connect_ex((sys.argv[1], int(sys.argv[2]))) == errno.ECONNREFUSED
	END
}

# hears <address> <port>: from there and from nowhere else a datagram comes back
hears() {
	python3 - "$1" "$2" >> "$tmp/log" 2>&1 <<-'END'
	import socket, sys
	s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
	s.settimeout(10)
	s.connect((sys.argv[1], int(sys.argv[2])))
	s.send(b"x")
	assert s.recv(2) == b"x"
	END
}

# serve <instance> <networks> [<service> <port>]
serve() {
	first_line "$tmp/serve-$1" "$weir" serve "${3:-echo}" -w 2 --port "${4:-0}" -i "$1" --vip "$2"
	rc=$?
	server="$server $started"
	return $rc
}

lookup_netns "$@"

echo "TAP version 13"
echo "1..10"

fails 2 "--vip: '10.0.0.1/24:80' is not" serve echo --vip 127.9.0.0/16:80,10.0.0.1/24:80 &&
	fails 2 "--vip: '' is not" serve echo --vip '' && fails 2 "needs BPF" serve echo --vip 10.0.0.1:80 --no-bpf &&
	fails 2 "vip: wants INSTANCE list" steer vip weir && fails 2 "vip: wants" steer vip weir add &&
	fails 2 "vip: wants" steer vip weir list 10.0.0.0:80 && fails 2 "'10.0.0.0:' is not" steer vip weir add 10.0.0.0: &&
	fails 1 "there is none of that name" steer vip "$instance" list
is "a bad command line names the word"

serve "$instance" 127.9.0.0/16:443,127.8.0.0/16:80-89 && answers 127.9.1.2 443 && answers 127.8.7.6 85 &&
	refused 127.9.1.2 80
is "weir serve --vip answers there and not beside it"

vip list && [ "$(sort "$tmp/out")" = "127.8.0.0/16:80-89
127.9.0.0/16:443" ] && vip list -j && json "$tmp/out" \
	"d['instance'] == '$instance' and len(d['vips']) == 2 and d['assigned'] == 2 and d['failed'] == 0"
is "weir steer vip lists them, also as JSON"

vip add 127.7.0.0/16:22 127.9.0.0/16:22 && answers 127.7.0.1 22 && answers 127.9.1.2 22 && answers 127.9.1.2 443 &&
	vip del 127.9.0.0/16:22 && refused 127.9.1.2 22 && answers 127.9.1.2 443
is "networks are added and taken away while it runs"

fails 1 "answers there already" steer vip "$instance" add 127.9.0.0/16:440-450 &&
	fails 1 "does not answer on 127.9.0.0/16:22" steer vip "$instance" del 127.9.0.0/16:22
is "what is there already, or is not, is told"

vip list && cp "$tmp/out" "$tmp/before" &&
	fails 1 "127.9.0.0/16:440-450: instance $instance answers there already" \
		steer vip "$instance" add 127.5.0.0/16:22 127.9.0.0/16:440-450 127.4.0.0/16:22 &&
	fails 1 "127.5.0.0/16:20-30: instance $instance answers there already" \
		steer vip "$instance" add 127.5.0.0/16:22 127.5.0.0/16:20-30 &&
	fails 1 "does not answer on 127.9.0.0/16:22" steer vip "$instance" del 127.9.0.0/16:443 127.9.0.0/16:22 &&
	vip list && cmp "$tmp/before" "$tmp/out" >> "$tmp/log" && refused 127.5.0.1 22 && answers 127.9.1.2 443
is "of several networks all are added or taken away, or none"

serve "$instance-b" - && fails 1 "instance $instance answers on 127.9.0.0/16:443" \
	steer vip "$instance-b" add 127.9.8.7:443 && fails 1 "instance $instance answers on" \
	serve echo --port 0 -i "$instance-c" --vip 127.0.0.0/8:443 && answers 127.9.8.7 443 &&
	"$weir" steer vip "$instance-b" add 127.6.6.6:443 2>> "$tmp/log" && answers 127.6.6.6 443
is "what another instance has is refused by its name"

# shellcheck disable=SC2086 # more than one
kill -TERM $server
# shellcheck disable=SC2086
wait $server
refused 127.9.1.2 443 && fails 1 "none of that name" steer vip "$instance" list &&
	server='' && serve "$instance" 127.9.0.0/16:443 && answers 127.9.1.2 443
is "what ends answers no more, and what starts again does"

# shellcheck disable=SC2086
kill -TERM $server
# shellcheck disable=SC2086
wait $server
server=''

fails 2 "--port has to say" serve udp-echo --port 0 --vip 127.9.0.0/16 &&
	fails 2 "not on port 7777" serve udp-echo --vip 127.9.0.0/16:80-89 &&
	fails 2 "not on port 53" serve udp-echo --port 53 --vip 127.9.0.0/16,127.8.0.0/16:54
is "datagrams have no port but the service's own"

serve "$instance" 127.9.0.0/16,127.8.0.0/16:7771 udp-echo 7771 && hears 127.9.1.2 7771 && hears 127.8.7.6 7771 &&
	vip add 127.7.0.0/16 && hears 127.7.1.1 7771 && vip del 127.7.0.0/16:7771 &&
	fails 1 "its port, 7771" steer vip "$instance" add 127.7.0.0/16:7772 &&
	vip list && [ "$(sort "$tmp/out")" = "127.8.0.0/16:7771
127.9.0.0/16:7771" ] && vip list -j && json "$tmp/out" "d['assigned'] == 3 and d['absent'] == d['failed'] == 0"
is "weir serve udp-echo --vip answers there, from there"

# shellcheck disable=SC2086
kill -TERM $server
# shellcheck disable=SC2086
wait $server
server=''
exit $bad
