#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_arch.sh - the switch of stacks of other processors, built by a cross compiler
# and run by an emulator of programs: tests/test_arch.c on each
# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"

KSELFTEST=${KSELFTEST:-${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}/ktools}

# first_of <command>...: the first that there is
first_of() {
	for name; do
		command -v "$name" && return 0
	done
	return 1
}

# try <what> <emulator> <compiler> <flags>...
try() {
	what=$1 emulator=$2 cc=$3
	shift 3
	{
		"$cc" -std=gnu11 -O2 -D_GNU_SOURCE -static "$@" -Wno-missing-prototypes \
			-I"$srctree/lib" -isystem "$KSELFTEST" -o "$tmp/test_arch" \
			"$srctree/tests/test_arch.c" "$srctree/lib/fiber/arch.c" -lm &&
			"$emulator" "$tmp/test_arch"
	} >> "$tmp/log" 2>&1
	is "$what"
}

echo 1..2
emulator=$(first_of qemu-aarch64-static qemu-aarch64) || emulator=
cc=$(first_of aarch64-linux-gnu-gcc) || cc=
missing=
if [ -z "$emulator" ] || [ -z "$cc" ]; then
	missing="no aarch64-linux-gnu-gcc or no qemu-aarch64"
elif ! echo 'int main(void) { return 0; }' | "$cc" -static -xc -o "$tmp/empty" - 2>/dev/null; then
	missing="$cc has no static C library"
fi
if [ -n "$missing" ]; then
	skip "aarch64: our switch" "$missing"
	skip "aarch64: the C library's switch" "$missing"
else
	try "aarch64: our switch" "$emulator" "$cc"
	try "aarch64: the C library's switch" "$emulator" "$cc" -DFIBER_UCONTEXT
fi
exit $bad
