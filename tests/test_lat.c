// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_lat.c - whose operations are measured, where the kernel uses memory again
 */
#include <liburing.h>

#include "bpf_service.h"

#define NOPS	64

FIXTURE(lat)
{
	struct io_uring ring;
	struct weir_bpf_lat *lat;
};

FIXTURE_SETUP(lat)
{
	char why[WEIR_BPF_WHY_BYTES] = "";
	int err;

	err = io_uring_queue_init(NOPS, &self->ring, 0);
	if (err == -ENOSYS || err == -EPERM)
		SKIP(_exit(KSFT_SKIP), "io_uring is refused here");
	ASSERT_EQ(0, err);
	err = weir_bpf_lat_open(&self->lat, (uint32_t)getpid(), why, sizeof(why));
	if (err)
		SKIP(_exit(KSFT_SKIP), "%s", why);
}

FIXTURE_TEARDOWN(lat)
{
	weir_bpf_lat_close(self->lat);
	io_uring_queue_exit(&self->ring);
}

/* All at once; with @flags that say so they post no completion. */
static int nops(struct io_uring *ring, unsigned int flags)
{
	unsigned int i, wait = flags ? 0 : NOPS;

	for (i = 0; i < NOPS; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		io_uring_prep_nop(sqe);
		io_uring_sqe_set_flags(sqe, flags);
	}
	if (io_uring_submit_and_wait(ring, wait) != NOPS || io_uring_cq_ready(ring) != wait)
		return -EIO;
	io_uring_cq_advance(ring, wait);
	return 0;
}

static uint64_t counted(const struct weir_bpf_lat *lat)
{
	struct weir_lat nop;

	return weir_bpf_lat_read((struct weir_bpf_lat *)lat, IORING_OP_NOP, &nop) ? ~0ULL :
	       nop.count;
}

/* What posts no completion has no end; the memory of its request is another's then. */
TEST_F(lat, another_process_on_the_same_ring_is_not_measured)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, nops(&self->ring, 0));
	EXPECT_EQ(NOPS, counted(self->lat));
	ASSERT_EQ(0, nops(&self->ring, IOSQE_CQE_SKIP_SUCCESS));
	EXPECT_EQ(NOPS, counted(self->lat));
	pid = fork();
	if (!pid)
		_exit(nops(&self->ring, 0) ? 1 : 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_EQ(NOPS, counted(self->lat));
}

TEST_HARNESS_MAIN
