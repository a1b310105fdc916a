#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# fresh-chroot.sh - try the README's commands on a machine with nothing on it
#
# usage: fresh-chroot.sh [--keep] [--suite NAME] [command]...
#
# Makes a minimal Debian (no make, gcc, sudo or pkg-config), copies the
# committed tree into it and runs, as root, the commands of README.md's first
# code block, or those given. Needs root and mmdebstrap. Everything it mounts is
# mounted in a mount namespace of its own, so nothing stays behind.
#
#	--keep		leave the tree there and say where
#	--suite NAME	Debian suite (bookworm)
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
if [ "${FRESH_CHROOT_NS-}" != 1 ]; then
	case ${1-} in
	-h | --help)
		sed -n 's/^# \{0,1\}//; 3,13p' "$0"
		exit 0 ;;
	esac
	[ "$(id -u)" = 0 ] || { echo "fresh-chroot: needs root" >&2; exit 1; }
	command -v mmdebstrap >/dev/null 2>&1 ||
		{ echo "fresh-chroot: mmdebstrap is not installed (package mmdebstrap)" >&2; exit 1; }
	FRESH_CHROOT_NS=1 exec unshare --mount --propagation private "$top/scripts/fresh-chroot.sh" "$@"
fi

keep=n suite=bookworm
while [ $# -gt 0 ]; do
	case $1 in
	--keep) keep=y ;;
	--suite)
		suite=${2:?--suite needs a name}
		shift ;;
	--) shift; break ;;
	-*)
		echo "fresh-chroot: unknown option '$1'" >&2
		exit 2 ;;
	*) break ;;
	esac
	shift
done

root=$(mktemp -d "${TMPDIR:-/var/tmp}/weir-fresh.XXXXXX")
clean_up() {
	rc=$?
	trap - EXIT
	for dir in sys/fs/cgroup sys/fs/bpf sys proc dev/pts dev/shm dev run; do
		umount "$root/$dir" 2>/dev/null || umount -l "$root/$dir" 2>/dev/null || :
	done
	if [ $keep = y ]; then
		echo "fresh-chroot: kept $root"
	else
		rm -rf --one-file-system "$root"
	fi
	exit $rc
}
trap clean_up EXIT
trap 'exit 130' HUP INT TERM

# The host's own package sources, where it has some for this suite; whatever
# proxy apt uses here it uses in there.
set_sources() {
	for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
		    /etc/apt/sources.list.d/*.sources; do
		[ -f "$list" ] && grep -qE "^(deb|Suites:).*[[:space:]]$suite([[:space:]]|\$)" "$list" &&
			echo "$list"
	done
	return 0
}
proxy=''
eval "$(apt-config shell proxy Acquire::http::Proxy)"

echo "== fresh-chroot: minimal $suite"
sources=$(set_sources)
# shellcheck disable=SC2086 # a list of files
mmdebstrap --quiet --variant=minbase ${proxy:+--aptopt="Acquire::http::Proxy \"$proxy\";"} \
	"$suite" "$root" $sources

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t bpf bpf "$root/sys/fs/bpf"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/full" c 1 7
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for file in resolv.conf hosts; do
	[ ! -e "/etc/$file" ] || cp -L "/etc/$file" "$root/etc/$file"
done

mkdir "$root/root/weir"
git -C "$top" archive HEAD | tar -x -C "$root/root/weir"

for tool in make gcc sudo pkg-config; do
	if chroot "$root" sh -c "command -v $tool" >/dev/null; then
		echo "fresh-chroot: $tool is already there: not a fresh machine" >&2
		exit 1
	fi
done

if [ $# -gt 0 ]; then
	printf '%s\n' "$@"
else
	"$top/scripts/readme-commands.sh"
fi > "$root/root/commands"

passed=0 failed=0
while read -r command <&3; do
	echo "== fresh-chroot: $command"
	began=$(date +%s)
	rc=0
	chroot "$root" env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		${http_proxy:+http_proxy="$http_proxy"} ${STRICT:+STRICT="$STRICT"} \
		sh -c "cd /root/weir && $command" </dev/null || rc=$?
	echo "== fresh-chroot: exit $rc after $(($(date +%s) - began)) s: $command"
	if [ $rc = 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done 3< "$root/root/commands"
echo "fresh-chroot: $passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
