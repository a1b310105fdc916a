/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * call.h - every operation as a plain call, for fibers and for plain code
 *
 * Each prepares its operation on the caller's stack, awaits it (weir/await.h) and
 * returns its result: a count or 0, or -errno; -ETIME after @deadline_ns, a time of
 * weir_loop_now(), where 0 is never; -ECANCELED when the caller's scope ended. What
 * the arguments mean is told at weir_prep_*() of weir/op.h. Those that open a file
 * put it into *filep when they succeed and leave it alone otherwise.
 */
#ifndef WEIR_CALL_H
#define WEIR_CALL_H

#include <errno.h>

#include <weir/await.h>
#include <weir/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Awaits an operation that may have opened a file. */
static inline int weir_call_file(struct weir_loop *loop, struct weir_op *op,
				 uint64_t deadline_ns, struct weir_file *filep,
				 const char *where)
{
	int res = weir_call_at(loop, op, deadline_ns, where);

	if (res >= 0)
		*filep = op->accepted;
	return res;
}

/* Until @at_ns of weir_loop_now(); in the past: for the rest of this turn. */
static inline int weir_call_sleep(struct weir_loop *loop, uint64_t at_ns)
{
	struct weir_op op;

	weir_prep_timeout(&op, at_ns, NULL, NULL);
	return weir_call_at(loop, &op, at_ns, __func__);
}

static inline int weir_call_nop(struct weir_loop *loop, uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_nop(&op, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

/* Waits for @fn once it runs on its thread, whatever the deadline. */
static inline int weir_call_work(struct weir_loop *loop, int (*fn)(void *arg), void *arg,
				 uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_work(&op, fn, arg, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

/* Returns the ready events. */
static inline int weir_call_poll(struct weir_loop *loop, struct weir_file file,
				 uint32_t events, uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_poll(&op, file, events, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_socket(struct weir_loop *loop, int family, int type,
				   int protocol, uint64_t deadline_ns,
				   struct weir_file *filep)
{
	struct weir_op op;

	weir_prep_socket(&op, family, type, protocol, NULL, NULL);
	return weir_call_file(loop, &op, deadline_ns, filep, __func__);
}

static inline int weir_call_bind(struct weir_loop *loop, struct weir_file file,
				 const struct sockaddr *addr, uint32_t addr_len,
				 uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_bind(&op, file, addr, addr_len, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_listen(struct weir_loop *loop, struct weir_file file,
				   int backlog, uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_listen(&op, file, backlog, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

/* One connection. */
static inline int weir_call_accept(struct weir_loop *loop, struct weir_file file,
				   uint64_t deadline_ns, struct weir_file *filep)
{
	struct weir_op op;

	weir_prep_accept_once(&op, file, NULL, NULL);
	return weir_call_file(loop, &op, deadline_ns, filep, __func__);
}

/* A new stream socket. */
static inline int weir_call_connect(struct weir_loop *loop, const struct sockaddr *addr,
				    uint32_t addr_len, uint64_t deadline_ns,
				    struct weir_file *filep)
{
	struct weir_op op;

	weir_prep_connect(&op, addr, addr_len, NULL, NULL);
	return weir_call_file(loop, &op, deadline_ns, filep, __func__);
}

static inline int weir_call_connect_file(struct weir_loop *loop, struct weir_file file,
					 const struct sockaddr *addr, uint32_t addr_len,
					 uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_connect_file(&op, file, addr, addr_len, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_recv(struct weir_loop *loop, struct weir_file file, void *buf,
				 uint32_t len, uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_recv(&op, file, buf, len, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_send(struct weir_loop *loop, struct weir_file file,
				 const void *buf, uint32_t len, uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_send(&op, file, buf, len, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_recvmsg(struct weir_loop *loop, struct weir_file file,
				    struct msghdr *msg, int msg_flags, uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_recvmsg(&op, file, msg, msg_flags, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_sendmsg(struct weir_loop *loop, struct weir_file file,
				    const struct msghdr *msg, int msg_flags,
				    uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_sendmsg(&op, file, msg, msg_flags, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_shutdown(struct weir_loop *loop, struct weir_file file, int how,
				     uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_shutdown(&op, file, how, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_getsockopt(struct weir_loop *loop, struct weir_file file,
				       int level, int name, void *value, uint32_t len,
				       uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_getsockopt(&op, file, level, name, value, len, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_setsockopt(struct weir_loop *loop, struct weir_file file,
				       int level, int name, const void *value, uint32_t len,
				       uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_setsockopt(&op, file, level, name, value, len, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_install(struct weir_loop *loop, struct weir_file file,
				    uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_install(&op, file, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_open(struct weir_loop *loop, const char *path, int flags,
				 unsigned int mode, uint64_t deadline_ns,
				 struct weir_file *filep)
{
	struct weir_op op;

	weir_prep_open(&op, path, flags, mode, NULL, NULL);
	return weir_call_file(loop, &op, deadline_ns, filep, __func__);
}

static inline int weir_call_read(struct weir_loop *loop, struct weir_file file, void *buf,
				 uint32_t len, uint64_t offset, uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_read(&op, file, buf, len, offset, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_write(struct weir_loop *loop, struct weir_file file,
				  const void *buf, uint32_t len, uint64_t offset,
				  uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_write(&op, file, buf, len, offset, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_readv(struct weir_loop *loop, struct weir_file file,
				  const struct iovec *iov, uint32_t count, uint64_t offset,
				  uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_readv(&op, file, iov, count, offset, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_writev(struct weir_loop *loop, struct weir_file file,
				   const struct iovec *iov, uint32_t count, uint64_t offset,
				   uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_writev(&op, file, iov, count, offset, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_fsync(struct weir_loop *loop, struct weir_file file,
				  uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_fsync(&op, file, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_fdatasync(struct weir_loop *loop, struct weir_file file,
				      uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_fdatasync(&op, file, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_fallocate(struct weir_loop *loop, struct weir_file file,
				      int mode, uint64_t offset, uint64_t len,
				      uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_fallocate(&op, file, mode, offset, len, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_ftruncate(struct weir_loop *loop, struct weir_file file,
				      uint64_t size, uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_ftruncate(&op, file, size, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_fadvise(struct weir_loop *loop, struct weir_file file,
				    uint64_t offset, uint64_t len, int advice,
				    uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_fadvise(&op, file, offset, len, advice, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_statx(struct weir_loop *loop, const char *path, int flags,
				  unsigned int mask, struct statx *buf,
				  uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_statx(&op, path, flags, mask, buf, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_fstatx(struct weir_loop *loop, struct weir_file file,
				   unsigned int mask, struct statx *buf,
				   uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_fstatx(&op, file, mask, buf, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_unlink(struct weir_loop *loop, const char *path, int flags,
				   uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_unlink(&op, path, flags, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_rename(struct weir_loop *loop, const char *from, const char *to,
				   unsigned int flags, uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_rename(&op, from, to, flags, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_mkdir(struct weir_loop *loop, const char *path,
				  unsigned int mode, uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_mkdir(&op, path, mode, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

static inline int weir_call_splice(struct weir_loop *loop, struct weir_file from,
				   int64_t off_in, struct weir_file to, int64_t off_out,
				   uint32_t len, unsigned int flags, uint64_t deadline_ns)
{
	struct weir_op op;

	weir_prep_splice(&op, from, off_in, to, off_out, len, flags, NULL, NULL);
	return weir_call_at(loop, &op, deadline_ns, __func__);
}

/* Cancels all that is in flight on the file and waits for it; never cancelled itself. */
static inline int weir_call_close(struct weir_loop *loop, struct weir_file file)
{
	struct weir_op op;

	weir_prep_close(&op, file, NULL, NULL);
	return weir_call_at(loop, &op, 0, __func__);
}

/* The whole of @buf: returns 0, or the error of the send that failed. */
static inline int weir_call_send_all(struct weir_loop *loop, struct weir_file file,
				     const void *buf, uint32_t len, uint64_t deadline_ns)
{
	const unsigned char *at = (const unsigned char *)buf;

	while (len) {
		int sent = weir_call_send(loop, file, at, len, deadline_ns);

		if (sent < 0)
			return sent;
		at += sent;
		len -= (uint32_t)sent;
	}
	return 0;
}

/* All of @len: returns 0; -ENODATA if the stream ended before, or another error. */
static inline int weir_call_recv_exact(struct weir_loop *loop, struct weir_file file,
				       void *buf, uint32_t len, uint64_t deadline_ns)
{
	unsigned char *at = (unsigned char *)buf;

	while (len) {
		int got = weir_call_recv(loop, file, at, len, deadline_ns);

		if (got <= 0)
			return got ? got : -ENODATA;
		at += got;
		len -= (uint32_t)got;
	}
	return 0;
}

#ifdef __cplusplus
}
#endif

#endif /* WEIR_CALL_H */
