#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_install.sh - what a user gets: install, then build against it
#
# Installs into a temporary DESTDIR, compiles every public header alone in C11
# and C++17, and builds and runs a consumer of each library in C and in C++,
# shared and static, with the flags pkg-config gives. Then uninstalls.

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
dest=$tmp/dest
root=$dest/opt/weir
cc=${CC:-gcc}
cxx=${CXX:-g++}

# The tree that was built, with the switches it was built with: from the make
# that runs this, or from what it wrote down.
build() {
	set -- "$1" -s O="$objtree" DESTDIR="$dest" prefix=/opt/weir
	if [ -z "${MAKEFLAGS-}" ]; then
		for switch in URING BPF XDP CK RESOLVE DEBUG; do
			set -- "$@" "$(sed -n "s/^\(CONFIG_$switch\) := /\1=/p" "$objtree/config.mk")"
		done
	fi
	make -C "$srctree" "$@" > "$tmp/log" 2>&1
}

pc() {
	PKG_CONFIG_PATH=$root/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest \
		"${PKG_CONFIG:-pkg-config}" "$@"
}

echo "TAP version 13"
[ -z "${SAN-}" ] || {
	echo "1..0 # SKIP a consumer of a sanitized library needs its run time"
	exit 4
}

build install
is "make_install_succeeds"
if [ ! -d "$root/include/weir" ]; then
	echo "1..$n"
	exit 1
fi

for header in "$root"/include/weir/*.h; do
	name=${header##*/}
	echo "#include <weir/$name>" > "$tmp/alone.c"
	cp "$tmp/alone.c" "$tmp/alone.cc"
	$cc -std=c11 -pedantic -Wall -Wextra -Werror -I"$root/include" \
		-fsyntax-only "$tmp/alone.c" > "$tmp/log" 2>&1
	is "header_${name%.h}_is_c11_alone"
	if command -v "$cxx" > /dev/null 2>&1; then
		$cxx -std=c++17 -pedantic -Wall -Wextra -Werror -I"$root/include" \
			-fsyntax-only "$tmp/alone.cc" > "$tmp/log" 2>&1
		is "header_${name%.h}_is_cxx17_alone"
	else
		skip "header_${name%.h}_is_cxx17_alone" "$cxx is not installed"
	fi
done

# The face in C++ needs a newer compiler than the headers do.
cat > "$tmp/face.cc" <<'END'
#include <weir/weir.hpp>

static weir::Task<int> answer(weir::Loop &loop)
{
	co_return co_await loop.nop() ? 42 : 0;
}

int main()
{
	auto loop = weir::Loop::open();
	auto result = loop ? loop->run(answer(*loop)) : weir::Result<int>(weir::failure(-EIO));

	return result && *result == 42 ? 0 : 1;
}
END
if ! has_cxx23 "$cxx"; then
	skip "a_program_in_cxx23_uses_weir_hpp" "$cxx has no C++23 std::expected"
else
	# shellcheck disable=SC2086 # a compiler and flags
	flags=$(pc --cflags --libs libweir 2> "$tmp/log") &&
		$cxx -std=c++23 -Wall -Wextra -Werror -o "$tmp/face" "$tmp/face.cc" \
			-L"$root/lib" $flags > "$tmp/log" 2>&1 &&
		LD_LIBRARY_PATH=$root/lib "$tmp/face" > "$tmp/log" 2>&1
	is "a_program_in_cxx23_uses_weir_hpp"
fi

# Takes the address of every exported function of the library: all of them
# must be declared, link, and be there at run time.
consumer() {
	for header in "$root"/include/weir/*.h; do
		echo "#include <weir/${header##*/}>"
	done
	echo '#include <stdio.h>'
	echo 'typedef void (*any_fn)(void);'
	echo 'int main(void)'
	echo '{'
	echo '	const any_fn fns[] = {'
	nm -D --defined-only "$root/lib/$1.so" |
		sed -n 's/.* T \(weir_[a-z0-9_]*\).*/		(any_fn)\1,/p'
	echo '	};'
	echo '	size_t i;'
	echo ''
	echo '	for (i = 0; i < sizeof(fns) / sizeof(fns[0]); i++)'
	echo '		if (!fns[i])'
	echo '			return 1;'
	echo '	printf("%zu functions", i);'
	echo '	return i == 0;'
	echo '}'
}

# use <compiler> <source> <library> shared|static: build it, see that it is
# linked the way it should be, run it
use() {
	mode='' dir=$root/lib
	if [ "$4" = static ]; then
		# Ours alone: of what we need, archives are not always installed.
		mode=--static dir=$tmp/archives
	fi
	# shellcheck disable=SC2086 # no argument when it is empty
	flags=$(pc --cflags --libs $mode "$3" 2> "$tmp/log") || return 1
	# shellcheck disable=SC2086 # a compiler and flags
	$1 -Wall -Werror -o "$tmp/consumer" "$2" -L"$dir" $flags > "$tmp/log" 2>&1 || return 1
	needed=$(readelf -d "$tmp/consumer" | grep -c "NEEDED.*\[$3\.so")
	case $4.$needed in
	shared.1 | static.0) ;;
	*)
		echo "$4, yet $3 is needed $needed times at run time" > "$tmp/log"
		return 1 ;;
	esac
	LD_LIBRARY_PATH=$dir "$tmp/consumer" > "$tmp/log" 2>&1
}

mkdir "$tmp/archives"
cp "$root"/lib/libweir*.a "$tmp/archives"
for file in "$root"/lib/pkgconfig/*.pc; do
	lib=${file##*/} lib=${lib%.pc}
	consumer "$lib" > "$tmp/use.c"
	cp "$tmp/use.c" "$tmp/use.cc"
	for how in shared static; do
		use "$cc -std=gnu11" "$tmp/use.c" "$lib" $how
		is "${lib}_${how}_from_c"
		use "$cc -std=c11 -pedantic" "$tmp/use.c" "$lib" $how
		is "${lib}_${how}_from_strict_c11"
		if command -v "$cxx" > /dev/null 2>&1; then
			use "$cxx -std=c++17" "$tmp/use.cc" "$lib" $how
			is "${lib}_${how}_from_cxx"
		else
			skip "${lib}_${how}_from_cxx" "$cxx is not installed"
		fi
	done
done

if [ -x "$objtree/tools/weir" ]; then
	"$root/bin/weir" version > "$tmp/log" 2>&1
	is "installed_weir_runs"
fi

build uninstall
find "$dest" ! -type d > "$tmp/left"
[ ! -s "$tmp/left" ] || cat "$tmp/left" >> "$tmp/log"
test ! -s "$tmp/left"
is "make_uninstall_leaves_no_file"
echo "1..$n"
