#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_examples.sh - Documentation/examples: the same programs in four ways, built
# and run against peers, every byte and every line they print compared

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"

# build <example> <compiler and standard>...
build() {
	out=$tmp/${1%.*}
	case $1 in *.cpp) out=$out-coroutines ;; esac
	source=$srctree/Documentation/examples/$1
	shift
	# shellcheck disable=SC2046 # flags
	"$@" -Wall -Wextra -Werror ${SAN:+"-fsanitize=$SAN"} -I"$srctree/include" -o "$out" \
		"$source" "$objtree/lib/libweir.a" $(config LIBURING_LIBS) -pthread > "$tmp/log" 2>&1
}

echo "TAP version 13"
find_cxx23
ways='callbacks await fibers'
[ -n "$no_cxx23" ] || ways="$ways coroutines"
for program in echo copy fetch; do
	for way in callbacks await fibers; do
		build $program-$way.c "${CC:-gcc}" -std=c11
		is "$program with $way compiles without a warning"
	done
	if [ -n "$no_cxx23" ]; then
		skip "$program with coroutines" "$no_cxx23"
	else
		# shellcheck disable=SC2086 # a compiler may have arguments
		build $program.cpp $cxx -std=c++23
		is "$program with coroutines compiles without a warning"
	fi
done

# --- echo: twenty clients at once, each with bytes of its own, there and back ---
cat > "$tmp/clients.py" <<'END'
import os, socket, sys, threading

good = []

def client():
    out = os.urandom(100000)
    got = b""
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as s:
        sender = threading.Thread(target=lambda: (s.sendall(out), s.shutdown(socket.SHUT_WR)))
        sender.start()
        while part := s.recv(65536):
            got += part
        sender.join()
    good.append(got == out)

threads = [threading.Thread(target=client) for _ in range(20)]
for t in threads:
    t.start()
for t in threads:
    t.join()
sys.exit(good != [True] * 20)
END

mkfifo "$tmp/said"
for way in $ways; do
	"$tmp/echo-$way" nonsense > "$tmp/log" 2>&1
	test $? = 2
	is "echo with $way refuses a bad address"
	"$tmp/echo-$way" 127.0.0.1:0 > "$tmp/said" &
	server=$!
	line=''
	read -r line < "$tmp/said"
	python3 "$tmp/clients.py" "${line##*:}" > "$tmp/log" 2>&1
	is "echo with $way answers twenty clients at once, byte for byte"
	kill -0 $server 2>> "$tmp/log"
	is "echo with $way goes on"
	kill -KILL $server
	wait $server 2> /dev/null
	server=''
done

# --- copy ---
head -c 1000123 /dev/urandom > "$tmp/big"
: > "$tmp/empty"
for way in $ways; do
	rm -f "$tmp/to"
	"$tmp/copy-$way" "$tmp/big" "$tmp/to" > "$tmp/log" 2>&1 && cmp "$tmp/big" "$tmp/to" >> "$tmp/log" 2>&1
	status=$?
	cp "$tmp/log" "$tmp/progress"
	(exit $status)
	is "copy with $way copies every byte"
	cp "$tmp/progress" "$tmp/log"
	[ "$(grep -c ' %$' "$tmp/progress")" = 10 ] && grep -qx '100 %' "$tmp/progress" &&
		[ "$(tail -n 1 "$tmp/progress")" = "1000123 bytes" ]
	is "copy with $way tells each tenth of the way"
	"$tmp/copy-$way" "$tmp/empty" "$tmp/to" > "$tmp/log" 2>&1 && cmp "$tmp/empty" "$tmp/to" >> "$tmp/log" 2>&1
	is "copy with $way of an empty file makes it empty"
	"$tmp/copy-$way" "$tmp/none" "$tmp/to" > "$tmp/log" 2>&1
	[ $? = 1 ] && grep -q ENOENT "$tmp/log"
	is "copy with $way of no file tells so"
done

# --- fetch: one quick, one long, two that never answer, one that refuses ---
cat > "$tmp/peer.py" <<'END'
import socket, sys, threading

def answer(client, size):
    asked = b""
    while not asked.endswith(b"\r\n\r\n"):
        part = client.recv(1000)
        if not part:
            return
        asked += part
    if size is not None:
        client.sendall(b"x" * size)
        client.close()
    else:
        client.recv(1000)       # until the other end has given up

def listen(size):
    def serve():
        while True:
            client = s.accept()[0]
            threading.Thread(target=answer, args=(client, size), daemon=True).start()
    s = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, daemon=True).start()
    return s.getsockname()[1]

ports = [listen(size) for size in (1000, 300000, None, None)]
closed = socket.socket()        # bound, and never listens: it refuses
closed.bind(("127.0.0.1", 0))
ports.append(closed.getsockname()[1])
print(*ports, flush=True)
threading.Event().wait()
END
python3 "$tmp/peer.py" > "$tmp/said" 2> "$tmp/log" &
server=$!
ports=''
read -r ports < "$tmp/said"
set --
for port in $ports; do
	set -- "$@" "127.0.0.1:$port"
done
[ $# = 5 ]
is "five servers to fetch from"
if [ $# = 5 ]; then
	{
		echo "$1: 1000 bytes"
		echo "$2: 300000 bytes"
		echo "$3: ETIME: deadline passed"
		echo "$4: ETIME: deadline passed"
		echo "$5: ECONNREFUSED: connection refused"
	} > "$tmp/want"
	# All ways at once: what answers in time does so on a busy machine, too.
	limit=8000
	for way in $ways; do
		{
			began=$(date +%s%N)
			timeout 60 "$tmp/fetch-$way" $limit "$@" > "$tmp/got-$way" 2> "$tmp/log-$way"
			echo $? $((($(date +%s%N) - began) / 1000000)) > "$tmp/ended-$way"
		} &
		helper="$helper $!"
	done
	# shellcheck disable=SC2086 # several
	wait $helper
	helper=''
	for way in $ways; do
		read -r status took < "$tmp/ended-$way"
		{
			cat "$tmp/log-$way"
			diff "$tmp/want" "$tmp/got-$way"
		} > "$tmp/log" 2>&1 && [ "$status" = 0 ]
		is "fetch with $way gets what there is, and gives up on what is late"
		echo "took $took ms, the deadline is $limit ms" > "$tmp/log"
		[ "$took" -ge $limit ] && [ "$took" -lt $((2 * limit)) ]
		is "fetch with $way waits for all of them at once"
	done
fi
echo "1..$n"
exit $bad
