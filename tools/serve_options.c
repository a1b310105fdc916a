// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* serve_options.c - what weir serve may be told, and what a table of it cannot check */
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "echo.h"
#include "serve.h"
#include "serve_xdp.h"
#include "steer_vip.h"
#include "takeover.h"

#define AT(field)	offsetof(struct serve, field)

const struct opt serve_opts[] = {
	{ "workers", 'w', OPT_COUNT, .offset = AT(workers), .value = "N", .min = 1,
	  .max = WEIR_WORKERS_MAX, .help = "threads, 1 to 256; default 1" },
	{ "addr", 'a', OPT_TEXT, .offset = AT(addr), .value = "ADDR",
	  .help = "numeric address, or * for any; default 127.0.0.1" },
	{ "port", 0, OPT_COUNT, .offset = AT(port), .value = "PORT", .max = 65535,
	  .help = "default 7777; 0 takes a free one" },
	{ "policy", 0, OPT_CHOICE, .offset = AT(policy), .value = STEER_POLICIES,
	  .help = "how a client finds its worker; default p2c" },
	{ "backend", 0, OPT_CHOICE, .offset = AT(backend), .value = BACKENDS,
	  .help = "default: uring where the kernel allows it" },
	{ "no-bpf", 0, OPT_FLAG, .offset = AT(no_bpf),
	  .help = "leave steering to the kernel's hash" },
	{ "no-flows", 0, OPT_FLAG, .offset = AT(no_flows),
	  .help = "steer, but without telemetry of connections" },
	{ "acceptor", 0, OPT_FLAG, .offset = AT(acceptor),
	  .help = "worker 0 accepts for all: each client to the one with the fewest" },
	{ "processes", 0, OPT_FLAG, .offset = AT(processes),
	  .help = "a process for each worker; one that dies is started again" },
	{ "hand-over", 0, OPT_FLAG, .offset = AT(hand_over),
	  .help = "a slow worker gives idle connections to one that is not" },
	{ "instance", 'i', OPT_TEXT, .offset = AT(instance), .value = "NAME",
	  .help = "name under /sys/fs/bpf/weir; default weir" },
	{ "group", 0, OPT_TEXT, .offset = AT(group), .value = "NAME",
	  .help = "who may read the instance beside its owner; default nobody" },
	{ "takeover", 0, OPT_FLAG, .offset = AT(takeover),
	  .help = "succeed the running service of that instance, without a gap" },
	{ "vip", 0, OPT_TEXT, .offset = AT(vip), .value = "LIST",
	  .help = "answer there, too, such as 10.0.0.0/24:80-89,[fd00::/64]:443,\n"
		  "                            or on its own port: 10.0.0.0/24;\n"
		  "                            - for none yet, see weir steer vip" },
	{ "xdp", 0, OPT_TEXT, .offset = AT(xdp), .value = "IFACE",
	  .help = "datagrams of that interface by AF_XDP, worker w on queue w;\n"
		  "                            IFACE:native or IFACE:generic: in that mode alone" },
	{ "cpu", 0, OPT_TEXT, .offset = AT(cpu_list), .value = "LIST",
	  .help = "pin workers in turn, such as 0,2-3" },
	{ "conns", 0, OPT_COUNT, .offset = AT(conns), .value = "N", .min = 1, .max = 60000,
	  .help = "connections, or messages waiting to be sent, per worker;\n"
		  "                            default 1024" },
	{ "no-batch", 0, OPT_FLAG, .offset = AT(no_batch),
	  .help = "never wait for more than one completion" },
	{ "sqpoll", 0, OPT_FLAG, .offset = AT(sqpoll),
	  .help = "let a kernel thread of each ring submit" },
	{ "napi", 0, OPT_COUNT, .offset = AT(napi_us), .value = "USEC", .max = 1000000,
	  .help = "poll network devices for USEC microseconds before sleeping" },
	{ "stall", 0, OPT_TEXT, .offset = AT(stall), .value = "W:MS/PERIOD",
	  .help = "worker W hangs MS of every PERIOD milliseconds" },
	{ "json-exit", 0, OPT_FLAG, .offset = AT(json_exit),
	  .help = "print the counters as one line of JSON at the end" },
	{ "verbose", 'v', OPT_FLAG, .offset = AT(verbose), .help = "log what is chosen and why" },
	OPT_END
};

static int add_cpus(struct serve *serve, size_t *count, char *range)
{
	char *dash = strchr(range, '-');
	uint64_t from, to, cpu;

	if (dash)
		*dash++ = '\0';
	if (parse_number(range, 1000, &from) || (dash && parse_number(dash, 1000, &to)))
		return -EINVAL;
	if (!dash)
		to = from;
	if (to < from || to >= CPU_SETSIZE)
		return -EINVAL;
	for (cpu = from; cpu <= to && *count < WEIR_WORKERS_MAX; cpu++)
		serve->cpus[(*count)++] = (int)cpu;
	return 0;
}

static int read_cpus(struct serve *serve)
{
	char copy[256], *range, *state;
	size_t count = 0, i;

	if (strlen(serve->cpu_list) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, serve->cpu_list);
	for (range = strtok_r(copy, ",", &state); range; range = strtok_r(NULL, ",", &state))
		if (add_cpus(serve, &count, range))
			return -EINVAL;
	if (!count)
		return -EINVAL;
	for (i = count; i < WEIR_WORKERS_MAX; i++)
		serve->cpus[i] = serve->cpus[i % count];
	for (i = 0; i < count; i++)
		if (!cpu_allowed(serve->cpus[i]))
			return -ENODEV;
	return 0;
}

static int read_addr(struct serve *serve)
{
	char text[WEIR_ADDR_TEXT_MAX + 16];
	bool v6;
	int len;

	serve->addr_said = serve->addr;
	serve->port_said = serve->port != PORT_NOT_SAID;
	if (!serve->addr_said)
		serve->addr = "127.0.0.1";
	if (!serve->port_said)
		serve->port = 7777;
	v6 = strchr(serve->addr, ':') && serve->addr[0] != '[';
	len = snprintf(text, sizeof(text), v6 ? "[%s]:%u" : "%s:%u", serve->addr,
		       (unsigned int)serve->port);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -EINVAL;
	return weir_addr_parse(&serve->where, text);
}

static int read_group(struct serve *serve)
{
	const struct group *group = getgrnam(serve->group);
	uint64_t gid;

	if (group) {
		serve->gid = group->gr_gid;
		return 0;
	}
	if (parse_number(serve->group, 1000, &gid) || gid >= (gid_t)-1)
		return -ENOENT;
	serve->gid = (gid_t)gid;
	return 0;
}

static int check_xdp(const struct serve *serve)
{
	char ifname[IFNAMSIZ];
	uint32_t want;

	if (!serve->udp || serve->no_bpf)
		return usage_error(&cmd_serve, "--xdp: needs BPF, and is for datagrams");
	if (serve_xdp_parse(serve->xdp, ifname, &want))
		return usage_error(&cmd_serve, "--xdp: '%s' is not an interface, or one and "
				   ":native or :generic", serve->xdp);
	return 0;
}

int serve_check(struct serve *serve, int operands, char **argv)
{
	int err;

	if (operands != 1)
		return usage_error(&cmd_serve, "one service to run: there are echo and udp-echo");
	serve->udp = !strcmp(argv[0], "udp-echo");
	if (!serve->udp && strcmp(argv[0], "echo"))
		return usage_error(&cmd_serve, "%s: no such service; there are echo and udp-echo",
				   argv[0]);
	if (serve->udp && (serve->acceptor || serve->processes))
		return usage_error(&cmd_serve, "--%s: not for datagrams", serve->acceptor ?
				   "acceptor" : "processes");
	err = serve->takeover ? takeover_check(&cmd_serve, serve->xdp,
					       serve->acceptor && !serve->instance) : 0;
	if (err)
		return err;
	if (serve->instance && !steer_name_ok(serve->instance))
		return usage_error(&cmd_serve,
				   "--instance: '%s' is not 1 to %d of A-Z a-z 0-9 _ -",
				   serve->instance, WEIR_NAME_BYTES - 1);
	if (serve->group && read_group(serve))
		return usage_error(&cmd_serve, "--group: '%s' is no group", serve->group);
	if (serve->acceptor && (serve->policy != POLICY_NOT_SAID || serve->group))
		return usage_error(&cmd_serve, "--acceptor: clients go to the worker with the "
				   "fewest; --policy and --group are for listeners");
	if (serve->no_bpf && (serve->group || (serve->policy != POLICY_NOT_SAID &&
					       serve->policy != WEIR_POLICY_HASH)))
		return usage_error(&cmd_serve, "--no-bpf: clients go by the kernel's hash; other "
				   "policies and --group are for BPF");
	if (serve->processes && (serve->acceptor || serve->json_exit))
		return usage_error(&cmd_serve, "--processes: not with --acceptor or --json-exit");
	if (read_addr(serve))
		return usage_error(&cmd_serve, "--addr: '%s' is not a numeric address",
				   serve->addr);
	err = serve->cpu_list ? read_cpus(serve) : 0;
	if (err)
		return usage_error(&cmd_serve, "--cpu: '%s' %s", serve->cpu_list,
				   err == -ENODEV ? CPU_NOT_ALLOWED :
				   "is not a list such as 0,2-3");
	if (serve->hand_over && (serve->processes || serve->udp))
		return usage_error(&cmd_serve, "--hand-over: needs connections, and workers in one "
				   "process");
	if (serve->vip && (serve->no_bpf || serve->acceptor))
		return usage_error(&cmd_serve, "--vip: needs BPF, and a listener of each worker");
	err = serve->vip ? vips_check(&cmd_serve, serve->vip, (uint16_t)serve->port, serve->udp) :
			   0;
	if (err)
		return err;
	err = serve->xdp ? check_xdp(serve) : 0;
	if (err)
		return err;
	if (serve->stall && echo_stall_parse(serve->stall, &serve->echo->stall))
		return usage_error(&cmd_serve,
				   "--stall: '%s' is not W:MS/PERIOD, such as 0:400/1000",
				   serve->stall);
	if (serve->stall && serve->echo->stall.worker >= (serve->workers ?: 1))
		return usage_error(&cmd_serve, "--stall: there is no worker %u, only %u",
				   serve->echo->stall.worker, (unsigned int)(serve->workers ?: 1));
	return 0;
}
