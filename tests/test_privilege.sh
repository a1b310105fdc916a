#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_privilege.sh - which capability each part needs, that a service keeps none,
# who may touch an instance, and that instances do not touch each other

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
one=priv-$$ two=priv-$$-b

"$weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log"
json "$tmp/doctor" 'd["rung"] == "full"' 2> /dev/null ||
	skip_all "BPF is refused here, in part or whole, or not built in: see weir doctor"
[ "$(id -u)" = 0 ] || skip_all "needs root"
for tool in setpriv unshare nsenter; do
	command -v $tool > /dev/null || skip_all "needs $tool"
done
setpriv --bounding-set=-all,+bpf,+perfmon true 2>> "$tmp/log" || skip_all "setpriv does not know CAP_BPF"
if [ -z "${WEIR_NETNS-}" ]; then
	rm -rf "$tmp"
	# shellcheck disable=SC2016 # expanded by the inner shell
	WEIR_NETNS=1 exec unshare -n sh -c 'ip link set lo up && exec "$0"' "$0"
fi
: > "$tmp/log"
chmod 755 "$tmp"
cp "$weir" "$tmp/weir" && chmod 755 "$tmp/weir"

# serve <prefix command>... -- <arguments>...: returns when it listens; sets server,
# port and line
serve() {
	with=''
	while [ "$1" != -- ]; do
		with="$with $1"
		shift
	done
	shift
	# shellcheck disable=SC2086 # several words
	first_line "$tmp/serve" $with "$tmp/weir" serve echo "$@"
	server=$started
	port=$(expr "$line" : 'listening on 127\.0\.0\.1:\([0-9]*\): ')
	[ -n "$port" ]
}

stop() {
	kill -TERM "$server" && cat <&3 > /dev/null
	exec 3<&-
	wait "$server"
	ended=$?
	server=''
	return $ended
}

# client <port>: one connection that is answered
client() {
	python3 -c '
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20) as s:
    s.sendall(b"x")
    sys.exit(s.recv(1) != b"x")' "$1" 2>> "$tmp/log"
}

# In a cgroup of our own, as a service manager gives: the top of the tree is closed
# even to root without CAP_DAC_OVERRIDE.
cgroups=$(python3 -c 'import json, sys
print(next(p["detail"] for p in json.load(open(sys.argv[1]))["probes"] if p["id"] == "bpf.cgroup2"))' "$tmp/doctor")
mkdir "$cgroups/$one" && echo $$ > "$cgroups/$one/cgroup.procs"
trap 'clean_up; echo $$ > "$cgroups/cgroup.procs"; rmdir "$cgroups/$one" 2> /dev/null
	"$weir" clean "$one" > /dev/null 2>&1; "$weir" clean "$two" > /dev/null 2>&1' EXIT

# rung <name> <bounding set>: a service with these capabilities gets that rung and serves
rung() {
	serve setpriv "--bounding-set=$2" -- --port 0 --workers 2 --instance "$one" || return 1
	echo "$2: $line" >> "$tmp/log"
	case $line in
	*"rung: $1 ("* | *"rung: $1, "* | *"rung: $1") client "$port" && stop ;;
	*) stop; return 1 ;;
	esac
}

# shellcheck disable=SC2317 # called through fails
as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

in_group() {
	setpriv --reuid=65534 --regid=65534 --groups=54321 "$@"
}

without_caps() {
	setpriv --bounding-set=-all "$@"
}

# fails <text that stderr must have> <command>...
fails() {
	text=$1
	shift
	"$@" > "$tmp/out" 2> "$tmp/err"
	got=$?
	if [ $got != 1 ] || ! grep -qF -e "$text" "$tmp/err"; then
		{ echo "$*: status $got, wanted 1 and \"$text\""; cat "$tmp/err"; } >> "$tmp/log"
		return 1
	fi
}

# kept <least threads>: no thread of the server has any capability
kept() {
	python3 - "$server" "$1" >> "$tmp/log" 2>&1 <<-'END'
	import glob, re, sys
	threads = glob.glob("/proc/%s/task/*/status" % sys.argv[1])
	for path in threads:
	    try:
	        text = open(path).read()
	    except OSError:
	        continue		# it has ended
	    for what in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
	        have = int(re.search(what + r":\s*(\w+)", text)[1], 16)
	        if have:
	            sys.exit("%s: %s is %x" % (path, what, have))
	    if int(re.search(r"NoNewPrivs:\s*(\d)", text)[1]) != 1:
	        sys.exit(path + ": may get new ones by exec")
	if len(threads) < int(sys.argv[2]):
	    sys.exit("only %d threads" % len(threads))
	END
}

# reach.py <directory> <pid> <ids of maps> <what is allowed> <groups> <pins>...: become
# nobody, in these groups, and try everything; prints what went through
cat > "$tmp/reach.py" <<'END'
import ctypes, os, struct, sys
os.setgroups([int(g) for g in sys.argv[5].split(",") if g])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
libc = ctypes.CDLL(None, use_errno=True)
BPF = 321 if os.uname().machine == "x86_64" else 280
GET, GET_FD_BY_ID = 7, 14
def bpf(cmd, attr):
    buf = ctypes.create_string_buffer(attr, 128)
    return libc.syscall(BPF, cmd, buf, 128)
def get(path, flags):
    text = ctypes.create_string_buffer(path.encode())
    return bpf(GET, struct.pack("QII", ctypes.addressof(text), 0, flags))
dir, pid, ids, want = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
for name in sys.argv[6:]:
    path = dir + "/" + name
    for how, flags in ("write", 0), ("read", 8), ("write only", 16):
        if how != want and get(path, flags) >= 0:
            print("opened", name, "to", how)
    for what in (lambda: os.unlink(path), lambda: os.rename(path, path + "x"),
                 lambda: os.chmod(path, 0o666)):
        try:
            what()
            print("changed the pin", name)
        except OSError:
            pass
for map_id in ids.split(","):
    if bpf(GET_FD_BY_ID, struct.pack("II", int(map_id), 0)) >= 0:
        print("got map", map_id, "by its number")
pidfd = libc.syscall(434, pid, 0)
for fd in range(64):
    if pidfd >= 0 and libc.syscall(438, pidfd, fd, 0) >= 0:
        print("took descriptor", fd, "of the service")
try:
    os.listdir("/proc/%d/fd" % pid)
    print("listed the descriptors of the service")
except OSError:
    pass
try:
    os.kill(pid, 15)
    print("sent a signal")
except OSError:
    pass
END

dir=/sys/fs/bpf/weir/$one

# map_ids: of the maps of an instance
map_ids() {
	python3 - "$server" <<-'END'
	import glob, re, sys
	ids = set()
	for path in glob.glob("/proc/%s/fdinfo/*" % sys.argv[1]):
	    try:
	        ids.update(re.findall(r"^map_id:\s*(\d+)", open(path).read(), re.M))
	    except OSError:
	        pass			# closed meanwhile
	print(",".join(sorted(ids)))
	END
}

echo "TAP version 13"
echo "1..18"

rung "kernel hash" -all && rung "kernel hash" +all,-bpf,-sys_admin
is "without CAP_BPF there is no steering, and the service serves"

rung "BPF steering" -all,+bpf && rung "BPF steering" +all,-net_admin,-sys_admin
is "CAP_BPF is what steering takes, CAP_NET_ADMIN what flows do"

rung "BPF steering and flows" -all,+bpf,+net_admin && rung "BPF steering and flows" +all,-perfmon,-sys_admin
is "CAP_BPF and CAP_NET_ADMIN give flows, but no queue lengths"

rung "BPF steering, flows and queue lengths" -all,+bpf,+net_admin,+perfmon &&
	rung "BPF steering, flows and queue lengths" -all,+sys_admin
is "with CAP_PERFMON there is everything; CAP_SYS_ADMIN stands for all three"

name="no thread of a service that is set up has a capability"
case ${SAN-} in
*thread*) skip "$name" "the thread sanitizer has a thread of its own, which keeps them" ;;
*)
	serve -- --port 0 --workers 3 --instance "$one" && client "$port" && kept 4
	rc=$?
	stop && [ $rc = 0 ]
	is "$name" ;;
esac

name="nor has one on a port below 1024, or one that shares a limit of locked memory"
case ${SAN-} in
*thread*) skip "$name" "the thread sanitizer has a thread of its own, which keeps them" ;;
*)
	serve setpriv --bounding-set=-all,+bpf,+net_admin,+perfmon,+net_bind_service,+ipc_lock -- \
		--port 81 --workers 2 --instance "$one" && client 81 && kept 3
	rc=$?
	stop && [ $rc = 0 ]
	is "$name" ;;
esac

serve -- --port 0 --workers 2 --instance "$one"
pins=$(ls "$dir")
ids=$(map_ids)
[ -n "$pins" ] && [ -n "$ids" ] && without_caps "$tmp/weir" show workers -i "$one" -j > "$tmp/out" 2>> "$tmp/log" &&
	json "$tmp/out" 'len(d) == 2' && without_caps "$tmp/weir" steer set "$one" scan_max 7 2>> "$tmp/log" &&
	without_caps "$tmp/weir" steer drain "$one" 1 2>> "$tmp/log" && without_caps cat "$dir/flows" > "$tmp/out" 2>> "$tmp/log" &&
	grep -q '^ *COOKIE' "$tmp/out"
is "to look and to steer takes no capability, but the right to the pins"

fails "CAP_SYS_ADMIN" without_caps "$tmp/weir" show cost -i "$one" --interval 1ms &&
	fails "CAP_SYS_ADMIN" setpriv --bounding-set=+all,-sys_admin "$tmp/weir" show cost -i "$one" --interval 1ms &&
	setpriv --bounding-set=-all,+sys_admin "$tmp/weir" show cost -i "$one" --interval 1ms > "$tmp/out" 2>> "$tmp/log" &&
	grep -q weir_steer "$tmp/out"
is "CAP_SYS_ADMIN is what measuring run times takes"

python3 - "$dir" > "$tmp/modes" 2>> "$tmp/log" <<'END'
import os, sys
dir = sys.argv[1]
print(oct(os.stat(dir).st_mode & 0o7777), sorted({oct(os.stat(dir + "/" + n).st_mode & 0o7777) for n in os.listdir(dir)}))
END
cat "$tmp/modes" >> "$tmp/log"
[ "$(cat "$tmp/modes")" = "0o700 ['0o600']" ]
is "pins are 0600 in a directory of 0700"

# shellcheck disable=SC2086 # several names
python3 "$tmp/reach.py" "$dir" "$server" "$ids" nothing "" $pins > "$tmp/reached" 2>&1
rc=$?
cat "$tmp/reached" >> "$tmp/log"
[ $rc = 0 ] && [ ! -s "$tmp/reached" ]
is "another user opens no pin, gets no map by its number, and no descriptor of the service"

fails "the mode of its pins" as_nobody "$tmp/weir" show workers -i "$one" &&
	fails "the mode of its pins" as_nobody "$tmp/weir" show events --follow -i "$one" &&
	fails "the mode of its pins" as_nobody "$tmp/weir" steer policy "$one" hash &&
	fails "" as_nobody "$tmp/weir" clean "$one" && [ -d "$dir" ] && client "$port"
is "another user is told why nothing is shown and nothing changed"

# Root without capabilities is no more than the owner: the same must hold for its sockets.
before=$("$weir" show workers -i "$one" -j | python3 -c 'import json, sys; print([w["cookie"] for w in json.load(sys.stdin)])')
python3 - "$port" >> "$tmp/log" 2>&1 <<'END'
import os, socket, sys
os.setresuid(65534, 65534, 65534)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
try:
    s.bind(("127.0.0.1", int(sys.argv[1])))
    s.listen()
    sys.exit("joined the group of the service")
except OSError as e:
    print(e)
END
rc=$?
after=$("$weir" show workers -i "$one" -j | python3 -c 'import json, sys; print([w["cookie"] for w in json.load(sys.stdin)])')
stop && [ $rc = 0 ] && [ "$before" = "$after" ]
is "another user's socket does not get into the group of listeners"

serve -- --port 0 --workers 2 --instance "$one" --group 54321
pins=$(ls "$dir")
ids=$(map_ids)
in_group "$tmp/weir" show workers -i "$one" -j > "$tmp/out" 2>> "$tmp/log" && json "$tmp/out" 'len(d) == 2' &&
	in_group "$tmp/weir" show flows -i "$one" > "$tmp/out" 2>> "$tmp/log" &&
	in_group "$tmp/weir" steer get "$one" policy > "$tmp/out" 2>> "$tmp/log" &&
	in_group cat "$dir/flows" > "$tmp/out" 2>> "$tmp/log" && grep -q '^ *COOKIE' "$tmp/out" &&
	fails "the mode of its pins" as_nobody "$tmp/weir" show workers -i "$one"
is "with --group its members may look, and others may not"

# Who may read a program may run it: these are not the group's.
progs=$(echo "$pins" | grep -xE 'weir_(steer|sockops(_q)?|tp_state|iter_(flows|group)|overflown|raise)')
maps=$(echo "$pins" | grep -vxF "$progs")
# shellcheck disable=SC2086 # several names
{
	python3 "$tmp/reach.py" "$dir" "$server" "$ids" read 54321 $maps &&
		python3 "$tmp/reach.py" "$dir" "$server" "$ids" none 54321 $progs
} > "$tmp/reached" 2>&1
rc=$?
[ "$(echo "$progs" | wc -l)" -ge 6 ] || rc=1
cat "$tmp/reached" >> "$tmp/log"
[ $rc = 0 ] && [ ! -s "$tmp/reached" ] &&
	fails "the mode of its pins" in_group "$tmp/weir" steer policy "$one" hash &&
	fails "the mode of its pins" in_group "$tmp/weir" steer drain "$one" 0
rc=$?
stop && [ $rc = 0 ]
is "but they change nothing"

# looks: all that is for the group is there for it
looks() {
	for noun in workers flows events gate group cfg; do
		in_group "$tmp/weir" show $noun -i "$one" > "$tmp/out" 2>> "$tmp/log" || return 1
	done
	fails "the mode of its pins" as_nobody "$tmp/weir" show workers -i "$one"
}

# succeed <arguments>...: the service is taken over
succeed() {
	old=$server
	serve -- --instance "$one" --takeover "$@" || return 1
	wait "$old"
}

serve -- --port 0 --workers 2 --instance "$one" --group 54321
fails "who may read it cannot be changed" "$tmp/weir" serve echo --instance "$one" --takeover --group 54322 &&
	succeed && looks && succeed --group 54321 && looks && succeed --workers 3 && looks &&
	kill -9 "$server" && { wait "$server" 2> /dev/null; serve -- --port 0 --workers 3 --instance "$one"; } && looks
rc=$?
stop && [ $rc = 0 ]
is "who succeeds a service lets the same ones look"

good=0
for word in '' . .. a/b ../x 'a b' a.b 0123456789012345678901234567890x; do
	for words in "serve echo --no-bpf -i" "show workers -i" "steer drain" "clean"; do
		last=$word
		[ "$words" != "clean" ] || [ -n "$word" ] || continue
		# shellcheck disable=SC2086 # several words
		case $words in
		"steer drain") timeout 10 "$weir" steer drain "$last" 0 > /dev/null 2> "$tmp/err" ;;
		*) timeout 10 "$weir" $words "$last" > /dev/null 2> "$tmp/err" ;;
		esac
		[ $? = 2 ] && grep -q 'is not 1 to 31' "$tmp/err" && continue
		{ echo "$words '$word'"; cat "$tmp/err"; } >> "$tmp/log"
		good=1
	done
done
[ $good = 0 ]
is "what is no name of an instance is refused by every command"

# The other one is in another network namespace, on the same port.
serve -- --port 7070 --workers 2 --instance "$one" --policy p2c
exec 5<&3
first=$server
mkfifo "$tmp/other"
# shellcheck disable=SC2016 # expanded by the inner shell
unshare -n sh -c 'ip link set lo up && exec "$0" "$@"' "$weir" serve echo --port 7070 --workers 2 --instance "$two" \
	--policy p2c > "$tmp/other" 2>> "$tmp/log" &
helper=$!
exec 6< "$tmp/other"
IFS= read -r line <&6
# state: all of the second one that must not move
state() {
	for noun in workers flows events gate cfg; do
		"$weir" show $noun -i "$two" -j
	done | sed 's/"turn_age_ns":[0-9]*//g; s/"loop_ns":[0-9]*//g; s/"queue_delay":{[^}]*}//g
		s/"qdelay_us":[0-9]*//g; s/"wait_us":[0-9]*//g; s/"state":"[A-Z]*"//g; s/"cq_ready":[0-9]*//g'
}
# parked: its workers have begun, and have nothing to do
# shellcheck disable=SC2317 # called through await
parked() {
	"$weir" show workers -i "$two" -j > "$tmp/out" 2>> "$tmp/log" &&
		json "$tmp/out" 'len(d) == 2 and all(w["state"] == "PARKED" for w in d)'
}
await parked
state > "$tmp/before" 2>> "$tmp/log"
for i in 1 2 3 4 5 6 7 8; do
	client 7070 || echo "client $i" >> "$tmp/log"
done
"$weir" steer policy "$one" least && "$weir" steer drain "$one" 1 && "$weir" steer set "$one" shed_permille 1000
state > "$tmp/after" 2>> "$tmp/log"
diff "$tmp/before" "$tmp/after" >> "$tmp/log" && [ "$(wc -c < "$tmp/before")" -gt 500 ]
is "what happens to one instance does not show in another, on the same port elsewhere"

kill -KILL "$first"
wait "$first" 2> /dev/null
server=''
"$weir" clean "$one" >> "$tmp/log" && [ ! -e "$dir" ] && state > "$tmp/after" && diff "$tmp/before" "$tmp/after" >> "$tmp/log" &&
	nsenter --net="/proc/$helper/ns/net" python3 -c '
import socket, sys
with socket.create_connection(("127.0.0.1", 7070), 20) as s:
    s.sendall(b"x")
    sys.exit(s.recv(1) != b"x")' 2>> "$tmp/log" && kill -TERM "$helper" && wait "$helper"
rc=$?
helper=''
[ $rc = 0 ]
is "one that is killed and cleaned takes nothing of the other along"
exit $bad
