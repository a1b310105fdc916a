/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_TAKEOVER_H
#define WEIR_TOOLS_TAKEOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <weir/serve.h>
#include <weir/takeover.h>

struct command;

/* Where the service shall be, as far as that was said. */
struct takeover_place {
	const struct weir_addr *where;
	bool addr_said, port_said;
};

/* What is to serve on them. */
struct takeover_heir {
	bool udp, acceptor, bpf;
};

/*
 * takeover_find() - listeners of @instance that are there already: those of its
 * live service when @live says so (which must be there), else what a holder or the
 * service manager has kept, if any; those that are not at @place, or not for such an
 * @heir, are refused. *workers is set when it is 0.
 *
 * Return: 0, also when there are none and *takeoverp is NULL; 1 after a message.
 */
int takeover_find(struct weir_takeover **takeoverp, const char *instance, bool live,
		  const struct takeover_place *place, const struct takeover_heir *heir,
		  uint64_t *workers);

/* What cannot be taken over; 0, or an exit status after a message. */
int takeover_check(const struct command *cmd, bool xdp, bool nameless);
/* Says why fewer workers are refused; an exit status. */
int takeover_surplus(const char *instance, uint64_t workers);
/* Where the listeners are, or 0. */
uint16_t takeover_port(const struct weir_takeover *takeover);

#endif /* WEIR_TOOLS_TAKEOVER_H */
