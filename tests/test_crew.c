// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_crew.c - what a parent says to a worker that is a process, and its end
 *
 * The worker is a service of the same process: what it hears is the same.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <weir/crew.h>
#include <weir/serve.h>
#include <weir/supervisor.h>
#include <weir/takeover.h>

#include "serve/parcel.h"

#include "kselftest_harness.h"

#define PATIENCE_MS	20000
#define A_WHILE_MS	50

static void echo(struct weir_conn *conn, struct weir_lease *lease)
{
	if (!lease || weir_conn_send_lease(conn, lease, 0, weir_lease_len(lease)) < 0)
		weir_conn_close(conn);
}

static const struct weir_service_ops ops = { .data = echo };

FIXTURE(crew)
{
	struct weir_crew *crew;
	struct weir_steering *base;
	struct weir_service *service;
	struct weir_service_opts opts;
	struct sockaddr_in addr;
	int listener, parent;
};

FIXTURE_SETUP(crew)
{
	socklen_t len = sizeof(self->addr);

	self->addr.sin_family = AF_INET;
	self->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	self->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(0, bind(self->listener, (struct sockaddr *)&self->addr, len));
	ASSERT_EQ(0, listen(self->listener, 64));
	ASSERT_EQ(0, getsockname(self->listener, (struct sockaddr *)&self->addr, &len));
	ASSERT_EQ(0, weir_crew_open(&self->crew, 3));
	ASSERT_EQ(0, weir_steering_reuseport(&self->base, 3));
	self->parent = weir_crew_join(self->crew, 1);
	ASSERT_LE(0, self->parent);
	self->opts = (struct weir_service_opts) {
		.sz = sizeof(self->opts),
		.ops = &ops,
		.listeners = &self->listener,
		.parent = &self->parent,
	};
	ASSERT_EQ(0, weir_steering_share(&self->opts.steering, self->base, 1));
	ASSERT_EQ(0, weir_service_open(&self->service, &self->opts));
	close(self->parent);
}

FIXTURE_TEARDOWN(crew)
{
	weir_service_close(self->service);
	weir_crew_close(self->crew);
	if (self->base)
		self->base->ops->close(self->base);
	close(self->listener);
}

/* A client that has asked. */
static int client(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) || write(fd, "x", 1) != 1)
		abort();
	return fd;
}

static bool answered(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&pfd, 1, ms) == 1 && read(fd, &byte, 1) == 1;
}

static bool serves(const struct sockaddr_in *addr)
{
	int fd = client(addr);
	bool yes = answered(fd, PATIENCE_MS);

	close(fd);
	return yes;
}

/* Asked until all but so many have: on a busy machine any of them may seem to hang. */
static bool yields(struct weir_crew *crew, int maps, unsigned int but)
{
	unsigned int hung = 99;
	int ms;

	for (ms = 0; ms < PATIENCE_MS && hung > but; ms += A_WHILE_MS)
		if (weir_crew_yield(crew, maps, &hung))
			return false;
	return hung == but;
}

TEST_F(crew, it_yields_and_goes_on)
{
	int fd, i;

	EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_STAY));
	ASSERT_TRUE(serves(&self->addr));
	EXPECT_TRUE(yields(self->crew, 0, 0));
	fd = client(&self->addr);
	EXPECT_FALSE(answered(fd, A_WHILE_MS));
	EXPECT_EQ(0, weir_crew_tell(self->crew, WEIR_WORKER_NONE, WEIR_CREW_BACK));
	EXPECT_TRUE(answered(fd, PATIENCE_MS));
	close(fd);
	/* And again, also when it is about to go on. */
	for (i = 0; i < A_WHILE_MS; i++) {
		EXPECT_TRUE(yields(self->crew, 0, 0));
		fd = client(&self->addr);
		EXPECT_FALSE(answered(fd, 1));
		EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_BEGIN));
		EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_BACK));
		usleep(20 * i);
		if (i % 2)
			EXPECT_TRUE(answered(fd, PATIENCE_MS));
		close(fd);
	}
	EXPECT_TRUE(serves(&self->addr));
}

static void on_signal(int sig)
{
}

/* To a thread by its name: as a profiler does it, or weir serve that drops capabilities. */
static int interrupt(const char *thread)
{
	struct sigaction action = { .sa_handler = on_signal };
	char path[300], name[16];
	struct dirent *entry;
	int found = -ESRCH;
	FILE *file;
	DIR *dir;

	sigaction(SIGPROF, &action, NULL);
	dir = opendir("/proc/self/task");
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (file && fscanf(file, "%15s", name) == 1 && !strcmp(name, thread))
			found = (int)syscall(SYS_tgkill, getpid(), atoi(entry->d_name), SIGPROF);
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
	return found;
}

TEST_F(crew, a_signal_makes_the_time_of_who_is_connected_no_shorter)
{
	int fd = client(&self->addr), i;

	ASSERT_TRUE(answered(fd, PATIENCE_MS));
	EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_STAY));
	EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_LEAVE));
	/* It waits for who is connected, once it has its name and was told. */
	for (i = 0; i < A_WHILE_MS; usleep(1000))
		i += !interrupt("weir-child");
	ASSERT_EQ(1, write(fd, "y", 1));
	EXPECT_TRUE(answered(fd, PATIENCE_MS));
	close(fd);
	EXPECT_EQ(0, weir_service_wait(self->service));
}

TEST_F(crew, it_serves_who_is_connected_and_ends)
{
	int fd = client(&self->addr), queued;

	ASSERT_TRUE(answered(fd, PATIENCE_MS));
	EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_STAY));
	EXPECT_TRUE(yields(self->crew, 0, 0));
	EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_LEAVE));
	queued = client(&self->addr);
	ASSERT_EQ(1, write(fd, "y", 1));
	EXPECT_TRUE(answered(fd, PATIENCE_MS));
	EXPECT_FALSE(answered(queued, A_WHILE_MS));
	close(fd);
	EXPECT_EQ(0, weir_service_wait(self->service));
	close(queued);
}

TEST_F(crew, without_its_parent_it_serves_on)
{
	EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_STAY));
	weir_crew_leave(self->crew, 1);
	EXPECT_TRUE(serves(&self->addr));
}

TEST_F(crew, without_its_parent_it_takes_back_what_it_had_yielded)
{
	unsigned int hung;

	EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_STAY));
	EXPECT_EQ(0, weir_crew_yield(self->crew, 0, &hung));
	weir_crew_leave(self->crew, 1);
	EXPECT_TRUE(serves(&self->addr));
}

TEST_F(crew, without_its_parent_it_leaves_what_a_successor_has)
{
	unsigned int hung;

	EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_STAY));
	EXPECT_EQ(0, weir_crew_yield(self->crew, 0, &hung));
	EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_BEGIN));
	weir_crew_leave(self->crew, 1);
	EXPECT_EQ(0, weir_service_wait(self->service));
}

TEST_F(crew, before_it_is_to_stay_it_ends_with_its_parent)
{
	int fd = client(&self->addr);

	ASSERT_TRUE(answered(fd, PATIENCE_MS));
	weir_crew_leave(self->crew, 1);
	EXPECT_EQ(1, weir_service_wait(self->service));
	close(fd);
}

/* It does not serve for a moment first: beside the one who serves again. */
TEST_F(crew, whose_parent_has_ended_before_it_serves_does_not)
{
	struct weir_service *service = NULL;
	int parent = weir_crew_join(self->crew, 2);

	ASSERT_LE(0, parent);
	weir_crew_leave(self->crew, 2);
	self->opts.parent = &parent;
	ASSERT_EQ(0, weir_steering_share(&self->opts.steering, self->base, 2));
	EXPECT_EQ(-EPIPE, weir_service_open(&service, &self->opts));
	close(parent);
	weir_service_close(service);

	parent = weir_crew_join(self->crew, 2);
	ASSERT_LE(0, parent);
	ASSERT_EQ(0, weir_crew_tell(self->crew, 2, WEIR_CREW_STAY));
	weir_crew_leave(self->crew, 2);
	ASSERT_EQ(0, weir_steering_share(&self->opts.steering, self->base, 2));
	ASSERT_EQ(0, weir_service_open(&service, &self->opts));
	close(parent);
	EXPECT_TRUE(serves(&self->addr));
	weir_service_close(service);
}

/* The last word to one that does not answer; all of them are of that kind. */
static int heard(int mute, enum parcel_kind kind, struct parcel *parcel)
{
	struct pollfd pfd = { .fd = mute, .events = POLLIN };
	int err = -ENODATA;

	while (poll(&pfd, 1, 0) == 1) {
		err = parcel_want(mute, kind, parcel);
		if (err)
			break;
	}
	return err;
}

/* One that was stopped answers what it was asked then, and not what it is asked now. */
TEST_F(crew, one_that_does_not_answer_hangs)
{
	int mute = weir_crew_join(self->crew, 2);
	struct parcel parcel;
	unsigned int hung = 0;

	ASSERT_LE(0, mute);
	EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_STAY));
	EXPECT_TRUE(yields(self->crew, 0, 1));
	ASSERT_EQ(0, heard(mute, PARCEL_YIELD, &parcel));
	ASSERT_EQ(0, parcel_send(mute, PARCEL_YIELDED, parcel.count & ~1U, 0, NULL, 0));
	EXPECT_EQ(0, weir_crew_tell(self->crew, WEIR_WORKER_NONE, WEIR_CREW_BACK));
	ASSERT_EQ(0, heard(mute, PARCEL_BACK, &parcel));
	EXPECT_TRUE(yields(self->crew, 1, 1));
	ASSERT_EQ(0, heard(mute, PARCEL_YIELD, &parcel));
	EXPECT_EQ(1, parcel.count & 1);
	/* One that has ended accepts nobody. */
	close(mute);
	EXPECT_EQ(-EPIPE, weir_crew_tell(self->crew, WEIR_WORKER_NONE, WEIR_CREW_BACK));
	EXPECT_EQ(0, weir_crew_yield(self->crew, 0, &hung));
	EXPECT_EQ(0, hung);
	EXPECT_EQ(0, weir_crew_tell(self->crew, 1, WEIR_CREW_BACK));
	EXPECT_TRUE(serves(&self->addr));
}

/* the control socket of who has listeners */

struct owner {
	unsigned int yields, begins, backs, leaves, drains;
};

static int on_yield(void *ctx, int maps, unsigned int *hung)
{
	struct owner *owner = ctx;

	owner->yields++;
	*hung = 7;
	return maps;
}

static void on_begins(void *ctx)
{
	((struct owner *)ctx)->begins++;
}

static void on_back(void *ctx)
{
	((struct owner *)ctx)->backs++;
}

static void on_leave(void *ctx)
{
	__atomic_fetch_add(&((struct owner *)ctx)->leaves, 1, __ATOMIC_RELEASE);
}

static void on_drained(void *ctx)
{
	((struct owner *)ctx)->drains++;
}

static unsigned int sockets_that_listen(void)
{
	socklen_t len = sizeof(int);
	unsigned int count = 0;
	int fd, yes;

	for (fd = 3; fd < 256; fd++)
		count += !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) && yes;
	return count;
}

/* Its name is this process's. */
static struct weir_control_opts control_of(const int *listener, struct weir_steering *st,
					   struct owner *owner)
{
	static const struct weir_control_ops control_ops = {
		.yield = on_yield, .begins = on_begins, .take_back = on_back,
		.leave = on_leave, .drained = on_drained,
	};
	static char name[WEIR_NAME_BYTES];

	snprintf(name, sizeof(name), "crew-%d", (int)getpid());
	return (struct weir_control_opts) {
		.sz = sizeof(struct weir_control_opts), .instance = name,
		.listeners = listener, .count = 1,
		.steering = st, .ops = &control_ops, .ctx = owner,
	};
}

TEST_F(crew, bad_arguments_are_refused)
{
	struct weir_service *service;
	struct weir_crew *crew;

	EXPECT_EQ(-EINVAL, weir_crew_open(&crew, 0));
	EXPECT_EQ(-EINVAL, weir_crew_open(&crew, WEIR_WORKERS_MAX + 1));
	EXPECT_EQ(-EINVAL, weir_crew_join(self->crew, 3));
	EXPECT_EQ(-EBUSY, weir_crew_join(self->crew, 1));
	EXPECT_EQ(-EINVAL, weir_crew_tell(self->crew, 3, WEIR_CREW_STAY));
	EXPECT_EQ(-EINVAL, weir_crew_tell(self->crew, 1, (enum weir_crew_word)4));
	self->opts.control = control_of(&self->listener, self->base, NULL).instance;
	ASSERT_EQ(0, weir_steering_share(&self->opts.steering, self->base, 2));
	EXPECT_EQ(-EINVAL, weir_service_open(&service, &self->opts));
	self->opts.control = NULL;
	self->opts.parent = NULL;
	self->opts.listeners = NULL;
	self->opts.flags = WEIR_SERVICE_SHARED;
	ASSERT_EQ(0, weir_steering_share(&self->opts.steering, self->base, 2));
	EXPECT_EQ(-EINVAL, weir_service_open(&service, &self->opts));
}

TEST_F(crew, a_signal_ends_no_conversation)
{
	struct owner owner = { 0 };
	struct weir_control_opts opts = control_of(&self->listener, self->base, &owner);
	struct pollfd pfd = { .events = POLLIN };
	struct weir_control *control;
	unsigned int count = 0;
	int *fds, i;

	if (geteuid())
		SKIP(return, "needs root: /run/weir");
	ASSERT_EQ(0, weir_control_open(&control, &opts));
	pfd.fd = parcel_connect(opts.instance, "sock");
	ASSERT_LE(0, pfd.fd);
	/* It waits for what we say, once it has its name. */
	for (i = 0; i < A_WHILE_MS;) {
		i += !interrupt("weir-control");
		ASSERT_EQ(0, poll(&pfd, 1, 1));
	}
	ASSERT_EQ(0, parcel_send(pfd.fd, PARCEL_TAKE, 0, 0, NULL, 0));
	ASSERT_EQ(0, parcel_recv_listeners(pfd.fd, &fds, &count));
	EXPECT_EQ(1, count);
	parcel_drop(fds, count);
	close(pfd.fd);
	weir_control_close(control);
}

static int a_lock(struct weir_steering *st)
{
	return STDIN_FILENO;
}

static int count_starts(void *ctx, unsigned int worker, struct weir_loop *loop)
{
	(*(unsigned int *)ctx)++;
	return 0;
}

/* Whatever the other one has got: BPF's lock, or listeners. */
TEST_F(crew, a_name_stays_with_who_lives)
{
	struct weir_steering_ops with_lock = *self->base->ops;
	const struct weir_steering_ops *without = self->base->ops;
	struct weir_service_ops counting = { .data = echo, .start = count_starts };
	unsigned int starts = 0;
	struct owner owner = { 0 };
	struct weir_control_opts opts = control_of(&self->listener, self->base, &owner);
	struct weir_service_opts second = {
		.sz = sizeof(second), .ops = &counting, .ctx = &starts,
		.listeners = &self->listener, .control = opts.instance,
	};
	struct weir_control *control, *other;
	struct weir_takeover *takeover;
	struct weir_service *service;

	if (geteuid())
		SKIP(return, "needs root: /run/weir");
	ASSERT_EQ(0, weir_control_open(&control, &opts));
	with_lock.lock = a_lock;
	self->base->ops = &with_lock;
	EXPECT_EQ(-EADDRINUSE, weir_control_open(&other, &opts));
	self->base->ops = without;
	EXPECT_EQ(-EADDRINUSE, weir_service_open(&service, &second));
	/* It has not served for a moment first. */
	EXPECT_EQ(0, starts);
	ASSERT_EQ(0, weir_takeover_open(&takeover, opts.instance, WEIR_TAKEOVER_SERVICE));
	weir_takeover_close(takeover);
	opts.flags = WEIR_CONTROL_REPLACE;
	ASSERT_EQ(0, weir_control_open(&other, &opts));
	weir_control_close(control);
	ASSERT_EQ(0, weir_takeover_open(&takeover, opts.instance, WEIR_TAKEOVER_SERVICE));
	weir_takeover_close(takeover);
	weir_control_close(other);
}

static int64_t ms_between(const struct timespec *begin, const struct timespec *end)
{
	return (end->tv_sec - begin->tv_sec) * 1000 + (end->tv_nsec - begin->tv_nsec) / 1000000;
}

/* It has the name, says that, and dies when it is asked for something. */
static void dies_when_asked(const char *name, int ready)
{
	struct parcel_place place;
	struct pollfd pfd = { .fd = parcel_socket(), .events = POLLIN };

	if (parcel_listen(pfd.fd, name, "sock", 0, &place) || write(ready, "x", 1) != 1)
		_exit(1);
	_exit(poll(&pfd, 1, PATIENCE_MS) != 1);
}

TEST_F(crew, the_name_of_one_who_is_dying_is_free)
{
	struct owner owner = { 0 };
	struct weir_control_opts opts = control_of(&self->listener, self->base, &owner);
	struct timespec begin, end;
	struct weir_control *control;
	int status, ready[2], err;
	char byte;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root: /run/weir");
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid)
		dies_when_asked(opts.instance, ready[1]);
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	/* Its end may take longer than it is waited for; but it is waited for. */
	do {
		clock_gettime(CLOCK_MONOTONIC, &begin);
		err = weir_control_open(&control, &opts);
		clock_gettime(CLOCK_MONOTONIC, &end);
	} while (err == -EADDRINUSE && ms_between(&begin, &end) >= 9 * A_WHILE_MS);
	ASSERT_EQ(0, err);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	weir_control_close(control);
	close(ready[0]);
	close(ready[1]);
}

/* As many wait for the holder as may, and so does the thread of the control socket. */
TEST_F(crew, who_forks_does_not_wait_for_a_holder)
{
	struct owner owner = { 0 };
	struct weir_control_opts opts = control_of(&self->listener, self->base, &owner);
	int holder = parcel_socket(), waiting[32], count, status, i;
	int64_t slowest_ms = 0;
	struct sockaddr_un addr;
	struct timespec begin, end;
	struct weir_control *control;
	struct parcel_place place;
	socklen_t len = sizeof(addr);
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root: /run/weir");
	ASSERT_EQ(0, parcel_listen(holder, opts.instance, "hold", 0, &place));
	memset(&addr, 0, sizeof(addr));
	addr.sun_family = AF_UNIX;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", place.path);
	for (count = 0; count < 32; count++) {
		waiting[count] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		ASSERT_LE(0, waiting[count]);
		if (connect(waiting[count], (struct sockaddr *)&addr, len))
			break;
	}
	ASSERT_GT(32, count);
	ASSERT_EQ(0, weir_control_open(&control, &opts));
	/* One of these at the least is in the thread's way. */
	for (i = 0; i < A_WHILE_MS; i++) {
		clock_gettime(CLOCK_MONOTONIC, &begin);
		pid = fork();
		if (!pid)
			_exit(0);
		clock_gettime(CLOCK_MONOTONIC, &end);
		slowest_ms = MAX(slowest_ms, ms_between(&begin, &end));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		usleep(1000);
	}
	EXPECT_GT(PARCEL_WAIT_S * 1000 - 500, slowest_ms);
	parcel_unlisten(&place);
	close(holder);
	for (i = 0; i <= count; i++)
		close(waiting[i]);
	weir_control_close(control);
}

TEST_F(crew, who_has_listeners_is_succeeded)
{
	struct owner owner = { 0 }, next = { 0 };
	struct weir_control_opts opts = control_of(&self->listener, self->base, &owner);
	const char *name = opts.instance;
	struct weir_control *control, *other;
	struct weir_takeover *takeover;
	unsigned int count, hung = 0, before = sockets_that_listen();
	int status, ms;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root: /run/weir");
	opts.count = 0;
	EXPECT_EQ(-EINVAL, weir_control_open(&control, &opts));
	opts.count = 1;
	ASSERT_EQ(0, weir_control_open(&control, &opts));
	EXPECT_EQ(-EADDRINUSE, weir_control_open(&other, &opts));

	/* One that begins, and ends. */
	ASSERT_EQ(0, weir_takeover_open(&takeover, name, WEIR_TAKEOVER_SERVICE));
	ASSERT_NE(NULL, weir_takeover_listeners(takeover, &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(0, weir_takeover_begin(takeover, self->base, 1, &hung));
	EXPECT_EQ(7, hung);
	/* A process that is forked has nothing of it: its parent's end is an end. */
	pid = fork();
	if (!pid)
		_exit((int)sockets_that_listen());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	/* But what this one has got as the successor, too. */
	EXPECT_EQ((int)(before + 1) << 8, status);
	EXPECT_EQ(before + 3, sockets_that_listen());
	weir_takeover_close(takeover);

	ASSERT_EQ(0, weir_takeover_open(&takeover, name, WEIR_TAKEOVER_SERVICE));
	EXPECT_EQ(0, weir_takeover_begin(takeover, self->base, 1, &hung));
	weir_takeover_serves(takeover, 1);
	weir_takeover_close(takeover);
	for (ms = 0; ms < PATIENCE_MS && !__atomic_load_n(&owner.leaves, __ATOMIC_ACQUIRE); ms++)
		usleep(1000);
	/* He has not taken the name: it is nobody's, and not in anybody's way. */
	opts.ctx = &next;
	ASSERT_EQ(0, weir_control_open(&other, &opts));
	usleep(A_WHILE_MS * 1000);
	EXPECT_EQ(0, interrupt("weir-control"));
	usleep(A_WHILE_MS * 1000);
	weir_control_close(control);
	ASSERT_EQ(0, weir_takeover_open(&takeover, name, WEIR_TAKEOVER_SERVICE));
	weir_takeover_close(takeover);
	weir_control_close(other);
	EXPECT_EQ(2, owner.yields);
	EXPECT_EQ(2, owner.begins);
	EXPECT_EQ(1, owner.backs);
	EXPECT_EQ(1, owner.leaves);
	EXPECT_EQ(0, owner.drains);
	EXPECT_EQ(-ENOENT, weir_takeover_open(&takeover, name, WEIR_TAKEOVER_SERVICE));
}

TEST_HARNESS_MAIN
