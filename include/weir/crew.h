/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * crew.h - what a parent says to workers that are processes
 *
 * The parent has the listeners and the steering, and so it is whom a successor asks,
 * see weir_control_open(); but it is its children who accept. Each of them runs a
 * service with weir_service_opts.parent.
 */
#ifndef WEIR_CREW_H
#define WEIR_CREW_H

#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_crew;

/**
 * enum weir_crew_word - what is said
 * @WEIR_CREW_STAY: serve on, whatever becomes of the parent. Before it a child ends
 *	with its parent: who was about to succeed another is not to serve beside him
 * @WEIR_CREW_BEGIN: a successor has begun: with the parent's end now a child leaves,
 *	where before it takes back what it had yielded
 * @WEIR_CREW_LEAVE: he serves: close the listener, serve who is connected, and end
 * @WEIR_CREW_BACK: nothing came of him
 */
enum weir_crew_word {
	WEIR_CREW_STAY	= 0,
	WEIR_CREW_BEGIN	= 1,
	WEIR_CREW_LEAVE	= 2,
	WEIR_CREW_BACK	= 3,
};

/**
 * weir_crew_open() - for so many children
 * @crewp: where it goes
 * @workers: how many there may be, 1 to WEIR_WORKERS_MAX
 *
 * Context: Any thread, one at a time; as all that follow.
 * Return: 0, -EINVAL or -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK
int weir_crew_open(struct weir_crew **crewp, unsigned int workers);

/**
 * weir_crew_join() - a child is about to be forked
 * @crew: the crew
 * @worker: its number, which nobody has
 *
 * The child calls weir_crew_close() and hands what is returned to its service; the
 * parent closes it when it has forked.
 *
 * Return: a descriptor; -EINVAL for no such worker; -EBUSY when it is there; or -errno.
 */
WEIR_API int weir_crew_join(struct weir_crew *crew, unsigned int worker);

/**
 * weir_crew_leave() - a child has ended, or was not forked
 * @crew: the crew
 * @worker: its number
 */
WEIR_API void weir_crew_leave(struct weir_crew *crew, unsigned int worker);

/**
 * weir_crew_yield() - none of them is to accept any more
 * @crew: the crew
 * @maps: the successor goes on with these maps, see struct weir_steering_ops
 * @hung: told how many may accept all the same; one that does not answer in 350 ms is
 *	one of them, and does what it was told when it comes back
 *
 * Return: 0, or what kept one of them from it: all are to be told WEIR_CREW_BACK.
 */
WEIR_API int weir_crew_yield(struct weir_crew *crew, int maps, unsigned int *hung);

/**
 * weir_crew_tell() - a word to one, or to all
 * @crew: the crew
 * @worker: its number, or WEIR_WORKER_NONE for all
 * @word: enum weir_crew_word
 *
 * Does not wait.
 *
 * Return: 0; -EINVAL; or the -errno of the last that could not be told: it has ended
 * (-EPIPE), or has been stopped for very long (-EAGAIN).
 */
WEIR_API int weir_crew_tell(struct weir_crew *crew, unsigned int worker,
			    enum weir_crew_word word);

/**
 * weir_crew_close() - nothing more will be said, free
 * @crew: the crew; NULL is allowed
 *
 * Of the parent: as if it had ended.
 */
WEIR_API void weir_crew_close(struct weir_crew *crew);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_CREW_H */
