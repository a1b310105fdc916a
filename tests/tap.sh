#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# tap.sh - what the tests in shell share, to be sourced: TAP, a directory of their
# own in $tmp whose file "log" is shown when a test fails, and a clean end. $server,
# $helper and $tracer are processes to end with the test.
set -u

: "${srctree:?}" "${objtree:?}"
tmp=$(mktemp -d)
server='' helper='' tracer=''
n=0
# shellcheck disable=SC2034 # the test's exit status
bad=0

# A test that failed in the middle must not leave its processes behind.
# shellcheck disable=SC2317 # called by the trap
clean_up() {
	for pid in $server $helper $tracer; do
		kill -KILL "$pid" 2>/dev/null
	done
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 130' HUP INT TERM

# is <what>: reports the status of the command before it
is() {
	rc=$?
	n=$((n + 1))
	if [ $rc = 0 ]; then
		echo "ok $n - $1"
	else
		# shellcheck disable=SC2034 # as above
		bad=1
		tail -n 40 "$tmp/log" | sed 's/^/# /'
		echo "not ok $n - $1"
	fi
	: > "$tmp/log"
}

skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 4
}

# config <variable>: what config.mk says of it
config() {
	sed -n "s/^$1 := *//p" "$objtree/config.mk"
}

# has_cxx23 <compiler>: is it there, and is there a std::expected with it?
has_cxx23() {
	# shellcheck disable=SC2086 # a compiler may have arguments
	command -v "${1%% *}" > /dev/null 2>&1 &&
		printf '#include <coroutine>\n#include <expected>\nstd::expected<int, int> e;\n' |
		$1 -std=c++23 -fsyntax-only -x c++ - > /dev/null 2>&1
}

# find_cxx23: the compiler for weir.hpp to $cxx, or why there is none to $no_cxx23. With
# clang it is the clang++ beside it, or the newest there is: from version 19 on it can
# use g++'s library. g++ is as good, but not for objects with sanitizers of clang.
find_cxx23() {
	case ${CC-} in
	*clang*)
		set -- "$(echo "$CC" | sed 's,clang\([^/]*\)$,clang++\1,')" \
			clang++-22 clang++-21 clang++-20 clang++-19
		[ -n "${SAN-}" ] || set -- "$@" g++ ;;
	*) set -- g++ ;;
	esac
	[ -z "${CXX-}" ] || set -- "$CXX"
	no_cxx23=''
	for cxx; do
		! has_cxx23 "$cxx" || return 0
	done
	# shellcheck disable=SC2034 # for who sources this
	no_cxx23="no C++23 std::expected with $(echo "$@" | sed 's/ /, /g')"
}

# json <file> <python expression of d>: true if it holds
json() {
	python3 - "$1" "$2" >> "$tmp/log" 2>&1 <<-'END'
	import json, sys
	d = json.load(open(sys.argv[1]))
	if not eval(" ".join(sys.argv[2].split())):
	    print(sys.argv[2], "does not hold for", json.dumps(d)[:800])
	    sys.exit(1)
	END
}

# await <command>...: until it succeeds; a minute, where each try may be slow
await() {
	looks=0
	until "$@"; do
		looks=$((looks + 1))
		[ $looks -lt 600 ] || return 1
		sleep 0.1
	done
}

# first_line <file> <command>...: in the background; sets started and line, the first that
# it prints. The next ones can be read from 3; what it says else is in <file>.err, and
# what it had said by then in the log
first_line() {
	out=$1
	shift
	rm -f "$out.fifo"
	mkfifo "$out.fifo"
	"$@" > "$out.fifo" 2> "$out.err" &
	# shellcheck disable=SC2034 # for who called
	started=$!
	exec 3< "$out.fifo"
	line=''
	IFS= read -r line <&3
	cat "$out.err" >> "$tmp/log"
	[ -n "$line" ]
}

# succeeded: what has started has taken over; the one before is to end well
succeeded() {
	helper=$started
	wait "$server"
	rc=$?
	server=$helper
	helper=''
	return $rc
}

# hang <pid> <thread>: until $tracer ends that thread does not go on, wherever it is; the
# others do
hang() {
	cat > "$tmp/hang.py" <<-'END'
	import ctypes, glob, os, signal, sys
	ptrace = ctypes.CDLL(None, use_errno=True).ptrace
	SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
	for task in glob.glob(f"/proc/{sys.argv[1]}/task/*"):
	    if open(f"{task}/comm").read().strip() != sys.argv[2]:
	        continue
	    tid = int(os.path.basename(task))
	    for request in (SEIZE, INTERRUPT):
	        if ptrace(request, tid, None, None):
	            sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")
	    os.waitpid(tid, WALL)
	    print("it hangs", flush=True)
	    signal.pause()
	END
	mkfifo "$tmp/hang"
	python3 "$tmp/hang.py" "$1" "$2" > "$tmp/hang" 2>> "$tmp/log" &
	tracer=$!
	read -r hangs < "$tmp/hang"
	rm "$tmp/hang"
	[ -n "$hangs" ]
}

# hang_end: the process too, without a chance to come to
hang_end() {
	# shellcheck disable=SC2086 # one of them may not have started
	kill -KILL $server $tracer && wait $server $tracer
	server='' tracer=''
}

# lookup_netns <arguments>...: the test, again, in a network namespace of its own (the
# host's addresses may be in use), where sk_lookup works
lookup_netns() {
	if [ "${WEIR_LOOKUP_NETNS:-}" != yes ]; then
		[ "$(id -u)" = 0 ] || skip_all "needs root"
		unshare -n true 2> /dev/null || skip_all "no private network namespace"
		command -v python3 > /dev/null || skip_all "no python3"
		command -v ip > /dev/null || skip_all "no ip"
		"$objtree/tools/weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log"
		json "$tmp/doctor" 'd["rung"] in ("flow", "full")' 2> /dev/null ||
			skip_all "sk_lookup needs CAP_BPF and CAP_NET_ADMIN: see weir doctor"
		rm -rf "$tmp"
		WEIR_LOOKUP_NETNS=yes exec unshare -n "$0" "$@"
	fi
	ip link set lo up
}

: > "$tmp/log"
