// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_post.c - messages to a loop: from threads, from loops, from signal handlers
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <weir/post.h>

#include "backends.h"
#include "kselftest_harness.h"

enum { SENDERS = 4, EACH = 20000, ROUNDS = 5000, SLOTS = 64 };

/* A loop that runs on a thread of its own until it is stopped. */
struct owner {
	struct weir_loop *loop;
	pthread_t thread;
	sem_t ran;		/* its run has returned */
	sem_t may_close;	/* nobody else uses the loop any more */
	struct weir_op hold;	/* something in flight, for ever */
	bool ended;
};

static void hold_ends(struct weir_op *op)
{
	struct owner *owner = op->ctx;

	owner->ended = true;
}

static void hold(struct owner *owner)
{
	weir_prep_timeout(&owner->hold, UINT64_MAX, hold_ends, owner);
	weir_submit(owner->loop, &owner->hold);
}

static void *own(void *arg)
{
	struct owner *owner = arg;

	hold(owner);
	if (weir_loop_run(owner->loop))
		abort();
	sem_post(&owner->ran);
	while (sem_wait(&owner->may_close))
		;
	if (weir_loop_close(owner->loop, LIMIT_NS))
		abort();
	return NULL;
}

static void owner_start(struct owner *owner)
{
	sem_init(&owner->ran, 0, 0);
	sem_init(&owner->may_close, 0, 0);
	if (pthread_create(&owner->thread, NULL, own, owner))
		abort();
}

static void owner_stop(struct owner *owner)
{
	weir_loop_stop(owner->loop);
	while (sem_wait(&owner->ran))
		;
}

static void owner_end(struct owner *owner)
{
	sem_post(&owner->may_close);
	pthread_join(owner->thread, NULL);
}

FIXTURE(post)
{
	struct weir_loop *loop;
	struct owner owner;
};

BACKEND_VARIANTS(post);

FIXTURE_SETUP(post)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .posts_max = SLOTS,
	};

	OPEN_LOOP(&self->loop, &opts);
	self->owner.loop = self->loop;
	hold(&self->owner);
}

FIXTURE_TEARDOWN(post)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_TRUE(self->owner.ended);
}

struct note {
	struct weir_post post;
	unsigned int sender;
	unsigned int number;
	atomic_bool there;
	struct inbox *inbox;
};

struct inbox {
	struct weir_loop *loop;
	unsigned int count;
	unsigned int disorder;
	unsigned int cancelled;
	unsigned int next[SENDERS];
};

static void note_arrives(struct weir_post *post)
{
	struct note *note = post->ctx;
	struct inbox *inbox = note->inbox;

	inbox->count++;
	inbox->disorder += note->number != inbox->next[note->sender];
	inbox->next[note->sender] = note->number + 1;
	inbox->cancelled += post->res == -ECANCELED;
	inbox->loop = post->loop;
	atomic_store_explicit(&note->there, true, memory_order_release);
}

static void note_init(struct note *note, struct inbox *inbox, unsigned int sender,
		      unsigned int number)
{
	*note = (struct note){
		.post = { .fn = note_arrives, .ctx = note },
		.inbox = inbox, .sender = sender, .number = number,
	};
}

TEST_F(post, messages_arrive_in_order_and_in_a_turn)
{
	struct note notes[8];
	struct inbox inbox = { 0 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(notes); i++) {
		note_init(&notes[i], &inbox, 0, i);
		EXPECT_EQ(0, weir_post(NULL, self->loop, &notes[i].post));
	}
	EXPECT_EQ(0, inbox.count);
	RUN_UNTIL(self->loop, inbox.count == ARRAY_SIZE(notes));
	EXPECT_EQ(0, inbox.disorder);
	EXPECT_EQ(0, inbox.cancelled);
	EXPECT_EQ(self->loop, inbox.loop);
	EXPECT_EQ(ARRAY_SIZE(notes), stats_of(self->loop).posts);
}

TEST_F(post, a_full_queue_refuses_and_counts_it)
{
	struct note notes[SLOTS + 1];
	struct inbox inbox = { 0 };
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		note_init(&notes[i], &inbox, 0, i);
		EXPECT_EQ(0, weir_post(NULL, self->loop, &notes[i].post));
	}
	note_init(&notes[SLOTS], &inbox, 0, SLOTS);
	EXPECT_EQ(-EAGAIN, weir_post(NULL, self->loop, &notes[SLOTS].post));
	EXPECT_EQ(1, stats_of(self->loop).posts_refused);
	RUN_UNTIL(self->loop, inbox.count == SLOTS);
	EXPECT_EQ(0, weir_post(NULL, self->loop, &notes[SLOTS].post));
	RUN_UNTIL(self->loop, inbox.count == SLOTS + 1);
	EXPECT_EQ(0, inbox.disorder);
}

TEST_F(post, one_without_a_function_is_refused)
{
	struct weir_post post = { 0 };

	EXPECT_EQ(-EINVAL, weir_post(NULL, self->loop, &post));
}

struct again {
	struct weir_post post;
	unsigned int left;
	unsigned int turns;
	uint64_t turn;
};

static void post_again(struct weir_post *post)
{
	struct again *again = post->ctx;
	uint64_t turn = stats_of(post->loop).turns;

	again->turns += turn != again->turn;
	again->turn = turn;
	if (again->left-- && weir_post(post->loop, post->loop, post))
		abort();
}

TEST_F(post, one_posted_to_its_own_loop_comes_in_the_next_turn)
{
	struct again again = { .post = { .fn = post_again, .ctx = &again }, .left = 10 };

	EXPECT_EQ(0, weir_post(NULL, self->loop, &again.post));
	RUN_UNTIL(self->loop, again.left == UINT32_MAX);
	EXPECT_EQ(11, again.turns);
}

TEST_F(post, a_loop_that_closes_tells_so)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	struct inbox inbox = { 0 };
	struct weir_loop *loop;
	struct note note;

	OPEN_LOOP(&loop, &opts);
	note_init(&note, &inbox, 0, 0);
	EXPECT_EQ(0, weir_post(NULL, loop, &note.post));
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	EXPECT_EQ(1, inbox.count);
	EXPECT_EQ(1, inbox.cancelled);
}

static void post_twice(void *arg)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = arg };
	struct weir_post post = { .fn = post_again };
	struct weir_loop *loop;

	if (!weir_loop_open(&loop, &opts) && !weir_post(NULL, loop, &post))
		(void)!weir_post(NULL, loop, &post);
}

TEST_F(post, one_on_its_way_may_not_be_posted_again)
{
	char text[256];
	int status = run_child(post_twice, (void *)(uintptr_t)weir_loop_backend(self->loop),
			       text, sizeof(text));

	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	EXPECT_NE(NULL, strstr(text, "on its way"));
}

static struct weir_loop *signalled;
static struct note signal_note;

static void on_signal(int sig)
{
	if (weir_post(NULL, signalled, &signal_note.post))
		abort();
}

TEST_F(post, a_signal_handler_may_post)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct inbox inbox = { 0 };

	signalled = self->loop;
	note_init(&signal_note, &inbox, 0, 0);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	RUN_UNTIL(self->loop, inbox.count);
	EXPECT_EQ(0, inbox.disorder);
}

struct sender {
	pthread_t thread;
	struct weir_loop *to;
	struct inbox *inbox;
	unsigned int number;
	uint64_t refused;
};

static void *send_all(void *arg)
{
	struct sender *sender = arg;
	struct note notes[8];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(notes); i++)
		notes[i].there = true;
	for (i = 0; i < EACH; i++) {
		struct note *note = &notes[i % ARRAY_SIZE(notes)];

		while (!atomic_load_explicit(&note->there, memory_order_acquire))
			sched_yield();
		note_init(note, sender->inbox, sender->number, i);
		while (weir_post(NULL, sender->to, &note->post)) {
			sender->refused++;
			sched_yield();
		}
	}
	for (i = 0; i < ARRAY_SIZE(notes); i++) {
		while (!atomic_load_explicit(&notes[i].there, memory_order_acquire))
			sched_yield();
	}
	return NULL;
}

/* However long it takes them to get a processor, something comes all the time. */
TEST_F_TIMEOUT(post, many_senders_lose_nothing, 110)
{
	struct sender senders[SENDERS];
	struct inbox inbox = { 0 };
	uint64_t refused = 0;
	unsigned int i;

	for (i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){
			.to = self->loop, .inbox = &inbox, .number = i,
		};
		ASSERT_EQ(0, pthread_create(&senders[i].thread, NULL, send_all, &senders[i]));
	}
	while (inbox.count < SENDERS * EACH) {
		/* The world of sim stands still while nothing is in it. */
		int err = on_sim(self->loop) ? weir_loop_run_once(self->loop, 0) :
					       run_turn(self->loop);

		ASSERT_LE(0, err);
	}
	for (i = 0; i < SENDERS; i++) {
		pthread_join(senders[i].thread, NULL);
		refused += senders[i].refused;
	}
	EXPECT_EQ(0, inbox.disorder);
	EXPECT_EQ(refused, stats_of(self->loop).posts_refused);
}

/* Two loops that throw one message back and forth. */
FIXTURE(loops)
{
	struct owner a;
	struct owner b;
};

KERNEL_VARIANTS(loops);

FIXTURE_SETUP(loops)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };

	OPEN_LOOP(&self->a.loop, &opts);
	OPEN_LOOP(&self->b.loop, &opts);
}

FIXTURE_TEARDOWN(loops)
{
}

struct ball {
	struct weir_post post;
	struct weir_loop *a;
	struct weir_loop *b;
	unsigned int rounds;
	sem_t over;
	uint64_t bells;
	uint64_t silent;	/* throws of a when no bell was on its way, and b could hear one */
	atomic_uint wrong;
};

static void ball_comes(struct weir_post *post)
{
	struct ball *ball = post->ctx;
	bool at_a = post->loop == ball->a;

	ball->wrong += !pthread_equal(post->loop->owner, pthread_self());
	ball->wrong += post->res != 0;
	if (at_a && ++ball->rounds == ROUNDS) {
		ball->bells = stats_of(post->loop).bells;
		sem_post(&ball->over);
		return;
	}
	/* One that is awake finds the message before it hears the bell. */
	ball->silent += at_a && atomic_load(&ball->b->enabled) && !atomic_load(&ball->b->bell);
	if (weir_post(post->loop, at_a ? ball->b : ball->a, post))
		abort();
}

TEST_F(loops, a_message_goes_back_and_forth)
{
	struct ball ball = {
		.post = { .fn = ball_comes, .ctx = &ball },
		.a = self->a.loop, .b = self->b.loop,
	};
	bool rings = !strcmp(variant->name, "uring");

	sem_init(&ball.over, 0, 0);
	owner_start(&self->a);
	owner_start(&self->b);
	EXPECT_EQ(0, weir_post(NULL, self->a.loop, &ball.post));
	while (sem_wait(&ball.over))
		;
	owner_stop(&self->a);
	owner_stop(&self->b);
	owner_end(&self->a);
	owner_end(&self->b);
	EXPECT_EQ(ROUNDS, ball.rounds);
	EXPECT_EQ(0, atomic_load(&ball.wrong));
	EXPECT_LT(0, ball.silent);
	EXPECT_LE(rings ? ball.silent : 0, ball.bells);
	EXPECT_GE(rings ? ROUNDS : 0, ball.bells);
}

/* One loop floods another, with one bell at a time. */
struct flood {
	struct note notes[SLOTS];
	struct weir_post start;
	struct weir_loop *to;
	uint64_t bells;
};

static void flood(struct weir_post *post)
{
	struct flood *flood = post->ctx;
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		if (weir_post(post->loop, flood->to, &flood->notes[i].post))
			abort();
	}
	flood->bells = stats_of(post->loop).bells;
}

TEST_F(loops, one_bell_is_outstanding_at_most)
{
	struct inbox inbox = { 0 };
	struct flood all = {
		.start = { .fn = flood, .ctx = &all }, .to = self->b.loop,
	};
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		note_init(&all.notes[i], &inbox, 0, i);
	hold(&self->b);
	ASSERT_LE(0, weir_loop_run_once(self->b.loop, 0));	/* enabled, and ours */
	owner_start(&self->a);
	EXPECT_EQ(0, weir_post(NULL, self->a.loop, &all.start));
	RUN_UNTIL(self->b.loop, inbox.count == SLOTS);
	owner_stop(&self->a);
	owner_end(&self->a);
	EXPECT_EQ(0, inbox.disorder);
	if (!strcmp(variant->name, "uring")) {
		EXPECT_LE(1, all.bells);
		EXPECT_GE(SLOTS / 2, all.bells);
	}
	EXPECT_EQ(0, weir_loop_close(self->b.loop, LIMIT_NS));
}

/* A loop that is given up before it submits leaves no message unheard. */
static void *die_in_turn(void *arg)
{
	struct flood *flood = arg;

	if (weir_loop_run_once(flood->notes[0].post.loop, NSEC_PER_SEC) < 0)
		abort();
	return NULL;
}

static void post_and_die(struct weir_post *post)
{
	struct flood *flood = post->ctx;

	if (weir_post(post->loop, flood->to, &flood->notes[0].post))
		abort();
	loop_abandon(post->loop);
	pthread_exit(NULL);
}

TEST_F(loops, a_sender_that_dies_before_it_submits_is_heard)
{
	struct inbox inbox = { 0 };
	struct flood all = {
		.start = { .fn = post_and_die, .ctx = &all }, .to = self->b.loop,
	};

	note_init(&all.notes[0], &inbox, 0, 0);
	all.notes[0].post.loop = self->a.loop;
	hold(&self->b);
	ASSERT_LE(0, weir_loop_run_once(self->b.loop, 0));
	EXPECT_EQ(0, weir_post(NULL, self->a.loop, &all.start));
	ASSERT_EQ(0, pthread_create(&self->a.thread, NULL, die_in_turn, &all));
	RUN_UNTIL(self->b.loop, inbox.count == 1);
	pthread_join(self->a.thread, NULL);
	EXPECT_EQ(0, weir_loop_close(self->b.loop, LIMIT_NS));
}

TEST_HARNESS_MAIN
