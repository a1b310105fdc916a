// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* weir.c - one program, several commands, like ip(8) and bpftool(8) */
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "common.h"

static const struct command *const commands[] = {
	&cmd_serve, &cmd_hold, &cmd_bench, &cmd_show, &cmd_steer, &cmd_lat,
	&cmd_clean, &cmd_doctor, &cmd_demo, &cmd_version,
};

static void print_commands(FILE *out)
{
	size_t i;

	fprintf(out, "weir - a network server core over io_uring, steered by BPF\n\n"
		"usage: weir COMMAND [options]\n\ncommands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s%s\n", commands[i]->name, commands[i]->summary);
	fprintf(out, "  %-10s%s\n\n", "help", "tell more about a command: weir help COMMAND");
	fprintf(out, "exit status: 0 done, 1 failed, 2 bad command line\n");
}

static const struct command *find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i]->name))
			return commands[i];
	return NULL;
}

static int unknown(const char *name)
{
	return usage_error(NULL, name[0] == '-' ? "%s: no such option" : "%s: no such command",
			   name);
}

static int help(int argc, char **argv)
{
	const struct command *cmd;

	if (argc > 1)
		return usage_error(NULL, "%s: one command at a time", argv[1]);
	if (!argc || !strcmp(argv[0], "help")) {
		print_commands(stdout);
		return WEIR_EXIT_OK;
	}
	cmd = find(argv[0]);
	if (!cmd)
		return unknown(argv[0]);
	help_print(cmd, stdout);
	return WEIR_EXIT_OK;
}

/* version */

struct version {
	bool verbose, json, pretty;
};

static const struct opt version_opts[] = {
	{ "verbose", 'v', OPT_FLAG, .offset = offsetof(struct version, verbose),
	  .help = "also what was built in and which libraries are linked" },
	{ "json", 'j', OPT_FLAG, .offset = offsetof(struct version, json), .help = "as JSON" },
	{ "pretty", 'p', OPT_FLAG, .offset = offsetof(struct version, pretty),
	  .help = "as indented JSON" },
	OPT_END
};

static const struct {
	const char *name;
	bool on;
} features[] = {
#ifdef CONFIG_URING
	{ "uring", true },
#else
	{ "uring", false },
#endif
#ifdef CONFIG_BPF
	{ "bpf", true },
#else
	{ "bpf", false },
#endif
#ifdef WEIR_DEBUG
	{ "debug", true },
#else
	{ "debug", false },
#endif
};

/* Shared objects tell their version by the name of the file behind the link. */
static int each_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	char path[PATH_MAX];
	struct json *j = arg;

	if (!info->dlpi_name[0] || !strchr(info->dlpi_name, '/') ||
	    !realpath(info->dlpi_name, path))
		return 0;
	if (j)
		json_string(j, NULL, path);
	else
		printf("  %s\n", path);
	return 0;
}

static void version_json(const struct utsname *uts, bool pretty)
{
	struct json j;
	size_t i;

	json_init(&j, stdout, pretty);
	json_object(&j, NULL);
	json_string(&j, "version", weir_version());
	json_object(&j, "features");
	for (i = 0; i < ARRAY_SIZE(features); i++)
		json_bool(&j, features[i].name, features[i].on);
	json_end_object(&j);
	json_string(&j, "compiler", __VERSION__);
	json_string(&j, "kernel", uts->release);
	json_array(&j, "libraries");
	dl_iterate_phdr(each_library, &j);
	json_end_array(&j);
	json_end_object(&j);
	json_fini(&j);
}

static int version_run(const struct command *cmd, int argc, char **argv)
{
	struct version version = { 0 };
	struct utsname uts = { 0 };
	size_t i;
	int n;

	n = opts_parse(cmd, argc, argv, &version);
	if (n < 0)
		return opts_exit(n);
	if (n)
		return usage_error(cmd, "%s: takes no operand", argv[0]);
	uname(&uts);
	if (version.json || version.pretty) {
		version_json(&uts, version.pretty);
		return WEIR_EXIT_OK;
	}
	printf("weir %s\n", weir_version());
	if (!version.verbose)
		return WEIR_EXIT_OK;
	printf("features:");
	for (i = 0; i < ARRAY_SIZE(features); i++)
		printf(" %c%s", features[i].on ? '+' : '-', features[i].name);
	printf("\ncompiler: %s\nkernel: %s\nlibraries:\n", __VERSION__, uts.release);
	dl_iterate_phdr(each_library, NULL);
	return WEIR_EXIT_OK;
}

const struct command cmd_version = {
	.name = "version",
	.operands = "",
	.summary = "print version, features and linked libraries",
	.opts = version_opts,
	.run = version_run,
};

static int run(int argc, char **argv)
{
	const struct command *cmd;

	if (argc < 2) {
		print_commands(stderr);
		return WEIR_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "help"))
		return help(argc - 2, argv + 2);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(argc - 2, argv + 2);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return version_run(&cmd_version, argc - 2, argv + 2);
	cmd = find(argv[1]);
	if (!cmd)
		return unknown(argv[1]);
	return cmd->run(cmd, argc - 2, argv + 2);
}

/* What was printed and did not arrive is a failure: a full disk, a closed descriptor. */
int main(int argc, char **argv)
{
	int status = run(argc, argv);
	int err = fflush(stdout) ? errno : 0;

	if (err || ferror(stdout)) {
		fail("cannot write: %s", err ? weir_strerror(-err) : "standard output failed");
		return status == WEIR_EXIT_OK ? WEIR_EXIT_FAILED : status;
	}
	return status;
}
