/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* parcel.h - one message between two owners of listeners, with descriptors */
#ifndef SERVE_PARCEL_H
#define SERVE_PARCEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	PARCEL_FDS	= 64,		/* descriptors in one parcel */
	PARCEL_WAIT_S	= 5,		/* for the other side's next one */
};

#define PARCEL_MAGIC	0x7765697263746c32ULL	/* "weirctl2" */

enum parcel_kind {
	PARCEL_TAKE	= 1,	/* to a service or holder: what do you have? */
	PARCEL_LISTENERS,	/* count: with this one and those to come */
	PARCEL_LOCK,		/* after them; count: 1 with the lock, else 0 */
	PARCEL_YIELD,		/* to a service: all is ready; count: 1 the pins, too */
	PARCEL_YIELDED,		/* count: workers that still accept, since they hang */
	PARCEL_BEGIN,		/* to a service: it is mine as long as I am there */
	PARCEL_SERVES,		/* to a service: it is mine for good; count: workers */
	PARCEL_KEEP,		/* to a holder: listeners follow; count: workers */
	PARCEL_HOLD,		/* to a service: there is a holder */
	PARCEL_BYE,		/* to a holder: nothing is to be kept */
	PARCEL_STAY,		/* to a child: serve on, also when the parent dies */
	PARCEL_BACK,		/* to a child: nothing came of the successor */
	PARCEL_MAX,
};

/* Sent as it is: both ends are on one machine. The version is in the magic. */
struct parcel {
	uint64_t magic;
	uint32_t kind;
	uint32_t count;
	int32_t err;
	uint32_t workers;	/* of the service: PARCEL_LOCK */
};

int parcel_send(int fd, enum parcel_kind kind, uint32_t count, int err, const int *fds,
		unsigned int fds_count);
/* Up to @max descriptors to @fds, their number to @got; others are closed. */
int parcel_recv(int fd, struct parcel *parcel, int *fds, unsigned int max, unsigned int *got);
/* The same, and it must be of this kind and tell of no error. */
int parcel_want(int fd, enum parcel_kind kind, struct parcel *parcel);

/* Whether @fd is readable in that time, which no signal makes shorter. */
bool parcel_told(int fd, uint64_t ns);

int parcel_send_listeners(int fd, const int *fds, unsigned int count);
/* What follows them: the lock, or -1, and how many workers they are, or were, for. */
int parcel_send_lock(int fd, int lock, uint32_t workers);
/* Into a new array of *countp descriptors, each one of which parcel_listener() knows. */
int parcel_recv_listeners(int fd, int **fdsp, unsigned int *countp);
void parcel_drop(int *fds, unsigned int count);		/* close and free */
bool parcel_listens(int fd);
bool parcel_is_udp(int fd);
/*
 * A TCP socket that listens, or did: that of a worker that died is bound still. Or a
 * UDP socket that is bound.
 */
bool parcel_listener(int fd);

/*
 * A UDP socket that is connected, here to itself, keeps what it has, but nobody's
 * datagrams come to it any more: the kernel chooses another of its group. There is no
 * way back: some kernels take it out of the group.
 */
int parcel_deafen(int fd);
bool parcel_is_deaf(int fd);
/* Nobody serves at it, whatever it is: what waits there goes to the others of its group. */
void parcel_mute(int fd);

/* parcel_place.c */
bool parcel_name_ok(const char *instance);

int parcel_socket(void);	/* for one of these; each step has PARCEL_WAIT_S */
/* "sock" is the service's, "hold" that of its holder. */
int parcel_reach(int fd, const char *instance, const char *suffix);
int parcel_connect(const char *instance, const char *suffix);	/* a new one; or -errno */

/* Where a socket listens, also when another one takes its place later. */
struct parcel_place {
	char path[108];		/* "" for nowhere */
	dev_t dev;
	ino_t ino;
};

#define PARCEL_REPLACE	UINT64_MAX

/*
 * -EADDRINUSE where somebody lives, and does not end while we have @patience_ns;
 * PARCEL_REPLACE whoever is there.
 */
int parcel_listen(int fd, const char *instance, const char *suffix, uint64_t patience_ns,
		  struct parcel_place *where);
void parcel_unlisten(struct parcel_place *where);	/* unless it is another's now */
bool parcel_peer_ok(int fd);	/* root, or this user */
int parcel_accept(int listen_fd);	/* of a peer that is ok; else -errno, at once */

#endif /* SERVE_PARCEL_H */
