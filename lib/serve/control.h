/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* control.h - inside of a control socket */
#ifndef SERVE_CONTROL_H
#define SERVE_CONTROL_H

#include <pthread.h>
#include <stdbool.h>

#include <weir/takeover.h>
#include <weir/wire.h>

#include "base/fork.h"
#include "serve/parcel.h"

struct weir_control {
	struct fork_watch fork;
	struct weir_control_opts opts;
	struct weir_log log;
	pthread_t thread;
	bool runs;		/* there is a thread */
	char instance[WEIR_NAME_BYTES];
	struct parcel_place place;
	int wake_fd;		/* told when it is time to stop */
	int listen_fd;
	int holder_fd;		/* where a holder listens for our end, or -1 */
	int peer_fd;		/* of the conversation, or -1 */
	int *fds;
	unsigned int count;
	bool left;		/* a successor serves */
};

/* weir_control_open() in its steps; what had been made stays, to be closed */

int control_make(struct weir_control **controlp, const struct weir_control_opts *opts);
/* Its place, that of who is replaced excepted: -EADDRINUSE before anybody is served. */
int control_claim(struct weir_control *control);
/* What it hands over: while there are no threads yet. */
int control_keep(struct weir_control *control, const int *listeners, uint32_t count);
/* Where it has no place it is nothing. */
int control_run(struct weir_control *control);

/*
 * Descriptors that a forked child must not have: made and closed where nobody forks. What
 * may wait for another process comes after that.
 */
int control_socket(int *fdp);
void control_put(int *fdp);
void control_drop(struct weir_control *control);	/* the listeners */

/* succession.c */
void control_hold(struct weir_control *control);	/* by a holder, if there is one */
void control_converse(struct weir_control *control);	/* with who has connected */
/* Nobody serves at this listener: what waits there goes to the others. In @ops alone. */
void control_mute(struct weir_control *control, uint32_t listener);

#endif /* SERVE_CONTROL_H */
