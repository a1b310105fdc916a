#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# check-abi.sh - version script = exported symbols = documented functions
#
# usage: check-abi.sh <object tree> <directory with kernel-doc>
#
# For each library: what lib/<library>.map lists is what the shared library
# exports. Over all of them: what the maps list is what the public headers
# declare with WEIR_API, and each of those has kernel-doc. Names in a node
# called WEIR_PRIVATE tie our own libraries together and are no part of the ABI.
# The newest node must be of this version.
set -eu

objtree=${1:?usage: $0 <object tree> <directory with kernel-doc>}
kdoc=${2:?usage: $0 <object tree> <directory with kernel-doc>}/kernel-doc
cd "${srctree:-$(dirname "$0")/..}"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
LC_ALL=C
export LC_ALL

complain() {
	echo "check-abi: $*" >&2
	bad=1
}

# same <what> <file> <what> <file>: says which names are in one only
same() {
	only=$(comm -23 "$2" "$4" | tr '\n' ' ')
	[ -z "$only" ] || complain "$1, but not $3: $only"
	only=$(comm -13 "$2" "$4" | tr '\n' ' ')
	[ -z "$only" ] || complain "$3, but not $1: $only"
}

# names <map> <public|all>
names() {
	awk -v what="$2" '
	{ sub(/#.*/, ""); gsub(/\/\*[^*]*\*\//, "") }
	/\{/ { private = $1 ~ /^WEIR_PRIVATE/ }
	/local:/ { local = 1 }
	/global:/ { local = 0 }
	/\}/ { local = 0 }
	!local && !(private && what == "public") {
		sub(/.*[{:]/, "")
		n = split($0, word, ";")
		for (i = 1; i < n; i++) {
			gsub(/[ \t]/, "", word[i])
			if (word[i] ~ /^weir_/)
				print word[i]
		}
	}' "$1" | sort
}

release=${WEIR_VERSION:-$(make -s version)}
release=${release%.*}
: > "$tmp/mapped"
for map in lib/*.map; do
	[ -f "$map" ] || continue
	library=${map##*/} library=${library%.map}
	newest=$(sed -n 's/^\(WEIR_[0-9][0-9.]*\)[[:space:]]*{.*/\1/p' "$map" | sort -V | tail -n 1)
	[ "$newest" = "WEIR_$release" ] ||
		complain "$map: the newest node is ${newest:-missing}, the version is $release"
	names "$map" public >> "$tmp/mapped"
	names "$map" all > "$tmp/$library.map"
	so=$objtree/lib/$library.so
	if [ ! -e "$so" ]; then
		echo "  ABI     $library is not part of this build"
		continue
	fi
	nm -D --defined-only "$so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
		sort > "$tmp/$library.so"
	same "in $map" "$tmp/$library.map" "exported by ${so##*/}" "$tmp/$library.so"
done
sort "$tmp/mapped" > "$tmp/map"
dup=$(uniq -d "$tmp/map" | tr '\n' ' ')
[ -z "$dup" ] || complain "in more than one version script: $dup"

# Declared: WEIR_API up to the name before the argument list.
for header in include/weir/*.h; do
	# kernel-doc does not know our marks.
	sed 's/WEIR_API //; s/WEIR_MUST_CHECK//; s/WEIR_PRINTF([^)]*)//' "$header" > "$tmp/${header##*/}"
	awk '/^WEIR_API/ { text = ""; on = 1 }
	     on { text = text " " $0 }
	     on && /;/ { on = 0; sub(/\(.*/, "", text); sub(/.*[ *]/, "", text); print text }' "$header"
done | sort > "$tmp/declared"
same "in the version scripts" "$tmp/map" "declared WEIR_API" "$tmp/declared"

for header in "$tmp"/*.h; do
	perl "$kdoc" -rst "$header" 2>/dev/null
done | sed -n 's/^.. c:function:: .*[ *]\(weir_[a-z0-9_]*\) (.*/\1/p' | sort > "$tmp/documented"
only=$(comm -23 "$tmp/declared" "$tmp/documented" | tr '\n' ' ')
[ -z "$only" ] || complain "without kernel-doc: $only"

if [ ! -s "$tmp/declared" ]; then
	complain "found no function declared WEIR_API: the check itself is broken"
fi
[ $bad = 0 ] || exit 1
echo "  ABI     $(wc -l < "$tmp/map") functions: version script, export, declaration and documentation agree"
