/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * resolver.h - inside of a resolver
 */
#ifndef RESOLVE_RESOLVER_H
#define RESOLVE_RESOLVER_H

#include <ares.h>
#include <stdbool.h>

#include <weir/file.h>
#include <weir/loop.h>
#include <weir/resolve.h>

#include "base/list.h"

/*
 * A socket of c-ares. Its descriptor is c-ares's to close at any time; ours is
 * a duplicate, which polls the same.
 */
struct resolve_sock {
	struct weir_resolver *resolver;
	struct weir_link node;	/* of resolver->socks, while c-ares has it and we poll */
	struct weir_file file;
	struct weir_op op;	/* the poll, and at the end the close */
	ares_socket_t fd;
	uint32_t want;		/* events */
	bool gone;		/* c-ares has closed its own */
};

struct weir_resolver {
	struct weir_loop *loop;
	ares_channel channel;
	struct weir_link socks;
	struct weir_op timer;
	uint32_t busy;		/* operations in flight: the timer, socks */
	bool closing;
};

/* A question as c-ares holds it, who cannot take a single one back. */
struct weir_resolver_query {
	struct weir_resolver *resolver;
	struct weir_resolve *question;	/* NULL: ended without c-ares's answer */
};

/* lib/resolve/driver.c: c-ares's sockets and timers on the loop */
extern const struct ares_socket_functions resolver_calls
	__attribute__((visibility("hidden")));
void resolver_sock_state(void *ctx, ares_socket_t fd, int readable, int writable);
void resolver_settle(struct weir_resolver *resolver);

/* resolver_pace() - c-ares may want to be called at another time than before */
void resolver_pace(struct weir_resolver *resolver);

#endif /* RESOLVE_RESOLVER_H */
