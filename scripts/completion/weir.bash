# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# shellcheck shell=bash
# bash completion for weir(1)

_weir() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local verb=${COMP_WORDS[1]-} words=''

	if ((COMP_CWORD == 1)); then
		words='serve hold bench show steer lat clean doctor demo version help --help --version'
	else
		case $prev in
		--policy) words='hash cpu least p2c weighted' ;;
		--backend) words='uring epoll' ;;
		--for) words='serve show' ;;
		--group) words=$(getent group | cut -d: -f1) ;;
		-i | --instance) words=$(_weir_instances) ;;
		-a | --addr | --port | --cpu | --conns | --stall | -w | --workers | -c | --connections | \
			-P | --pid | -s | --size | -R | --rate | -d | --duration | --warmup | --timeout | --requests | \
			--sources | --seed | --napi | --server-cpu | --interval) return ;;
		*) words=$(_weir_words "$verb") ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

_weir_words() {
	case $1 in
	serve)
		echo 'echo udp-echo --workers --addr --port --policy --backend --no-bpf --no-flows --instance --takeover --group' \
			'--vip --xdp --hand-over --cpu' \
			'--conns --acceptor --processes --no-batch --sqpoll --napi --stall --json-exit --verbose --help' ;;
	bench)
		echo 'echo udp-echo --connections --size --rate --duration --warmup --timeout' \
			'--new-conn --requests --sources --seed --cpu --addr --port --serve --sqpoll --napi' \
			'--server-cpu --spectrum --json --pretty --verbose --help' ;;
	show)
		echo 'workers flows events gate group vips xdp cfg cost instances --instance --watch --follow --interval' \
			'--json --pretty --help' ;;
	steer)
		_weir_steer ;;
	lat)
		echo '--pid --duration --json --pretty --help' ;;
	clean | hold)
		echo "$(_weir_instances) --help" ;;
	doctor)
		echo '--for --quiet --json --pretty --help' ;;
	demo)
		echo 'hung rescue shed slow takeover show all --duration --workers --seed --json --pretty --help' ;;
	version)
		echo '--verbose --json --pretty --help' ;;
	help)
		echo 'serve hold bench show steer lat clean doctor demo version' ;;
	esac
}

# weir steer VERB INSTANCE [WORKER | MEMBER | POLICY]
_weir_steer() {
	case $COMP_CWORD in
	2) echo 'policy weight drain resume get set vip xdp --json --pretty --help' ;;
	3) _weir_instances ;;
	*)
		case ${COMP_WORDS[2]} in
		policy) echo 'hash cpu least p2c weighted' ;;
		xdp) ((COMP_CWORD > 4)) || echo 'syns dgrams' ;;
		weight | drain | resume)
			((COMP_CWORD > 4)) || weir show workers -i "${COMP_WORDS[3]}" 2>/dev/null |
				awk 'NR > 1 { print $1 }' ;;
		vip)
			case $COMP_CWORD-${COMP_WORDS[4]} in
			4-*) echo 'list add del' ;;
			*-del) weir steer vip "${COMP_WORDS[3]}" list 2>/dev/null ;;
			esac ;;
		get | set) weir steer get "${COMP_WORDS[3]}" 2>/dev/null | awk '{ print $1 }' ;;
		esac
		echo '--json --pretty --help' ;;
	esac
}

# The names of the instances there are, from the first column.
_weir_instances() {
	weir show instances 2>/dev/null | awk 'NR > 1 { print $1 }'
}

complete -F _weir weir
