// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * epoll.c - the backend for kernels that refuse io_uring
 *
 * A file is registered once, edge-triggered, when an op first waits for it; it
 * leaves the set by being closed. Should another descriptor of the same open
 * file outlive it, its edges carry a generation that is over and are dropped.
 * Reads and writes of what cannot be polled go to the offload threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "io/ready.h"

enum {
	EVENTS_MAX	= 256,		/* edges taken at once */
	FILE_WAKE	= UINT32_MAX,	/* the wake descriptor, among file indices */
	EDGES		= EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP,
};

/* io_file.hints: what reading and writing it takes, once known */
enum {
	HINT_KNOWN	= READY_HINT_OWN,
	HINT_OFFLOAD	= READY_HINT_OWN << 1,
};

struct epoll {
	struct ready ready;
	int fd;
	bool coarse;		/* no epoll_pwait2(2) here */
	struct epoll_event events[EVENTS_MAX];
};

static struct epoll *epoll_of(const struct weir_loop *loop)
{
	return loop->priv;
}

static uint64_t data_of(uint32_t index, uint32_t gen)
{
	return (uint64_t)gen << 32 | index;
}

static int epoll_add(struct weir_loop *loop, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	loop->stats.syscalls++;
	if (!epoll_ctl(epoll_of(loop)->fd, EPOLL_CTL_ADD, fd, &event))
		return 0;
	if (errno != EEXIST)
		return -errno;
	/* A descriptor of the same number and open file had been here. */
	loop->stats.syscalls++;
	return epoll_ctl(epoll_of(loop)->fd, EPOLL_CTL_MOD, fd, &event) ? -errno : 0;
}

static int epoll_arm(struct weir_loop *loop, uint32_t file)
{
	struct io_file *entry = &loop->files[file];
	int err;

	if (entry->armed)
		return 0;
	err = epoll_add(loop, entry->fd, EDGES | EPOLLET, data_of(file, entry->gen));
	if (err)
		return err == -EPERM ? -EINVAL : err;	/* as io_uring: it has no poll */
	entry->armed = 1;
	return 0;
}

static void set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Files and disks block and cannot be polled; all else is the other way round. */
static void learn(struct io_file *entry)
{
	struct stat st;

	entry->hints |= HINT_KNOWN;
	if (fstat(entry->fd, &st) || S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ||
	    S_ISDIR(st.st_mode))
		entry->hints |= HINT_OFFLOAD;
	else
		set_nonblock(entry->fd);
}

static bool may_block(struct weir_loop *loop, struct weir_file file)
{
	struct io_file *entry = &loop->files[file.index];

	if (!(entry->hints & HINT_KNOWN))
		learn(entry);
	return entry->hints & HINT_OFFLOAD;
}

/*
 * What is not ready is waited for here, not by a thread. What is goes to one even
 * if it would not block: SIGPIPE is blocked there, and splice(2) cannot ask for none.
 */
static bool splice_may_block(struct weir_loop *loop, const struct weir_op *op)
{
	struct weir_file file;

	may_block(loop, op->splice.from);
	may_block(loop, op->file);
	return ready_both(loop, op, &file);
}

/* As io_uring: without edges nothing more would ever come. -EAGAIN: it has them. */
static int edges_check(struct weir_loop *loop, struct weir_file file)
{
	int err;

	may_block(loop, file);
	err = epoll_arm(loop, file.index);
	if (err == -EINVAL)
		return -EBADFD;
	return err ? err : -EAGAIN;
}

static int epoll_offload(struct weir_loop *loop, struct weir_op *op)
{
	bool block;

	loop->stats.syscalls += op->opcode != WEIR_OP_WORK;	/* the op's own */
	if (op->flags & WEIR_OPF_MULTISHOT)
		return edges_check(loop, op->file);
	if (op_def(op)->flags & IO_OPF_TWO)
		block = splice_may_block(loop, op);
	else
		block = !op_has_file(op) || may_block(loop, op->file);
	return block ? io_offload(loop, op) : -EAGAIN;
}

static int epoll_adopt(struct weir_loop *loop, uint32_t file, int fd)
{
	socklen_t len = sizeof(int);
	int protocol;

	set_nonblock(fd);
	if (!getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) && protocol == IPPROTO_TCP)
		loop->files[file].hints |= READY_HINT_STREAM;
	return 0;
}

/* It would stay in the set: its open file lives on. */
static void epoll_forget(struct weir_loop *loop, uint32_t file)
{
	struct io_file *entry = &loop->files[file];

	if (!entry->armed)
		return;
	loop->stats.syscalls++;
	epoll_ctl(epoll_of(loop)->fd, EPOLL_CTL_DEL, entry->fd, NULL);
}

static int epoll_open(struct weir_loop *loop)
{
	struct epoll *epoll;
	int err;

	epoll = mem_get(&loop->alloc, 1, sizeof(*epoll), _Alignof(struct epoll));
	if (!epoll)
		return -ENOMEM;
	loop->priv = epoll;
	ready_init(&epoll->ready);
	epoll->ready.arm = epoll_arm;
	epoll->ready.offload = epoll_offload;
	epoll->ready.short_drains = true;
	epoll->fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll->fd < 0) {
		err = -errno;
		goto free_epoll;
	}
	err = epoll_add(loop, loop->wake_fd, EPOLLIN, data_of(FILE_WAKE, 0));
	if (err)
		goto close_fd;
	return 0;

close_fd:
	close(epoll->fd);
free_epoll:
	mem_put(&loop->alloc, epoll, 1, sizeof(*epoll));
	loop->priv = NULL;
	return err;
}

static void epoll_close(struct weir_loop *loop)
{
	struct epoll *epoll = epoll_of(loop);

	close(epoll->fd);
	mem_put(&loop->alloc, epoll, 1, sizeof(*epoll));
	loop->priv = NULL;
}

static int epoll_enable(struct weir_loop *loop)
{
	return 0;
}

static int epoll_commit(struct weir_loop *loop)
{
	return 0;
}

static int wait_ns(struct epoll *epoll, uint64_t ns)
{
#ifdef SYS_epoll_pwait2
	struct timespec ts = {
		.tv_sec = (time_t)(ns / NSEC_PER_SEC),
		.tv_nsec = (long)(ns % NSEC_PER_SEC),
	};
	int ret;

	if (!epoll->coarse) {
		ret = (int)syscall(SYS_epoll_pwait2, epoll->fd, epoll->events, EVENTS_MAX,
				   ns == DEADLINE_NONE ? NULL : &ts, NULL, 0);
		if (ret >= 0 || (errno != ENOSYS && errno != EPERM))
			return ret;
		epoll->coarse = true;
	}
#endif
	/* Rounded up: to wake too early would only be to wait again. */
	ns = ns / NSEC_PER_MSEC + !!(ns % NSEC_PER_MSEC);
	return epoll_wait(epoll->fd, epoll->events, EVENTS_MAX, ns > INT32_MAX ? -1 : (int)ns);
}

/* Wait for edges until @deadline_ns: how many, or -errno. */
static int wait_edges(struct weir_loop *loop, uint64_t deadline_ns)
{
	uint64_t now = loop->sys->now(loop);
	int n;

	if (deadline_ns > now) {
		deadline_ns = io_parking(loop, deadline_ns);
		if (ready_pending(loop))
			deadline_ns = 0;
	}
	loop->stats.syscalls++;
	if (deadline_ns == DEADLINE_NONE)
		n = wait_ns(epoll_of(loop), DEADLINE_NONE);
	else
		n = wait_ns(epoll_of(loop), deadline_ns > now ? deadline_ns - now : 0);
	if (n < 0)
		n = errno == EINTR ? 0 : -errno;
	io_running(loop, n > 0 ? (unsigned int)n : 0);
	return n;
}

static void woken(struct weir_loop *loop)
{
	uint64_t count;
	ssize_t ret;

	loop->stats.syscalls++;
	ret = read(loop->wake_fd, &count, sizeof(count));
	(void)ret;	/* level-triggered: what is left is reported again */
	/* After the read: a wake in between would be eaten, and none come again. */
	atomic_store(&loop->woken, false);
}

static void mark_edges(struct weir_loop *loop, const struct epoll_event *events, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		uint32_t index = (uint32_t)events[i].data.u64;
		uint32_t gen = (uint32_t)(events[i].data.u64 >> 32);

		if (index == FILE_WAKE)
			woken(loop);
		else if (loop->files[index].gen != gen)
			loop->stats.stale++;
		else
			ready_mark(loop, index, events[i].events);
	}
}

static int epoll_reap(struct weir_loop *loop, uint64_t deadline_ns)
{
	struct epoll *epoll = epoll_of(loop);
	unsigned int events;
	int n;

	/* What can be tried goes first: often nothing comes of it but a wait. */
	events = ready_run(loop);
	if (events || ready_pending(loop) || !list_empty(&loop->finished))
		deadline_ns = 0;
	n = wait_edges(loop, deadline_ns);
	if (n < 0)
		return n;
	mark_edges(loop, epoll->events, n);
	events += ready_run(loop);
	return (int)events;
}

static int epoll_fd(const struct weir_loop *loop)
{
	return epoll_of(loop)->fd;
}

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLPRI == POLLPRI &&
	       EPOLLERR == POLLERR && EPOLLHUP == POLLHUP && EPOLLRDHUP == POLLRDHUP,
	       "ready_mark() takes the events of either");

const struct weir_backend weir_backend_epoll = {
	.name		= "epoll",
	.sys		= &io_sys_linux,
	.fixed_files	= 0,
	.open		= epoll_open,
	.enable		= epoll_enable,
	.close		= epoll_close,
	.queue		= ready_queue,
	.commit		= epoll_commit,
	.reap		= epoll_reap,
	.cancel		= ready_cancel,
	.adopt		= epoll_adopt,
	.group_open	= ready_group_open,
	.group_close	= ready_group_close,
	.group_put	= ready_group_put,
	.fd		= epoll_fd,
	.pending	= ready_pending,
	.forget		= epoll_forget,
};
