/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sim_script.h - one who does one thing after the other in a simulated world, and
 * does it again when it failed by chance: for operations that nobody else there
 * has a use for
 */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "sim_world.h"

enum {
	SCRIPT_FILES	= 8,
	SCRIPT_BYTES	= 600,
	SCRIPT_TRIES	= 20000,
};

struct script;

/*
 * @name: for people
 * @prep: prepare script->act.op
 * @check: it ended well: true to go on, false to do it again. Called when the
 *	world is ending too: what it brought must be kept for script_end()
 */
struct step {
	const char *name;
	void (*prep)(struct script *script);
	bool (*check)(struct script *script, const struct weir_op *op);
};

struct script {
	struct act act, pause, close;
	const struct step *steps;
	unsigned int count, at, tries, target;
	bool ending, over;
	struct weir_file files[SCRIPT_FILES];	/* closed at the end */
	int fd;			/* a descriptor that is to be closed too, or 0 */
	struct sockaddr_storage addr;
	int value;
	uint32_t moved;
	struct msghdr msg;
	struct iovec iov[3];
	struct statx statx;
	union {
		uint64_t align;
		char bytes[256];
	} control;
	unsigned char out[SCRIPT_BYTES], in[SCRIPT_BYTES];
};

void script_start(struct script *script, struct world *world, const struct step *steps,
		  unsigned int count);

/* script_done() - the callback of every step */
void script_done(struct weir_op *op);

/* script_file() - where the file that the next operation opens is to go */
void script_file(struct script *script, unsigned int number);

/* tests/sim_sockets.c, tests/sim_desk.c: what there is to do */
void script_sockets(struct world *world);
void script_desk(struct world *world);

#endif /* SIM_SCRIPT_H */
