/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_JSON_H
#define WEIR_TOOLS_JSON_H

/*
 * Streaming JSON writer (RFC 8259). Nothing is allocated: it writes to a FILE
 * as it goes and remembers only the open objects and arrays. @name is the
 * member's name inside an object and NULL inside an array or at the top; the
 * writer asserts that, and that every object and array is closed.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX	32
#define JSON_DOUBLE_MAX	40	/* bytes that hold any formatted double */

struct json {
	FILE *out;
	unsigned int depth;
	bool pretty;
	bool comma;			/* a value was written at this depth */
	bool array[JSON_DEPTH_MAX];	/* what is open at each depth */
};

/* json_init() - start a document on @out; @pretty indents by two spaces. */
void json_init(struct json *j, FILE *out, bool pretty);

/*
 * json_fini() - end the document with a newline and flush it.
 * Return: 0, or -EIO when anything could not be written.
 */
int json_fini(struct json *j);

void json_object(struct json *j, const char *name);
void json_end_object(struct json *j);
void json_array(struct json *j, const char *name);
void json_end_array(struct json *j);

/*
 * json_string() - a string; NULL is written as null. Control characters are
 * escaped, each byte that is not part of valid UTF-8 becomes U+FFFD.
 */
void json_string(struct json *j, const char *name, const char *value);
void json_u64(struct json *j, const char *name, uint64_t value);
void json_i64(struct json *j, const char *name, int64_t value);

/*
 * json_double() - the shortest of 15 to 17 digits that reads back equal, with a
 * '.' in every locale; NaN and infinities, which JSON lacks, become null.
 */
void json_double(struct json *j, const char *name, double value);
void json_bool(struct json *j, const char *name, bool value);
void json_null(struct json *j, const char *name);

/* json_point() - replace a locale's decimal separator in @num by '.'. */
void json_point(char *num);

#endif /* WEIR_TOOLS_JSON_H */
