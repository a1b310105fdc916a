#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# readme-commands.sh - the commands in the first fenced block of README.md
#
# usage: readme-commands.sh [word]
#
# Prints them one to a line, without comments and prompts; with a word, those
# that have it. What is printed is what a reader would type, so what is tested
# is what is promised. Status 1 if there is none.
set -eu

cd "$(dirname "$0")/.."
awk -v word="${1-}" '
	/^```/ {
		if (inside)
			exit
		inside = 1
		next
	}
	inside {
		sub(/^\$ /, "")
		sub(/[ \t]+#.*/, "")
		if ($0 == "" || $0 ~ /^#/)
			next
		if (word != "" && index(" " $0 " ", " " word " ") == 0)
			next
		print
		found = 1
	}
	END { exit !found }' README.md || {
	echo "README.md: its first code block has no command${1+ with \"$1\"}" >&2
	exit 1
}
