// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * crew.c - the parent's ends of the connections to its children
 *
 * They speak parcels. What is asked has a number, so that the answer of one that was
 * stopped for a whole conversation is not taken for that of the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/crew.h>
#include <weir/wire.h>

#include "base/base.h"
#include "serve/parcel.h"

enum {
	YIELD_STEPS	= 14,	/* more than a child waits for its worker: owner.c */
	YIELD_STEP_MS	= 25,
};

struct weir_crew {
	uint32_t workers;
	uint32_t number;	/* of what was asked last */
	int *fds;		/* or -1 */
};

int weir_crew_open(struct weir_crew **crewp, unsigned int workers)
{
	struct weir_crew *crew;
	uint32_t i;

	if (!workers || workers > WEIR_WORKERS_MAX)
		return -EINVAL;
	crew = mem_get(&base_alloc_libc, 1, sizeof(*crew), _Alignof(struct weir_crew));
	if (!crew)
		return -ENOMEM;
	crew->workers = workers;
	crew->fds = mem_get(&base_alloc_libc, workers, sizeof(*crew->fds), sizeof(int));
	if (!crew->fds) {
		mem_put(&base_alloc_libc, crew, 1, sizeof(*crew));
		return -ENOMEM;
	}
	for (i = 0; i < workers; i++)
		crew->fds[i] = -1;
	*crewp = crew;
	return 0;
}

int weir_crew_join(struct weir_crew *crew, unsigned int worker)
{
	int fds[2];

	if (worker >= crew->workers)
		return -EINVAL;
	if (crew->fds[worker] >= 0)
		return -EBUSY;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	crew->fds[worker] = fds[0];
	return fds[1];
}

void weir_crew_leave(struct weir_crew *crew, unsigned int worker)
{
	if (worker >= crew->workers || crew->fds[worker] < 0)
		return;
	close(crew->fds[worker]);
	crew->fds[worker] = -1;
}

/* The answer to what was asked last, as in child.c; others are dropped. */
static bool answer(const struct weir_crew *crew, int fd, unsigned int *hung, int *errp)
{
	struct parcel parcel;
	unsigned int none;
	int nowhere, err;

	do {
		err = parcel_recv(fd, &parcel, &nowhere, 0, &none);
		if (err == -EAGAIN)
			return false;
		/* It has ended, and accepts nobody. */
		if (err)
			return true;
	} while (parcel.kind != PARCEL_YIELDED || parcel.count >> 1 != crew->number);
	*hung += parcel.count & 1;
	if (parcel.err)
		*errp = parcel.err < 0 ? parcel.err : -EPROTO;
	return true;
}

/* Who has answered is not asked by poll(2) any more. How many have. */
static unsigned int take_answers(const struct weir_crew *crew, struct pollfd *pfds,
				 unsigned int *hung, int *errp)
{
	unsigned int count = 0;
	uint32_t i;

	for (i = 0; i < crew->workers; i++) {
		if (pfds[i].fd < 0 || !pfds[i].revents || !answer(crew, pfds[i].fd, hung, errp))
			continue;
		pfds[i].fd = -1;
		count++;
	}
	return count;
}

static int await_answers(const struct weir_crew *crew, struct pollfd *pfds, unsigned int *hung)
{
	unsigned int waiting = 0, came, steps = YIELD_STEPS;
	uint32_t i;
	int err = 0;

	for (i = 0; i < crew->workers; i++)
		waiting += pfds[i].fd >= 0;
	while (waiting && steps) {
		came = poll(pfds, crew->workers, YIELD_STEP_MS) > 0 ?
		       take_answers(crew, pfds, hung, &err) : 0;
		waiting -= came;
		steps -= !came;
	}
	*hung += waiting;
	return err;
}

int weir_crew_yield(struct weir_crew *crew, int maps, unsigned int *hung)
{
	struct pollfd pfds[WEIR_WORKERS_MAX];
	uint32_t i;
	int err;

	crew->number = (crew->number + 1) & (UINT32_MAX >> 1);
	*hung = 0;
	for (i = 0; i < crew->workers; i++) {
		pfds[i] = (struct pollfd){ .fd = crew->fds[i], .events = POLLIN };
		if (crew->fds[i] < 0)
			continue;
		err = parcel_send(crew->fds[i], PARCEL_YIELD, crew->number << 1 | !!maps, 0, NULL,
				  0);
		if (!err)
			continue;
		*hung += err != -EPIPE;
		pfds[i].fd = -1;
	}
	return await_answers(crew, pfds, hung);
}

int weir_crew_tell(struct weir_crew *crew, unsigned int worker, enum weir_crew_word word)
{
	static const enum parcel_kind kinds[] = {
		[WEIR_CREW_STAY]	= PARCEL_STAY,
		[WEIR_CREW_BEGIN]	= PARCEL_BEGIN,
		[WEIR_CREW_LEAVE]	= PARCEL_SERVES,
		[WEIR_CREW_BACK]	= PARCEL_BACK,
	};
	int err = 0, failed;
	uint32_t i;

	if (word >= ARRAY_SIZE(kinds) || (worker != WEIR_WORKER_NONE && worker >= crew->workers))
		return -EINVAL;
	for (i = 0; i < crew->workers; i++) {
		if ((worker != WEIR_WORKER_NONE && worker != i) || crew->fds[i] < 0)
			continue;
		failed = parcel_send(crew->fds[i], kinds[word], 0, 0, NULL, 0);
		err = failed ? failed : err;
	}
	return err;
}

void weir_crew_close(struct weir_crew *crew)
{
	uint32_t i;

	if (!crew)
		return;
	for (i = 0; i < crew->workers; i++)
		weir_crew_leave(crew, i);
	mem_put(&base_alloc_libc, crew->fds, crew->workers, sizeof(*crew->fds));
	mem_put(&base_alloc_libc, crew, 1, sizeof(*crew));
}
