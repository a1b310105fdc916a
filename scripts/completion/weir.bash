# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# shellcheck shell=bash
# bash completion for weir(8)

_weir() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local verb=${COMP_WORDS[1]-} words=''

	if ((COMP_CWORD == 1)); then
		words='serve bench show doctor demo version help --help --version'
	else
		case $prev in
		--policy) words='hash least p2c' ;;
		--backend) words='uring epoll' ;;
		*)
			case $verb in
			serve)
				words='echo --workers --port --policy --backend --no-bpf --help' ;;
			bench)
				words='echo --connections --size --rate --duration --seed -j --help' ;;
			show)
				words='workers flows events instances -j -p --watch --help' ;;
			doctor)
				words='-j --help' ;;
			help)
				words='serve bench show doctor demo version' ;;
			*)
				words='--help' ;;
			esac
			;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _weir weir
