// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_probe.c - the table of io_uring's features
 */
#include <weir/probe.h>

#include "backends.h"
#include "kselftest_harness.h"

static const struct weir_feature *find(const char *name)
{
	const struct weir_feature *feature;
	size_t count;

	for (feature = weir_uring_features(&count); count--; feature++)
		if (!strcmp(feature->name, name))
			return feature;
	return NULL;
}

TEST(each_feature_has_a_name_of_its_own_and_says_what_it_gives)
{
	const struct weir_feature *feature;
	size_t count, i;

	feature = weir_uring_features(&count);
	ASSERT_LE(1, count);
	EXPECT_EQ(0, strcmp("setup", feature->name));
	for (i = 0; i < count; i++) {
		EXPECT_EQ(&feature[i], find(feature[i].name));
		EXPECT_NE(0, strlen(feature[i].gives));
	}
}

TEST(what_is_not_there_says_why)
{
	const struct weir_feature *feature;
	size_t count;

	for (feature = weir_uring_features(&count); count--; feature++) {
		if (feature->state != WEIR_FEATURE_OK)
			EXPECT_NE(0, strlen(feature->why)) TH_LOG("%s", feature->name);
	}
}

TEST(the_ring_is_there_exactly_when_a_loop_of_uring_opens)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "uring" };
	struct weir_loop *loop;
	int err = weir_loop_open(&loop, &opts);

	EXPECT_EQ(!err, weir_uring_features(NULL)->state == WEIR_FEATURE_OK);
	if (!err)
		EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

TEST(with_a_ring_there_are_files_accepts_buffers_and_receives)
{
	const struct weir_feature *feature = find("recv_multishot");

	if (weir_uring_features(NULL)->state != WEIR_FEATURE_OK)
		SKIP(return, "no io_uring here: %s", weir_uring_features(NULL)->why);
	ASSERT_NE(NULL, feature);
	EXPECT_EQ(WEIR_FEATURE_OK, find("files")->state);
	EXPECT_EQ(WEIR_FEATURE_OK, find("accept_multishot")->state);
	EXPECT_EQ(WEIR_FEATURE_OK, find("buf_ring")->state);
	EXPECT_EQ(WEIR_FEATURE_OK, feature->state);
}

TEST(a_refused_ring_says_who_may_have_refused_it_and_the_rest_is_not_tried)
{
	const struct weir_feature *feature;
	size_t count, i;

	if (refuse(SYS_io_uring_setup, EPERM))
		SKIP(return, "no seccomp filters here");
	feature = weir_uring_features(&count);
	EXPECT_EQ(WEIR_FEATURE_NO, feature[0].state);
	if (count > 1)
		EXPECT_NE(NULL, strstr(feature[0].why, "seccomp"));
	for (i = 1; i < count; i++)
		EXPECT_EQ(WEIR_FEATURE_SKIP, feature[i].state) TH_LOG("%s", feature[i].name);
}

/* The kernel tells whoever used a ring when it is gone, in the middle of what he waits for. */
TEST(who_asks_is_not_interrupted_afterwards)
{
	struct timeval soon = { .tv_usec = 200000 };
	int fds[2];
	char byte;

	weir_uring_features(NULL);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	ASSERT_EQ(0, setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)));
	EXPECT_EQ(-1, recv(fds[0], &byte, 1, 0));
	EXPECT_EQ(EAGAIN, errno);
	close(fds[0]);
	close(fds[1]);
}

TEST_HARNESS_MAIN
