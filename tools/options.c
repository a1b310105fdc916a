// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* options.c - command lines and help from one table */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

#define VALUE_MAX	48

int usage_error(const struct command *cmd, const char *fmt, ...)
{
	const char *name = cmd ? cmd->name : "";
	const char *gap = cmd ? " " : "";
	va_list args;

	fprintf(stderr, "weir%s%s: ", gap, name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\nrun: weir%s%s --help\n", gap, name);
	return WEIR_EXIT_USAGE;
}

int opts_exit(int result)
{
	return result == OPTS_HELP ? WEIR_EXIT_OK : WEIR_EXIT_USAGE;
}

/* help */

static void print_opt(const struct opt *opt, FILE *out)
{
	char left[80];
	int n;

	n = snprintf(left, sizeof(left), "  %c%c%s --%s", opt->letter ? '-' : ' ',
		     opt->letter ? opt->letter : ' ', opt->letter ? "," : " ", opt->name);
	if (opt->type != OPT_FLAG && opt->type != OPT_NOT && n > 0 && (size_t)n < sizeof(left))
		snprintf(left + n, sizeof(left) - (size_t)n, opt->optional ? " [%s]" : " %s",
			 opt->value);
	if (strlen(left) > 26)
		fprintf(out, "%s\n%-28s%s\n", left, "", opt->help);
	else
		fprintf(out, "%-28s%s\n", left, opt->help);
}

void help_print(const struct command *cmd, FILE *out)
{
	const struct opt *opt;

	fprintf(out, "weir %s - %s\n\nusage: weir %s%s%s [options]\n", cmd->name, cmd->summary,
		cmd->name, cmd->operands[0] ? " " : "", cmd->operands);
	if (cmd->about)
		fprintf(out, "\n%s\n", cmd->about);
	fprintf(out, "\noptions:\n");
	for (opt = cmd->opts; opt->name; opt++)
		print_opt(opt, out);
	fprintf(out, "  -h, --help                this text\n");
	if (cmd->examples)
		fprintf(out, "\nexamples:\n%s\n", cmd->examples);
}

/* values */

int parse_number(const char *text, unsigned int unit, uint64_t *value)
{
	static const char suffixes[] = "kmg";
	const char *power;
	uint64_t scale = 1;
	uint64_t n;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	if (*end) {
		power = strchr(suffixes, tolower((unsigned char)*end));
		if (!power || end[1])
			return -EINVAL;
		for (; power >= suffixes; power--)
			scale *= unit;
	}
	if (__builtin_mul_overflow(n, scale, &n))
		return -EINVAL;
	*value = n;
	return 0;
}

int parse_time(const char *text, uint64_t *ns)
{
	static const struct {
		const char *suffix;
		double ns;
	} units[] = {
		{ "", 1e9 }, { "s", 1e9 }, { "ms", 1e6 }, { "us", 1e3 }, { "ns", 1 },
		{ "m", 60e9 }, { "h", 3600e9 },
	};
	double value;
	char *end;
	size_t i;

	/* Digits first: strtod() would take "inf", "nan" and signs as well. */
	if (!isdigit((unsigned char)text[0]) || strpbrk(text, "xXeEpP"))
		return -EINVAL;
	value = strtod(text, &end);
	for (i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].suffix))
			continue;
		value *= units[i].ns;
		if (value > 1e18)
			return -EINVAL;
		*ns = (uint64_t)(value + 0.5);
		return 0;
	}
	return -EINVAL;
}

static int parse_choice(const char *choices, const char *text, unsigned int *index)
{
	size_t len = strlen(text);
	const char *at = choices;
	unsigned int i;

	/* One of them, and not some of them. */
	for (i = 0; len && !strchr(text, '|') && at; i++) {
		if (!strncmp(at, text, len) && (at[len] == '|' || !at[len])) {
			*index = i;
			return 0;
		}
		at = strchr(at, '|');
		if (at)
			at++;
	}
	return -EINVAL;
}

static int bad_value(const struct command *cmd, const struct opt *opt, const char *text,
		     const char *why)
{
	usage_error(cmd, "--%s: '%s' %s", opt->name, text, why);
	return OPTS_BAD;
}

static void format_number(const struct opt *opt, uint64_t n, char *text, size_t size)
{
	if (opt->type != OPT_TIME)
		snprintf(text, size, "%llu", (unsigned long long)n);
	else if (n % NS_PER_SEC == 0)
		snprintf(text, size, "%llus", (unsigned long long)(n / NS_PER_SEC));
	else if (n % 1000)
		snprintf(text, size, "%lluns", (unsigned long long)n);
	else
		snprintf(text, size, "%gms", (double)n / 1e6);
}

static int set_number(const struct command *cmd, const struct opt *opt, const char *text,
		      uint64_t *field)
{
	char min[VALUE_MAX], max[VALUE_MAX], why[2 * VALUE_MAX + 32];
	uint64_t n;
	int err;

	if (opt->type == OPT_TIME)
		err = parse_time(text, &n);
	else
		err = parse_number(text, opt->type == OPT_BYTES ? 1024 : 1000, &n);
	if (err)
		return bad_value(cmd, opt, text, opt->type == OPT_TIME ?
				 "is not a time such as 10s or 500ms" :
				 "is not a number such as 100 or 4k");
	if (n < opt->min || n > opt->max) {
		format_number(opt, opt->min, min, sizeof(min));
		format_number(opt, opt->max, max, sizeof(max));
		snprintf(why, sizeof(why), "is not between %s and %s", min, max);
		return bad_value(cmd, opt, text, why);
	}
	*field = n;
	return 0;
}

static int set_value(const struct command *cmd, const struct opt *opt, const char *text,
		     void *fields)
{
	void *field = (char *)fields + opt->offset;
	char why[160];

	switch (opt->type) {
	case OPT_TEXT:
		*(const char **)field = text;
		return 0;
	case OPT_CHOICE:
		if (!parse_choice(opt->value, text, field))
			return 0;
		snprintf(why, sizeof(why), "is not one of %s", opt->value);
		return bad_value(cmd, opt, text, why);
	default:
		return set_number(cmd, opt, text, field);
	}
}

/* the command line */

struct parser {
	const struct command *cmd;
	char **argv;
	int argc;
	int at;			/* the word being read */
	void *fields;
};

/* Set an option; @text is what came with it in the same word, or NULL. */
static int take(struct parser *p, const struct opt *opt, const char *text)
{
	void *field = (char *)p->fields + opt->offset;
	const char *next = p->at + 1 < p->argc ? p->argv[p->at + 1] : NULL;

	if (opt->type == OPT_FLAG || opt->type == OPT_NOT) {
		*(bool *)field = opt->type == OPT_FLAG;
		return 0;
	}
	if (!text && opt->optional && (!next || !isdigit((unsigned char)next[0]))) {
		*(uint64_t *)field = opt->bare;
		return 0;
	}
	if (!text) {
		if (!next) {
			usage_error(p->cmd, "--%s: needs a value, %s", opt->name, opt->value);
			return OPTS_BAD;
		}
		text = next;
		p->at++;
	}
	return set_value(p->cmd, opt, text, p->fields);
}

static int take_long(struct parser *p, const char *word)
{
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	const struct opt *opt;

	if (!strcmp(word, "help")) {
		help_print(p->cmd, stdout);
		return OPTS_HELP;
	}
	for (opt = p->cmd->opts; opt->name; opt++)
		if (strlen(opt->name) == len && !strncmp(opt->name, word, len))
			break;
	if (!opt->name) {
		usage_error(p->cmd, "--%.*s: no such option", (int)len, word);
		return OPTS_BAD;
	}
	if (equals && (opt->type == OPT_FLAG || opt->type == OPT_NOT)) {
		usage_error(p->cmd, "--%s: takes no value", opt->name);
		return OPTS_BAD;
	}
	return take(p, opt, equals ? equals + 1 : NULL);
}

/* One or several short options in one word: -jp, -c100. */
static int take_short(struct parser *p, const char *word)
{
	const struct opt *opt;
	int result;

	for (; *word; word++) {
		if (*word == 'h') {
			help_print(p->cmd, stdout);
			return OPTS_HELP;
		}
		for (opt = p->cmd->opts; opt->name; opt++)
			if (opt->letter == *word)
				break;
		if (!opt->name) {
			usage_error(p->cmd, "-%c: no such option", *word);
			return OPTS_BAD;
		}
		if (opt->type != OPT_FLAG && opt->type != OPT_NOT)
			return take(p, opt, word[1] ? word + 1 : NULL);
		result = take(p, opt, NULL);
		if (result)
			return result;
	}
	return 0;
}

int opts_parse(const struct command *cmd, int argc, char **argv, void *fields)
{
	struct parser p = { .cmd = cmd, .argv = argv, .argc = argc, .fields = fields };
	bool only_operands = false;
	int count = 0;
	char *word;
	int result;

	for (; p.at < argc; p.at++) {
		word = argv[p.at];
		if (only_operands || word[0] != '-' || !word[1]) {
			argv[count++] = word;
		} else if (!strcmp(word, "--")) {
			only_operands = true;
		} else {
			result = word[1] == '-' ? take_long(&p, word + 2) :
						  take_short(&p, word + 1);
			if (result)
				return result;
		}
	}
	return count;
}
