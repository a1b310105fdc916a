// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * quiet.c - libxdp says nothing: what went wrong is told by our own reasons
 */
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "bpf/instance.h"

static libxdp_print_fn_t said_before;

static int say_nothing(enum libxdp_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

/* The lock of capture_begin() guards libxdp's hook too. */
void xdp_quiet_begin(void)
{
	capture_begin();
	said_before = libxdp_set_print(say_nothing);
}

void xdp_quiet_end(void)
{
	libxdp_set_print(said_before);
	(void)capture_end();
}
