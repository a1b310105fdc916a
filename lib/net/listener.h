/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * listener.h - a listener, for those who must end it without its loop
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <weir/net.h>

#include "base/base.h"

/*
 * listener_share() - before the start: another process may have an accept in flight
 * there, and not come back to it
 */
void listener_share(struct weir_listener *listener);

/*
 * listener_halt() - accept nobody until listener_go_on(); @halted is called when no
 * accept is in flight any more: then none takes a client, nor a wake-up for one. NULL
 * and one that is being closed are left alone.
 */
void listener_halt(struct weir_listener *listener, void (*halted)(void *ctx), void *ctx);
void listener_go_on(struct weir_listener *listener);

/*
 * listener_bind() - weir_listener_open(), but it, also a given one, need not listen
 * yet: that is the caller's listen(2), before the start
 */
int listener_bind(struct weir_listener **listenerp, struct weir_loop *loop,
		  const struct weir_listener_opts *opts);

/* listener_forget() - free a listener whose loop was abandoned; NULL for none */
void listener_forget(struct weir_listener *listener, const struct weir_alloc *alloc);

#endif /* NET_LISTENER_H */
