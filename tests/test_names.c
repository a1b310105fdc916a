// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_names.c - names to addresses by a blocking call; nothing here asks the
 * network outside
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include <weir/addr.h>

#include "base/base.h"
#include "kselftest_harness.h"

static int is_addr(const struct weir_addr *addr, const char *text)
{
	struct weir_addr want;

	return !weir_addr_parse(&want, text) && weir_addr_equal(addr, &want);
}

TEST(numbers_are_addresses)
{
	struct weir_addr addrs[4];

	ASSERT_EQ(1, weir_addr_resolve("192.0.2.7", 80, addrs, 4));
	EXPECT_TRUE(is_addr(&addrs[0], "192.0.2.7:80"));
	ASSERT_EQ(1, weir_addr_resolve("2001:db8::7", 65535, addrs, 4));
	EXPECT_TRUE(is_addr(&addrs[0], "[2001:db8::7]:65535"));
	ASSERT_EQ(1, weir_addr_resolve("fe80::7%lo", 80, addrs, 4));
	EXPECT_TRUE(is_addr(&addrs[0], "[fe80::7%lo]:80"));
}

TEST(this_host_has_a_name)
{
	struct weir_addr addrs[4];
	int n = weir_addr_resolve("localhost", 4711, addrs, 4);

	ASSERT_LE(1, n);
	while (n--)
		EXPECT_TRUE(is_addr(&addrs[n], "127.0.0.1:4711") ||
			    is_addr(&addrs[n], "[::1]:4711"));
}

TEST(no_more_are_told_than_there_is_room_for)
{
	struct weir_addr addrs[2];

	memset(addrs, 0x55, sizeof(addrs));
	EXPECT_EQ(0, weir_addr_resolve("192.0.2.7", 80, addrs, 0));
	EXPECT_EQ(0x55555555, addrs[0].len);
	EXPECT_EQ(1, weir_addr_resolve("192.0.2.7", 80, addrs, 1));
	EXPECT_EQ(0x55555555, addrs[1].len);
}

TEST(what_nobody_can_resolve_is_an_error_and_errno_is_left_alone)
{
	static const char *const names[] = { "nowhere.invalid", "no such name", "192.0.2.256" };
	struct weir_addr addr;
	size_t i;

	/* A network without anything in it. */
	if (unshare(CLONE_NEWNET))
		SKIP(return, "no network of its own: %s", strerror(errno));
	memset(&addr, 0x55, sizeof(addr));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		int err;

		errno = EXFULL;
		err = weir_addr_resolve(names[i], 80, &addr, 1);
		EXPECT_TRUE(err == -ENOENT || err == -EAGAIN) {
			TH_LOG("%s: %s", names[i], weir_strerror(err));
		}
		EXPECT_EQ(EXFULL, errno);
	}
	EXPECT_EQ(0x55555555, addr.len);
}

TEST_HARNESS_MAIN
