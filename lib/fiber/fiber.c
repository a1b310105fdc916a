// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * fiber.c - fibers of a loop: their stacks, their life, their semaphores
 *
 * All stacks are one mapping, each with a guard page below it. The loop runs the
 * fibers that are ready, from its turn and nowhere else, so a fiber never runs
 * inside a callback or another fiber.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weir/fiber.h>

#include "fiber/context.h"
#include "fiber/sem.h"
#include "io/await.h"

enum fiber_state {
	FIBER_FREE,
	FIBER_LIVE,
	FIBER_OVER,	/* its stack is free; to be joined */
};

struct weir_fiber {
	struct io_fiber io;
	struct fiber_context context;
	struct weir_fibers *fibers;
	struct weir_token token;
	struct weir_sem ended;
	struct weir_fiber *next;	/* free list */
	weir_fiber_fn *fn;
	void *arg;
	int res;
	uint8_t state;			/* enum fiber_state */
	bool joinable;
	bool left;			/* it went home for good */
};

struct weir_fibers {
	struct io_fibers io;
	struct weir_loop *loop;
	struct fiber_context home;
	struct weir_fiber *all;
	struct weir_fiber *free;	/* last in first out: its stack is warm */
	struct weir_fibers_opts opts;
	uint32_t live;
	size_t page_bytes;
	unsigned char *map;
};

static struct weir_fiber *fiber_of(struct io_fiber *io)
{
	return container_of(io, struct weir_fiber, io);
}

/* stacks */

static size_t slot_bytes(const struct weir_fibers *fibers)
{
	return fibers->page_bytes + fibers->opts.stack_bytes;
}

static unsigned char *stack_of(const struct weir_fibers *fibers, uint32_t i)
{
	return fibers->map + i * slot_bytes(fibers) + fibers->page_bytes;
}

static int map_stacks(struct weir_fibers *fibers)
{
	size_t bytes = slot_bytes(fibers) * fibers->opts.fibers_max;
	uint32_t i;
	void *map;

	map = mmap(NULL, bytes, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
	fibers->map = map;
	for (i = 0; i < fibers->opts.fibers_max; i++) {
		if (!mprotect(stack_of(fibers, i), fibers->opts.stack_bytes,
			      PROT_READ | PROT_WRITE))
			continue;
		munmap(map, bytes);
		return -ENOMEM;
	}
	return 0;
}

/* life */

static void fiber_free(struct weir_fiber *fiber)
{
	fiber->state = FIBER_FREE;
	fiber->next = fiber->fibers->free;
	fiber->fibers->free = fiber;
}

static void fiber_main(void *arg)
{
	struct weir_fiber *fiber = arg;

	context_begin(&fiber->context);
	fiber->res = fiber->fn(fiber->arg);
	token_settle(&fiber->token);
	fiber->left = true;
	context_leave(&fiber->context);
}

/* On the loop's stack: its own is no longer in use. */
static void fiber_over(struct weir_fiber *fiber)
{
	context_drop(&fiber->context);
	fiber->fibers->live--;
	fiber->state = FIBER_OVER;
	if (fiber->joinable)
		weir_sem_post(&fiber->ended);
	else
		fiber_free(fiber);
}

static unsigned int fibers_run(struct io_fibers *io)
{
	struct weir_link now;
	unsigned int n;

	/* Those that become ready meanwhile wait for the next round. */
	list_take(&now, &io->ready);
	for (n = 0; !list_empty(&now); n++) {
		struct weir_fiber *fiber =
			fiber_of(container_of(now.next, struct io_fiber, ready));

		list_del(&fiber->io.ready);
		io->running = &fiber->io;
		context_enter(&fiber->context);
		io->running = NULL;
		if (fiber->left)
			fiber_over(fiber);
	}
	return n;
}

static void fibers_suspend(struct io_fibers *io)
{
	context_home(&fiber_of(io->running)->context);
}

/* open and close */

static int read_opts(struct weir_fibers *fibers, const struct weir_fibers_opts *given)
{
	struct weir_fibers_opts *opts = &fibers->opts;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int err;

	err = opts_copy(opts, sizeof(*opts), given);
	if (err)
		return err;
	if (!opts->fibers_max)
		opts->fibers_max = WEIR_FIBERS_DEFAULT;
	if (!opts->stack_bytes)
		opts->stack_bytes = WEIR_FIBER_STACK_DEFAULT;
	if (opts->fibers_max > WEIR_FIBERS_MAX || opts->stack_bytes < WEIR_FIBER_STACK_MIN ||
	    opts->stack_bytes > WEIR_FIBER_STACK_MAX)
		return -EINVAL;
	opts->stack_bytes = (uint32_t)((opts->stack_bytes + page - 1) / page * page);
	fibers->page_bytes = page;
	return 0;
}

static void fibers_init(struct weir_fibers *fibers)
{
	uint32_t i;

	fibers->io.run = fibers_run;
	fibers->io.suspend = fibers_suspend;
	list_init(&fibers->io.ready);
	for (i = fibers->opts.fibers_max; i-- > 0;) {
		fibers->all[i].fibers = fibers;
		fiber_free(&fibers->all[i]);
	}
}

int weir_fibers_open(struct weir_fibers **fibersp, struct weir_loop *loop,
		     const struct weir_fibers_opts *opts)
{
	struct weir_fibers *fibers;
	int err;

	assert_owner(loop);
	if (loop->fibers)
		return -EBUSY;
	fibers = mem_get(&loop->alloc, 1, sizeof(*fibers), _Alignof(struct weir_fibers));
	if (!fibers)
		return -ENOMEM;
	fibers->loop = loop;
	err = read_opts(fibers, opts);
	if (err)
		goto free_fibers;
	fibers->all = mem_get(&loop->alloc, fibers->opts.fibers_max, sizeof(*fibers->all),
			      _Alignof(struct weir_fiber));
	if (!fibers->all) {
		err = -ENOMEM;
		goto free_fibers;
	}
	err = map_stacks(fibers);
	if (err)
		goto free_all;
	fibers_init(fibers);
	loop->fibers = &fibers->io;
	*fibersp = fibers;
	return 0;

free_all:
	mem_put(&loop->alloc, fibers->all, fibers->opts.fibers_max, sizeof(*fibers->all));
free_fibers:
	mem_put(&loop->alloc, fibers, 1, sizeof(*fibers));
	return err;
}

int weir_fibers_close(struct weir_fibers *fibers)
{
	struct weir_loop *loop;

	if (!fibers)
		return 0;
	loop = fibers->loop;
	assert_owner(loop);
	if (fibers->live)
		return -EBUSY;
	loop->fibers = NULL;
	munmap(fibers->map, slot_bytes(fibers) * fibers->opts.fibers_max);
	mem_put(&loop->alloc, fibers->all, fibers->opts.fibers_max, sizeof(*fibers->all));
	mem_put(&loop->alloc, fibers, 1, sizeof(*fibers));
	return 0;
}

/* the calls of fiber.h */

int weir_fiber_spawn(struct weir_fiber **fiberp, struct weir_fibers *fibers,
		     struct weir_token *parent, weir_fiber_fn *fn, void *arg)
{
	struct weir_loop *loop = fibers->loop;
	struct weir_fiber *fiber = fibers->free;
	int err;

	assert_owner(loop);
	if (!fn)
		return -EINVAL;
	if (!fiber)
		return -EAGAIN;
	err = weir_token_init(&fiber->token, loop, parent ? parent : weir_scope_token(loop));
	if (err)
		return err;
	fibers->free = fiber->next;
	fibers->live++;
	fiber->state = FIBER_LIVE;
	fiber->left = false;
	fiber->fn = fn;
	fiber->arg = arg;
	fiber->joinable = fiberp;
	fiber->io.scope = &fiber->token;
	weir_sem_init(&fiber->ended, loop, 0);
	context_make(&fiber->context, &fibers->home,
		     stack_of(fibers, (uint32_t)(fiber - fibers->all)),
		     fibers->opts.stack_bytes, fiber_main, fiber);
	list_init(&fiber->io.ready);
	list_add_tail(&fibers->io.ready, &fiber->io.ready);
	if (fiberp)
		*fiberp = fiber;
	if (loop->nested && !loop->running)
		loop_tell(loop);
	return 0;
}

void weir_fiber_cancel(struct weir_fiber *fiber)
{
	if (fiber->state == FIBER_LIVE && !fiber->left)
		weir_token_cancel(&fiber->token);
}

struct weir_fiber *weir_fiber_self(struct weir_loop *loop)
{
	assert_owner(loop);
	return loop->fibers && loop->fibers->running ? fiber_of(loop->fibers->running) : NULL;
}

int weir_fiber_yield(struct weir_loop *loop)
{
	struct weir_fiber *self = weir_fiber_self(loop);

	if (!self)
		return -EINVAL;
	list_add_tail(&loop->fibers->ready, &self->io.ready);
	context_home(&self->context);
	return weir_token_error(self->io.scope);
}

int weir_fiber_join(struct weir_fiber *fiber, uint64_t deadline_ns, int *resp)
{
	struct weir_loop *loop = fiber->fibers->loop;
	int err;

	if (fiber == weir_fiber_self(loop))
		return -EDEADLK;
	err = sem_wait_under(&fiber->ended, deadline_ns, NULL);
	if (err)
		return err;
	if (resp)
		*resp = fiber->res;
	fiber_free(fiber);
	return 0;
}
