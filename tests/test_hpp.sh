#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_hpp.sh - weir.hpp: compiles alone and strictly, and what tests/hpp tests
#
# The library needs no C++ compiler, and neither does its build: without one, or
# with one that is too old, this is skipped.

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
find_cxx23

flags="-std=c++23 -Wall -Wextra -Werror -I$srctree/include"
san=${SAN:+"-fsanitize=$SAN -fno-sanitize-recover=all"}

# What C has in a union since 2011, clang calls an extension of C++.
pedantic="-pedantic -Wconversion -Wsign-conversion -Wold-style-cast"
case $cxx in *clang*) pedantic="$pedantic -Wno-nested-anon-types -Wno-old-style-cast" ;; esac

# job <name> <command>: to be run by jobs_run, as many at once as there are processors
job() {
	echo "{ $2; } > '$tmp/$1.log' 2>&1; echo \$? > '$tmp/$1.rc'" >> "$tmp/jobs"
}

jobs_run() {
	xargs -d '\n' -P "$(nproc)" -n 1 sh -c < "$tmp/jobs"
}

# went <name>: that job ended well, and was there
went() {
	cat "$tmp/$1.log" > "$tmp/log" 2>&1
	[ "$(cat "$tmp/$1.rc" 2>> "$tmp/log")" = 0 ]
}

# syntax <name> <source> <flags>
syntax() {
	printf '%s\n' "$2" > "$tmp/$1.cpp"
	job "$1" "$cxx $flags $3 -fsyntax-only $tmp/$1.cpp"
}

# has_no <program>: what it needs is not in this build
has_no() {
	[ "$1" = resolve ] && [ "$(config CONFIG_RESOLVE)" != y ]
}

echo "TAP version 13"
[ -z "$no_cxx23" ] || skip_all "$no_cxx23"

libs="$objtree/lib/libweir.a $(config LIBURING_LIBS) -pthread"
for source in "$srctree"/tests/hpp/*.cpp; do
	name=${source##*/} name=${name%.cpp} resolver=
	has_no "$name" && continue
	[ "$name" != resolve ] || resolver="$objtree/lib/libweir-resolve.a $(config CARES_LIBS)"
	job "run-$name" "$cxx $flags $san -include $objtree/include/generated/config.h \
		-o $tmp/$name $source $resolver $libs"
done
for header in "$srctree"/include/weir/weir.hpp "$srctree"/include/weir/hpp/*.hpp; do
	name=${header##*/}
	syntax "head-$name" "#include <${header#"$srctree/include/"}>" "$pedantic"
done
syntax lean '#include <weir/weir.hpp>' "$pedantic -fno-exceptions -fno-rtti"
printf '#include <weir/weir.hpp>\nint other();\nint main() { return other(); }\n' > "$tmp/one.cpp"
printf '#include <weir/weir.hpp>\nint other() { return weir::error(-1).value() - 1; }\n' > "$tmp/two.cpp"
job two "$cxx $flags $san -o $tmp/both $tmp/one.cpp $tmp/two.cpp $libs && $tmp/both"
jobs_run

for header in "$srctree"/include/weir/weir.hpp "$srctree"/include/weir/hpp/*.hpp; do
	went "head-${header##*/}"
	is "${header##*/} compiles alone"
done
went lean
is "weir.hpp compiles without exceptions and run-time types"
went two
is "two files of a program may include it"

for source in "$srctree"/tests/hpp/*.cpp; do
	name=${source##*/} name=${name%.cpp}
	if has_no "$name"; then
		skip "$name.cpp" "there is no resolver in this build"
		continue
	fi
	went "run-$name"
	is "$name.cpp compiles without a warning"
	[ -x "$tmp/$name" ] || continue
	timeout 300 "$tmp/$name" > "$tmp/tap" 2>&1
	ended=$?
	# Its lines with the numbers of this stream; its plan is checked here.
	awk -v n=$n -v name="$name" '
	/^(not )?ok / { sub(/ok [0-9]+/, "ok " ++n); sub(/ - /, " - " name "."); seen++ }
	/^1\.\./ { plan = substr($1, 4) + 0; next }
	{ print }
	END { exit !(plan && plan == seen) }' "$tmp/tap"
	whole=$?
	n=$((n + $(grep -cE '^(not )?ok ' "$tmp/tap")))
	echo "exit status $ended" > "$tmp/log"
	[ $whole = 0 ] && [ $ended -le 1 ]
	is "$name ran to its end"
	[ $ended = 0 ] || bad=1
done
echo "1..$n"
exit $bad
