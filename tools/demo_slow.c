// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * demo_slow.c - a client that does not read, and a producer that is told
 *
 * Bulk: the producer gives whatever is taken, and meets the high mark of its
 * send queue. Trickle: a chunk each millisecond, which the kernel's buffers
 * swallow for a while; then a send stays untaken, which only the worker can see.
 * Either way the producer stops, memory stays flat, and no byte is lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "demo.h"
#include "show.h"
#include "source.h"

#define MIB		(1024.0 * 1024.0)
#define SLOW_NS		(2500 * NS_PER_MS)	/* how long the client is slow */
#define SLOW_CHUNK	4096			/* which it reads each... */
#define SLOW_STEP_NS	(20 * NS_PER_MS)
#define FAST_CHUNK	65536
#define LIMIT_NS	(60 * NS_PER_SEC)
#define ROW_NS		(500 * NS_PER_MS)
#define RCVBUF		65536
#define FLAT_BYTES	(4 << 20)		/* what "memory stays flat" allows */
#define PAUSE_MIN_NS	(300 * NS_PER_MS)	/* a pause that counts as one */
#define BUFS		256

static const struct {
	const char *name, *what;
	uint64_t period_ns;
	uint64_t total;
} producers[] = {
	{ "bulk", "as fast as it is taken", 0, 64ULL << 20 },
	{ "trickle", "4 KiB each millisecond", NS_PER_MS, 14ULL << 20 },
};

struct slow {
	struct demo *demo;
	struct demo_service ds;
	struct source *source;
	int fd;
	uint64_t start_ns, next_row_ns;
	uint64_t held_ns;	/* since when the producer was seen paused, or 0 */
	bool held;		/* and it was for long */
	uint64_t received;
	uint64_t rss_base, rss_max;	/* since the producer was first paused */
	uint64_t pool_used_max;
	bool mismatch, eof, fast;
	unsigned char buf[FAST_CHUNK], want[FAST_CHUNK];
};

static uint64_t rss_bytes(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%*u %lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* memory and progress */

static void sample(struct slow *slow)
{
	struct weir_service_stats stats = { 0 };
	struct source *s = slow->source;
	uint64_t now = now_ns(), rss = rss_bytes(), used;
	unsigned int paused = atomic_load(&s->paused);

	weir_service_stats(slow->ds.service, 0, &stats, sizeof(stats));
	used = stats.buf_count - stats.buf_free;
	if (used > slow->pool_used_max)
		slow->pool_used_max = used;
	if (atomic_load(&s->signals_on) && !slow->rss_base)
		slow->rss_base = rss;
	if (slow->rss_base && rss > slow->rss_max)
		slow->rss_max = rss;
	if (now < slow->next_row_ns)
		return;
	slow->next_row_ns += ROW_NS;
	fprintf(slow->demo->out, "  %4.1f s  client %-4s  produced %6.2f MiB  received %6.2f MiB  "
		"pool %3llu/%-3llu  RSS %5.1f MiB  producer %s%s\n",
		(double)(now - slow->start_ns) / 1e9, slow->fast ? "fast" : "slow",
		(double)atomic_load(&s->produced) / MIB, (double)slow->received / MIB,
		(unsigned long long)used, (unsigned long long)stats.buf_count, (double)rss / MIB,
		paused ? "paused by " : "runs", paused ? show_kind(paused) : "");
	fflush(slow->demo->out);
}

/* the client */

static int client_connect(struct slow *slow)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons(slow->ds.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval limit = { .tv_usec = 100000 };
	int size = RCVBUF;

	slow->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (slow->fd < 0)
		return -errno;
	/* Before connect(): it also bounds the window that is announced. */
	setsockopt(slow->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(slow->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(slow->fd, (struct sockaddr *)&sin, sizeof(sin)))
		return -errno;
	return 0;
}

/* Take at most @len bytes and compare them; waits at most a tenth of a second. */
static int client_read(struct slow *slow, size_t len)
{
	ssize_t n;

	n = recv(slow->fd, slow->buf, len, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	slow->eof = !n;
	source_fill(slow->source->seed, slow->received, slow->want, (uint32_t)n);
	if (memcmp(slow->buf, slow->want, (size_t)n))
		slow->mismatch = true;
	slow->received += (uint64_t)n;
	return 0;
}

/* Long enough, and until the producer has felt it: on a busy machine that takes its time. */
static bool slow_enough(struct slow *slow)
{
	uint64_t now = now_ns();

	if (!atomic_load(&slow->source->paused))
		slow->held_ns = 0;
	else if (!slow->held_ns)
		slow->held_ns = now;
	slow->held |= slow->held_ns && now - slow->held_ns >= PAUSE_MIN_NS + 2 * SLOW_STEP_NS;
	return slow->held && now - slow->start_ns >= SLOW_NS;
}

static int client_run(struct slow *slow)
{
	uint64_t last_ns = slow->start_ns + LIMIT_NS;
	int err = 0;

	while (!err && !slow->eof && !slow->mismatch && !interrupted && now_ns() < last_ns) {
		slow->fast = slow->fast || slow_enough(slow);
		err = client_read(slow, slow->fast ? FAST_CHUNK : SLOW_CHUNK);
		if (!slow->fast)
			sleep_ns(SLOW_STEP_NS);
		/* While it is fast, looking at each read would slow it down. */
		if (!slow->fast || now_ns() >= slow->next_row_ns)
			sample(slow);
	}
	return err;
}

/* what came out */

static void print_result(const struct slow *slow, const char *name)
{
	const struct source_pause *p = &slow->source->longest;
	double ms = (double)(p->end_ns - p->start_ns) / 1e6;
	FILE *out = slow->demo->out;

	if (!p->end_ns)
		return;
	fprintf(out, "  signal %s on (%llu, limit %llu) at %.3f s: producer pauses\n",
		show_kind(p->on.kind), p->on.value, p->on.limit,
		(double)(p->start_ns - slow->start_ns) / 1e9);
	fprintf(out, "  signal %s off at %.3f s: producer goes on, after %.0f ms\n",
		show_kind(p->off.kind), (double)(p->end_ns - slow->start_ns) / 1e9, ms);
	fprintf(out, "  %s: %.1f MiB compared byte for byte, %llu on and %llu off, "
		"%llu from the kernel,\n  memory %+.2f MiB while paused, at most %llu of %d buffers\n",
		name, (double)slow->received / MIB,
		(unsigned long long)atomic_load(&slow->source->signals_on),
		(unsigned long long)atomic_load(&slow->source->signals_off),
		(unsigned long long)atomic_load(&slow->source->noted),
		((double)slow->rss_max - (double)slow->rss_base) / MIB,
		(unsigned long long)slow->pool_used_max, BUFS);
}

static void add_json(const struct slow *slow, const char *name)
{
	const struct source_pause *p = &slow->source->longest;
	struct json *j = slow->demo->json;

	if (!j)
		return;
	json_object(j, name);
	json_u64(j, "bytes_produced", atomic_load(&slow->source->produced));
	json_u64(j, "bytes_received", slow->received);
	json_bool(j, "verified", !slow->mismatch && slow->received == slow->source->total);
	json_u64(j, "signals_on", atomic_load(&slow->source->signals_on));
	json_u64(j, "signals_off", atomic_load(&slow->source->signals_off));
	json_u64(j, "signals_noted", atomic_load(&slow->source->noted));
	json_string(j, "pause_kind", p->end_ns ? show_kind(p->on.kind) : NULL);
	json_u64(j, "pause_ns", p->end_ns - p->start_ns);
	json_i64(j, "rss_growth_bytes", (int64_t)(slow->rss_max - slow->rss_base));
	json_u64(j, "pool_used_max", slow->pool_used_max);
	json_u64(j, "pool_count", BUFS);
	json_end_object(j);
}

static int judge(const struct slow *slow, const char *name)
{
	const struct source_pause *p = &slow->source->longest;
	struct demo *demo = slow->demo;

	if (slow->mismatch)
		return demo_failed(demo, "%s: a byte near offset %llu is not what was sent", name,
				   (unsigned long long)slow->received);
	if (slow->received != slow->source->total)
		return demo_failed(demo, "%s: %llu of %llu bytes arrived", name,
				   (unsigned long long)slow->received,
				   (unsigned long long)slow->source->total);
	if (p->end_ns - p->start_ns < PAUSE_MIN_NS)
		return demo_failed(demo, "%s: no signal held the producer for long", name);
	if (slow->rss_max > slow->rss_base + FLAT_BYTES)
		return demo_failed(demo, "%s: memory grew by %.1f MiB while the client was slow",
				   name, (double)(slow->rss_max - slow->rss_base) / MIB);
	demo_sum_up(demo, "slow client, %s: paused %.1f s by %s, %.0f MiB verified, memory flat",
		    name, (double)(p->end_ns - p->start_ns) / 1e9, show_kind(p->on.kind),
		    (double)slow->received / MIB);
	return 0;
}

/* The worker is done with the connection soon after the client saw its end. */
static void await_end(const struct slow *slow)
{
	uint64_t last_ns = now_ns() + 2 * NS_PER_SEC;

	while (!atomic_load(&slow->source->ended) && now_ns() < last_ns && !interrupted)
		sleep_ns(NS_PER_MS);
}

static int run_client(struct slow *slow, const char *name)
{
	int err;

	err = client_connect(slow);
	if (!err) {
		slow->start_ns = now_ns();
		slow->next_row_ns = slow->start_ns + ROW_NS;
		err = client_run(slow);
	}
	if (slow->fd >= 0)
		close(slow->fd);
	if (err)
		return demo_failed(slow->demo, "%s: the client: %s", name, weir_strerror(err));
	await_end(slow);
	return 0;
}

static int run_producer(struct slow *slow, size_t which)
{
	const char *name = producers[which].name;
	struct source *s = slow->source;
	struct weir_service_opts opts = {
		.sz = sizeof(opts),
		.ops = &source_ops,
		.ctx = s,
		.workers = 1,
		.conns_max = 16,
		.bufs = BUFS,
	};
	int failed;

	s->seed = slow->demo->seed + which;
	s->total = producers[which].total;
	s->period_ns = producers[which].period_ns;
	fprintf(slow->demo->out, "\nA client that does not read, producer %s: %s\n", name,
		producers[which].what);
	failed = demo_open(slow->demo, &slow->ds, &opts, 2);
	if (failed)
		return failed;
	failed = run_client(slow, name);
	demo_close(&slow->ds);
	if (!failed && !interrupted) {
		print_result(slow, name);
		failed = judge(slow, name);
	}
	add_json(slow, name);
	return failed;
}

int demo_slow(struct demo *demo)
{
	struct slow *slow;
	int failed = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(producers) && !failed && !interrupted; i++) {
		slow = calloc(1, sizeof(*slow));
		if (slow)
			slow->source = calloc(1, sizeof(*slow->source));
		if (!slow || !slow->source) {
			free(slow);
			return demo_failed(demo, "%s", weir_strerror(-ENOMEM));
		}
		slow->demo = demo;
		slow->fd = -1;
		failed = run_producer(slow, i);
		free(slow->source);
		free(slow);
	}
	return failed;
}
