#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_tools.sh - the weir program from outside: words, status, files, signals

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
instance=tools-$$

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

# serve <arguments>...: returns when it listens; sets server and port
serve() {
	first_line "$tmp/serve" "$weir" serve echo --port 0 "$@"
	server=$started
	port=$(expr "$line" : 'listening on 127\.0\.0\.1:\([0-9]*\): ')
	[ -n "$port" ]
}

# stop [signal]: status of the server; what it printed is in $tmp/end
stop() {
	kill -"${1:-TERM}" "$server" 2>> "$tmp/log"
	cat <&3 > "$tmp/end"
	exec 3<&-
	wait "$server"
	rc=$?
	server=''
	cat "$tmp/serve.err" >> "$tmp/log"
	return $rc
}

# peer <python text>: a helper that prints one line when it is ready
peer() {
	rm -f "$tmp/peer"
	mkfifo "$tmp/peer"
	python3 -c "$@" > "$tmp/peer" &
	helper=$!
	exec 4< "$tmp/peer"
	IFS= read -r said <&4
}

peer_end() {
	kill -KILL "$helper" 2>/dev/null
	wait "$helper" 2>/dev/null
	helper=''
	exec 4<&-
}

bench() {
	timeout 60 "$weir" bench echo --port "$port" -j "$@" > "$tmp/bench" 2>> "$tmp/log"
}

each_help() {
	for cmd in serve hold bench show steer lat clean doctor demo; do
		if ! "$weir" $cmd --help > "$tmp/out" 2>> "$tmp/log" || ! grep -q '^usage: ' "$tmp/out" ||
		   ! grep -q '^examples:' "$tmp/out" || ! "$weir" help $cmd | cmp -s - "$tmp/out"; then
			echo "weir $cmd --help" >> "$tmp/log"
			return 1
		fi
	done
}

# offered <command>: the options that completion has for it, a line each
offered() {
	bash -c '. "$1"; COMP_WORDS=(weir "$2" --) COMP_CWORD=2; _weir; printf "%s\n" "${COMPREPLY[@]}"' \
		bash "$srctree/scripts/completion/weir.bash" "$1" 2>> "$tmp/log"
}

each_option() {
	missing=0 seen=0
	for cmd in serve hold bench show steer lat clean doctor demo version; do
		! command -v bash > /dev/null || offered $cmd > "$tmp/offered"
		page=$srctree/Documentation/man/weir-$cmd.1
		[ $cmd != version ] || page=$srctree/Documentation/man/weir.1
		"$weir" $cmd --help | sed -n 's/^  .., --\([a-z-]*\).*/\1/p; s/^      --\([a-z-]*\).*/\1/p' > "$tmp/options"
		while read -r opt; do
			seen=$((seen + 1))
			grep -q -e "Fl -$opt\b" "$page" || { echo "$page: --$opt is missing"; missing=1; }
			! command -v bash > /dev/null || grep -qx -e "--$opt" "$tmp/offered" ||
				{ echo "completion: $cmd --$opt is missing"; missing=1; }
		done < "$tmp/options" >> "$tmp/log" 2>&1
	done
	[ $missing = 0 ] && [ $seen -gt 40 ]
}

tests_of_words() {
	"$weir" > "$tmp/out" 2>&1; [ $? = 2 ] && "$weir" help > "$tmp/out" && "$weir" --help > "$tmp/out" &&
		"$weir" --version | grep -q '^weir [0-9]' && fails 2 'frob' frob && fails 2 'frob' help frob &&
		fails 2 '--frob' --frob && fails 2 'frob' --help frob && fails 2 'frob: one command' help serve frob &&
		fails 2 'frob: takes no operand' --version frob && "$weir" --version -j > "$tmp/out" 2>> "$tmp/log" &&
		json "$tmp/out" 'd["version"]'
	is "no command, unknown command and help end with their status"

	each_help
	is "every command has a help with examples"

	fails 2 "--workers: '257'" serve echo --workers 257 &&
		fails 2 "--workers: '0'" serve echo --workers=0 &&
		fails 2 "--workers: 'two'" serve echo --workers two &&
		fails 2 "--workers: needs a value" serve echo --workers &&
		fails 2 "--acceptor: clients go to" serve echo --acceptor --policy hash &&
		fails 2 "--no-bpf: takes no value" serve echo --no-bpf=1 &&
		fails 2 "--no-bpf: clients go" serve echo --no-bpf --policy least &&
		fails 2 "--no-bpf: clients go" serve echo --no-bpf --group 0 &&
		fails 2 "--port: '65536'" serve echo --port 65536 &&
		fails 2 "--policy: 'rr'" serve echo --policy rr && fails 2 "--policy: 'hash|cpu'" serve echo --policy 'hash|cpu' &&
		fails 2 "--policy: ''" serve echo --policy '' &&
		fails 2 "--backend: 'kqueue'" serve echo --backend kqueue &&
		fails 2 "--instance: 'a/b'" serve echo --instance a/b &&
		fails 2 "--instance: '..'" serve echo --instance .. &&
		fails 2 "--instance: ''" serve echo --instance '' &&
		fails 2 "--addr: 'localhost'" serve echo --addr localhost &&
		fails 2 "--cpu: 'x'" serve echo --cpu x &&
		fails 2 "--cpu: '1023' names a processor" serve echo --cpu 1023 &&
		fails 2 "--stall: 'x'" serve echo --stall x &&
		fails 2 "no worker 1" serve echo --stall 1:400/1000 &&
		fails 2 "there are echo" serve && fails 2 "frob: no such service" serve frob
	is "serve names the bad option, its value and the reason"

	fails 2 "--duration: '10x'" bench echo -d 10x && fails 2 "--size: '0'" bench echo -s 0 &&
		fails 2 "--rate: '1.5'" bench echo -R 1.5 && fails 2 "-Z" bench echo -Z &&
		fails 2 "--sources" bench echo --sources 2 --addr ::1 &&
		fails 2 "--napi: '0'" bench echo --napi 0 && fails 2 "--napi: '1000001'" bench echo --napi 1000001 &&
		fails 2 "--napi: 'x'" bench echo --napi x && fails 2 "--sqpoll: takes no value" bench echo --sqpoll=1 &&
		fails 2 "--serve: the server is one of its own" bench echo --serve --port 7777 &&
		fails 2 "--sqpoll: the server is one of its own" bench echo --sqpoll --port 7777 &&
		fails 2 "--napi: the server is one of its own" bench echo --napi 5 --addr ::1 &&
		fails 2 "--server-cpu: the server is one of its own" bench echo --server-cpu 0 --port 7777 &&
		fails 2 "--server-cpu: '1023' names a processor" bench echo --server-cpu 1023 &&
		fails 2 "--cpu: '1023' names a processor" bench echo --cpu 1023 &&
		fails 2 "--duration: '0' is not between 1ns and" bench echo -d 0 &&
		fails 2 "frob" show frob && fails 2 "workers, flows" show && fails 2 "frob: one thing" show workers frob &&
		fails 2 "all of them" show instances -i x && fails 2 "for cost" show flows --interval 2s &&
		fails 2 "--for: 'frob'" doctor --for frob && fails 2 "frob" doctor frob &&
		fails 1 "process 2147483647: there is none" lat -P 2147483647 && fails 2 "frob: takes no" lat frob &&
		fails 2 "frob" demo frob && fails 2 "--instance: 'a.b'" show workers -i a.b &&
		fails 2 "'../x'" clean ../x && fails 2 "b: one instance" clean a b
	is "the other commands do, too"

	lost=0
	for words in version 'version -v' help 'help serve' 'serve --help' doctor 'doctor -j'; do
		# shellcheck disable=SC2086 # words
		timeout 30 "$weir" $words > /dev/full 2> "$tmp/err"
		rc=$?
		[ $rc = 1 ] && grep -q '^weir: cannot write: ' "$tmp/err" && continue
		echo "weir $words > /dev/full: status $rc"
		cat "$tmp/err"
		lost=1
	done >> "$tmp/log"
	"$weir" help >&- 2> "$tmp/err"
	[ $? = 1 ] && grep -q '^weir: cannot write: ' "$tmp/err" && [ $lost = 0 ]
	is "output that is lost is a failure"

	"$weir" version -v > "$tmp/out" && grep -q 'libc' "$tmp/out" && "$weir" version -j > "$tmp/out" &&
		json "$tmp/out" 'd["version"] and isinstance(d["features"]["bpf"], bool)'
	is "version tells features and linked libraries"

	each_option
	is "man pages and completion know every option"

	if command -v bash > /dev/null; then
		bash -c '. "$1"; COMP_WORDS=(weir se) COMP_CWORD=1; _weir; [ "${COMPREPLY[*]}" = serve ] &&
			{ COMP_WORDS=(weir show --j) COMP_CWORD=2; _weir; [ "${COMPREPLY[*]}" = --json ]; } &&
			{ COMP_WORDS=(weir serve --policy "") COMP_CWORD=3; _weir; [ "${COMPREPLY[*]}" = "hash cpu least p2c weighted" ]; } &&
			{ COMPREPLY=() COMP_WORDS=(weir bench --server-cpu "") COMP_CWORD=3; _weir; [ ${#COMPREPLY[@]} = 0 ]; }' \
			bash "$srctree/scripts/completion/weir.bash" >> "$tmp/log" 2>&1
		is "completion completes commands, options and values"
	else
		skip "completion completes commands, options and values" "no bash"
	fi
}

each_probe() {
	"$weir" doctor > "$tmp/table" 2>> "$tmp/log" || return 1
	python3 -c 'import json, sys
print(*[p["id"] for p in json.load(open(sys.argv[1]))["probes"]], sep="\n")' "$tmp/doctor" > "$tmp/ids"
	while read -r id; do
		grep -q -e " $id " "$tmp/table" || { echo "$id is not in the table" >> "$tmp/log"; return 1; }
	done < "$tmp/ids"
	[ -s "$tmp/ids" ]
}

tests_of_doctor() {
	"$weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log" && json "$tmp/doctor" 'd["ok"] is True and d["backend"]'
	is "doctor is content and its JSON parses"

	json "$tmp/doctor" 'len({p["id"] for p in d["probes"]}) == len(d["probes"]) and
		all(p["state"] in ("ok", "no", "skip") and p["gives"] and p["fix"] for p in d["probes"])'
	is "every probe has an id of its own, a cost and a fix"

	each_probe
	is "the table shows what the JSON holds"

	# Without a loopback there is nothing to move a connection on, and it must say so.
	name="doctor moves a connection to tell whether there is rescue"
	if json "$tmp/doctor" 'd["rung"] == "none"' 2>/dev/null || ! command -v unshare > /dev/null; then
		skip "$name" "BPF is refused here or not built in, or no unshare"
	else
		unshare -n "$weir" doctor -j > "$tmp/unlooped" 2>> "$tmp/log"
		json "$tmp/doctor" 'any(p["id"] == "bpf.rescue" and p["state"] == "ok" and "moved" in p["detail"] for p in d["probes"])' &&
			json "$tmp/unlooped" 'any(p["id"] == "bpf.rescue" and p["state"] == "no" and "loopback" in p["detail"] for p in d["probes"])'
		is "$name"
	fi
}

round_trip() {
	backend=$1
	serve --backend "$backend" --no-bpf --workers 2 --json-exit &&
		bench -c 20 -s 1000 -d 500ms && stop && json "$tmp/end" 'd["aborted"] == 0 and d["accepted"] == 20' &&
		python3 - "$tmp/bench" "$tmp/end" >> "$tmp/log" 2>&1 <<-'END'
	import json, sys
	b, s = (json.load(open(f)) for f in sys.argv[1:])
	text = json.dumps(b)
	assert s["requests"] > 0 and s["cpu_ns"] > 0 and s["syscalls"] > 0, s
	assert s["bytes"] >= 1000 * b["requests"], (s, text)
	assert s["accepts"] == 20 and s["bytes_in"] >= s["bytes_out"] >= s["bytes"], s
	assert s["events"] >= s["recvs"] + s["sends"] > 0, s
	assert s["recvs"] >= s["bundled"] and s["gathers"] >= s["send_bundles"], s
	assert s["zc_sends"] == s["zc_copied"] == s["zc_bytes"] == 0, s  # messages of 1000 bytes
	assert sum(b["errors"].values()) == 0, text
	END
	is "serve and bench agree over $backend"
}

tests_of_serving() {
	if [ "$(sed -n 's/^CONFIG_URING := //p' "$objtree/config.mk")" = y ]; then
		if json "$tmp/doctor" 'd["backend"] == "uring"'; then
			round_trip uring
		else
			skip "serve and bench agree over uring" "io_uring is refused here"
		fi
	else
		skip "serve and bench agree over uring" "built without it"
	fi
	round_trip epoll

	serve --no-bpf --json-exit && bench -c 50 --new-conn -R 200 -d 1s && stop &&
		json "$tmp/bench" '190 <= d["requests"] <= 210' && json "$tmp/end" '190 <= d["accepted"] <= 210'
	is "bench offers the rate that was asked for, with a new connection each"

	serve --no-bpf --cpu 0 --no-batch --conns 8 --json-exit && bench -c 8 -d 300ms && stop &&
		json "$tmp/bench" 'sum(d["errors"].values()) == 0'
	is "a pinned worker without batching serves"

	serve --no-bpf && fails 1 ":$port" serve echo --no-bpf --port "$port"
	rc=$?
	stop && [ $rc = 0 ]
	is "a port in use is named, and the status is 1"

	fails 1 "cannot listen on 192.0.2.1:" serve echo --no-bpf --addr 192.0.2.1
	is "an address that is not ours is named"

	fails 1 "60000 connections" serve echo --no-bpf --conns 60000 --port 0
	is "more connections than a ring holds are refused"

	serve --no-bpf && stop INT
	is "SIGINT ends a service with status 0"
}

# Connects, sends without reading until nothing more is taken, says so, waits.
stuffer='
import socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.setblocking(False)
full = 0
while full < 20:
    try:
        s.send(b"x" * 65536)
        full = 0
    except BlockingIOError:
        full += 1
        time.sleep(0.05)
print("full", flush=True)
time.sleep(600)
'

tests_of_stopping() {
	serve --no-bpf --json-exit
	peer "$stuffer" "$port"
	began=$(date +%s%N)
	kill -INT "$server"
	# The second one must come after the first was taken: a new client is refused then.
	python3 - "$port" >> "$tmp/log" 2>&1 <<-'END'
	import socket, sys, time
	end = time.time() + 10
	while time.time() < end:
	    try:
	        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
	    except ConnectionRefusedError:
	        time.sleep(0.2)		# sooner, it would count as the same one
	        sys.exit(0)
	sys.exit("it listens although it was told to stop")
	END
	refused=$?
	stop INT
	rc=$?
	took=$((($(date +%s%N) - began) / 1000000))
	echo "refused $refused, status $rc, $took ms" >> "$tmp/log"
	# By one it would be five seconds.
	[ $refused = 0 ] && [ $rc = 0 ] && [ $took -lt 5000 ] && json "$tmp/end" 'd["aborted"] == 1'
	is "a second SIGINT ends it although a client does not read"
	peer_end

	serve --no-bpf --json-exit
	peer "$stuffer" "$port"
	began=$(date +%s)
	stop TERM
	rc=$?
	took=$(($(date +%s) - began))
	echo "status $rc, $took s" >> "$tmp/log"
	[ $rc = 0 ] && [ $took -ge 4 ] && [ $took -le 30 ] && json "$tmp/end" 'd["aborted"] == 1'
	is "one signal gives clients five seconds, then aborts"
	peer_end
}

# Echoes, with one bit changed.
liar='
import socket
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    c = s.accept()[0]
    b = c.recv(4096)
    if b:
        c.sendall(bytes([b[0] ^ 1]) + b[1:])
    c.close()
'
silent='
import socket, time
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
time.sleep(600)
'

tests_of_bench() {
	peer "$liar"
	fails 1 "bytes that were not sent" bench echo --port "$said" -d 300ms --timeout 30s -j &&
		json "$tmp/out" 'd["errors"]["mismatch"] > 0'
	is "bench sees a byte that was changed"
	peer_end

	peer "$silent"
	fails 1 "not one request was answered" bench echo --port "$said" -d 200ms --timeout 300ms -j &&
		json "$tmp/out" 'd["errors"]["timeout"] > 0'
	is "bench tells a server that never answers"
	peer_end

	fails 1 "port 1" bench echo --port 1 -d 200ms
	is "bench tells a port where nobody listens"

	serve --no-bpf
	timeout 20 "$weir" bench echo --port "$port" -d 1200ms -v > "$tmp/out" 2> "$tmp/err" &&
		grep -q 'req/s' "$tmp/err" && grep -q '^latency' "$tmp/out" &&
		timeout 20 "$weir" bench echo --port "$port" -d 100ms -L > "$tmp/out" 2>> "$tmp/log" &&
		grep -q 'Percentile' "$tmp/out"
	rc=$?
	stop && [ $rc = 0 ]
	is "bench shows progress, a report and the spectrum"
}

# own <options> <what its report must say> <what must hold of d["server"]>
own() {
	# shellcheck disable=SC2086 # options
	timeout 60 "$weir" bench echo $1 -c 8 -d 200ms > "$tmp/out" 2>> "$tmp/log" &&
		grep -q "^server .*$2" "$tmp/out" &&
		timeout 60 "$weir" bench echo $1 -c 8 -R 200 -d 200ms --warmup 50ms -j > "$tmp/bench" 2>> "$tmp/log" &&
		json "$tmp/bench" "$3 and d['requests'] > 0 == sum(d['errors'].values())" &&
		json "$tmp/bench" 'd["server"]["requests"] >= d["requests_total"] and d["server"]["syscalls"] > 0'
}

# own_polled <name of the feature> <arguments of own>...
own_polled() {
	feature=$1
	shift
	if json "$tmp/doctor" 'any(p["id"] == "uring.'"$feature"'" and p["state"] == "ok" for p in d["probes"])'; then
		own "$@"
	else
		# shellcheck disable=SC2086 # options
		fails 1 "not to be had here" bench echo $1 -d 200ms
	fi
}

tests_of_own_server() {
	own --serve "sqpoll off, napi off" 'not d["server"]["sqpoll"] and d["server"]["napi_us"] == 0'
	is "bench measures a server of its own"

	own_polled sqpoll --sqpoll "sqpoll on, napi off" 'd["server"]["sqpoll"] and d["server"]["napi_us"] == 0'
	is "bench switches the submitting kernel thread on, or says that there is none"

	own_polled napi "--napi 20" "sqpoll off, napi 20 us" 'not d["server"]["sqpoll"] and d["server"]["napi_us"] == 20'
	is "bench switches busy polling of devices on, or says that there is none"

	timeout 60 "$weir" bench echo --serve --new-conn -c 20 -R 200 -d 500ms -j > "$tmp/bench" 2>> "$tmp/log" &&
		json "$tmp/bench" '90 <= d["requests"] <= 110 and sum(d["errors"].values()) == 0'
	is "its own server takes a new connection for each request"

	serve --no-bpf && bench -d 100ms && json "$tmp/bench" 'd["server"] is None'
	rc=$?
	stop && [ $rc = 0 ]
	is "of a server that runs already it does not say what is on"
}

bpf_tests='show workers, flows, events and instances are JSON with named states
capabilities are gone while it serves
a name in use is refused and named
show --watch prints a document each time
tables have a row for each worker
bpftool prints typed rows with names of states
the pins are gone when it has ended
a worker that hangs gets fewer clients
clean removes what a killed service left and nothing of one that is alive'

# What may stay: CAP_NET_BIND_SERVICE (10) and CAP_IPC_LOCK (14)
no_caps() {
	seen=0
	for status in /proc/"$server"/task/*/status; do
		caps=$(sed -n 's/^CapEff:[[:space:]]*//p' "$status" 2> /dev/null)
		[ -n "$caps" ] || continue	# it has ended
		seen=$((seen + 1))
		[ $((0x$caps & ~0x4400)) = 0 ] || { echo "$status: CapEff $caps" >> "$tmp/log"; return 1; }
	done
	[ $seen -ge 4 ]
}

# workers_are <python expression of d>: that is shown of them; what is shown is kept
# shellcheck disable=SC2317 # called through await
workers_are() {
	"$weir" show workers -i "$instance" -j > "$tmp/workers" 2>> "$tmp/log" && json "$tmp/workers" "$1"
}

tests_of_bpf() {
	if json "$tmp/doctor" 'd["rung"] == "none"' 2>/dev/null; then
		: > "$tmp/log"
		echo "$bpf_tests" > "$tmp/names"
		while read -r name; do
			skip "$name" "BPF is refused here or not built in: see weir doctor"
		done < "$tmp/names"
		return
	fi
	serve --instance "$instance" --workers 3
	peer 'import socket, sys, time
c = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for i in range(6)]
for s in c:
    s.sendall(b"weir"); assert s.recv(4) == b"weir"
print("up", flush=True)
time.sleep(600)' "$port"
	await workers_are 'sum(w["conns"] for w in d) == 6' &&
		"$weir" show flows -i "$instance" -j > "$tmp/flows" 2>> "$tmp/log" &&
		"$weir" show events -i "$instance" -j > "$tmp/events" 2>> "$tmp/log" &&
		"$weir" show instances -p > "$tmp/instances" 2>> "$tmp/log" &&
		json "$tmp/workers" 'len(d) == 3 and all(w["state"] in ("RUN", "PARKED") for w in d) and
			sum(w["accepted"] for w in d) == 6 == sum(w["conns"] for w in d)' &&
		json "$tmp/events" 'isinstance(d, list)' &&
		json "$tmp/instances" "any(i['name'] == '$instance' and i['alive'] for i in d)" &&
		{ json "$tmp/doctor" 'd["rung"] == "steer"' || json "$tmp/flows" \
			'len(d) == 6 and all(f["state"] == "ESTABLISHED" for f in d)'; }
	is "show workers, flows, events and instances are JSON with named states"

	no_caps
	is "capabilities are gone while it serves"

	fails 1 "instance $instance" serve echo --instance "$instance" --port 0
	is "a name in use is refused and named"

	mkfifo "$tmp/watched"
	"$weir" show workers -i "$instance" -j --watch 0.1 > "$tmp/watched" 2>> "$tmp/log" &
	watch=$!
	exec 5< "$tmp/watched"
	head -n 3 <&5 > "$tmp/watch"
	kill -INT $watch && wait $watch && [ "$(wc -l < "$tmp/watch")" = 3 ] && python3 -c '
import json, sys
[json.loads(l) for l in open(sys.argv[1])]' "$tmp/watch" 2>> "$tmp/log"
	rc=$?
	exec 5<&-
	[ $rc = 0 ]
	is "show --watch prints a document each time"

	"$weir" show workers -i "$instance" > "$tmp/out" 2>> "$tmp/log" && [ "$(wc -l < "$tmp/out")" = 4 ]
	is "tables have a row for each worker"

	dir=$(python3 -c '
import json, sys
print(next(p["detail"] for p in json.load(open(sys.argv[1]))["probes"] if p["id"] == "bpf.bpffs"))' "$tmp/doctor")/$instance
	tool=$(PATH=$PATH:/usr/sbin command -v bpftool)
	if [ -n "$tool" ]; then
		"$tool" -j map dump pinned "$dir/weir_worker" > "$tmp/out" 2>> "$tmp/log" &&
			json "$tmp/out" 'len(d) == 3 and all(r["formatted"]["value"]["state"].startswith("WEIR_")
				for r in d)'
		is "bpftool prints typed rows with names of states"
	else
		skip "bpftool prints typed rows with names of states" "no bpftool"
	fi
	peer_end
	[ -d "$dir" ] && stop && [ ! -e "$dir" ]
	is "the pins are gone when it has ended"

	serve --instance "$instance" --workers 4 --policy p2c --stall 0:900/1000 && bench -n -c 400 -R 400 -d 3s &&
		"$weir" show workers -i "$instance" -j > "$tmp/workers" 2>> "$tmp/log" && stop &&
		json "$tmp/workers" 'd[0]["accepted"] * 1.2 < sum(w["accepted"] for w in d[1:]) / 3'
	is "a worker that hangs gets fewer clients"

	serve --instance "$instance" && fails 1 "instance $instance: its service is alive" clean "$instance" &&
		[ -d "$dir" ]
	alive=$?
	kill -KILL "$server"
	wait "$server" 2> /dev/null
	server=''
	exec 3<&-
	# By its name alone: others that are dead are not this test's to remove.
	[ $alive = 0 ] && [ -d "$dir" ] && "$weir" clean "$instance" > "$tmp/out" 2>> "$tmp/log" &&
		grep -q '^1 instance of dead services removed' "$tmp/out" && [ ! -e "$dir" ] &&
		fails 1 "instance $instance: there is none" clean "$instance"
	is "clean removes what a killed service left and nothing of one that is alive"
}

# Runs a program with io_uring_setup (425 everywhere) refused, as containers do.
jail='
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
prog = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(text))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, prog, 0, 0):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
'

tests_of_refusal() {
	python3 -c "$jail" "$weir" doctor -j > "$tmp/jailed" 2>> "$tmp/log"
	rc=$?
	if [ $rc = 77 ]; then
		skip "io_uring refused by seccomp: doctor says so, and the rung is epoll" "no seccomp here"
		skip "serve says that it fell to epoll, and why" "no seccomp here"
	else
		[ $rc = 0 ] && json "$tmp/jailed" 'd["backend"] == "epoll" and all(p["state"] != "ok"
			for p in d["probes"] if p["group"] == "io_uring") and any(p["id"] == "uring.setup"
			and "seccomp" in p["detail"] for p in d["probes"])'
		is "io_uring refused by seccomp: doctor says so, and the rung is epoll"

		if json "$tmp/doctor" 'd["backend"] == "uring"' 2>/dev/null; then
			first_line "$tmp/serve" python3 -c "$jail" "$weir" serve echo --port 0 --no-bpf
			server=$started
			echo "$line" >> "$tmp/log"
			stop
			expr "$line" : '.*backend epoll (.*EPERM' > /dev/null
			is "serve says that it fell to epoll, and why"
		else
			skip "serve says that it fell to epoll, and why" "io_uring is refused here anyway"
		fi
	fi

	name="a read-only bpffs costs every rung, and doctor promises none"
	if json "$tmp/doctor" 'd["rung"] == "none"' 2>/dev/null || ! command -v unshare > /dev/null; then
		: > "$tmp/log"
		skip "$name" "needs BPF and unshare"
	else
		: > "$tmp/log"
		# shellcheck disable=SC2016 # the inner shell's
		unshare -m --propagation unchanged sh -c 'while read -r _ _ _ _ dir _; do
				mount --make-private "$dir" 2> /dev/null; done < /proc/self/mountinfo
			mount -o remount,ro,bind "$2" && exec "$1" doctor -j' sh "$weir" "$(python3 -c '
import json, os, sys
print(os.path.dirname(next(p["detail"] for p in json.load(open(sys.argv[1]))["probes"]
      if p["id"] == "bpf.bpffs")))' "$tmp/doctor")" > "$tmp/readonly" 2>> "$tmp/log" &&
			json "$tmp/readonly" 'd["rung"] == "none" and any(p["id"] == "bpf.instance" and
				p["state"] == "no" and "Read-only" in p["detail"] for p in d["probes"])'
		is "$name"
	fi

	name="without bpffs doctor and serve name it"
	if json "$tmp/doctor" 'd["rung"] == "none"' 2>/dev/null || ! command -v unshare > /dev/null; then
		: > "$tmp/log"
		skip "$name" "needs BPF and unshare"
		return
	fi
	: > "$tmp/log"
	# shellcheck disable=SC2016 # the inner shell's
	# One by one: in a chroot "/" need not be a mount.
	unshare -m --propagation unchanged sh -c 'while read -r _ _ _ _ dir _; do
			mount --make-private "$dir" 2> /dev/null; done < /proc/self/mountinfo
		umount -a -t bpf; "$1" doctor --for show; [ $? = 1 ] || exit 1
		mkfifo "$2"; "$1" serve echo --port 0 > "$2" & exec 3< "$2"
		read -r line <&3 && echo "$line" && kill -INT $! && wait $!; "$1" show workers; [ $? = 1 ]' \
		sh "$weir" "$tmp/serve.no-bpffs" > "$tmp/log" 2>&1 &&
		[ "$(grep -c 'bpffs is not mounted\|no bpffs' "$tmp/log")" -ge 3 ]
	is "$name"
}

tests_of_nobody() {
	name="without privileges it serves by the kernel's hash and says so"
	if [ "$(id -u)" != 0 ] || ! command -v setpriv > /dev/null; then
		skip "$name" "needs root and setpriv to become nobody"
		return
	fi
	cp "$weir" "$tmp/weir" && chmod 755 "$tmp" "$tmp/weir"
	first_line "$tmp/serve" setpriv --reuid=65534 --regid=65534 --clear-groups "$tmp/weir" serve echo --port 0
	server=$started
	echo "$line" >> "$tmp/log"
	case $line in
	*"steering reuseport hash, rung: kernel hash (not more: "*)
		stop && grep -q 'warning: the kernel.s hash steers' "$tmp/serve.err" ;;
	*)
		stop
		false ;;
	esac
	is "$name"
}

echo "TAP version 13"
: > "$tmp/log"
tests_of_words
tests_of_doctor
tests_of_serving
tests_of_stopping
tests_of_bench
tests_of_own_server
tests_of_bpf
tests_of_refusal
tests_of_nobody
echo "1..$n"
exit $bad
