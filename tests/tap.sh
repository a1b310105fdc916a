#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# tap.sh - what the tests in shell share, to be sourced: TAP, a directory of their
# own in $tmp whose file "log" is shown when a test fails, and a clean end. $server
# and $helper are processes to end with the test.
set -u

: "${srctree:?}" "${objtree:?}"
tmp=$(mktemp -d)
server='' helper=''
n=0
# shellcheck disable=SC2034 # the test's exit status
bad=0

# A test that failed in the middle must not leave its processes behind.
# shellcheck disable=SC2317 # called by the trap
clean_up() {
	for pid in $server $helper; do
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

: > "$tmp/log"
