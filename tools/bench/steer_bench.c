// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The steering benchmark, in a network namespace of its own; takes root and BPF.
 *
 * pick: what the steering program takes for one choice, by the kernel's own clock
 * (BPF_ENABLE_STATS), for each policy among 8 workers, at 8,000 and at 800 new
 * connections a second. The more seldom it runs, the colder are its caches; and in
 * a virtual machine a processor that had nothing to do was given to others, and
 * comes back colder still. So the client either keeps its processor, as a loaded
 * server does, and this is what the limits are for, or sleeps between connections.
 * The policy is changed while the service runs, and all of them take turns.
 *
 * uniform: clients that connect, ask once and go: processor time of the whole
 * process, clients, workers and the kernel's share, for one connection. Plain
 * SO_REUSEPORT, weir's p2c, and p2c with flows take turns; each round is compared
 * with the one of SO_REUSEPORT beside it. The dearest case there is: one client,
 * one connection after the other, each for one request. It is published and not
 * judged; what steering adds to requests is judged by echo_bench.
 *
 * usage: steer_bench [--only pick|uniform] [--rounds N] [--seconds S] [--json FILE]
 *	[--strict]
 *
 * --strict ends with 1 above a limit.
 */
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <weir/addr.h>
#include <weir/bpf.h>
#include <weir/serve.h>

#include "base/base.h"
#include "json.h"

enum {
	WORKERS_PICK	= 8,
	WORKERS_UNIFORM	= 2,
	ROUNDS_MAX	= 200,
	UNIFORM_CONNS	= 2000,
	PREFIX_LARGE	= 1000000,	/* a budget that is asked and never spent */
};

static unsigned int rounds = 21;
static double seconds = 0.5;
static const char *only, *json_path;
static bool strict;

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "steer_bench: %s: %s\n", what, weir_strerror(err));
	exit(1);
}

static uint64_t clock_of(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts. */
static double quantile(double *values, unsigned int count, double q)
{
	qsort(values, count, sizeof(*values), compare);
	return values[(unsigned int)(q * (count - 1) + 0.5)];
}

/* the service */

struct server {
	struct weir_service *service;
	struct weir_bpf *bpf;
	char name[WEIR_NAME_BYTES];
	struct sockaddr_in addr;
};

static void answer(struct weir_conn *conn, struct weir_lease *lease)
{
	if (!lease)
		weir_conn_close(conn);
	else if (weir_conn_send_lease(conn, lease, 0, weir_lease_len(lease)) < 0)
		weir_conn_abort(conn, -EIO);
}

static const struct weir_service_ops answer_ops = { .data = answer };

static void bpf_start(struct server *server, const char *suffix, unsigned int workers,
		      uint32_t flags)
{
	static char reason[WEIR_BPF_WHY_BYTES];
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .name = server->name, .policy = WEIR_POLICY_P2C,
		.workers = workers, .flags = flags,
		.reason = reason, .reason_bytes = sizeof(reason),
	};
	int err;

	snprintf(server->name, sizeof(server->name), "bench-%d%s", (int)getpid(), suffix);
	err = weir_bpf_open(&server->bpf, &opts);
	if (err)
		die(reason, err);
}

static void server_start(struct server *server, unsigned int workers)
{
	struct weir_addr addr, where;
	struct weir_service_opts opts = {
		.sz = sizeof(opts), .ops = &answer_ops, .addr = &addr, .workers = workers,
		.steering = server->bpf ? weir_bpf_steering(server->bpf) : NULL,
		.conns_max = 256,
	};
	int err = weir_addr_parse(&addr, "127.0.0.1:0");

	if (!err)
		err = weir_service_open(&server->service, &opts);
	if (err)
		die("cannot serve", err);
	weir_service_addr(server->service, &where);
	memcpy(&server->addr, &where.ss, sizeof(server->addr));
}

/* the client */

/* A reset at the end: no port stays in TIME_WAIT. */
static int client_open(const struct server *server)
{
	const struct linger reset = { .l_onoff = 1 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("cannot make a client", -errno);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (connect(fd, (const struct sockaddr *)&server->addr, sizeof(server->addr)))
		die("cannot connect", -errno);
	return fd;
}

static void ask_once(const struct server *server)
{
	char text[64] = "ask";
	int fd = client_open(server);

	if (send(fd, text, sizeof(text), 0) != sizeof(text) ||
	    recv(fd, text, sizeof(text), MSG_WAITALL) != sizeof(text))
		die("no answer", -errno);
	close(fd);
}

static void wait_until(uint64_t ns, bool sleeps)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000),
	};

	while (sleeps && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
	while (clock_of(CLOCK_MONOTONIC) < ns)
		;
}

/* pick */

static const struct arm {
	const char *name;
	enum weir_policy policy;
	bool budget;
	double limit_ns;	/* at the first of the paces; 0: none */
} arms[] = {
	{ "hash",		WEIR_POLICY_HASH,	false,	250 },
	{ "cpu",		WEIR_POLICY_CPU,	false,	0 },
	{ "least of 8",		WEIR_POLICY_LEAST,	false,	500 },
	{ "p2c",		WEIR_POLICY_P2C,	false,	400 },
	{ "weighted",		WEIR_POLICY_WEIGHTED,	false,	0 },
	{ "p2c, budget",	WEIR_POLICY_P2C,	true,	0 },
};

enum { ARMS = ARRAY_SIZE(arms), ARM_P2C = 3, ARM_BUDGET = 5 };

#define BUDGET_LIMIT_NS	100	/* above the limit of p2c */

static const struct pace {
	const char *name;
	unsigned int rate;	/* connections a second */
	bool sleeps;
} paces[] = {
	{ "8000 a second",	8000,	false },
	{ "8000, sleeping",	8000,	true },
	{ "800 a second",	800,	false },
	{ "800, sleeping",	800,	true },
};

enum { PACES = ARRAY_SIZE(paces) };

/* Sums up to now. */
static int steer_cost(void *ctx, const struct weir_bpf_prog *prog)
{
	if (strncmp(prog->name, "weir_steer", strlen("weir_steer")))
		return 0;
	*(struct weir_bpf_prog *)ctx = *prog;
	return 1;
}

static struct weir_bpf_prog cost_now(struct weir_bpf_view *view)
{
	struct weir_bpf_prog prog;

	if (weir_bpf_view_progs(view, steer_cost, &prog) != 1)
		die("cannot read the program's cost", -ENOENT);
	return prog;
}

static double pick_one(const struct server *server, struct weir_bpf_view *view,
		       const struct arm *arm, const struct pace *pace)
{
	unsigned int i, count = (unsigned int)(pace->rate * seconds) ?: 1;
	struct weir_cfg *cfg = weir_bpf_cfg(server->bpf);
	struct weir_bpf_prog before, after;
	uint64_t start;

	cfg->prefix_burst = PREFIX_LARGE;
	cfg->prefix_rate = arm->budget ? PREFIX_LARGE : 0;
	cfg->policy = arm->policy;
	before = cost_now(view);
	start = clock_of(CLOCK_MONOTONIC);
	for (i = 0; i < count; i++) {
		wait_until(start + i * 1000000000ULL / pace->rate, pace->sleeps);
		close(client_open(server));
	}
	after = cost_now(view);
	if (after.run_cnt == before.run_cnt)
		die("the program did not run", -ENODATA);
	return (double)(after.run_time_ns - before.run_time_ns) /
	       (double)(after.run_cnt - before.run_cnt);
}

static double pick_ns[PACES][ARMS][ROUNDS_MAX], pick_median[PACES][ARMS];

static bool pick_missed(unsigned int arm)
{
	if (arm == ARM_BUDGET)
		return pick_median[0][arm] > arms[ARM_P2C].limit_ns + BUDGET_LIMIT_NS;
	return arms[arm].limit_ns && pick_median[0][arm] > arms[arm].limit_ns;
}

static bool pick_print(void)
{
	unsigned int pace, arm;
	bool missed = false;

	printf("ns for one choice among %d workers, median of %u rounds (least to most)\n",
	       WORKERS_PICK, rounds);
	printf("%-12s", "");
	for (pace = 0; pace < PACES; pace++)
		printf(" %20s", paces[pace].name);
	printf(" %8s\n", "limit");
	for (arm = 0; arm < ARMS; arm++) {
		printf("%-12s", arms[arm].name);
		for (pace = 0; pace < PACES; pace++) {
			pick_median[pace][arm] = quantile(pick_ns[pace][arm], rounds, 0.5);
			printf(" %6.0f (%4.0f to %4.0f)", pick_median[pace][arm],
			       pick_ns[pace][arm][0], pick_ns[pace][arm][rounds - 1]);
		}
		if (arm == ARM_BUDGET)
			printf(" %8.0f", arms[ARM_P2C].limit_ns + BUDGET_LIMIT_NS);
		else if (arms[arm].limit_ns > 0)
			printf(" %8.0f", arms[arm].limit_ns);
		printf("%s\n", pick_missed(arm) ? "  missed" : "");
		missed |= pick_missed(arm);
	}
	return missed;
}

static bool pick_run(void)
{
	struct server server = { 0 };
	struct weir_bpf_view *view;
	unsigned int round, pace, i, arm;
	int stats_fd, err;

	bpf_start(&server, "", WORKERS_PICK, 0);
	server_start(&server, WORKERS_PICK);
	err = weir_bpf_view_open(&view, server.name);
	if (err)
		die("cannot read the instance", err);
	stats_fd = weir_bpf_cost_open();
	if (stats_fd < 0)
		die("cannot have the kernel measure", stats_fd);
	for (round = 0; round < rounds; round++) {
		for (pace = 0; pace < PACES; pace++) {
			for (i = 0; i < ARMS; i++) {
				arm = (i + round) % ARMS;
				pick_ns[pace][arm][round] = pick_one(&server, view, &arms[arm],
								     &paces[pace]);
			}
		}
	}
	close(stats_fd);
	weir_bpf_view_close(view);
	weir_service_close(server.service);
	return pick_print();
}

/* uniform */

enum { PLAIN, P2C, P2C_FLOWS, KINDS };

static const char *const kinds[KINDS] = { "SO_REUSEPORT", "p2c", "p2c, flows" };
static double cpu_us[KINDS][ROUNDS_MAX], ratio[KINDS][ROUNDS_MAX];

static double uniform_one(const struct server *server)
{
	uint64_t cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
	unsigned int i;

	for (i = 0; i < UNIFORM_CONNS; i++)
		ask_once(server);
	return (double)(clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu) / UNIFORM_CONNS / 1000;
}

static void uniform_print(void)
{
	unsigned int kind;
	double median;

	printf("processor time for one connection, %d workers, %u rounds of %d connections\n",
	       WORKERS_UNIFORM, rounds, UNIFORM_CONNS);
	printf("%-14s %10s %16s %20s %20s\n", "", "us", "to SO_REUSEPORT", "quarter to quarter",
	       "least to most");
	for (kind = 0; kind < KINDS; kind++) {
		median = quantile(ratio[kind], rounds, 0.5);
		printf("%-14s %10.2f %16.4f %11.4f to %.4f %11.4f to %.4f\n", kinds[kind],
		       quantile(cpu_us[kind], rounds, 0.5), median,
		       quantile(ratio[kind], rounds, 0.25), quantile(ratio[kind], rounds, 0.75),
		       ratio[kind][0], ratio[kind][rounds - 1]);
	}
}

/* A socket belongs to the cgroup of its maker: who watches one comes last. */
static void uniform_run(void)
{
	struct server servers[KINDS] = { 0 };
	unsigned int round, i, kind;

	server_start(&servers[PLAIN], WORKERS_UNIFORM);
	bpf_start(&servers[P2C], "-p", WORKERS_UNIFORM, WEIR_BPF_NO_FLOWS);
	weir_bpf_cfg(servers[P2C].bpf)->scan_max = 0;
	server_start(&servers[P2C], WORKERS_UNIFORM);
	bpf_start(&servers[P2C_FLOWS], "-f", WORKERS_UNIFORM, 0);
	weir_bpf_cfg(servers[P2C_FLOWS].bpf)->scan_max = 0;
	server_start(&servers[P2C_FLOWS], WORKERS_UNIFORM);
	for (kind = 0; kind < KINDS; kind++)
		uniform_one(&servers[kind]);	/* caches and pools */
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < KINDS; i++) {
			kind = (i + round) % KINDS;
			cpu_us[kind][round] = uniform_one(&servers[kind]);
		}
		for (kind = 0; kind < KINDS; kind++)
			ratio[kind][round] = cpu_us[kind][round] / cpu_us[PLAIN][round];
	}
	for (kind = KINDS; kind--;)
		weir_service_close(servers[kind].service);
	uniform_print();
}

/* all of it */

static void pick_json(struct json *j)
{
	unsigned int pace, arm;

	json_array(j, "pick");
	for (pace = 0; pace < PACES; pace++) {
		for (arm = 0; arm < ARMS; arm++) {
			json_object(j, NULL);
			json_string(j, "policy", arms[arm].name);
			json_u64(j, "rate", paces[pace].rate);
			json_bool(j, "sleeps", paces[pace].sleeps);
			json_double(j, "median_ns", pick_median[pace][arm]);
			json_double(j, "least_ns", pick_ns[pace][arm][0]);
			json_double(j, "most_ns", pick_ns[pace][arm][rounds - 1]);
			json_end_object(j);
		}
	}
	json_end_array(j);
}

static void uniform_json(struct json *j)
{
	unsigned int kind;

	json_array(j, "uniform");
	for (kind = 0; kind < KINDS; kind++) {
		json_object(j, NULL);
		json_string(j, "steering", kinds[kind]);
		json_double(j, "median_us", quantile(cpu_us[kind], rounds, 0.5));
		json_double(j, "median_ratio", quantile(ratio[kind], rounds, 0.5));
		json_double(j, "quarter_ratio", quantile(ratio[kind], rounds, 0.25));
		json_double(j, "three_quarters_ratio", quantile(ratio[kind], rounds, 0.75));
		json_end_object(j);
	}
	json_end_array(j);
}

static void write_json(bool pick, bool uniform)
{
	FILE *out = fopen(json_path, "w");
	struct json j;

	if (!out)
		die(json_path, -errno);
	json_init(&j, out, true);
	json_object(&j, NULL);
	json_u64(&j, "rounds", rounds);
	if (pick)
		pick_json(&j);
	if (uniform)
		uniform_json(&j);
	json_end_object(&j);
	if (json_fini(&j) || fclose(out))
		die(json_path, -EIO);
}

static void netns_private(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET))
		die("no network namespace of its own", -errno);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		die("lo does not come up", -errno);
	close(fd);
}

static _Noreturn void help(FILE *out, int status)
{
	fprintf(out, "usage: steer_bench [--only pick|uniform] [--rounds N] [--seconds S] "
		"[--json FILE] [--strict]\n"
		"pick: what one choice of a worker takes, by policy\n"
		"uniform: cheap connections beside plain SO_REUSEPORT\n"
		"--rounds 1 to %d; --seconds, of each, at most 60; --strict: 1 above a limit\n"
		"Takes root and BPF; works in a network namespace of its own.\n", ROUNDS_MAX);
	exit(status);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "only", required_argument, NULL, 'o' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' },
		{ "json", required_argument, NULL, 'j' },
		{ "strict", no_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'o')
			only = optarg;
		else if (opt == 'r')
			rounds = (unsigned int)strtoul(optarg, NULL, 10);
		else if (opt == 's')
			seconds = strtod(optarg, NULL);
		else if (opt == 'j')
			json_path = optarg;
		else if (opt == 'S')
			strict = true;
		else if (opt == 'h')
			help(stdout, 0);
		else
			help(stderr, 2);
	}
	if (!rounds || rounds > ROUNDS_MAX || !(seconds > 0) || seconds > 60 ||
	    (only && strcmp(only, "pick") && strcmp(only, "uniform")) || optind != argc)
		help(stderr, 2);
}

int main(int argc, char **argv)
{
	bool pick, uniform, missed = false;

	parse(argc, argv);
	netns_private();
	pick = !only || !strcmp(only, "pick");
	uniform = !only || !strcmp(only, "uniform");
	if (pick)
		missed |= pick_run();
	if (uniform)
		uniform_run();
	if (json_path)
		write_json(pick, uniform);
	return strict && missed;
}
