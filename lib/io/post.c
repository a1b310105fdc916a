// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * post.c - messages to a loop: a stack that many push onto and its owner takes
 * whole
 *
 * A push is one compare-and-swap: a sender that is interrupted holds nobody up,
 * which a ring with places to fill in cannot say of itself.
 *
 * Memory order: the push pairs with the exchange in posts_run(). A sender looks
 * at the bell after its push, the owner clears the bell before it takes: one of
 * the two sees the other.
 */
#include <errno.h>

#include <weir/post.h>

#include "io/backend.h"

static void push(struct weir_loop *to, struct weir_post *post)
{
	struct weir_post *head = atomic_load(&to->posts);

	do
		post->lib_next = head;
	while (!atomic_compare_exchange_weak(&to->posts, &head, post));
}

/*
 * A bell of a ring sounds only when that ring's loop submits. So it has a mark of
 * its own, and who wakes in any other way does not rely on it.
 */
static void ring(struct weir_loop *from, struct weir_loop *to)
{
	if (from == to)
		return;		/* turn_deadline() sees it */
	if (!from || !from->running || from->backend != to->backend || !from->backend->bell ||
	    !atomic_load(&to->enabled)) {
		weir_loop_wake(to);
		return;
	}
	if (atomic_exchange(&to->bell, true))
		return;
	if (!from->backend->bell(from, to)) {
		from->rang = true;
		return;
	}
	atomic_store(&to->bell, false);
	weir_loop_wake(to);
}

static void put(struct weir_loop *from, struct weir_loop *to, struct weir_post *post)
{
	if (post->lib_busy)
		base_die("weir: a message on its way was posted again");
	post->lib_busy = 1;
	push(to, post);
	ring(from, to);
}

void post_put(struct weir_loop *from, struct weir_loop *to, struct weir_post *post)
{
	atomic_fetch_add(&to->posts_count, 1);
	put(from, to, post);
}

int weir_post(struct weir_loop *from, struct weir_loop *to, struct weir_post *post)
{
	if (!post->fn)
		return -EINVAL;
	if (to->forked)
		return -ECHILD;
	if (from)
		assert_owner(from);
	if (atomic_fetch_add(&to->posts_count, 1) >= to->opts.posts_max) {
		atomic_fetch_sub(&to->posts_count, 1);
		atomic_fetch_add(&to->posts_refused, 1);
		return -EAGAIN;
	}
	put(from, to, post);
	return 0;
}

/* The last that was pushed comes first off the stack. */
static struct weir_post *turn_round(struct weir_post *post)
{
	struct weir_post *first = NULL;

	while (post) {
		struct weir_post *next = post->lib_next;

		post->lib_next = first;
		first = post;
		post = next;
	}
	return first;
}

unsigned int posts_run(struct weir_loop *loop)
{
	struct weir_post *post, *next;
	unsigned int n = 0;

	/* Those that are posted meanwhile wait for the next turn. */
	for (post = turn_round(atomic_exchange(&loop->posts, NULL)); post; post = next) {
		next = post->lib_next;
		atomic_fetch_sub(&loop->posts_count, 1);
		post->lib_busy = 0;
		post->loop = loop;
		post->res = loop->closing ? -ECANCELED : 0;
		loop->stats.posts++;
		n++;
		post->fn(post);
	}
	return n;
}
