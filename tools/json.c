// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Streaming JSON writer. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

void json_init(struct json *j, FILE *out, bool pretty)
{
	memset(j, 0, sizeof(*j));
	j->out = out;
	j->pretty = pretty;
}

int json_fini(struct json *j)
{
	assert(!j->depth);
	fputc('\n', j->out);
	if (fflush(j->out) || ferror(j->out))
		return -EIO;
	return 0;
}

static void new_line(struct json *j)
{
	if (j->pretty)
		fprintf(j->out, "\n%*s", (int)(2 * j->depth), "");
}

/*
 * Length of the valid UTF-8 sequence at @s, 0 if there is none. The second
 * byte's range excludes overlong forms, surrogates and values above U+10FFFF
 * (RFC 3629 section 4).
 */
static unsigned int utf8_len(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	unsigned int len, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static void put_ascii(FILE *out, unsigned char c)
{
	static const char escape[0x80] = {
		['"'] = '"',	['\\'] = '\\',	['\b'] = 'b',	['\f'] = 'f',
		['\n'] = 'n',	['\r'] = 'r',	['\t'] = 't',
	};

	if (escape[c])
		fprintf(out, "\\%c", escape[c]);
	else if (c < 0x20 || c == 0x7f)
		fprintf(out, "\\u%04x", c);
	else
		fputc(c, out);
}

static void put_string(FILE *out, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;
	unsigned int len;

	fputc('"', out);
	while (*s) {
		len = utf8_len(s);
		if (len == 1)
			put_ascii(out, *s);
		else if (len)
			fwrite(s, 1, len, out);
		else
			fputs("\\ufffd", out);
		s += len ? len : 1;
	}
	fputc('"', out);
}

/* What stands before each value: comma, line, name. */
static void lead(struct json *j, const char *name)
{
	/* An object's members have names, nothing else has. */
	assert(!name == (!j->depth || j->array[j->depth - 1]));
	assert(j->depth || !j->comma);
	if (j->comma)
		fputc(',', j->out);
	if (j->depth)
		new_line(j);
	if (name) {
		put_string(j->out, name);
		fputs(j->pretty ? ": " : ":", j->out);
	}
	j->comma = true;
}

static void open_level(struct json *j, const char *name, bool array)
{
	assert(j->depth < JSON_DEPTH_MAX);
	lead(j, name);
	fputc(array ? '[' : '{', j->out);
	j->array[j->depth++] = array;
	j->comma = false;
}

static void close_level(struct json *j, bool array)
{
	assert(j->depth);
	assert(j->array[j->depth - 1] == array);
	j->depth--;
	if (j->comma)
		new_line(j);
	fputc(array ? ']' : '}', j->out);
	j->comma = true;
}

void json_object(struct json *j, const char *name)
{
	open_level(j, name, false);
}

void json_end_object(struct json *j)
{
	close_level(j, false);
}

void json_array(struct json *j, const char *name)
{
	open_level(j, name, true);
}

void json_end_array(struct json *j)
{
	close_level(j, true);
}

void json_string(struct json *j, const char *name, const char *value)
{
	lead(j, name);
	if (value)
		put_string(j->out, value);
	else
		fputs("null", j->out);
}

void json_u64(struct json *j, const char *name, uint64_t value)
{
	lead(j, name);
	fprintf(j->out, "%" PRIu64, value);
}

void json_i64(struct json *j, const char *name, int64_t value)
{
	lead(j, name);
	fprintf(j->out, "%" PRId64, value);
}

void json_point(char *num)
{
	size_t sign = strspn(num, "-");
	size_t whole = sign + strspn(num + sign, "0123456789");
	size_t other = strcspn(num + whole, "0123456789eE");

	if (!other)
		return;
	num[whole] = '.';
	/* Some locales separate by more than one byte. */
	memmove(num + whole + 1, num + whole + other, strlen(num + whole + other) + 1);
}

void json_double(struct json *j, const char *name, double value)
{
	char num[JSON_DOUBLE_MAX];
	int digits;

	/* The difference is NaN for NaN and for both infinities. */
	if (value - value != 0) {
		json_null(j, name);
		return;
	}
	for (digits = 15; digits <= 17; digits++) {
		snprintf(num, sizeof(num), "%.*g", digits, value);
		if (strtod(num, NULL) == value)
			break;
	}
	json_point(num);
	lead(j, name);
	fputs(num, j->out);
}

void json_bool(struct json *j, const char *name, bool value)
{
	lead(j, name);
	fputs(value ? "true" : "false", j->out);
}

void json_null(struct json *j, const char *name)
{
	lead(j, name);
	fputs("null", j->out);
}
