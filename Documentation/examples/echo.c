// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <weir/serve.h>

static void echo(struct weir_conn *conn, struct weir_lease *lease)
{
	if (!lease || weir_conn_send_lease(conn, lease, 0, weir_lease_len(lease)) < 0)
		weir_conn_close(conn);
}

int main(int argc, char **argv)
{
	static const struct weir_service_ops ops = { .data = echo };
	struct weir_service_opts opts = { .sz = sizeof(opts), .ops = &ops, .workers = 4 };
	struct weir_service *service;
	struct weir_addr addr;

	opts.addr = &addr;
	if (weir_addr_parse(&addr, argc > 1 ? argv[1] : "*:7777") ||
	    weir_service_open(&service, &opts))
		return 1;
	return weir_service_wait(service) < 0;
}
