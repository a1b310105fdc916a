// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_alloc.c - no allocation on the I/O path
 *
 * Counts the loop's own hooks and every call of the C library's allocator, by
 * standing in its place. Sanitizers stand there themselves: skipped.
 */
#include "backends.h"
#include "kselftest_harness.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static unsigned long allocations;

#if defined(__GLIBC__) && !defined(SANITIZED)
#define COUNTED 1

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *mem, size_t size);
void *__libc_memalign(size_t align, size_t size);

static void count_one(void)
{
	__atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
	count_one();
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	count_one();
	return __libc_calloc(count, size);
}

void *realloc(void *mem, size_t size)
{
	count_one();
	return __libc_realloc(mem, size);
}

int posix_memalign(void **memp, size_t align, size_t size)
{
	count_one();
	*memp = __libc_memalign(align, size);
	return *memp ? 0 : ENOMEM;
}

void *aligned_alloc(size_t align, size_t size)
{
	count_one();
	return __libc_memalign(align, size);
}
#else
#define COUNTED 0
#endif

static void *hook_get(void *ctx, size_t bytes, size_t align)
{
	unsigned long *gets = ctx;
	void *mem;

	++*gets;
	return posix_memalign(&mem, align < sizeof(mem) ? sizeof(mem) : align, bytes) ? NULL :
	       mem;
}

static void hook_put(void *ctx, void *mem, size_t bytes)
{
	free(mem);
}

FIXTURE(alloc)
{
	unsigned long gets;
	struct weir_alloc alloc;
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct server server;
	struct weir_file client;
	struct weir_file peer;
	struct weir_op recv;
};

BACKEND_VARIANTS(alloc);

FIXTURE_SETUP(alloc)
{
	struct weir_pool_opts shape = { .sz = sizeof(shape), .buf_bytes = 256, .count = 64 };
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .alloc = &self->alloc,
	};

	if (!COUNTED)
		SKIP(_exit(KSFT_SKIP), "a sanitizer or another C library owns the allocator");
	self->alloc = (struct weir_alloc){
		.get = hook_get, .put = hook_put, .ctx = &self->gets,
	};
	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, weir_pool_open(&self->pool, self->loop, &shape));
	ASSERT_EQ(0, server_open(self->loop, &self->server, 64));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->client, &self->peer));
}

FIXTURE_TEARDOWN(alloc)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_pool_close(self->pool));
}

enum kind { NOPS, TIMERS, ECHOES, CONNECTS, KINDS };

struct mill {
	struct weir_op op;
	enum kind kind;
	unsigned int left;
	struct weir_file file;
	const struct sockaddr_in *addr;
	unsigned int errors;
};

static void mill_turn(struct weir_loop *loop, struct mill *mill);

static void mill_done(struct weir_op *op)
{
	struct mill *mill = op->ctx;

	mill->errors += op->res < 0;
	if (--mill->left)
		mill_turn(op->lib_loop, mill);
}

static void mill_connected(struct weir_op *op)
{
	struct mill *mill = op->ctx;

	mill->errors += op->res < 0;
	mill->left--;
	weir_prep_close(op, op->accepted, mill_done, mill);
	weir_submit(op->lib_loop, op);
}

static void mill_turn(struct weir_loop *loop, struct mill *mill)
{
	static const char text[64];

	switch (mill->kind) {
	case TIMERS:
		weir_prep_timeout(&mill->op, weir_loop_now(loop) + mill->left % 7, mill_done,
				  mill);
		break;
	case ECHOES:
		weir_prep_send(&mill->op, mill->file, text, sizeof(text), mill_done, mill);
		break;
	case CONNECTS:
		weir_prep_connect(&mill->op, (const struct sockaddr *)mill->addr,
				  sizeof(*mill->addr), mill_connected, mill);
		break;
	default:
		weir_prep_nop(&mill->op, mill_done, mill);
		break;
	}
	weir_submit(loop, &mill->op);
}

static uint64_t received;

static void count_received(struct weir_op *op)
{
	if (op->res > 0)
		received += (uint64_t)op->res;
}

/* Those that the clients leave behind. */
static struct weir_op closes[64];

static void close_accepted(struct weir_op *op)
{
	struct weir_op *close_op = &closes[op->accepted.index % ARRAY_SIZE(closes)];

	if (op->res || weir_op_busy(close_op))
		return;
	weir_prep_close(close_op, op->accepted, seen_done, op->ctx);
	weir_submit(op->lib_loop, close_op);
}

TEST_F_TIMEOUT(alloc, a_million_operations_take_no_memory, 120)
{
	static const unsigned int share[KINDS] = { 770000, 20000, 200000, 10000 };
	static struct mill mill[KINDS];
	static struct seen seen;
	unsigned long gets, before;
	uint64_t ops;
	int i;

	weir_prep_recv_pool(&self->recv, self->peer, self->pool, count_received, NULL);
	weir_submit(self->loop, &self->recv);
	self->server.accept.done = close_accepted;
	self->server.accept.ctx = &seen;
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	ops = stats_of(self->loop).ops;
	gets = self->gets;
	before = allocations;
	EXPECT_LT(0, gets);
	EXPECT_LT(0, before);

	for (i = 0; i < KINDS; i++) {
		mill[i].kind = (enum kind)i;
		mill[i].left = share[i];
		mill[i].file = self->client;
		mill[i].addr = &self->server.addr;
		mill_turn(self->loop, &mill[i]);
	}
	for (i = 0; i < KINDS; i++) {
		while (mill[i].left)
			ASSERT_EQ(0, run_turn(self->loop));
	}
	EXPECT_EQ(before, allocations);
	EXPECT_EQ(gets, self->gets);
	for (i = 0; i < KINDS; i++) {
		EXPECT_EQ(0, mill[i].left);
		EXPECT_EQ(0, mill[i].errors);
	}
	EXPECT_LE(1000000, stats_of(self->loop).ops - ops);
	RUN_UNTIL(self->loop, received == 200000 * 64);
	self->server.accept.ctx = &self->server.seen;
	self->server.accept.done = seen_done;
}

TEST_HARNESS_MAIN
