#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# run-tests.sh - run the test programs, print one TAP stream and count tests
#
# usage: run-tests.sh <object tree>/tests
#
# Each program's TAP is indented below it as a subtest; the last line counts
# the individual tests: "N passed, N failed, N skipped". A program that ends
# before its plan is done fails for every test it still owed.
#
#	TESTS="pattern..."	run these (shell patterns; a script's name with .sh or without)
#	PROGRAMS="pattern..."	of the programs these instead
#	SCRIPTS="pattern..."	of the scripts these instead
#	JOBS=1			so many at once; those of tests/alone follow by themselves
#	TEST_TIMEOUT=120	seconds for one program
#	WEIR_SLOW=1		slow machine: ten times that (SAN=: three times)
#	STRICT=1		a pattern of PROGRAMS or SCRIPTS that names no test is a failure,
#				and so is a skipped test, except
#	SKIP_OK=file		those it lists as program:test, one to a line; * is any text
#	SLOWEST=12		name so many that took longest
#	FAILED_GATES=names	earlier checks that failed: reported here, and fail
set -u

dir=${1:?usage: $0 <object tree>/tests}
srctree=${srctree:-$(dirname "$0")/..}
objtree=${objtree:-$(dirname "$dir")}
scale=1
[ -z "${SAN-}" ] || scale=3
[ "${WEIR_SLOW:-0}" = 0 ] || scale=10
limit=$((${TEST_TIMEOUT:-120} * scale))
TEST_SCALE=$scale
export srctree objtree TEST_SCALE
SLOWEST=${SLOWEST:-12}		# programs that are named with what they took

tmp=$(mktemp -d)
chmod 755 "$tmp"		# a test that drops its privileges stays in its directory
trap 'rm -rf "$tmp"' EXIT
set -m				# what runs in the background keeps SIGINT, which tests are about
trap stop HUP INT TERM

# Whatever runs is told to end, which a test hears from timeout.
# shellcheck disable=SC2317 # by a trap
stop() {
	trap '' HUP INT TERM
	jobs -p | xargs -r kill 2> /dev/null
	wait
	exit 130
}

# wanted <name> <patterns>: none at all want everything
wanted() {
	[ -n "$2" ] || return 0
	set -f
	for pat in $2; do
		# shellcheck disable=SC2254 # a pattern is what it is
		case $1 in $pat | test_$pat) set +f; return 0 ;; esac
	done
	set +f
	return 1
}

set --
if [ -f "$dir/programs" ]; then
	while read -r name; do
		if [ -n "$name" ] && wanted "$name" "${PROGRAMS-${TESTS-}}"; then
			set -- "$@" "$dir/$name"
		fi
	done < "$dir/programs"
fi
for t in "$srctree"/tests/test_*.sh; do
	name=${t##*/}
	pats=${SCRIPTS-${TESTS-}}
	if [ -f "$t" ] && { wanted "$name" "$pats" || wanted "${name%.sh}" "$pats"; }; then
		set -- "$@" "$t"
	fi
done

# idle <patterns> <names>: of the patterns those that match none of the names
idle() {
	set -f
	for one in $1; do
		found=no
		for name in $2; do
			if wanted "$name" "$one" || wanted "${name%.sh}" "$one"; then
				found=yes
				break
			fi
		done
		[ $found = yes ] || echo "$one"
	done
	set +f
}

# count <name> <output> <status> <seconds>: prints "passed failed skipped" of a program
# and appends its failed and skipped tests to files, the failed ones with what was said
# last.
count() {
	awk -v name="$1" -v rc="$3" -v limit="$limit" -v took="$4" -v failed="$tmp/failed" -v skipped="$tmp/skipped" '
	function test_name(line) {
		sub(/^(not )?ok *[0-9]* *-? */, "", line)
		sub(/ *# *[Ss][Kk][Ii][Pp].*/, "", line)
		return line
	}
	function reason(line) {
		if (!sub(/.*# *[Ss][Kk][Ii][Pp][A-Za-z]*:? */, "", line) || line == "")
			return "no reason given"
		return line
	}
	# What came since the last test, at most 12 lines of it.
	function told(i) {
		for (i = said > 12 ? said - 11 : 1; i <= said; i++)
			print "    " last[i % 12] >> failed
		said = 0
	}
	function fail(n, what) {
		bad += n
		print name ": " what >> failed
		told()
	}
	/^1\.\.[0-9]+/ {
		plan = substr($1, 4) + 0
		planned = 1
		if (plan == 0)
			all_skipped = reason($0)
	}
	/^#.*SKIP/ || /^# *[Ss]kip/ { remark = $0 }
	/^ok / {
		said = 0
		if ($0 ~ /# *[Ss][Kk][Ii][Pp]/) {
			skip++
			print name ":" test_name($0) "\t" reason($0) >> skipped
		} else {
			pass++
		}
	}
	/^not ok / { bad++; print name ":" test_name($0) >> failed; told(); next }
	!/^ok / { last[++said % 12] = $0 }
	END {
		seen = pass + skip + bad
		how = rc == 124 || (rc == 137 && took >= limit) ? "timed out after " limit " s" : \
		      rc > 128 ? "killed by signal " rc - 128 : "exit status " rc
		if (rc == 4 && !seen) {
			skip++
			print name ":all\t" (all_skipped ? all_skipped : reason(remark)) >> skipped
		} else if (planned && seen < plan) {
			fail(plan - seen, (plan - seen) " of " plan " tests did not finish (" how ")")
		} else if (!seen) {
			fail(1, "ran no test (" how ")")
		} else if (rc != 0 && rc != 4 && !bad) {
			fail(1, "no test failed, yet " how)
		} else if (planned && seen > plan) {
			fail(1, seen " tests, but " plan " were planned")
		}
		print pass + 0, bad + 0, skip + 0
	}' "$2"
}

: > "$tmp/failed"
: > "$tmp/skipped"
: > "$tmp/times"
: > "$tmp/counts"

# run <program> <directory>
run() {
	rm -rf "$2"
	mkdir -m 777 "$2"
	(cd "$2" && exec timeout -k 5 "$limit" "$1") > "$2.out" 2>&1 < /dev/null 7<&- 8>&- &
	wait $!
}

# tell <program> <output> <status> <seconds>: its subtest, and what counts of it
tell() {
	echo "# Subtest: ${1##*/}"
	sed 's/^/    /' "$2"
	count "${1##*/}" "$2" "$3" "$4" >> "$tmp/counts"
	echo "$4 s  ${1##*/}" >> "$tmp/times"
	n=$(wc -l < "$tmp/times")
	case $(tail -n 1 "$tmp/counts") in
	0\ 0\ *)	echo "ok $n - ${1##*/} # SKIP nothing of it ran" ;;
	*\ 0\ *)	echo "ok $n - ${1##*/}" ;;
	*)	echo "not ok $n - ${1##*/}" ;;
	esac
}

# lane <number>: takes the next program from the queue until there is none; one
# lane at a time takes or tells
lane() {
	trap stop HUP INT TERM
	exec 8> "$tmp/lock"
	while flock 8; read -r program <&7; do
		flock -u 8
		began=$(date +%s)
		run "$program" "$tmp/lane-$1"
		rc=$?
		took=$(($(date +%s) - began))
		flock 8
		tell "$program" "$tmp/lane-$1.out" $rc $took
		flock -u 8
	done
	flock -u 8
}

# lanes <how many> <queue>
lanes() {
	exec 7< "$2"
	i=0
	while [ $i -lt "$1" ]; do
		i=$((i + 1))
		lane $i &
	done
	wait
}

# What measures is alone when others would share the processors with it.
: > "$tmp/together"
: > "$tmp/alone"
alone=$(sed 's,[[:space:]]*#.*,,' "$srctree/tests/alone" | tr '\n' ' ')
for t; do
	case "${JOBS:-1}/ $alone" in
	1/* | *" ${t##*/} "*)	echo "$t" >> "$tmp/alone" ;;
	*)			echo "$t" >> "$tmp/together" ;;
	esac
done
echo "TAP version 14"
echo "1..$#"
lanes "${JOBS:-1}" "$tmp/together"
lanes 1 "$tmp/alone"
n=$# status=0
read -r passed bad skipped < \
	<(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$tmp/counts")

if [ $n -gt 1 ] && [ "$SLOWEST" -gt 0 ]; then
	echo "# slowest:"
	sort -rn "$tmp/times" | head -n "$SLOWEST" | sed 's/^/#   /'
fi
if [ -s "$tmp/skipped" ]; then
	echo "# skipped:"
	sed 's/^/#   /; s/	/: /' "$tmp/skipped"
fi
if [ -s "$tmp/failed" ]; then
	status=1
	echo "# failed:"
	sed 's/^/#   /' "$tmp/failed"
fi
if [ "${STRICT:-0}" != 0 ] && [ -s "$tmp/skipped" ]; then
	cut -f1 "$tmp/skipped" > "$tmp/names"
	if [ -n "${SKIP_OK-}" ]; then
		sed 's/[[:space:]]*#.*//; /^[[:space:]]*$/d; s/[].[^$\\]/\\&/g; s/\*/.*/g' \
			"$SKIP_OK" > "$tmp/allowed" || status=1
		grep -vx -f "$tmp/allowed" "$tmp/names" > "$tmp/refused"
	else
		cp "$tmp/names" "$tmp/refused"
	fi
	if [ -s "$tmp/refused" ]; then
		status=1
		echo "# STRICT: these must not be skipped here:"
		sed 's/^/#   /' "$tmp/refused"
	fi
fi
# A test that has another name now would not be run any more, and nobody would know;
# one whose source is there is only not built with these switches.
if [ "${STRICT:-0}" != 0 ]; then
	scripts=$(basename -a "$srctree"/tests/test_*.sh)
	programs=$(cat "$dir/programs" 2> /dev/null; basename -as .c "$srctree"/tests/test_*.c)
	{
		idle "${SCRIPTS-}" "$scripts"
		idle "${PROGRAMS-}" "$programs"
		idle "$alone" "$scripts $programs"
	} > "$tmp/idle"
	if [ -s "$tmp/idle" ]; then
		status=1
		echo "# STRICT: no test is named like that:"
		sed 's/^/#   /' "$tmp/idle"
	fi
fi
if [ -n "${FAILED_GATES-}" ]; then
	status=1
	echo "# failed before the tests: $FAILED_GATES"
fi
if [ $((passed + bad)) = 0 ]; then
	status=1
	echo "# no test ran"
fi
[ "$bad" = 0 ] || status=1
echo "$passed passed, $bad failed, $skipped skipped"
exit $status
