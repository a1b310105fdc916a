#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# install.sh - put what was built in its places, or take it away again
#
# usage: install.sh install|uninstall 'library|about|uses|needs|libs'...
#
# Called by make, in the object tree, with the places in the environment. One
# list serves both ways, so that uninstall forgets nothing.
set -eu

verb=${1:?usage: $0 install|uninstall library...}
shift
: "${srctree:?}" "${prefix:?}" "${bindir:?}" "${libdir:?}" "${includedir:?}" "${mandir:?}"
: "${bashcompdir:?}" "${WEIR_VERSION:?}"
dest=${DESTDIR-}
somajor=${WEIR_VERSION%%.*}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

tell() {
	case ${quiet-quiet_} in
	silent_) ;;
	*) printf '  %-7s %s\n' "$1" "$2" ;;
	esac
}

# put <file> <place> <mode>
put() {
	if [ "$verb" = install ]; then
		tell INSTALL "$2"
		mkdir -p "$dest${2%/*}"
		# By rename: a running program keeps the file it has.
		cp "$1" "$dest$2.new"
		chmod "$3" "$dest$2.new"
		mv -f "$dest$2.new" "$dest$2"
	elif [ -e "$dest$2" ] || [ -L "$dest$2" ]; then
		tell REMOVE "$2"
		rm -f "$dest$2"
	fi
}

# point <name> <place>: a symbolic link at place to name
point() {
	if [ "$verb" = install ]; then
		tell SYMLINK "$2"
		ln -sfn "$1" "$dest$2"
	else
		put "" "$2" 0
	fi
}

# sealed <archive>: the same as one object whose inner names are its own, as they
# are in the shared library; a user's ring_open() must not clash with ours
sealed() {
	[ "$verb" = install ] || return 0
	${LD:-ld} -r -o "$tmp/sealed.o" --whole-archive "$1"
	${OBJCOPY:-objcopy} --localize-hidden "$tmp/sealed.o"
	rm -f "$tmp/${1##*/}"
	"${AR:-ar}" rcsD "$tmp/${1##*/}" "$tmp/sealed.o"
}

# pc <library> <about> <uses> <needs> <libs>
pc() {
	requires=''
	for used in $3; do
		requires="$requires${requires:+, }$used = $WEIR_VERSION"
	done
	# A needed library without a .pc file of its own is named by its flags.
	private='' flags=''
	for needed in $4; do
		if "${PKG_CONFIG:-pkg-config}" --exists "$needed" 2>/dev/null; then
			private="$private${private:+, }$needed"
		else
			flags=$5
		fi
	done
	cat <<-END
	# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
	prefix=$prefix
	libdir=$libdir
	includedir=$includedir

	Name: $1
	Description: $2
	Version: $WEIR_VERSION
	Requires: $requires
	Requires.private: $private
	Cflags: -I\${includedir}
	Libs: -L\${libdir} -l${1#lib}
	Libs.private: ${flags:+$flags }-pthread
	END
}

built=' '
for facts; do
	library=${facts%%|*} rest=${facts#*|}
	about=${rest%%|*} rest=${rest#*|}
	uses=${rest%%|*} rest=${rest#*|}
	needs=${rest%%|*} libs=${rest#*|}
	built="$built$library "
	so=$library.so
	if [ "$verb" = install ] && [ ! -e "lib/$so.$somajor" ]; then
		echo "install: lib/$so.$somajor was not built (is lib/$library.map there?)" >&2
		exit 1
	fi
	sealed "lib/$library.a"
	put "$tmp/$library.a" "$libdir/$library.a" 644
	put "lib/$so.$somajor" "$libdir/$so.$WEIR_VERSION" 755
	point "$so.$WEIR_VERSION" "$libdir/$so.$somajor"
	point "$so.$somajor" "$libdir/$so"
	pc "$library" "$about" "$uses" "$needs" "$libs" > "$tmp/$library.pc"
	put "$tmp/$library.pc" "$libdir/pkgconfig/$library.pc" 644
done

for header in "$srctree"/include/weir/*.h "$srctree"/include/weir/weir.hpp \
	      "$srctree"/include/weir/hpp/*.hpp; do
	# What declares a library that is not there is not installed either: NAME.h and
	# NAME.hpp of libweir-NAME. wire.h stays: it describes the maps to any reader.
	name=${header##*/} name=${name%.h*}
	# Of libweir-bpf as well.
	case $name in vip | xdp | xsk) name=bpf ;; esac
	if [ "$verb" = install ] && [ -f "$srctree/lib/libweir-$name.map" ]; then
		case $built in *" libweir-$name "*) ;; *) continue ;; esac
	fi
	put "$header" "$includedir/${header#"$srctree/include/"}" 644
done
if [ -x tools/weir ] || [ "$verb" = uninstall ]; then
	put tools/weir "$bindir/weir" 755
fi
for page in "$srctree"/Documentation/man/*.[1-9]; do
	[ -f "$page" ] || continue
	put "$page" "$mandir/man${page##*.}/${page##*/}" 644
done
put "$srctree/scripts/completion/weir.bash" "$bashcompdir/weir" 644
if [ "$verb" = uninstall ]; then
	rmdir "$dest$includedir/weir/hpp" "$dest$includedir/weir" 2>/dev/null || :
fi
