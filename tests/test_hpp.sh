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

compiles() {
	# shellcheck disable=SC2086 # a compiler and flags
	$cxx $flags "$@" -fsyntax-only -x c++ - > "$tmp/log" 2>&1
}

echo "TAP version 13"
[ -z "$no_cxx23" ] || skip_all "$no_cxx23"

for header in "$srctree"/include/weir/weir.hpp "$srctree"/include/weir/hpp/*.hpp; do
	name=${header#"$srctree/include/"}
	# shellcheck disable=SC2086 # flags
	echo "#include <$name>" | compiles $pedantic
	is "${name##*/} compiles alone"
done
# shellcheck disable=SC2086 # flags
echo '#include <weir/weir.hpp>' | compiles $pedantic -fno-exceptions -fno-rtti
is "weir.hpp compiles without exceptions and run-time types"
printf '#include <weir/weir.hpp>\nint other();\nint main() { return other(); }\n' > "$tmp/one.cpp"
printf '#include <weir/weir.hpp>\nint other() { return weir::error(-1).value() - 1; }\n' > "$tmp/two.cpp"
# shellcheck disable=SC2046,SC2086 # a compiler and flags
$cxx $flags $san -o "$tmp/both" "$tmp/one.cpp" "$tmp/two.cpp" "$objtree/lib/libweir.a" \
	$(config LIBURING_LIBS) -pthread > "$tmp/log" 2>&1 && "$tmp/both" >> "$tmp/log" 2>&1
is "two files of a program may include it"

for source in "$srctree"/tests/hpp/*.cpp; do
	name=${source##*/} name=${name%.cpp} resolver=
	if [ "$name" = resolve ]; then
		[ "$(config CONFIG_RESOLVE)" = y ] || {
			skip "$name.cpp" "there is no resolver in this build"
			continue
		}
		resolver="$objtree/lib/libweir-resolve.a $(config CARES_LIBS)"
	fi
	# shellcheck disable=SC2046,SC2086 # a compiler and flags
	$cxx $flags $san -include "$objtree/include/generated/config.h" \
		-o "$tmp/$name" "$source" $resolver "$objtree/lib/libweir.a" \
		$(config LIBURING_LIBS) -pthread > "$tmp/log" 2>&1
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
