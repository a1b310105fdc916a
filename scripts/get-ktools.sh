#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# get-ktools.sh - put the kernel's test harness and checkers in a directory
#
# usage: get-ktools.sh <dir>
#
# They come out of Debian's own kernel source package, so nothing is copied
# into this repository. Already have a kernel tree? Skip this script with
#	make check KSELFTEST=<kernel>/tools/testing/selftests
set -eu

dir=${1:?usage: $0 <dir>}
[ -s "$dir/kselftest_harness.h" ] && exit 0

die() {
	echo "get-ktools: $*" >&2
	echo "get-ktools: with a kernel source tree at hand: make check KSELFTEST=<kernel>/tools/testing/selftests" >&2
	exit 1
}

for tool in apt-get apt-cache dpkg-deb xz tar; do
	command -v "$tool" >/dev/null 2>&1 ||
		die "$tool is not here, so the harness cannot be taken from Debian's kernel source package"
done

parent=$(dirname "$dir")
mkdir -p "$parent" || die "cannot write $parent; WEIR_CACHE=<dir> puts the cache elsewhere"

# Two builds that start together fetch once.
exec 9>"$parent/.ktools.lock"
flock 9
[ -s "$dir/kselftest_harness.h" ] && exit 0

# 6.1's harness runs the test body after SKIP() in FIXTURE_SETUP(); 6.12's does not.
find_package() {
	for pkg in ${KSELFTEST_PKG:-linux-source-6.12 linux-source-6.1}; do
		apt-cache show "$pkg" >/dev/null 2>&1 && return 0
	done
	return 1
}
if ! find_package; then
	[ "$(id -u)" = 0 ] || die "apt knows no linux-source-6.12 or 6.1; run as root: apt-get update"
	apt-get -qq update || die "apt-get update failed: is there a network?"
	find_package || die "this distribution has no linux-source-6.12 or linux-source-6.1 package"
fi

# Beside the target: the last step is a rename, so a half-made one is never seen.
tmp=$(mktemp -d "$parent/.ktools.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

echo "  FETCH   $pkg (about 150 MB, once; kept in $dir)"
progress=-qq
[ ! -t 1 ] || progress=-q=0
# The cache is below a home that apt's own user cannot enter.
sandbox=''
[ "$(id -u)" != 0 ] || sandbox='-o APT::Sandbox::User=root'
# shellcheck disable=SC2086 # no argument when it is empty
(cd "$tmp" && apt-get $progress $sandbox download "$pkg") ||
	die "apt could not download $pkg: is there a network?"

echo "  UNPACK  kselftest harness, checkpatch, kernel-doc"
set -- tools/testing/selftests/kselftest.h \
	tools/testing/selftests/kselftest_harness.h \
	scripts/checkpatch.pl scripts/spelling.txt scripts/const_structs.checkpatch \
	scripts/kernel-doc
for f; do
	shift
	set -- "$@" "$pkg/$f"
done
mkdir "$tmp/ktools"
dpkg-deb --fsys-tarfile "$tmp"/*.deb |
	tar -xO "./usr/src/$pkg.tar.xz" | xz -dc -T0 |
	tar -x -C "$tmp/ktools" --transform='s,.*/,,' "$@" ||
	die "$pkg does not hold the files that are needed"
[ -s "$tmp/ktools/kselftest_harness.h" ] || die "$pkg was not unpacked completely"
rm -rf "$dir"
mv "$tmp/ktools" "$dir"
