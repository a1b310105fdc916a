#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_demo.sh - the demo's results hold, with and without privileges

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir

slow_holds='all(s["verified"] and s["pause_ns"] > 300e6 and s["signals_on"] == s["signals_off"] > 0
	and s["bytes_received"] == s["bytes_produced"] and s["pause_kind"] in ("SENDQ", "ZERO_WINDOW")
	and s["rss_growth_bytes"] < 4 << 20 and s["pool_used_max"] < s["pool_count"]
	for s in (d["slow"]["bulk"], d["slow"]["trickle"]))'

echo "TAP version 13"
echo "1..9"
"$weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log"

"$weir" demo --duration 4s -j > "$tmp/all" 2>> "$tmp/log"
is "the demo ends with status 0"
json "$tmp/all" 'd["ok"] and all(p["errors"] == 0 and p["connections"] > 2500
	for p in d["hung"]["policies"])'
is "every client of the hung worker was served"
json "$tmp/all" "$slow_holds"
is "a slow client pauses both producers, memory is flat, every byte is right"
if [ "$(id -u)" = 0 ]; then
	json "$tmp/all" 'd["takeover"]["errors"] == 0 and d["takeover"]["status"] == 0 and
		d["takeover"]["requests"] > 4000 and
		d["takeover"]["accepted"] == d["takeover"]["recovered"]'
	is "a service is replaced without an error, and recovered after a kill"
else
	skip "a service is replaced without an error, and recovered after a kill" "needs root"
fi

if json "$tmp/doctor" 'd["rung"] in ("flow", "full")' 2>/dev/null; then
	json "$tmp/all" 'len(d["show"]["workers"]) == 4 and len(d["show"]["flows"]) == 8 and
		[p["policy"] for p in d["hung"]["policies"]] == ["hash", "p2c"] and
		d["hung"]["policies"][1]["picked"][0] < d["hung"]["policies"][0]["picked"][0]'
	is "p2c keeps clients from the hung worker, and the maps show the service"
else
	: > "$tmp/log"
	skip "p2c keeps clients from the hung worker, and the maps show the service" \
		"BPF is refused here or not built in: see weir doctor"
fi

if json "$tmp/doctor" 'd["rung"] in ("flow", "full")' 2>/dev/null; then
	json "$tmp/all" 'all(r["errors"] == 0 and r["resets"] == 0 and r["rescue_failed"] == 0
		and r["connections"] > 1000 for r in d["rescue"]["runs"]) and
		[r["rescued"] > 0 for r in d["rescue"]["runs"][1:]] == [False, True] and
		d["shed"]["runs"][0]["refused"] == 0 and d["shed"]["runs"][1]["refused"] > 0 and
		d["shed"]["runs"][1]["shed_windows"] > 0'
	is "queues are moved without a reset, and clients are refused only when all are slow"
else
	: > "$tmp/log"
	skip "queues are moved without a reset, and clients are refused only when all are slow" \
		"BPF is refused here or not built in: see weir doctor"
fi

name="without privileges it shows what is left and says so"
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
	chmod 755 "$tmp"
	cp "$weir" "$tmp/weir" && chmod 755 "$tmp/weir"
	setpriv --reuid=65534 --regid=65534 --clear-groups "$tmp/weir" demo hung -d 2s > "$tmp/out" 2>> "$tmp/log" &&
		cat "$tmp/out" >> "$tmp/log" && grep -q 'steering by load: off (' "$tmp/out" &&
		grep -q '^  hash ' "$tmp/out" && ! grep -q '^  p2c ' "$tmp/out"
	is "$name"
else
	skip "$name" "needs root and setpriv to become nobody"
fi

name="the demo's workers have no capabilities"
sanitizer=${SAN-}
if [ "${sanitizer#*thread}" != "$sanitizer" ]; then
	skip "$name" "the thread sanitizer has a thread of its own, which keeps them"
elif [ "$(id -u)" = 0 ]; then
	"$weir" demo hung -d 3s > "$tmp/out" 2>> "$tmp/log" &
	demo=$!
	# All but the first thread; 0x4400 is what a service may keep.
	python3 - $demo >> "$tmp/log" 2>&1 <<-'END'
	import glob, re, sys, time
	end = time.time() + 20
	while time.time() < end:
	    caps, names = {}, set()
	    for path in glob.glob("/proc/%s/task/*/status" % sys.argv[1]):
	        try:
	            text = open(path).read()
	            name = re.search(r"Name:\s*(\S+)", text)[1]
	            caps[path.split("/")[4]] = int(re.search(r"CapPrm:\s*(\w+)", text)[1], 16)
	            names.add(name)
	        except OSError:
	            pass
	    caps.pop(sys.argv[1], None)
	    workers = {"weir-w%d" % i for i in range(4)}
	    if workers <= names and not any(c & ~0x4400 for c in caps.values()):
	        sys.exit(0)
	    time.sleep(0.02)
	sys.exit("threads and their capabilities: %s" % caps)
	END
	rc=$?
	wait $demo && [ $rc = 0 ]
	is "$name"
else
	skip "$name" "needs root"
fi

first_line "$tmp/hung" "$weir" demo hung -d 30s && kill -INT "$started"
cat <&3 > "$tmp/out"
wait "$started"
[ $? = 1 ] && grep -q 'interrupted' "$tmp/hung.err"
is "an interrupt ends it with a reason"
exit $bad
