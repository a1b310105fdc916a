// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_rescue_time.c - how long clients wait in the queue of a worker that hangs
 *
 * The limit: each is answered within rescue_ns, one period of the supervisor and
 * 10 ms from when it waited for a worker that hung, and none is reset. A wait
 * begins before connect() and ends when the client has its answer, so that all of
 * scheduling is in it; where processors are shared with others one round may be
 * late for their sake, half of them not.
 */
#include "hang.h"

#define ROUNDS		15
#define ROUNDS_BROKEN	7
#define TRIES		8	/* rounds in which the hung one got no client */
#define CLIENTS		16
#define GAP_NS		2500000ULL	/* between clients: also after the rescue */
#define PERIOD_NS	5000000ULL	/* the supervisor's default */
#define LIMIT_NS	(WEIR_RESCUE_NS + PERIOD_NS + 10000000ULL)
#define LONG_NS		400000000ULL	/* of a supervisor that looks too rarely */

FIXTURE_VARIANT_ADD(hang, uring_spin) { .backend = "uring", .hang = HANG_SPIN };
FIXTURE_VARIANT_ADD(hang, uring_sleep) { .backend = "uring", .hang = HANG_SLEEP };
FIXTURE_VARIANT_ADD(hang, epoll_sleep) { .backend = "epoll", .hang = HANG_SLEEP };

struct waiting {
	int fd;
	uint64_t since_ns;
};

struct hang_round {
	struct waiting clients[CLIENTS];
	unsigned int begun, ended, resets;
	uint64_t worst_ns;	/* wait of a client */
	uint64_t moved_ns;	/* from the hang to the first rescue, by the library's clock */
};

/* The next client, at its instant or later. */
static int client_begin(struct _test_data_hang *self, struct hang_round *r)
{
	struct waiting *client = &r->clients[r->begun];
	uint64_t hung_ns = atomic_load(&scene.since_ns), ns = now_ns();

	if (r->begun == CLIENTS || ns < hung_ns + r->begun * GAP_NS)
		return 0;
	client->since_ns = ns > hung_ns ? ns : hung_ns;
	client->fd = client_send(self, 'x');
	r->begun++;
	return client->fd < 0 ? -errno : 0;
}

/* Who has an answer, waiting for one for a moment. */
static void answers_take(struct hang_round *r)
{
	struct pollfd pfd[CLIENTS];
	unsigned int i;
	uint64_t ns;
	char c;

	for (i = 0; i < r->begun; i++)
		pfd[i] = (struct pollfd) { .fd = r->clients[i].fd, .events = POLLIN };
	if (poll(pfd, r->begun, 1) <= 0)
		return;
	ns = now_ns();
	for (i = 0; i < r->begun; i++) {
		if (!pfd[i].revents)
			continue;
		if (recv(pfd[i].fd, &c, 1, 0) != 1)
			r->resets++;
		if (ns - r->clients[i].since_ns > r->worst_ns)
			r->worst_ns = ns - r->clients[i].since_ns;
		close(pfd[i].fd);
		r->clients[i].fd = -1;
		r->ended++;
	}
}

static void rescue_note(struct weir_bpf_view *view, struct hang_round *r)
{
	uint64_t hung_ns = atomic_load(&scene.since_ns);
	struct weir_bpf_worker worker;

	if (r->moved_ns || weir_bpf_view_worker(view, atomic_load(&scene.worker), &worker))
		return;
	if (worker.pending.rescued_ns > hung_ns)
		r->moved_ns = worker.pending.rescued_ns - hung_ns;
}

/* One hang, and clients from its first instant on until long after its rescue. */
static int round_run(struct _test_data_hang *self, struct weir_bpf_view *view,
		     struct hang_round *r)
{
	uint64_t end = now_ns() + WAIT_MS * 1000000ULL;
	int blamed, err = 0;

	memset(r, 0, sizeof(*r));
	blamed = make_hang(self);
	if (blamed < 0)
		return -1;
	while (r->ended < CLIENTS && !err && now_ns() < end) {
		err = client_begin(self, r);
		answers_take(r);
		rescue_note(view, r);
	}
	hang_end(self);
	if (answered(blamed, WAIT_MS) != 1)
		err = -1;
	close(blamed);
	return r->ended == CLIENTS ? err : -1;
}

static int compare(const void *one, const void *two)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)two;

	return (a > b) - (a < b);
}

/* Medians over @rounds, of the longest wait, too; 0 when a client was lost. */
static uint64_t median_wait(struct __test_metadata *_metadata, struct _test_data_hang *self,
			    unsigned int rounds, uint64_t *moved_median_ns)
{
	uint64_t worst[ROUNDS], moved[ROUNDS];
	struct weir_bpf_view *view;
	struct hang_round r;
	unsigned int i, tries = TRIES;
	int err = 0;

	if (weir_bpf_view_open(&view, self->s.name))
		return 0;
	for (i = 0; i < rounds && tries;) {
		/* The supervisor is somewhere else in its period each time. */
		usleep(i * 1700);
		err = round_run(self, view, &r);
		if (err || r.resets)
			break;
		if (!r.moved_ns) {
			tries--;
			continue;
		}
		worst[i] = r.worst_ns;
		moved[i++] = r.moved_ns;
	}
	weir_bpf_view_close(view);
	if (i < rounds) {
		TH_LOG("round %u: error %d, %u of %u clients ended, %u reset, %u tries left", i,
		       err, r.ended, r.begun, r.resets, tries);
		return 0;
	}
	qsort(worst, rounds, sizeof(*worst), compare);
	qsort(moved, rounds, sizeof(*moved), compare);
	TH_LOG("us, least, median and most of %u rounds: queue moved after %llu %llu %llu, "
	       "longest wait %llu %llu %llu", rounds, (unsigned long long)moved[0] / 1000,
	       (unsigned long long)moved[rounds / 2] / 1000,
	       (unsigned long long)moved[rounds - 1] / 1000, (unsigned long long)worst[0] / 1000,
	       (unsigned long long)worst[rounds / 2] / 1000,
	       (unsigned long long)worst[rounds - 1] / 1000);
	*moved_median_ns = moved[rounds / 2];
	return worst[rounds / 2];
}

TEST_F(hang, clients_wait_no_longer_than_a_rescue_a_period_and_10_ms)
{
	uint64_t wait_ns, moved_ns = 0;

	if (SANITIZED)
		SKIP(return, "a sanitizer makes everything slower by a multiple");
	ASSERT_EQ(0, open_never_slow(self, variant->backend, WEIR_POLICY_HASH));
	wait_ns = median_wait(_metadata, self, ROUNDS, &moved_ns);
	ASSERT_NE(0, wait_ns);
	EXPECT_GE(LIMIT_NS, wait_ns);
	/*
	 * Nobody was moved early: they did wait for one that hung. The turn it hangs in
	 * began a little before it did.
	 */
	EXPECT_LE(WEIR_RESCUE_NS, moved_ns + 1000000);
}

/* The measure above can tell: with another period the same clients wait too long. */
TEST_F(hang, a_supervisor_that_looks_rarely_is_found_out)
{
	uint64_t wait_ns, moved_ns = 0;

	if (SANITIZED)
		SKIP(return, "a sanitizer makes everything slower by a multiple");
	self->supervise_ns = LONG_NS;
	ASSERT_EQ(0, open_never_slow(self, variant->backend, WEIR_POLICY_HASH));
	wait_ns = median_wait(_metadata, self, ROUNDS_BROKEN, &moved_ns);
	ASSERT_NE(0, wait_ns);
	EXPECT_LT(LIMIT_NS, wait_ns);
}

TEST_HARNESS_MAIN
