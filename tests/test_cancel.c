// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_cancel.c - a scene of fibers, tokens and callbacks, cancelled at each of its steps
 *
 * A step is a return from an await, a callback, or a turn of the loop. The scene is
 * run once to its end to see how many there are, then once for each step k with
 * everything cancelled at k, for several seeds of the simulated kernel. Whatever k is:
 * each operation has one terminal event, and no memory, file, lease or fiber is left.
 *
 * WEIR_SIM_SEEDS: how many seeds; WEIR_SIM_FIRST: the first one.
 */
#include <fcntl.h>
#include <inttypes.h>

#include "ends.h"
#include "kselftest_harness.h"

#include <weir/call.h>
#include <weir/fiber.h>

enum {
	SEEDS		= 6,
	STEPS_MIN	= 60,		/* else the scene is no test */
	RAW_OPS		= 3,
	TEXT_BYTES	= 3000,		/* of the stream, and of the file */
};

struct scene {
	struct counter counter;
	struct weir_loop *loop;
	struct weir_fibers *fibers;
	struct weir_pool *pool;
	struct weir_token root;
	struct weir_token service;	/* under root: the accept and its connections */
	struct weir_token stream;	/* under service: what a pool receives for */
	struct weir_sem echoed;
	struct server server;
	struct weir_op raw[RAW_OPS];	/* with callbacks: accept, receive, timer */
	struct seen seen[RAW_OPS];
	struct weir_lease *kept[4];
	struct weir_file pooled;	/* connection whose other end the pool receives from */
	uint64_t steps;
	uint64_t cancel_at;		/* 0: never */
	uint64_t streamed;
	uint64_t stored;
	unsigned int pooled_bytes;
	unsigned int spawned;
	unsigned int ended;
	unsigned int unspawned;
};

static void step(void *arg)
{
	struct scene *scene = arg;

	if (++scene->steps == scene->cancel_at)
		weir_token_cancel(&scene->root);
}

/* What an await came to, and a step. */
static int did(struct scene *scene, int res)
{
	step(scene);
	return res;
}

static void raw_done(struct weir_op *op)
{
	struct scene *scene = op->ctx;
	struct seen *seen = &scene->seen[op - scene->raw];

	seen->events++;
	seen->terminals += !op->more;
	seen->res = op->res;
	step(scene);
}

/* fibers */

struct job {
	struct scene *scene;
	struct weir_file file;
};

static int spawn(struct scene *scene, struct weir_token *token, weir_fiber_fn *fn, void *arg)
{
	int err = weir_fiber_spawn(NULL, scene->fibers, token, fn, arg);

	scene->spawned += !err;
	return err;
}

/* A connection of the service: send back what comes. */
static int echo_fiber(void *arg)
{
	struct job *job = arg;
	struct scene *scene = job->scene;
	char buf[512];
	int n;

	do {
		n = did(scene, weir_call_recv(scene->loop, job->file, buf, sizeof(buf), 0));
	} while (n > 0 && !did(scene, weir_call_send_all(scene->loop, job->file, buf,
							 (uint32_t)n, 0)));
	did(scene, weir_call_close(scene->loop, job->file));
	weir_sem_post(&scene->echoed);
	free(job);
	scene->ended++;
	return 0;
}

static int drop_fiber(void *arg)
{
	struct job *job = arg;

	weir_call_close(job->scene->loop, job->file);
	job->scene->ended++;
	free(job);
	return 0;
}

static void raw_received(struct weir_op *op)
{
	struct scene *scene = op->ctx;
	unsigned int i;

	if (op->res > 0)
		scene->pooled_bytes += (unsigned int)op->res;
	for (i = 0; op->lease && i < ARRAY_SIZE(scene->kept); i++) {
		if (!scene->kept[i]) {
			scene->kept[i] = weir_lease_get(op->lease);
			break;
		}
	}
	raw_done(op);
}

/* The first connection is received from by a pool, the others have a fiber each. */
static void raw_accepted(struct weir_op *op)
{
	struct scene *scene = op->ctx;
	struct job *job;

	if (op->res == 0 && !scene->pooled.gen) {
		scene->pooled = op->accepted;
		weir_prep_recv_pool(&scene->raw[1], op->accepted, scene->pool, raw_received,
				    scene);
		scene->raw[1].token = &scene->stream;
		weir_submit(scene->loop, &scene->raw[1]);
	} else if (op->res == 0) {
		job = malloc(sizeof(*job));
		if (!job)
			abort();
		*job = (struct job){ .scene = scene, .file = op->accepted };
		if (spawn(scene, &scene->service, echo_fiber, job)) {
			scene->unspawned++;
			free(job);
		}
	}
	raw_done(op);
}

static int send_text(struct scene *scene, struct weir_file file, const unsigned char *text)
{
	unsigned char back[TEXT_BYTES];
	uint32_t got = 0;
	int n;

	n = did(scene, weir_call_send_all(scene->loop, file, text, TEXT_BYTES, 0));
	while (n >= 0 && got < TEXT_BYTES) {
		n = did(scene, weir_call_recv(scene->loop, file, back + got, TEXT_BYTES - got, 0));
		if (n <= 0)
			return n ? n : -EPIPE;
		got += (uint32_t)n;
	}
	if (n < 0)
		return n;
	scene->streamed += !memcmp(back, text, TEXT_BYTES);
	return 0;
}

/* Two connections, one echoed and one that a pool receives from. */
static int client_fiber(void *arg)
{
	struct scene *scene = arg;
	const struct sockaddr *addr = (struct sockaddr *)&scene->server.addr;
	struct weir_file pooled, echoed;
	unsigned char text[TEXT_BYTES];
	int err;

	WEIR_SCOPE(scope, scene->loop, weir_loop_now(scene->loop) + NSEC_PER_SEC);

	fill(text, sizeof(text), 0);
	err = did(scene, weir_call_connect(scene->loop, addr, sizeof(scene->server.addr), 0,
					   &pooled));
	if (err)
		goto out;
	err = did(scene, weir_call_connect(scene->loop, addr, sizeof(scene->server.addr), 0,
					   &echoed));
	if (err)
		goto close_pooled;
	err = did(scene, weir_call_send_all(scene->loop, pooled, text, 100, 0));
	if (!err)
		err = send_text(scene, echoed, text);
	did(scene, weir_call_close(scene->loop, echoed));
	if (!err)
		err = did(scene, weir_sem_wait(&scene->echoed, 0));
close_pooled:
	did(scene, weir_call_close(scene->loop, pooled));
out:
	scene->ended++;
	return err;
}

static int file_fiber(void *arg)
{
	struct scene *scene = arg;
	unsigned char text[TEXT_BYTES], back[TEXT_BYTES];
	struct weir_file file;
	int n;

	fill(text, sizeof(text), 7);
	n = did(scene, weir_call_open(scene->loop, "/scene", O_CREAT | O_RDWR, 0600, 0, &file));
	if (n < 0)
		goto out;
	n = did(scene, weir_call_write(scene->loop, file, text, TEXT_BYTES, 0, 0));
	if (n > 0 && !did(scene, weir_call_fsync(scene->loop, file, 0))) {
		int got = did(scene, weir_call_read(scene->loop, file, back, (uint32_t)n, 0, 0));

		scene->stored += got > 0 && !memcmp(back, text, (size_t)got);
	}
	did(scene, weir_call_sleep(scene->loop, weir_loop_now(scene->loop) + NSEC_PER_MSEC));
	did(scene, weir_call_close(scene->loop, file));
out:
	scene->ended++;
	return 0;
}

/* the scene */

static int scene_open(struct scene *scene, uint64_t seed, uint32_t error_permille)
{
	struct weir_sim_opts sim = {
		.sz = sizeof(sim), .delay_max_ns = 200 * NSEC_PER_USEC, .short_permille = 300,
		.error_permille = error_permille,
	};
	struct weir_pool_opts pool = {
		.sz = sizeof(pool), .buf_bytes = WEIR_POOL_BUF_MIN, .count = 8,
	};
	struct weir_fibers_opts fibers = { .sz = sizeof(fibers), .fibers_max = 12 };
	struct weir_loop_hooks hooks = { .tick = step, .ctx = scene };
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = "sim", .sim = &sim, .seed = seed,
		.alloc = &scene->counter.alloc, .hooks = &hooks,
		.ops_max = 64, .files_max = 64, .bufs_max = 16,
	};
	int err;

	counter_init(&scene->counter);
	err = weir_loop_open(&scene->loop, &opts);
	if (!err)
		err = weir_fibers_open(&scene->fibers, scene->loop, &fibers);
	if (!err)
		err = weir_pool_open(&scene->pool, scene->loop, &pool);
	if (!err)
		err = weir_token_init(&scene->root, scene->loop, NULL);
	if (!err)
		err = weir_token_init(&scene->service, scene->loop, &scene->root);
	if (!err)
		err = weir_token_init(&scene->stream, scene->loop, &scene->service);
	if (!err)
		err = listener_open(scene->loop, 8, &scene->server.file, &scene->server.addr);
	return err;
}

static void scene_play(struct scene *scene)
{
	struct weir_fiber *client, *file;

	weir_sem_init(&scene->echoed, scene->loop, 0);
	weir_prep_accept(&scene->raw[0], scene->server.file, 8, raw_accepted, scene);
	scene->raw[0].token = &scene->service;
	weir_submit(scene->loop, &scene->raw[0]);
	weir_prep_timeout(&scene->raw[2], weir_loop_now(scene->loop) + 30 * NSEC_PER_SEC,
			  raw_done, scene);
	scene->raw[2].token = &scene->stream;
	weir_submit(scene->loop, &scene->raw[2]);
	if (weir_fiber_spawn(&client, scene->fibers, &scene->root, client_fiber, scene) ||
	    weir_fiber_spawn(&file, scene->fibers, &scene->root, file_fiber, scene))
		abort();
	scene->spawned += 2;
	weir_fiber_join(client, 0, NULL);
	weir_fiber_join(file, 0, NULL);
	/* The service has no end of its own. */
	weir_token_cancel(&scene->root);
}

static bool drop(struct scene *scene, struct weir_file file)
{
	struct job *job = malloc(sizeof(*job));

	if (!job)
		abort();
	*job = (struct job){ .scene = scene, .file = file };
	return !spawn(scene, NULL, drop_fiber, job);
}

/* NULL, or what was lost or is left. */
static const char *scene_close(struct scene *scene)
{
	unsigned int i;

	/* It waits for operations; connections end when their own have. */
	if (weir_await_all(&scene->root) != -ECANCELED)
		return "the root is not cancelled";
	if (!drop(scene, scene->server.file) ||
	    (scene->pooled.gen && !drop(scene, scene->pooled)))
		return "no fiber is free";
	if (weir_loop_run(scene->loop) != 1)
		return "something is in flight";
	if (scene->ended != scene->spawned || scene->unspawned)
		return "a fiber has not ended";
	for (i = 0; i < ARRAY_SIZE(scene->kept); i++)
		weir_lease_put(scene->kept[i]);
	for (i = 0; i < RAW_OPS; i++) {
		/* The receive was submitted if there was a connection. */
		if (scene->seen[i].terminals != (i != 1 || scene->pooled.gen))
			return "an operation without its one terminal event";
	}
	if (!pool_whole(scene->pool))
		return "a lease is left";
	if (stats_of(scene->loop).files || stats_of(scene->loop).inflight)
		return "a file or an operation is left";
	weir_token_fini(&scene->stream);
	weir_token_fini(&scene->service);
	weir_token_fini(&scene->root);
	weir_pool_close(scene->pool);
	if (weir_fibers_close(scene->fibers) || weir_loop_close(scene->loop, LIMIT_NS))
		return "the loop does not close";
	return scene->counter.blocks ? "memory is left" : NULL;
}

/* Plays it; returns what went wrong, or NULL. */
static const char *scene_run(struct scene *scene, uint64_t seed, uint32_t error_permille,
			     uint64_t cancel_at)
{
	*scene = (struct scene){ .cancel_at = cancel_at };
	if (scene_open(scene, seed, error_permille))
		return "it does not open";
	scene_play(scene);
	return scene_close(scene);
}

static uint64_t from_env(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : fallback;
}

static bool sweep(uint64_t seed, uint32_t error_permille)
{
	struct scene scene;
	const char *wrong;
	uint64_t steps, k;

	wrong = scene_run(&scene, seed, error_permille, 0);
	steps = scene.steps;
	for (k = 1; !wrong && k <= steps; k++)
		wrong = scene_run(&scene, seed, error_permille, k);
	if (wrong)
		fprintf(stderr, "# seed %" PRIu64 ", cancelled at step %" PRIu64 ": %s\n",
			seed, k - 1, wrong);
	return !wrong;
}

TEST(the_scene_does_its_work_when_nobody_cancels_it)
{
	struct scene scene;
	const char *wrong = scene_run(&scene, 1, 0, 0);

	EXPECT_STREQ("", wrong ? wrong : "");
	EXPECT_EQ(1, scene.streamed);
	EXPECT_EQ(1, scene.stored);
	EXPECT_LT(0, scene.pooled_bytes);
	EXPECT_EQ(-ECANCELED, scene.seen[0].res);
	EXPECT_EQ(-ECANCELED, scene.seen[2].res);
	EXPECT_LT(STEPS_MIN, scene.steps);
}

TEST(cancelled_at_any_step_it_loses_nothing_and_leaves_nothing)
{
	uint64_t first = from_env("WEIR_SIM_FIRST", 1), n = from_env("WEIR_SIM_SEEDS", SEEDS);
	uint64_t seed;

	for (seed = first; seed < first + n; seed++)
		ASSERT_TRUE(sweep(seed, 0));
}

TEST(nor_when_operations_fail_by_themselves)
{
	uint64_t first = from_env("WEIR_SIM_FIRST", 1), n = from_env("WEIR_SIM_SEEDS", SEEDS);
	uint64_t seed;

	for (seed = first; seed < first + n; seed++)
		ASSERT_TRUE(sweep(seed, 30));
}

TEST_HARNESS_MAIN
