// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * echo.cpp - an echo server, with coroutines
 *
 * usage: echo ADDRESS
 */
#include <array>
#include <cstdio>
#include <weir/weir.hpp>

static weir::Task<> echo(weir::Socket client)
{
	std::array<char, 4096> buf;

	for (;;) {
		auto n = co_await client.recv(buf);

		if (!n || !*n || !co_await client.send_all(weir::Bytes(buf.data(), *n)))
			co_return;
	}
}

static weir::Task<weir::Result<void>> serve(weir::Loop &loop, weir::Address address)
{
	auto listener = loop.listen(address);

	if (!listener)
		co_return std::unexpected(listener.error());
	std::printf("listening on %s\n", listener->address().text().c_str());
	std::fflush(stdout);
	for (;;) {
		auto client = co_await listener->accept();

		if (!client)
			co_return std::unexpected(client.error());
		loop.spawn(echo(*std::move(client)));
	}
}

int main(int argc, char **argv)
{
	auto address = weir::Address::parse(argc == 2 ? argv[1] : "");
	auto loop = weir::Loop::open();

	if (!address || !loop)
		return 2;
	return loop->run(serve(*loop, *address)) ? 0 : 1;
}
