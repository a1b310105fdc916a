// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * probe_net.c - what a ring can do with sockets, in one scene over loopback:
 * two clients are accepted, and one is received from and sent to
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "io/probe.h"

enum {
	GROUP		= 1,
	GROUP_INC	= 2,
	GROUP_SEND	= 3,
	MESSAGE		= 40,	/* two buffers and a half */
	BUNDLE_BYTES	= 2 * PROBE_BUF_BYTES,
};

static const char message[MESSAGE] = "what is sent must come, in order, once.";

int probe_files(struct probe *probe)
{
	return io_uring_register_files_sparse(&probe->ring, PROBE_SLOTS);
}

static int sockets_open(struct probe *probe)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	size_t i;

	probe->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe->listener < 0 || bind(probe->listener, (struct sockaddr *)&sin, len) ||
	    listen(probe->listener, 8) ||
	    getsockname(probe->listener, (struct sockaddr *)&sin, &len))
		return -errno;
	for (i = 0; i < ARRAY_SIZE(probe->client); i++) {
		probe->client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (probe->client[i] < 0 ||
		    connect(probe->client[i], (struct sockaddr *)&sin, len))
			return -errno;
	}
	return 0;
}

void probe_net_close(struct probe *probe)
{
	size_t i;

	if (probe->listener >= 0)
		close(probe->listener);
	for (i = 0; i < ARRAY_SIZE(probe->client); i++)
		if (probe->client[i] >= 0)
			close(probe->client[i]);
	if (probe->bufs)
		munmap(probe->bufs, 2 * (size_t)sysconf(_SC_PAGESIZE));
}

int probe_accept(struct probe *probe)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe cqe;
	size_t i;
	int err;

	err = sockets_open(probe);
	if (err)
		return err;
	sqe = io_uring_get_sqe(&probe->ring);
	io_uring_prep_multishot_accept_direct(sqe, probe->listener, NULL, NULL, 0);
	sqe->user_data = PROBE_BACKGROUND;
	for (i = 0; i < ARRAY_SIZE(probe->client); i++) {
		err = probe_wait(probe, &cqe, PROBE_BACKGROUND);
		if (err || cqe.res < 0)
			return err ? err : cqe.res;
		if (!(cqe.flags & IORING_CQE_F_MORE) || cqe.res >= PROBE_SLOTS)
			return -ENODATA;
		if (!i)
			probe->slot = (unsigned int)cqe.res;
	}
	return 0;
}

/* All buffers of the ring are (again) the kernel's. */
static void bufs_fill(struct probe *probe)
{
	int i;

	for (i = 0; i < PROBE_BUFS; i++)
		io_uring_buf_ring_add(probe->bufs, probe->bytes + i * PROBE_BUF_BYTES,
				      PROBE_BUF_BYTES, (unsigned short)i, PROBE_BUFS - 1, i);
	io_uring_buf_ring_advance(probe->bufs, PROBE_BUFS);
}

static int bufs_register(struct probe *probe, uint16_t group, unsigned int flags)
{
	struct io_uring_buf_reg reg = { .ring_entries = PROBE_BUFS, .bgid = group };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!probe->bufs) {
		void *mem = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (mem == MAP_FAILED)
			return -ENOMEM;
		probe->bufs = mem;
		probe->bytes = (unsigned char *)mem + page;
	}
	memset(probe->bufs, 0, 2 * page);
	reg.ring_addr = (uintptr_t)probe->bufs;
	/* The flags stand where liburing 2.3 has padding. */
	reg.pad = (uint16_t)flags;
	return io_uring_register_buf_ring(&probe->ring, &reg, 0);
}

int probe_buf_ring(struct probe *probe)
{
	int err = bufs_register(probe, GROUP, 0);

	if (!err)
		bufs_fill(probe);
	return err;
}

/* A receive from the client, of @bytes at once at most if not 0, into buffers of @group. */
static void recv_start(struct probe *probe, uint16_t group, unsigned int how, uint32_t bytes)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&probe->ring);

	io_uring_prep_recv(sqe, (int)probe->slot, NULL, bytes, 0);
	sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->ioprio = (uint16_t)how;
	sqe->buf_group = group;
	sqe->user_data = PROBE_ONE;
}

static int say(struct probe *probe, size_t bytes)
{
	return send(probe->client[0], message, bytes, MSG_NOSIGNAL) == (ssize_t)bytes ? 0 : -EIO;
}

/* End the receive that is armed. */
static int recv_end(struct probe *probe)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&probe->ring);
	struct io_uring_cqe cqe;
	int err;

	io_uring_prep_cancel64(sqe, PROBE_ONE, 0);
	sqe->user_data = PROBE_CANCEL;
	err = probe_wait(probe, &cqe, PROBE_ONE);
	if (err)
		return err;
	return cqe.flags & IORING_CQE_F_MORE ? -ENODATA : 0;
}

int probe_recv(struct probe *probe)
{
	struct io_uring_cqe cqe;
	int err = 0, i;

	recv_start(probe, GROUP, IORING_RECV_MULTISHOT, 0);
	for (i = 0; i < PROBE_BUFS && !err; i++) {
		err = say(probe, PROBE_BUF_BYTES);
		if (!err)
			err = probe_wait(probe, &cqe, PROBE_ONE);
		if (!err && cqe.res < 0)
			err = cqe.res;
		if (!err && (!(cqe.flags & IORING_CQE_F_MORE) ||
			     cqe.flags >> IORING_CQE_BUFFER_SHIFT != (unsigned int)i ||
			     memcmp(probe->bytes + i * PROBE_BUF_BYTES, message, PROBE_BUF_BYTES)))
			err = -ENODATA;
	}
	if (!err)
		err = recv_end(probe);
	bufs_fill(probe);
	return err;
}

/*
 * Several buffers a completion, in the ring's order, and no more than asked for; only
 * the last may be part full. Kernels that knew no limit had faults besides.
 */
int probe_bundle(struct probe *probe)
{
	static const int parts[] = { BUNDLE_BYTES, MESSAGE - BUNDLE_BYTES };
	struct io_uring_cqe cqe = { 0 };
	size_t i;
	int err;

	if (!(probe->features & URING_FEAT_BUNDLE))
		return -EOPNOTSUPP;
	err = say(probe, MESSAGE);
	if (err)
		return err;
	recv_start(probe, GROUP, IORING_RECV_MULTISHOT | URING_BUNDLE, BUNDLE_BYTES);
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		err = probe_wait(probe, &cqe, PROBE_ONE);
		if (err || cqe.res < 0)
			return err ? err : cqe.res;
		if (cqe.res != parts[i] || cqe.flags >> IORING_CQE_BUFFER_SHIFT != 2 * i)
			return -ENODATA;
	}
	if (memcmp(probe->bytes, message, MESSAGE))
		return -ENODATA;
	/* It may have ended: no more buffers were left than it may take. */
	return cqe.flags & IORING_CQE_F_MORE ? recv_end(probe) : 0;
}

/* Three messages into one buffer, one behind the other; the last one fills it. */
int probe_buf_inc(struct probe *probe)
{
	static const struct {
		uint32_t bytes;
		bool more;
	} parts[] = { { 6, true }, { 6, true }, { 4, false } };
	struct io_uring_cqe cqe;
	uint32_t at = 0;
	size_t i;
	int err;

	io_uring_unregister_buf_ring(&probe->ring, GROUP);
	err = bufs_register(probe, GROUP_INC, URING_PBUF_INC);
	if (err)
		return err;
	bufs_fill(probe);
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		recv_start(probe, GROUP_INC, 0, 0);
		err = say(probe, parts[i].bytes);
		if (!err)
			err = probe_wait(probe, &cqe, PROBE_ONE);
		if (err || cqe.res < 0)
			return err ? err : cqe.res;
		if (cqe.res != (int)parts[i].bytes || cqe.flags >> IORING_CQE_BUFFER_SHIFT ||
		    parts[i].more != !!(cqe.flags & URING_CQE_BUF_MORE) ||
		    memcmp(probe->bytes + at, message, parts[i].bytes))
			return -ENODATA;
		at += parts[i].bytes;
	}
	return 0;
}

/* The client's end has received the message. */
static int heard(struct probe *probe)
{
	char came[MESSAGE];

	if (recv(probe->client[0], came, MESSAGE, MSG_WAITALL) != MESSAGE)
		return -ENODATA;
	return memcmp(came, message, MESSAGE) ? -ENODATA : 0;
}

/* All buffers in one send and one completion, and then the kernel has none left. */
int probe_send_bundle(struct probe *probe)
{
	struct uring_buf_status status = { .bgid = GROUP_SEND };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe cqe;
	int at, err;

	if (!(probe->features & URING_FEAT_BUNDLE))
		return -EOPNOTSUPP;
	io_uring_unregister_buf_ring(&probe->ring, GROUP);
	io_uring_unregister_buf_ring(&probe->ring, GROUP_INC);
	err = bufs_register(probe, GROUP_SEND, 0);
	if (err)
		return err;
	memcpy(probe->bytes, message, MESSAGE);
	for (at = 0; at < MESSAGE; at += PROBE_BUF_BYTES)
		io_uring_buf_ring_add(probe->bufs, probe->bytes + at,
				      min_u32(PROBE_BUF_BYTES, (uint32_t)(MESSAGE - at)), 0,
				      PROBE_BUFS - 1, at / PROBE_BUF_BYTES);
	io_uring_buf_ring_advance(probe->bufs, at / PROBE_BUF_BYTES);
	sqe = io_uring_get_sqe(&probe->ring);
	io_uring_prep_send(sqe, (int)probe->slot, NULL, 0, MSG_NOSIGNAL);
	sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->ioprio = URING_BUNDLE;
	sqe->buf_group = GROUP_SEND;
	sqe->user_data = PROBE_ONE;
	err = probe_wait(probe, &cqe, PROBE_ONE);
	if (!err && cqe.res < 0)
		err = cqe.res;
	if (!err)
		err = io_uring_register((unsigned int)probe->ring.ring_fd,
					URING_REGISTER_BUF_STATUS, &status, 1);
	if (err)
		return err;
	if (cqe.res != MESSAGE || cqe.flags & IORING_CQE_F_MORE ||
	    (uint16_t)status.head != probe->bufs->tail)
		return -ENODATA;
	return heard(probe);
}

/* Two completions: sent, and done with the memory. */
int probe_send_zc(struct probe *probe)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&probe->ring);
	struct io_uring_cqe cqe;
	int err;

	io_uring_prep_rw(URING_OP_SEND_ZC, sqe, (int)probe->slot, message, MESSAGE, 0);
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->msg_flags = MSG_NOSIGNAL;
	sqe->user_data = PROBE_ONE;
	err = probe_wait(probe, &cqe, PROBE_ONE);
	if (err || cqe.res < 0)
		return err ? err : cqe.res;
	if (cqe.res != MESSAGE || !(cqe.flags & IORING_CQE_F_MORE))
		return -ENODATA;
	err = heard(probe);
	if (!err)
		err = probe_wait(probe, &cqe, PROBE_ONE);
	if (err)
		return err;
	return cqe.flags & IORING_CQE_F_NOTIF && !(cqe.flags & IORING_CQE_F_MORE) ? 0 : -ENODATA;
}

int probe_sock_cmd(struct probe *probe)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&probe->ring);
	struct io_uring_cqe cqe;
	uint64_t cookie = 0;
	int err;

	uring_prep_sockopt(sqe, URING_SOCKET_GETSOCKOPT, SOL_SOCKET, SO_COOKIE, &cookie,
			   sizeof(cookie));
	sqe->fd = (int)probe->slot;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->user_data = PROBE_ONE;
	err = probe_wait(probe, &cqe, PROBE_ONE);
	if (err || cqe.res < 0)
		return err ? err : cqe.res;
	return cookie ? 0 : -ENODATA;
}
