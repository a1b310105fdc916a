#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# check-style.sh - the gate that needs no opinion
#
# usage: check-style.sh <directory with checkpatch.pl and kernel-doc> [file]...
#
# SPDX line in every file, checkpatch, kernel-doc, codespell, shellcheck, files
# of at most 700 lines and functions of at most 70. clang-format only advises:
# it fights aligned initialisers. With file names, looks at those alone.
set -u

ktools=${1:?usage: $0 <directory with checkpatch.pl and kernel-doc> [file]...}
shift
cd "${srctree:-$(dirname "$0")/..}" || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0

fail() {
	echo "check-style: $*" >&2
	bad=1
}

need() {
	command -v "$1" >/dev/null 2>&1 && return 0
	fail "$1 is not installed; run: ./scripts/deps install --profile test"
	return 1
}

# Everything that belongs to the project, from git or from a tarball.
if [ $# -gt 0 ]; then
	printf '%s\n' "$@"
elif git rev-parse --git-dir >/dev/null 2>&1; then
	git ls-files
else
	find . -type f ! -path './.git/*' ! -path './build*' | sed 's,^\./,,'
fi | sort | while read -r f; do [ -f "$f" ] && echo "$f"; done > "$tmp/all"
grep -E '\.[ch]$' "$tmp/all" > "$tmp/c"
while read -r f; do
	case $f in
	*.sh | *.bash) echo "$f" ;;
	*.*) [ "$f" = .ci/run ] && echo "$f" ;;
	*) head -n 1 "$f" | grep -qE '^#!.*[/ ](ba|da)?sh$' && echo "$f" ;;
	esac
done < "$tmp/all" > "$tmp/sh"

# --- SPDX ---
while read -r f; do
	case $f in
	COPYING | LICENSES/* | *.json) continue ;;
	esac
	[ -s "$f" ] || continue
	head -n 4 "$f" | grep -q 'SPDX-License-Identifier: ' || fail "$f: no SPDX line"
done < "$tmp/all"

# --- sizes ---
while read -r f; do
	lines=$(wc -l < "$f")
	[ "$lines" -le 700 ] || fail "$f: $lines lines; a file has at most 700"
done < "$tmp/c"
# shellcheck disable=SC2016 # awk's, not the shell's
xargs -r awk '
	FNR == 1 { start = 0 }
	/^[a-zA-Z_].*[(]/ { name = $0; sub(/[(].*/, "", name); sub(/.*[ *]/, "", name) }
	/^\{/ { start = FNR }
	/^\}/ {
		if (start && FNR - start - 1 > 70)
			printf "%s:%d: %s has %d lines; a function has at most 70\n",
				FILENAME, start, name, FNR - start - 1
		start = 0
	}' < "$tmp/c" > "$tmp/long"
if [ -s "$tmp/long" ]; then
	cat "$tmp/long" >&2
	bad=1
fi

# --- checkpatch ---
# Ours to decide (style.md): PREFER_KERNEL_TYPES, CAMELCASE. Meant for kernel
# code alone: the rest.
ignore=PREFER_KERNEL_TYPES,CAMELCASE
ignore=$ignore,SPDX_LICENSE_TAG,BIT_MACRO,MACRO_ARG_REUSE,PREFER_FALLTHROUGH,SPLIT_STRING,VOLATILE,CONSTANT_COMPARISON,ARCH_DEFINES
ignore=$ignore,AVOID_EXTERNS,NEW_TYPEDEFS,ENOSYS,PREFER_PRINTF,PREFER_SCANF,STRLCPY,STRNCPY,STRCPY
ignore=$ignore,PREFER_ALIGNED,PREFER_PACKED,PREFER_SECTION,PREFER_DEFINED_ATTRIBUTE_MACRO
if need perl && [ -s "$tmp/c" ]; then
	# Outside the tree: it leaves a cache file in a git tree. Without a kernel
	# tree around it, it warns about its own $root: dropped.
	sed "s,^,$PWD/," "$tmp/c" | (cd "$tmp" &&
		xargs perl "$ktools/checkpatch.pl" --no-tree --strict --terse --quiet --show-types	\
			--no-summary --max-line-length=100 --ignore "$ignore" -f 2>/dev/null) > "$tmp/out"
	rc=$?
	sed "s,^$PWD/,," "$tmp/out" > "$tmp/checkpatch"
	if [ -s "$tmp/checkpatch" ]; then
		cat "$tmp/checkpatch" >&2
		bad=1
	elif [ $rc -ne 0 ]; then
		fail "checkpatch.pl ended with status $rc"
	fi
fi

# --- kernel-doc ---
grep '^include/weir/' "$tmp/c" > "$tmp/headers"
if [ -s "$tmp/headers" ] && command -v perl >/dev/null 2>&1; then
	mkdir -p "$tmp/include/weir"
	while read -r f; do
		sed 's/WEIR_API //; s/WEIR_MUST_CHECK//; s/WEIR_PRINTF([^)]*)//' "$f" > "$tmp/$f"
	done < "$tmp/headers"
	(cd "$tmp" && xargs perl "$ktools/kernel-doc" -none -Werror) < "$tmp/headers" > "$tmp/kdoc" 2>&1 || {
		cat "$tmp/kdoc" >&2
		fail "kernel-doc is not clean"
	}
fi

# --- spelling ---
if need codespell; then
	grep -vE '^(COPYING|LICENSES/)' "$tmp/all" |
		xargs -r codespell --ignore-words scripts/codespell.words > "$tmp/spell" 2>&1 || {
		cat "$tmp/spell" >&2
		fail "codespell found misspellings (a right word goes to scripts/codespell.words)"
	}
fi

# --- shell ---
if need shellcheck && [ -s "$tmp/sh" ]; then
	xargs shellcheck --norc -x < "$tmp/sh" >&2 || fail "shellcheck is not clean"
fi

# --- clang-format: advice ---
if command -v clang-format >/dev/null 2>&1 && [ -s "$tmp/c" ]; then
	off=$(xargs clang-format --dry-run < "$tmp/c" 2>&1 | grep -c 'warning:')
	echo "  FORMAT  clang-format would change $off places (advice only)"
fi

[ $bad = 0 ] || exit 1
echo "  STYLE   $(wc -l < "$tmp/all") files: SPDX, checkpatch, kernel-doc, codespell, shellcheck, sizes"
