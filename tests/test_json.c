// SPDX-License-Identifier: GPL-2.0-only
/* JSON writer: exact output, and an independent parser's opinion. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "json.h"
#include "kselftest_harness.h"

FIXTURE(json) {
	struct json j;
	char *text;
	size_t len;
	FILE *out;
};

FIXTURE_SETUP(json)
{
	self->text = NULL;
	self->out = open_memstream(&self->text, &self->len);
	ASSERT_NE(NULL, self->out);
	json_init(&self->j, self->out, false);
}

FIXTURE_TEARDOWN(json)
{
	fclose(self->out);
	free(self->text);
}

TEST_F(json, writes_every_kind_of_value)
{
	json_object(&self->j, NULL);
	json_string(&self->j, "s", "text");
	json_u64(&self->j, "u", UINT64_MAX);
	json_i64(&self->j, "i", INT64_MIN);
	json_double(&self->j, "d", 0.5);
	json_bool(&self->j, "t", true);
	json_bool(&self->j, "f", false);
	json_null(&self->j, "n");
	json_string(&self->j, "ns", NULL);
	json_array(&self->j, "a");
	json_u64(&self->j, NULL, 1);
	json_object(&self->j, NULL);
	json_end_object(&self->j);
	json_array(&self->j, NULL);
	json_end_array(&self->j);
	json_end_array(&self->j);
	json_end_object(&self->j);
	EXPECT_EQ(0, json_fini(&self->j));
	EXPECT_STREQ("{\"s\":\"text\",\"u\":18446744073709551615,\"i\":-9223372036854775808,"
		     "\"d\":0.5,\"t\":true,\"f\":false,\"n\":null,\"ns\":null,"
		     "\"a\":[1,{},[]]}\n", self->text);
}

TEST_F(json, pretty_output_is_indented)
{
	json_init(&self->j, self->out, true);
	json_object(&self->j, NULL);
	json_array(&self->j, "a");
	json_u64(&self->j, NULL, 1);
	json_u64(&self->j, NULL, 2);
	json_end_array(&self->j);
	json_object(&self->j, "empty");
	json_end_object(&self->j);
	json_end_object(&self->j);
	EXPECT_EQ(0, json_fini(&self->j));
	EXPECT_STREQ("{\n  \"a\": [\n    1,\n    2\n  ],\n  \"empty\": {}\n}\n", self->text);
}

static const struct {
	const char *in;
	const char *out;
} strings[] = {
	{ "", "\"\"" },
	{ "a\"b\\c/d", "\"a\\\"b\\\\c/d\"" },
	{ "\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"" },
	{ "\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"" },
	/* two, three and four bytes */
	{ "\xc3\xa9", "\"\xc3\xa9\"" },
	{ "\xe2\x82\xac", "\"\xe2\x82\xac\"" },
	{ "\xf0\x9f\x8c\x8a", "\"\xf0\x9f\x8c\x8a\"" },
	{ "\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\"" },
	/* stray continuation, bytes never used */
	{ "a\x80z", "\"a\\ufffdz\"" },
	{ "\xff\xfe", "\"\\ufffd\\ufffd\"" },
	/* cut short, at the end and before other text */
	{ "\xe2\x82", "\"\\ufffd\\ufffd\"" },
	{ "\xc3", "\"\\ufffd\"" },
	{ "\xc3(", "\"\\ufffd(\"" },
	{ "\xf0\x9f\x8cx", "\"\\ufffd\\ufffd\\ufffdx\"" },
	/* overlong, surrogate, above U+10FFFF */
	{ "\xc0\xaf", "\"\\ufffd\\ufffd\"" },
	{ "\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
};

TEST_F(json, strings_are_escaped_and_valid_utf8)
{
	char want[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(strings); i++) {
		rewind(self->out);
		json_init(&self->j, self->out, false);
		json_string(&self->j, NULL, strings[i].in);
		ASSERT_EQ(0, json_fini(&self->j));
		snprintf(want, sizeof(want), "%s\n", strings[i].out);
		EXPECT_EQ(0, strncmp(want, self->text, strlen(want)))
			TH_LOG("string %zu: got %s", i, self->text);
	}
}

TEST_F(json, member_names_are_escaped_too)
{
	json_object(&self->j, NULL);
	json_u64(&self->j, "a\"\n\xff", 1);
	json_end_object(&self->j);
	EXPECT_EQ(0, json_fini(&self->j));
	EXPECT_STREQ("{\"a\\\"\\n\\ufffd\":1}\n", self->text);
}

TEST_F(json, doubles_read_back_equal)
{
	static const double values[] = {
		0, -0.0, 1, -1, 0.1, 1.0 / 3, 1e15, 123456789.125, 1e300, -1 / 1e300,
		DBL_MAX, DBL_MIN, DBL_TRUE_MIN, 9007199254740993.0,
	};
	double got;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		rewind(self->out);
		json_init(&self->j, self->out, false);
		json_double(&self->j, NULL, values[i]);
		ASSERT_EQ(0, json_fini(&self->j));
		got = strtod(self->text, NULL);
		EXPECT_EQ(0, memcmp(&got, &values[i], sizeof(got)))
			TH_LOG("value %zu: got %s", i, self->text);
	}
}

TEST_F(json, doubles_are_short)
{
	json_array(&self->j, NULL);
	json_double(&self->j, NULL, 0.1);
	json_double(&self->j, NULL, 3);
	json_double(&self->j, NULL, 1.0 / 3);
	json_end_array(&self->j);
	EXPECT_EQ(0, json_fini(&self->j));
	EXPECT_STREQ("[0.1,3,0.3333333333333333]\n", self->text);
}

TEST_F(json, what_json_cannot_say_becomes_null)
{
	json_array(&self->j, NULL);
	json_double(&self->j, NULL, (double)NAN);
	json_double(&self->j, NULL, (double)INFINITY);
	json_double(&self->j, NULL, (double)-INFINITY);
	json_end_array(&self->j);
	EXPECT_EQ(0, json_fini(&self->j));
	EXPECT_STREQ("[null,null,null]\n", self->text);
}

/* What printf() yields in locales that a test machine need not have. */
TEST(json_point_replaces_any_separator)
{
	static const char *const numbers[][2] = {
		{ "3,14", "3.14" },	{ "-3,14e-05", "-3.14e-05" },
		{ "3.14", "3.14" },	{ "3\331\25314", "3.14" },
		{ "42", "42" },		{ "-42", "-42" },
		{ "1e+300", "1e+300" },	{ "-1e-07", "-1e-07" },
	};
	char num[JSON_DOUBLE_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		strcpy(num, numbers[i][0]);
		json_point(num);
		EXPECT_STREQ(numbers[i][1], num);
	}
}

TEST(json_fini_reports_a_full_disk)
{
	FILE *out = fopen("/dev/full", "w");
	struct json j;

	ASSERT_NE(NULL, out);
	json_init(&j, out, false);
	json_string(&j, NULL, "x");
	EXPECT_EQ(-EIO, json_fini(&j));
	fclose(out);
}

static void member_without_name(struct json *j)
{
	json_object(j, NULL);
	json_u64(j, NULL, 1);
}

static void element_with_name(struct json *j)
{
	json_array(j, NULL);
	json_u64(j, "x", 1);
}

static void open_at_the_end(struct json *j)
{
	json_object(j, NULL);
	json_fini(j);
}

static void wrong_end(struct json *j)
{
	json_object(j, NULL);
	json_end_array(j);
}

static void two_documents(struct json *j)
{
	json_u64(j, NULL, 1);
	json_u64(j, NULL, 2);
}

static void too_deep(struct json *j)
{
	int i;

	for (i = 0; i <= JSON_DEPTH_MAX; i++)
		json_array(j, NULL);
}

static const struct {
	const char *name;
	void (*call)(struct json *j);
} misuses[] = {
	{ "member without a name", member_without_name },
	{ "element with a name", element_with_name },
	{ "open at the end", open_at_the_end },
	{ "wrong end", wrong_end },
	{ "two documents", two_documents },
	{ "too deep", too_deep },
};

TEST_F(json, misuse_aborts)
{
	int status;
	pid_t pid;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(misuses); i++) {
		fflush(NULL);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			/* The assertion's message is not the test's. */
			if (!freopen("/dev/null", "w", stderr))
				_exit(1);
			misuses[i].call(&self->j);
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
			TH_LOG("%s: status %#x", misuses[i].name, status);
	}
}

/* python3 is in the test profile of scripts/deps. */
TEST(an_independent_parser_agrees)
{
	static const char command[] =
		"python3 -c 'import json,sys;"
		"d=json.load(sys.stdin);"
		"sys.exit(d!={\"a\\n\\ufffd\":[0.1,18446744073709551615,None,True],\"e\":{}})'";
	struct json j;
	FILE *out;

	if (system("command -v python3 >/dev/null"))
		SKIP(return, "no python3");
	out = popen(command, "w");
	ASSERT_NE(NULL, out);
	json_init(&j, out, true);
	json_object(&j, NULL);
	json_array(&j, "a\n\xff");
	json_double(&j, NULL, 0.1);
	json_u64(&j, NULL, UINT64_MAX);
	json_null(&j, NULL);
	json_bool(&j, NULL, true);
	json_end_array(&j);
	json_object(&j, "e");
	json_end_object(&j);
	json_end_object(&j);
	EXPECT_EQ(0, json_fini(&j));
	EXPECT_EQ(0, pclose(out));
}

TEST_HARNESS_MAIN
