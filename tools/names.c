// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* names.c - the enums of <weir/wire.h> for people */
#include "common.h"
#include "show.h"

#define NAME_OF(table, value)	((value) < ARRAY_SIZE(table) && (table)[value] ? \
				 (table)[value] : "?")

const char *show_state(unsigned int state)
{
	static const char *const names[] = {
		[WEIR_INIT] = "INIT", [WEIR_RUN] = "RUN", [WEIR_PARKED] = "PARKED",
		[WEIR_DRAIN] = "DRAIN", [WEIR_DEAD] = "DEAD",
	};

	return NAME_OF(names, state);
}

const char *show_tcp_state(unsigned int state)
{
	static const char *const names[] = WEIR_TCP_STATE_NAMES;

	return NAME_OF(names, state);
}

const char *show_kind(unsigned int kind)
{
	static const char *const names[] = {
		[WEIR_EV_NONE] = "NONE",
		[WEIR_EV_RTT] = "RTT",
		[WEIR_EV_RETRANS] = "RETRANS",
		[WEIR_EV_RTO] = "RTO",
		[WEIR_EV_SENDQ] = "SENDQ",
		[WEIR_EV_RECVQ] = "RECVQ",
		[WEIR_EV_ZERO_WINDOW] = "ZERO_WINDOW",
		[WEIR_EV_WORKER_SLOW] = "WORKER_SLOW",
		[WEIR_EV_WORKER_STALE] = "WORKER_STALE",
		[WEIR_EV_CQ_OVERFLOW] = "CQ_OVERFLOW",
		[WEIR_EV_FOREIGN] = "FOREIGN",
	};

	return NAME_OF(names, kind);
}

const char *show_edge(unsigned int edge)
{
	static const char *const names[] = {
		[WEIR_EDGE_OFF] = "off", [WEIR_EDGE_ON] = "on",
	};

	return NAME_OF(names, edge);
}

const char *show_rung(unsigned int rung)
{
	static const char *const names[] = {
		[WEIR_RUNG_NONE] = "none", [WEIR_RUNG_STEER] = "steer",
		[WEIR_RUNG_FLOW] = "flow", [WEIR_RUNG_FULL] = "full",
	};

	return NAME_OF(names, rung);
}

const char *show_admin(unsigned int state)
{
	static const char *const names[] = {
		[WEIR_ADMIN_ON] = "ON", [WEIR_ADMIN_DRAIN] = "DRAIN",
	};

	return NAME_OF(names, state);
}

const char *show_speed(unsigned int speed)
{
	static const char *const names[] = {
		[WEIR_OK] = "OK", [WEIR_SLOW] = "SLOW",
	};

	return NAME_OF(names, speed);
}

const char *show_policy(unsigned int policy)
{
	static const char *const names[] = {
		[WEIR_POLICY_HASH] = "hash", [WEIR_POLICY_CPU] = "cpu",
		[WEIR_POLICY_LEAST] = "least", [WEIR_POLICY_P2C] = "p2c",
		[WEIR_POLICY_WEIGHTED] = "weighted",
	};

	return NAME_OF(names, policy);
}
