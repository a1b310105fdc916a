#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_takeover_processes.sh - services whose workers are processes are succeeded, by
# such and by others; successors that fail, parents and children that are killed

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
name=procs-$$
# A worker is started by a parent that has threads, and has threads itself.
export TSAN_OPTIONS="die_after_fork=0 ${TSAN_OPTIONS-}"

[ "$(id -u)" = 0 ] || skip_all "needs root: /run/weir and the bpffs"
if [ -z "${IN_NETNS-}" ]; then
	unshare -n true 2> /dev/null || skip_all "needs network namespaces"
	rm -rf "$tmp"
	IN_NETNS=1 exec unshare -n "$0"
fi
ip link set lo up
migrate=/proc/sys/net/ipv4/tcp_migrate_req

# What talks to a service: its clients, and successors that fail where they are told to.
cat > "$tmp/peer.py" <<'END'
import fcntl, glob, socket, struct, sys, termios, time
MAGIC = 0x7765697263746c32
TAKE, LISTENERS, LOCK, YIELD, YIELDED, BEGIN, SERVES = range(1, 8)

def client(port):
    return socket.create_connection(("127.0.0.1", port), 20)

def echo(c, text=b"hello"):
    c.sendall(text)
    assert c.recv(len(text), socket.MSG_WAITALL) == text

def clients(port, count):
    for _ in range(count):
        with client(port) as c:
            echo(c)

class Successor:
    def __init__(self, name):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.settimeout(20)
        self.s.connect(f"/run/weir/{name}.sock")
        self.say(TAKE)
        left, self.fds = 1, []
        while left > 0:
            kind, left, fds = self.hear()
            assert kind == LISTENERS, kind
            self.fds += fds
            left -= len(fds)
        kind, self.maps, fds = self.hear()
        assert kind == LOCK and len(fds) == self.maps
        self.fds += fds
    def say(self, kind, count=0):
        self.s.send(struct.pack("=QIIiI", MAGIC, kind, count, 0, 0))
    def hear(self):
        data, fds, _, _ = socket.recv_fds(self.s, 64, 64)
        magic, kind, count, err, _ = struct.unpack("=QIIiI", data)
        assert not err, err
        return kind, count, fds
    def ask(self, *words):
        hung = None
        for word in words:
            self.say(word, self.maps if word == YIELD else 0)
            if word == YIELD:
                kind, hung, _ = self.hear()
                assert kind == YIELDED
        return hung
    def heard(self, pid):
        """What was said last the owner has heard and done: he waits for more."""
        thread = next(t for t in glob.glob(f"/proc/{pid}/task/*")
                      if open(f"{t}/comm").read() == "weir-control\n")
        until(lambda: not struct.unpack("i", fcntl.ioctl(self.s, termios.TIOCOUTQ, bytes(4)))[0])
        until(lambda: open(f"{thread}/stat").read().rsplit(")", 1)[1].split()[0] == "S")

def until(true):
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)

def all_yield(name):
    """A successor to whom all of an owner's workers have: one may be late, and seem to hang."""
    while True:
        successor = Successor(name)
        if not successor.ask(YIELD):
            return successor
        successor.s.close()
END

# kill_all: children outlive a parent that is killed, a parent that starts is not known
# here yet, and an idle client waits to be told
kill_all() {
	for _ in $(seq 200); do
		pids=$(pgrep -f "serve echo .*--instance $name |weir hold $name\$|$tmp/go") || break
		# shellcheck disable=SC2086 # several
		kill -KILL $pids 2> /dev/null
		sleep 0.02
	done
	"$weir" clean "$name" >> "$tmp/log" 2>&1
}

trap 'kill_all; clean_up' EXIT

# start <file> <arguments>...: sets started and port when it listens
start() {
	file=$1
	shift
	first_line "$tmp/$file" "$weir" serve echo --instance "$name" "$@"
	new_port=$(expr "$line" : 'listening on 127\.0\.0\.1:\([0-9]*\): ')
	[ -n "$new_port" ] && port=$new_port
}

own() {
	# shellcheck disable=SC2086 # some are no argument
	start old --port 0 $rung "$@" && server=$started || return 1
	[ -n "$rung" ] || "$weir" steer set "$name" shed_max_permille 0 >> "$tmp/log" 2>&1
}

# shellcheck disable=SC2086 # as above
succeed() {
	start next --takeover $rung "$@" && helper=$started
}

# ends <pid> <status>: it ends by itself
ends() {
	wait "$1"
	rc=$?
	echo "$1 ended with $rc" >> "$tmp/log"
	[ $rc = "$2" ]
}

stop() {
	kill -TERM "$helper" && ends "$helper" 0
	rc=$?
	helper=''
	cat "$tmp"/*.err >> "$tmp/log"
	[ $rc = 0 ] && [ ! -e "/run/weir/$name.sock" ] && [ ! -e "/sys/fs/bpf/weir/$name" ]
}

load_start() {
	timeout 60 "$weir" bench echo --port "$port" -d "$1" -c 60 -n -R 500 --timeout 20s -j \
		> "$tmp/load" 2>> "$tmp/log" &
	load=$!
	python3 -c "from peer import *; clients($port, 20)" >> "$tmp/log" 2>&1
}

load_clean() {
	wait "$load" && json "$tmp/load" "sum(d['errors'].values()) == 0 and d['requests'] > 200"
}

# idle: a client that stays; it asks again when it is told to
idle() {
	rm -f "$tmp/go" "$tmp/idle"
	mkfifo "$tmp/go"
	: > "$tmp/idle"
	python3 -c "
from peer import *
c = client($port)
echo(c)
print('ready', flush=True)
open('$tmp/go').read()
echo(c, b'again')
print('again', flush=True)
" > "$tmp/idle" 2>> "$tmp/log" &
	staying=$!
	for _ in $(seq 400); do
		grep -q ready "$tmp/idle" && return 0
		sleep 0.05
	done
	return 1
}

idle_asks() {
	echo go > "$tmp/go"
	wait "$staying" && grep -q again "$tmp/idle"
}

children() {
	pgrep -P "$1"
}

until_true() {
	for _ in $(seq 400); do
		"$@" >> "$tmp/log" 2>&1 && return 0
		sleep 0.05
	done
	return 1
}

gone() {
	! kill -0 "$1" 2> /dev/null
}

# shellcheck disable=SC2317 # called by until_true
said() {
	[ "$(grep -c "$2" "$tmp/old.err")" = "$1" ]
}

# Of a successor that was killed nobody serves any more, or else its predecessor leaves.
# shellcheck disable=SC2317 # the same
decided() {
	! pgrep -f "serve echo --instance $name --takeover" ||
		[ "$(children "$server" | wc -l)" -lt 3 ]
}

# shellcheck disable=SC2317 # the same
rows() {
	"$weir" show workers -i "$name" -j > "$tmp/rows" 2>> "$tmp/log" && json "$tmp/rows" "$1"
}

# counted <clients>: the rows say so many, and that nobody waits; without BPF there are none
counted() {
	[ -n "$rung" ] || until_true rows "sum(w['accepted'] for w in d) == $1 and
		all(w['pending'] == 0 and w['state'] in ('PARKED', 'RUN') for w in d)"
}

load_count() {
	python3 -c "import json; print(json.load(open('$tmp/load'))['connects'] + $1)"
}

# combination <what> <option of the old> <option of the new>
# shellcheck disable=SC2086 # an option may be none
combination() {
	own --workers 3 $2 && idle && load_start 1s && old=$server && old_port=$port &&
		succeed $3 && [ "$port" = "$old_port" ] && load_clean && idle_asks &&
		ends "$old" 0
	rc=$?
	server=''
	cat "$tmp"/*.err >> "$tmp/log"
	[ $rc = 0 ] && counted "$(load_count 21)" && stop
	is "$where: $1: nobody is lost, who stays is answered, and all are counted once"
}

# falls <what> <words that are said before it ends>
falls() {
	python3 -c "
from peer import *
s = Successor('$name')
assert len(s.fds) == 3 + s.maps
s.ask($2)
" >> "$tmp/log" 2>&1 && python3 -c "from peer import *; clients($port, 10)" >> "$tmp/log" 2>&1
}

PYTHONPATH=$tmp
export PYTHONPATH
echo "TAP version 13"
echo "1..30"

if [ -w $migrate ]; then
	echo 0 > $migrate
fi
for rung in --no-bpf ''; do
	where="without BPF"
	if [ -z "$rung" ]; then
		where="with BPF"
		"$weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log"
		if ! json "$tmp/doctor" 'd["rung"] in ("flow", "full")' 2> /dev/null; then
			: > "$tmp/log"
			for what in 1 2 3 4 5 6 7 8 9 10 11 12 13; do
				skip "$where, $what" \
					"BPF is refused here or not built in: see weir doctor"
			done
			continue
		fi
	fi
	combination "threads to processes" '' --processes
	combination "processes to threads" --processes ''
	combination "processes to processes" --processes --processes

	own --processes --workers 2 && load_start 3s && old=$server && succeed --processes \
		--workers 4 && ends "$old" 0 && server=$helper && [ -z "$rung" ] ||
		echo 1 > $migrate
	old=$server
	succeed --processes --workers 1 && ends "$old" 0 && load_clean
	rc=$?
	server=''
	cat "$tmp"/*.err >> "$tmp/log"
	[ $rc = 0 ] && [ "$(children "$helper" | wc -l)" = 1 ] && stop
	is "$where: to more processes, then to one, and no request failed"
	echo 0 > $migrate

	# Each of them yields, and goes on.
	own --processes --workers 3 && idle && load_start 2s && falls asks '' &&
		falls yields YIELD && falls begins 'YIELD, BEGIN' && falls again 'YIELD, BEGIN'
	rc=$?
	[ $rc = 0 ] && load_clean && counted "$(load_count 61)"
	is "$where: of successors that end, before they begin and after it, nobody is lost"
	until_true said 3 'a successor did not come to serve'
	is "$where: the parent says so"

	# Of processes some begin to serve, and others fail.
	(
		# shellcheck disable=SC3045 # bash and dash have it
		ulimit -n 120
		# shellcheck disable=SC2086 # as above
		! timeout 60 "$weir" serve echo --instance "$name" --takeover $rung --processes \
			--conns 1000 > "$tmp/out" 2> "$tmp/fails.err"
	) && cat "$tmp/fails.err" >> "$tmp/log" &&
		grep -q 'did not come to serve' "$tmp/fails.err" &&
		python3 -c "from peer import *; clients($port, 30)" >> "$tmp/log" 2>&1 &&
		counted "$(load_count 91)"
	is "$where: children of a successor that do not come to serve are as if they had not been"

	# Killed anywhere: the owner goes on, or the successor serves.
	killed=0 lost=0
	for ms in 005 020 040 060 080 100 130 160 200; do
		gone "$server" && break
		# shellcheck disable=SC2086 # as above
		"$weir" serve echo --instance "$name" --takeover $rung --processes \
			> /dev/null 2>> "$tmp/log" &
		helper=$!
		sleep 0.$ms
		kill -KILL $helper 2> /dev/null
		wait $helper 2> /dev/null
		until_true decided
		python3 -c "from peer import *; clients($port, 10)" >> "$tmp/log" 2>&1 || lost=1
		killed=$((killed + 1))
	done
	[ $killed -ge 1 ] && [ $lost = 0 ]
	is "$where: a successor that is killed, anywhere, costs no later client anything"
	idle_asks
	is "$where: and not who had come before"
	kill_all
	wait "$server" 2> /dev/null
	server='' helper=''

	# The owner's parent, when all have yielded: they go on without it.
	own --processes --workers 3 && pids=$(children "$server") && python3 -c "
from peer import *
import os, signal
s = all_yield('$name')
os.kill($server, signal.SIGKILL)
clients($port, 20)
try:
    s.say(BEGIN)
    assert s.s.recv(1) == b''
except (BrokenPipeError, ConnectionResetError):
    pass
" >> "$tmp/log" 2>&1
	is "$where: when the old parent is killed before the successor begins its workers serve on"
	# shellcheck disable=SC2086 # several
	kill -TERM $pids
	for pid in $pids; do
		until_true gone "$pid"
	done
	wait "$server" 2> /dev/null
	server=''
	"$weir" clean "$name" >> "$tmp/log" 2>&1
	own --processes --workers 3 && pids=$(children "$server") && python3 -c "
from peer import *
import os, signal
s = all_yield('$name')
s.ask(BEGIN)
s.heard($server)
os.kill($server, signal.SIGKILL)
for pid in '''$pids'''.split():
    until(lambda: not os.path.exists('/proc/' + pid))
waiting = client($port)
waiting.sendall(b'queued')
listener = [socket.socket(fileno=fd) for fd in s.fds[:3]]
" >> "$tmp/log" 2>&1
	is "$where: and when he has begun they leave"
	wait "$server" 2> /dev/null
	server=''
	"$weir" clean "$name" >> "$tmp/log" 2>&1

	# One that is stopped neither keeps the successor waiting nor its clients.
	own --processes --workers 3 && idle && old=$server &&
		stopped=$(children "$old" | head -n 1) && kill -STOP "$stopped" &&
		succeed --processes && timeout 20 python3 -c "
from peer import *
clients($port, 60)" >> "$tmp/log" 2>&1 && grep -q '1 workers do not come' "$tmp/old.err" &&
		kill -CONT "$stopped" && idle_asks && ends "$old" 0
	rc=$?
	server=''
	[ $rc = 0 ] && python3 -c "from peer import *; clients($port, 10)" >> "$tmp/log" 2>&1 && stop
	is "$where: nobody waits for a child that is stopped, and it leaves when it is back"

	# The old one is told to stop while somebody is connected to it.
	own --processes --workers 3 && idle && old=$server && succeed --processes &&
		kill -0 "$old" && kill -TERM "$old" && ends "$old" 0
	rc=$?
	server=''
	kill -KILL "$staying" 2> /dev/null
	[ $rc = 0 ] && python3 -c "from peer import *; clients($port, 10)" >> "$tmp/log" 2>&1 && stop
	is "$where: one that drains ends when it is told to"
done

# With a holder, also when all of it is killed.
rung=--no-bpf
json "$tmp/doctor" 'd["rung"] in ("flow", "full")' 2> /dev/null && rung=''
"$weir" hold "$name" > "$tmp/hold" 2>> "$tmp/log" &
holder=$!
until_true test -S "/run/weir/$name.hold"
own --processes --workers 3 && until_true grep -q 'holding 3 ' "$tmp/hold" &&
	pids=$(children "$server") && first=${pids%%[!0-9]*} && kill -KILL "$first" &&
	until_true sh -c "[ \$(pgrep -P $server | wc -l) = 3 ] && ! pgrep -P $server | grep -qx $first" &&
	pids="$server $(children "$server")" &&
	python3 -c "
from peer import *
import os, signal, subprocess
for pid in '''$pids'''.split():
    os.kill(int(pid), signal.SIGKILL)
" >> "$tmp/log" 2>&1
rc=$?
wait "$server" 2> /dev/null
server=''
for pid in $pids; do
	until_true gone "$pid"
done
old_port=$port
python3 -c "
from peer import *
waiting = [client($port) for _ in range(12)]
for c in waiting:
    c.sendall(b'queued')
print('ready', flush=True)
for c in waiting:
    assert c.recv(6, socket.MSG_WAITALL) == b'queued'
" > "$tmp/waiting" 2>> "$tmp/log" &
waiting=$!
until_true grep -q ready "$tmp/waiting"
# shellcheck disable=SC2086 # some are no argument
[ $rc = 0 ] && start next $rung --processes && helper=$started && [ "$port" = "$old_port" ] &&
	[ "$(children "$helper" | wc -l)" = 3 ] && wait $waiting && stop
is "a holder has what a parent and its children had that were killed, also one that was started again"
kill -TERM $holder && wait $holder
is "and lets go"
own --processes --workers 3 --no-bpf
refused=$(timeout 20 "$weir" serve echo --takeover --instance "$name" --no-bpf --processes \
	--workers 2 2>&1)
[ $? = 1 ] && expr "$refused" : '.*more listeners than 2 workers' >> "$tmp/log" &&
	python3 -c "from peer import *; clients($port, 10)" >> "$tmp/log" 2>&1
is "fewer are refused where nobody moves queues, and the service goes on"
kill -TERM "$server" && ends "$server" 0
rc=$?
server=''
[ $rc = 0 ]
is "and ends when it is told to"
exit $bad
