#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_readme.sh - what README.md promises: its commands, and its echo server,
# compiled from the text itself and talked to

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"

echo "TAP version 13"

"$srctree/scripts/readme-commands.sh" > "$tmp/commands" 2> "$tmp/log"
printf './scripts/setup %s\n' demo check | diff - "$tmp/commands" >> "$tmp/log" 2>&1
is "the_two_commands_come_first"

awk '/^```c$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' \
	"$srctree/README.md" > "$tmp/echo.c"
grep -v SPDX-License-Identifier "$srctree/Documentation/examples/echo.c" |
	diff "$tmp/echo.c" - > "$tmp/log" 2>&1
is "the_example_is_the_one_in_the_readme"

lines=$(grep -c . "$tmp/echo.c")
echo "$lines lines" > "$tmp/log"
[ "$lines" -gt 0 ] && [ "$lines" -le 24 ]
is "it_is_about_twenty_lines"

# shellcheck disable=SC2046 # flags
${CC:-gcc} -std=c11 -Wall -Wextra -Werror ${SAN:+"-fsanitize=$SAN"} -I"$srctree/include" \
	-o "$tmp/echo" "$tmp/echo.c" "$objtree/lib/libweir.a" $(config LIBURING_LIBS) \
	-pthread > "$tmp/log" 2>&1
is "it_compiles_without_a_warning"
[ -x "$tmp/echo" ] || {
	echo "1..$n"
	exit 1
}

"$tmp/echo" nonsense > "$tmp/log" 2>&1
test $? = 1
is "it_refuses_a_bad_address"

# Nobody else is at this address: until it listens, no port of it is taken for one to
# connect from, nor is the client connected to himself.
address=127.$(($$ >> 16 & 127 | 128)).$(($$ >> 8 & 255)).$(($$ & 255))
port=7777
"$tmp/echo" "$address:$port" > "$tmp/server" 2>&1 &
server=$!
# Twenty clients at once, each with 100 kB of its own, there and back.
python3 - "$address" $port > "$tmp/log" 2>&1 <<'END'
import os, socket, sys, threading, time

end = time.monotonic() + 20
good = []

def connect():
    while True:
        try:
            return socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)	# it is not there yet

def client():
    data, back = os.urandom(100000), b""
    with connect() as sock:
        sender = threading.Thread(target=lambda: (sock.sendall(data),
                                                  sock.shutdown(socket.SHUT_WR)))
        sender.start()
        while part := sock.recv(65536):
            back += part
        sender.join()
    if back == data:
        good.append(1)

clients = [threading.Thread(target=client) for _ in range(20)]
for c in clients:
    c.start()
for c in clients:
    c.join()
print(len(good), "of 20 clients got back what they sent")
sys.exit(len(good) != 20)
END
is "it_echoes_every_byte_to_twenty_clients"

kill -0 "$server" 2> "$tmp/log" || cat "$tmp/server" >> "$tmp/log"
kill -TERM "$server" 2>> "$tmp/log"
is "it_lived_to_the_end"
wait "$server"
server=''

echo "1..$n"
exit $bad
