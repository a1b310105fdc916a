// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * fetch.cpp - fetches from many at once, each with a deadline, with coroutines
 *
 * usage: fetch MILLISECONDS ADDRESS...
 */
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>
#include <weir/weir.hpp>

using namespace std::literals;

static weir::Task<weir::Result<size_t>> fetch(weir::Loop &loop, weir::Address address)
{
	std::array<char, 4096> buf;
	size_t bytes = 0;

	auto server = co_await loop.connect(address);
	if (!server)
		co_return std::unexpected(server.error());
	if (auto sent = co_await server->send_all("GET / HTTP/1.0\r\n\r\n"sv); !sent)
		co_return std::unexpected(sent.error());
	for (;;) {
		auto n = co_await server->recv(buf);

		if (!n)
			co_return std::unexpected(n.error());
		if (!*n)
			co_return bytes;
		bytes += *n;
	}
}

static weir::Task<> fetch_all(weir::Loop &loop, std::chrono::milliseconds timeout,
			      std::vector<weir::Address> addresses)
{
	std::vector<weir::Within<weir::Task<weir::Result<size_t>>>> fetches;

	for (const weir::Address &address : addresses)
		fetches.push_back(fetch(loop, address).with_timeout(timeout));

	auto results = co_await weir::gather(std::move(fetches));

	for (size_t i = 0; i < results.size(); i++) {
		std::string name = addresses[i].text();

		if (results[i])
			std::printf("%s: %zu bytes\n", name.c_str(), *results[i]);
		else
			std::printf("%s: %s\n", name.c_str(), results[i].error().message().c_str());
	}
}

int main(int argc, char **argv)
{
	std::vector<weir::Address> addresses;
	auto loop = weir::Loop::open();

	if (argc < 3 || !loop)
		return 2;
	for (int i = 2; i < argc; i++) {
		auto address = weir::Address::parse(argv[i]);

		if (!address)
			return 2;
		addresses.push_back(*address);
	}
	return !loop->run(fetch_all(*loop, std::chrono::milliseconds(std::atoll(argv[1])),
				    std::move(addresses)));
}
