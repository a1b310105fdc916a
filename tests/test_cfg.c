// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_cfg.c - the constants of the law: what may be stored and what not
 */
#include <stddef.h>
#include <string.h>

#include <weir/steering.h>

#include <kselftest_harness.h>

#define REFUSED(member, bad)						\
	do {								\
		struct weir_cfg cfg;					\
									\
		weir_cfg_init(&cfg);					\
		cfg.member = bad;					\
		EXPECT_STREQ(#member, weir_cfg_check(&cfg, 4));		\
	} while (0)

TEST(the_defaults_are_in_range)
{
	struct weir_cfg cfg;

	memset(&cfg, 0xff, sizeof(cfg));
	weir_cfg_init(&cfg);
	EXPECT_EQ(NULL, weir_cfg_check(&cfg, 1));
	EXPECT_EQ(WEIR_STALE_NS, cfg.stale_ns);
	EXPECT_EQ(0, cfg.shed_permille);
	EXPECT_EQ(0, cfg.prefix_rate);
}

TEST(what_is_out_of_range_is_named)
{
	REFUSED(stale_ns, 0);
	REFUSED(flow_age_ns, UINT64_MAX);
	REFUSED(policy, WEIR_POLICY_WEIGHTED + 1);
	REFUSED(flags, ~0U);
	REFUSED(workers, 0);
	REFUSED(workers, 5);
	REFUSED(shed_permille, 1001);
	REFUSED(shed_max_permille, 1001);
	REFUSED(shed_fall_permille, 1000);
	REFUSED(window_us, 999);
	REFUSED(prefix_bits4, 33);
	REFUSED(prefix_bits6, 129);
	REFUSED(quic_bytes, 5);
	REFUSED(quic_offset, 1201);
}

TEST(members_that_belong_together_must_agree)
{
	REFUSED(rescue_ns, WEIR_STALE_NS - 1);
	REFUSED(rtt_off_permille, WEIR_RTT_ON_PERMILLE + 1);
	REFUSED(sendq_low_bytes, WEIR_SENDQ_HIGH_BYTES + 1);
	REFUSED(recvq_low_bytes, WEIR_RECVQ_HIGH_BYTES + 1);
	REFUSED(slow_off_us, WEIR_SLOW_ON_US + 1);
}

TEST(a_limit_for_prefixes_needs_a_burst)
{
	struct weir_cfg cfg;

	weir_cfg_init(&cfg);
	cfg.prefix_rate = 100;
	EXPECT_STREQ("prefix_burst", weir_cfg_check(&cfg, 1));
	cfg.prefix_burst = 1;
	EXPECT_EQ(NULL, weir_cfg_check(&cfg, 1));
}

/* Each member follows the one before it, to the end. */
TEST(every_member_has_a_name)
{
	const struct weir_cfg_member *members;
	unsigned int count, i;
	uint32_t end = 0;

	members = weir_cfg_members(&count);
	for (i = 0; i < count; i++) {
		EXPECT_EQ(end, members[i].offset) TH_LOG("%s", members[i].name);
		EXPECT_TRUE(members[i].bytes == 4 || members[i].bytes == 8);
		EXPECT_LE(members[i].least, members[i].most);
		end = members[i].offset + members[i].bytes;
	}
	EXPECT_EQ(sizeof(struct weir_cfg), end);
}

TEST(a_member_is_read_by_its_name)
{
	const struct weir_cfg_member *members;
	struct weir_cfg cfg;
	unsigned int count, i;

	weir_cfg_init(&cfg);
	cfg.stale_ns = 1ULL << 40;
	cfg.clamp_bytes = 7;
	members = weir_cfg_members(&count);
	EXPECT_EQ(1ULL << 40, weir_cfg_get(&cfg, &members[0]));
	for (i = 0; i < count; i++) {
		if (!strcmp(members[i].name, "clamp_bytes"))
			EXPECT_EQ(7, weir_cfg_get(&cfg, &members[i]));
	}
}

TEST_HARNESS_MAIN
