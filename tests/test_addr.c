// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_addr.c - socket addresses and their text
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <weir/addr.h>

#include "base/base.h"
#include "kselftest_harness.h"

TEST(numeric_addresses_are_parsed_and_formatted)
{
	static const struct {
		const char *text;
		int family;
		const char *back;	/* NULL: as it was */
	} cases[] = {
		{ "127.0.0.1:80", AF_INET, NULL },
		{ "0.0.0.0:0", AF_INET, NULL },
		{ "255.255.255.255:65535", AF_INET, NULL },
		{ "*:8080", AF_INET, "0.0.0.0:8080" },
		{ "1.2.3.4:00080", AF_INET, "1.2.3.4:80" },
		{ "[::1]:80", AF_INET6, NULL },
		{ "[::]:0", AF_INET6, NULL },
		{ "[2001:DB8::0:1]:443", AF_INET6, "[2001:db8::1]:443" },
		{ "[::ffff:1.2.3.4]:1", AF_INET6, NULL },
		{ "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535", AF_INET6,
		  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
		{ "[fe80::1%4294967295]:1", AF_INET6, NULL },
		{ "[fe80::1%lo]:80", AF_INET6, "[fe80::1%1]:80" },
		{ "unix:/run/weir.sock", AF_UNIX, NULL },
		{ "unix:relative", AF_UNIX, NULL },
		{ "unix:@weir", AF_UNIX, NULL },
		{ "unix:@", AF_UNIX, NULL },
		{ "unix:\\x40at", AF_UNIX, NULL },
		{ "unix:a\\\\b\\x0Ac", AF_UNIX, "unix:a\\\\b\\x0ac" },
		{ "unix:@a\\x00b", AF_UNIX, NULL },
		{ "unix:@@\\x00", AF_UNIX, NULL },
		{ "unix:a b", AF_UNIX, "unix:a\\x20b" },
	};
	char text[WEIR_ADDR_TEXT_MAX];
	struct weir_addr addr;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *want = cases[i].back;

		if (!want)
			want = cases[i].text;
		ASSERT_EQ(0, weir_addr_parse(&addr, cases[i].text)) {
			TH_LOG("%s", cases[i].text);
		}
		EXPECT_EQ(cases[i].family, addr.ss.ss_family);
		EXPECT_EQ((int)strlen(want), weir_addr_format(&addr, text, sizeof(text)));
		EXPECT_STREQ(want, text);
		EXPECT_EQ(-ENOSPC, weir_addr_format(&addr, text, strlen(want)));
		EXPECT_EQ((int)strlen(want), weir_addr_format(&addr, text, strlen(want) + 1));
	}
}

TEST(what_is_no_numeric_address_is_refused)
{
	static const char *const cases[] = {
		"", ":", "*", "*:", ":80", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
		"127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:1 ",
		"127.0.0.1:65536", "127.0.0.1:99999", "127.0.0.1:000080",
		"127.0.0.1:4294967376", "127.0.0.1:80:80", "127.0.0:80", "127.0.0.256:80",
		"1.2.3.4.5:80", " 127.0.0.1:80", "**:80", "*.0.0.1:80", "localhost:80",
		"::1:80", "[::1]", "[::1]80", "[::1]:", "[::1]:65536", "[::1", "[]:80", "[*]:80",
		"[1.2.3.4]:80", "[::1]]:80", "[[::1]:80", "[::g]:80", "[1:2:3]:80",
		"[fe80::1%]:80", "[fe80::1%4294967296]:80", "[fe80::1%1x]:80", "[fe80::%1::1]:80",
		"[1:2:3:4:5:6:7:8:9]:80", "1.2.3.4%1:80", "[fe80::1%a-name-too-long-for-one]:80",
		"unix:", "unix:a\\", "unix:a\\y", "unix:a\\x", "unix:a\\x1", "unix:a\\xg0",
		"unix:a\\x00", "UNIX:a", "unix",
		"[00000000000000000000000000000000000000000000000000000000000000001]:80",
	};
	struct weir_addr addr, before;
	size_t i;

	memset(&before, 0x5a, sizeof(before));
	addr = before;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(-EINVAL, weir_addr_parse(&addr, cases[i])) {
			TH_LOG("taken: \"%s\"", cases[i]);
		}
	}
	EXPECT_EQ(0, memcmp(&before, &addr, sizeof(addr)));
}

TEST(a_scope_that_is_no_interface_is_told)
{
	struct weir_addr addr;

	EXPECT_EQ(-ENODEV, weir_addr_parse(&addr, "[fe80::1%nonesuch]:80"));
}

TEST(a_scope_by_name_is_its_number)
{
	struct weir_addr by_name, by_number;
	char text[WEIR_ADDR_TEXT_MAX];

	snprintf(text, sizeof(text), "[fe80::1%%%u]:80", if_nametoindex("lo"));
	ASSERT_EQ(0, weir_addr_parse(&by_number, text));
	ASSERT_EQ(0, weir_addr_parse(&by_name, "[fe80::1%lo]:80"));
	EXPECT_EQ(1, weir_addr_equal(&by_name, &by_number));
}

TEST(a_unix_name_has_107_bytes_at_most)
{
	char text[256] = "unix:";
	struct weir_addr addr;
	struct sockaddr_un sun;

	memset(text + 5, 'x', 107);
	ASSERT_EQ(0, weir_addr_parse(&addr, text));
	EXPECT_EQ(sizeof(sun), addr.len);
	memcpy(&sun, &addr.ss, sizeof(sun));
	EXPECT_EQ(107, strlen(sun.sun_path));
	text[5 + 107] = 'x';
	EXPECT_EQ(-ENAMETOOLONG, weir_addr_parse(&addr, text));
	text[5] = '@';
	ASSERT_EQ(0, weir_addr_parse(&addr, text));
	EXPECT_EQ(sizeof(sun), addr.len);
	text[5 + 108] = 'x';
	EXPECT_EQ(-ENAMETOOLONG, weir_addr_parse(&addr, text));
}

TEST(the_longest_text_has_room)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char text[WEIR_ADDR_TEXT_MAX];
	struct weir_addr addr, back;

	/* An abstract name of nothing but NULs. */
	ASSERT_EQ(0, weir_addr_set(&addr, (const struct sockaddr *)&sun, sizeof(sun)));
	EXPECT_EQ(6 + 107 * 4, weir_addr_format(&addr, text, sizeof(text)));
	ASSERT_EQ(0, weir_addr_parse(&back, text));
	EXPECT_EQ(1, weir_addr_equal(&addr, &back));
}

/* Some address of any kind; scope 0 is none. */
static void random_addr(struct weir_addr *addr, unsigned int *seed)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
		unsigned char bytes[sizeof(struct sockaddr_un)];
	} name;
	size_t len = 0, i;
	int family;

	for (i = 0; i < sizeof(name.bytes); i++)
		name.bytes[i] = (unsigned char)rand_r(seed);
	switch (rand_r(seed) % 4) {
	case 0:
		family = AF_INET;
		len = sizeof(name.v4);
		break;
	case 1:
		family = AF_INET6;
		len = sizeof(name.v6);
		break;
	case 2:
		family = AF_UNIX;
		len = offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)rand_r(seed) % 108;
		name.un.sun_path[0] = '\0';
		break;
	default:
		family = AF_UNIX;
		i = 1 + (size_t)rand_r(seed) % 107;
		len = offsetof(struct sockaddr_un, sun_path) + i + 1;
		name.un.sun_path[i] = '\0';
		while (i--)
			name.un.sun_path[i] |= 1;
	}
	name.sa.sa_family = (sa_family_t)family;
	if (weir_addr_set(addr, &name.sa, len))
		abort();
}

TEST(every_address_has_a_text_that_is_it_again)
{
	char text[WEIR_ADDR_TEXT_MAX];
	struct weir_addr addr, back;
	unsigned int seed = 1, i;

	for (i = 0; i < 100000; i++) {
		random_addr(&addr, &seed);
		ASSERT_LT(0, weir_addr_format(&addr, text, sizeof(text)));
		ASSERT_EQ(0, weir_addr_parse(&back, text)) {
			TH_LOG("%s", text);
		}
		ASSERT_EQ(1, weir_addr_equal(&addr, &back)) {
			TH_LOG("%s", text);
		}
		ASSERT_EQ(addr.len, back.len);
	}
}

TEST(any_bytes_as_text_are_taken_or_refused)
{
	static const char alphabet[] = "0123456789abcdef:.[]%*@unix\\/";
	char text[64], out[WEIR_ADDR_TEXT_MAX];
	struct weir_addr addr;
	unsigned int seed = 2, taken = 0, i, n;

	for (i = 0; i < 300000; i++) {
		size_t len = (size_t)rand_r(&seed) % (sizeof(text) - 1);

		for (n = 0; n < len; n++)
			text[n] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		text[len] = '\0';
		if (i % 2)
			memcpy(text, "unix:", len < 5 ? len : 5);
		if (weir_addr_parse(&addr, text))
			continue;
		taken++;
		ASSERT_LT(0, weir_addr_format(&addr, out, sizeof(out)));
	}
	EXPECT_LT(1000, taken);
}

TEST(addresses_differ_by_each_part)
{
	static const char *const cases[] = {
		"1.2.3.4:5", "1.2.3.5:5", "1.2.3.4:6", "[::1]:5", "[::1]:6", "[::2]:5", "[::1%1]:5",
		"unix:a", "unix:b", "unix:aa", "unix:@a", "unix:@a\\x00", "unix:@",
	};
	struct weir_addr a, b;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		for (j = 0; j < ARRAY_SIZE(cases); j++) {
			ASSERT_EQ(0, weir_addr_parse(&a, cases[i]));
			ASSERT_EQ(0, weir_addr_parse(&b, cases[j]));
			EXPECT_EQ(i == j, weir_addr_equal(&a, &b)) {
				TH_LOG("%s %s", cases[i], cases[j]);
			}
		}
	}
}

TEST(a_path_is_the_same_with_and_without_what_follows_its_end)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "/a" };
	struct weir_addr a, b;

	ASSERT_EQ(0, weir_addr_set(&a, (const struct sockaddr *)&sun, sizeof(sun)));
	ASSERT_EQ(0, weir_addr_parse(&b, "unix:/a"));
	EXPECT_EQ(1, weir_addr_equal(&a, &b));
}

TEST(ports_are_read_and_changed_where_there_are_any)
{
	struct weir_addr addr;

	ASSERT_EQ(0, weir_addr_parse(&addr, "[::1]:80"));
	EXPECT_EQ(80, weir_addr_port(&addr));
	EXPECT_EQ(0, weir_addr_set_port(&addr, 65535));
	EXPECT_EQ(65535, weir_addr_port(&addr));
	ASSERT_EQ(0, weir_addr_parse(&addr, "*:1"));
	EXPECT_EQ(0, weir_addr_set_port(&addr, 0));
	EXPECT_EQ(0, weir_addr_port(&addr));
	ASSERT_EQ(0, weir_addr_parse(&addr, "unix:a"));
	EXPECT_EQ(-EAFNOSUPPORT, weir_addr_port(&addr));
	EXPECT_EQ(-EAFNOSUPPORT, weir_addr_set_port(&addr, 1));
}

TEST(what_is_no_address_is_refused)
{
	struct sockaddr_storage ss = { .ss_family = AF_INET };
	const struct sockaddr *sa = (const struct sockaddr *)&ss;
	struct weir_addr addr = { .len = sizeof(sa_family_t) };
	char text[WEIR_ADDR_TEXT_MAX];

	EXPECT_EQ(-EAFNOSUPPORT, weir_addr_format(&addr, text, sizeof(text)));
	addr.ss.ss_family = AF_INET;	/* cut off */
	EXPECT_EQ(-EAFNOSUPPORT, weir_addr_format(&addr, text, sizeof(text)));
	addr.len = 0;
	EXPECT_EQ(-EAFNOSUPPORT, weir_addr_format(&addr, text, sizeof(text)));
	EXPECT_EQ(-EINVAL, weir_addr_set(&addr, sa, 0));
	EXPECT_EQ(-EINVAL, weir_addr_set(&addr, sa, sizeof(struct sockaddr_in) - 1));
	EXPECT_EQ(-EINVAL, weir_addr_set(&addr, sa, sizeof(ss)));
	ss.ss_family = AF_APPLETALK;
	EXPECT_EQ(-EAFNOSUPPORT, weir_addr_set(&addr, sa, sizeof(struct sockaddr_in)));
}

TEST_HARNESS_MAIN
