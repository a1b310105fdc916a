// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* doctor.c - weir doctor: what this machine gives, what not, and why */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <weir/probe.h>

#include "common.h"
#include "doctor.h"
#include "steer.h"

#define ANSWERS_MAX	64

struct doctor {
	unsigned int purpose;	/* place in PURPOSES */
	bool json, pretty, quiet;
};

#define AT(field)	offsetof(struct doctor, field)
#define PURPOSES	"serve|show"

static const struct opt doctor_opts[] = {
	{ "for", 0, OPT_CHOICE, .offset = AT(purpose), .value = PURPOSES,
	  .help = "the command that must work; default serve" },
	{ "quiet", 'q', OPT_FLAG, .offset = AT(quiet), .help = "print what is not ok alone" },
	{ "json", 'j', OPT_FLAG, .offset = AT(json), .help = "as JSON" },
	{ "pretty", 'p', OPT_FLAG, .offset = AT(pretty), .help = "as indented JSON" },
	OPT_END
};

struct answer {
	const char *id, *group, *gives, *fix;
	enum doctor_level level;
	enum doctor_state state;
	char why[DOCTOR_WHY];
};

struct report {
	unsigned int needed;	/* DOCTOR_SERVE or DOCTOR_SHOW */
	unsigned int rung;	/* enum weir_rung, of an instance that was opened */
	size_t count;
	struct answer answers[ANSWERS_MAX];
};

/* asking */

static bool has(const struct report *report, const char *id)
{
	size_t i;

	for (i = 0; i < report->count; i++)
		if (!strcmp(report->answers[i].id, id))
			return report->answers[i].state == DOCTOR_OK;
	return false;
}

/* The library's own table, by other names. */
static void ask_uring(struct report *report)
{
	static const enum doctor_state states[] = {
		[WEIR_FEATURE_NO] = DOCTOR_NO,
		[WEIR_FEATURE_OK] = DOCTOR_OK,
		[WEIR_FEATURE_SKIP] = DOCTOR_SKIP,
	};
	static char names[ANSWERS_MAX][32];
	const struct weir_feature *feature;
	struct answer *answer;
	size_t count;

	if (!(report->needed & DOCTOR_SERVE))
		return;
	for (feature = weir_uring_features(&count); count--; feature++) {
		snprintf(names[report->count], sizeof(names[0]), "uring.%s", feature->name);
		answer = &report->answers[report->count];
		answer->id = names[report->count++];
		answer->group = "io_uring";
		answer->gives = feature->gives;
		answer->fix = feature == weir_uring_features(NULL) ?
			      "sysctl kernel.io_uring_disabled=0; in a container allow "
			      "io_uring_setup, io_uring_enter and io_uring_register in its "
			      "seccomp profile" :
			      "a newer kernel (6.1 or later), or leave it to the epoll backend";
		answer->level = feature->needed ? DOCTOR_OPTIONAL : DOCTOR_PERF;
		answer->state = states[feature->state];
		snprintf(answer->why, sizeof(answer->why), "%s", feature->why);
	}
}

static void ask(struct report *report, const struct doctor_probe *probe)
{
	struct answer *answer;

	for (; probe->id; probe++) {
		if (!(probe->needed & report->needed) || report->count == ANSWERS_MAX)
			continue;
		answer = &report->answers[report->count++];
		answer->id = probe->id;
		answer->group = probe->group;
		answer->gives = probe->gives;
		answer->fix = probe->fix;
		answer->level = probe->level;
		answer->state = probe->run(answer->why);
	}
}

static const struct {
	const char *id, *fix;
} bpf_fixes[] = {
	{ "bpf.build", "install libbpf, clang and bpftool, then build again" },
	{ "bpf.bpffs", "as root: mount -t bpf none /sys/fs/bpf" },
	{ "bpf.cgroup2", "as root: mount -t cgroup2 none /sys/fs/cgroup" },
	{ "bpf.btf", "a kernel with CONFIG_DEBUG_INFO_BTF" },
	{ "bpf.rescue", "a kernel whose sk_reuseport programs migrate (5.14 or later), CAP_BPF, "
			"and a loopback that is up" },
	{ "bpf.dispatcher", "a kernel with BPF trampolines; without, an XDP program of weir's is "
			    "alone on its interface" },
	{ "bpf.xsk", "a kernel with CONFIG_XDP_SOCKETS, and CAP_NET_RAW" },
};

/* To show is to read: without a single pin that may be read it is in vain. */
static void check_pins(struct answer *answer, const char *root)
{
	unsigned int seen = 0, readable = 0;
	struct dirent *entry;
	DIR *dir = opendir(root);

	if (!dir) {
		answer->state = DOCTOR_NO;
		snprintf(answer->why, sizeof(answer->why), "%.120s: %s", root,
			 weir_strerror(-errno));
		return;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		seen++;
		readable += !faccessat(dirfd(dir), entry->d_name, R_OK | X_OK, AT_EACCESS);
	}
	closedir(dir);
	if (seen && !readable)
		answer->state = DOCTOR_NO;
	snprintf(answer->why, sizeof(answer->why), "%.120s: %u instances, %u readable", root,
		 seen, readable);
	answer->fix = "run as root, or give the service a group that may read its pins";
}

static int bpf_answer(void *ctx, const struct weir_bpf_probe *probe)
{
	struct report *report = ctx;
	struct answer *answer;
	bool pins = !strcmp(probe->id, "bpf.bpffs") || !strcmp(probe->id, "bpf.build");
	size_t i;

	if (report->count == ANSWERS_MAX || (report->needed == DOCTOR_SHOW && !pins))
		return 0;
	answer = &report->answers[report->count++];
	answer->id = probe->id;
	answer->group = "bpf";
	answer->gives = probe->gives;
	answer->fix = "run as root, or give CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";
	for (i = 0; i < ARRAY_SIZE(bpf_fixes); i++)
		if (!strcmp(probe->id, bpf_fixes[i].id))
			answer->fix = bpf_fixes[i].fix;
	answer->level = report->needed == DOCTOR_SHOW ? DOCTOR_REQUIRED : DOCTOR_OPTIONAL;
	answer->state = probe->ok ? DOCTOR_OK : DOCTOR_NO;
	memcpy(answer->why, probe->why, sizeof(answer->why));
	if (report->needed == DOCTOR_SHOW && probe->ok)
		check_pins(answer, probe->why);
	return 0;
}

/* the ladder */

/*
 * Which rung a service gets is asked by opening an instance as it would, and
 * closing it again; what the probes found before it is the explanation. A file
 * system that is mounted may be read-only, a directory somebody else's.
 */
static void try_instance(struct report *report)
{
	char name[WEIR_NAME_BYTES];
	struct steer_opts opts = {
		.instance = name,
		.policy = WEIR_POLICY_P2C,
		.workers = 1,
		.quiet = true,
	};
	struct answer *answer;
	struct steer steer;

	if (report->needed == DOCTOR_SHOW || report->count == ANSWERS_MAX)
		return;
	snprintf(name, sizeof(name), "doctor-%d", (int)getpid());
	answer = &report->answers[report->count++];
	answer->id = "bpf.instance";
	answer->group = "bpf";
	answer->gives = "the highest rung: steering, flows and queue lengths";
	answer->fix = "the lines above and the reason here say what is in the way";
	answer->level = DOCTOR_OPTIONAL;
	/* An interrupt must not leave the pins behind; it takes a moment only. */
	catch_signals();
	/* An instance that is refused leaves its reason, and the rung is none. */
	steer_open(&steer, &opts);
	report->rung = steer.rung;
	answer->state = steer.rung == WEIR_RUNG_FULL ? DOCTOR_OK : DOCTOR_NO;
	memcpy(answer->why, steer.reason, sizeof(answer->why));
	if (steer.rung == WEIR_RUNG_FULL)
		snprintf(answer->why, sizeof(answer->why), "opened as a service does, and closed");
	steer_close(&steer);
}

static bool all_required(const struct report *report)
{
	size_t i;

	for (i = 0; i < report->count; i++)
		if (report->answers[i].level == DOCTOR_REQUIRED &&
		    report->answers[i].state != DOCTOR_OK)
			return false;
	return true;
}

/* printing */

static const char *verdict(const struct answer *answer)
{
	if (answer->state == DOCTOR_OK)
		return "ok";
	if (answer->state == DOCTOR_SKIP)
		return "skip";
	return answer->level == DOCTOR_REQUIRED ? "FAIL" : "no";
}

static void print_answers(const struct report *report, bool quiet)
{
	const struct answer *answer;
	const char *group = "";
	size_t i;

	for (i = 0; i < report->count; i++) {
		answer = &report->answers[i];
		if (quiet && answer->state == DOCTOR_OK)
			continue;
		if (strcmp(group, answer->group))
			printf("%s\n", answer->group);
		group = answer->group;
		printf("  %-5s %-24s %s\n", verdict(answer), answer->id, answer->why);
		if (answer->state != DOCTOR_NO)
			continue;
		printf("        %-24s costs: %s\n", "", answer->gives);
		printf("        %-24s fix: %s\n", "", answer->fix);
	}
}

static void print_rung(const struct report *report)
{
	if (report->needed == DOCTOR_SHOW) {
		printf("weir show: %s\n", all_required(report) ? "works here" : "cannot work here");
		return;
	}
	printf("backend: %s\n", has(report, "loop.uring") ? "uring" :
	       has(report, "loop.epoll") ? "epoll (loop.uring tells why not uring)" : "none");
	printf("steering: %s\n", report->rung == WEIR_RUNG_NONE ?
	       "off: the kernel's hash (bpf.instance tells why)" :
	       steer_rung_name(report->rung));
	if (!all_required(report))
		printf("weir serve cannot work here\n");
}

static void print_json(const struct report *report, bool pretty)
{
	static const char *const levels[] = { "required", "optional", "perf" };
	static const char *const states[] = { "no", "ok", "skip" };
	static const char *const rungs[] = { "none", "steer", "flow", "full" };
	const struct answer *answer;
	struct json j;
	size_t i;

	json_init(&j, stdout, pretty);
	json_object(&j, NULL);
	json_string(&j, "for", report->needed == DOCTOR_SHOW ? "show" : "serve");
	json_bool(&j, "ok", all_required(report));
	json_array(&j, "probes");
	for (i = 0; i < report->count; i++) {
		answer = &report->answers[i];
		json_object(&j, NULL);
		json_string(&j, "id", answer->id);
		json_string(&j, "group", answer->group);
		json_string(&j, "level", levels[answer->level]);
		json_string(&j, "state", states[answer->state]);
		json_string(&j, "detail", answer->why);
		json_string(&j, "gives", answer->gives);
		json_string(&j, "fix", answer->fix);
		json_end_object(&j);
	}
	json_end_array(&j);
	if (report->needed == DOCTOR_SERVE) {
		json_string(&j, "backend", has(report, "loop.uring") ? "uring" :
			    has(report, "loop.epoll") ? "epoll" : NULL);
		json_string(&j, "rung", rungs[report->rung]);
	}
	json_end_object(&j);
	json_fini(&j);
}

static int doctor_run(const struct command *cmd, int argc, char **argv)
{
	static struct report report;
	struct doctor doctor = { 0 };
	int n;

	n = opts_parse(cmd, argc, argv, &doctor);
	if (n < 0)
		return opts_exit(n);
	if (n)
		return usage_error(cmd, "%s: takes no operand", argv[0]);
	report.needed = doctor.purpose ? DOCTOR_SHOW : DOCTOR_SERVE;
	ask_uring(&report);
	ask(&report, doctor_machine);
	weir_bpf_probes(bpf_answer, &report);
	try_instance(&report);
	if (doctor.json || doctor.pretty) {
		print_json(&report, doctor.pretty);
	} else {
		print_answers(&report, doctor.quiet);
		print_rung(&report);
	}
	return all_required(&report) ? WEIR_EXIT_OK : WEIR_EXIT_FAILED;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "say what this machine gives to weir, what not, and why",
	.about =
"Tries every kernel feature and privilege that weir uses, by using it. Exit\n"
"status 0 if everything required is there, 1 if not; what is optional costs a\n"
"rung of the ladder or speed, and the line says which.",
	.examples =
"  weir doctor\n"
"  weir doctor --for show\n"
"  weir doctor -j | python3 -m json.tool",
	.opts = doctor_opts,
	.run = doctor_run,
};
