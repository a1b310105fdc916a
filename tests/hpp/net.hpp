/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * net.hpp - two ends of a connection, for tests
 */
#ifndef TESTS_HPP_NET_HPP
#define TESTS_HPP_NET_HPP

#include "tap.hpp"

struct Pair {
	Socket client;
	Socket server;
};

inline weir::Listener listen(Loop &loop)
{
	auto listener = loop.listen(*weir::Address::parse("127.0.0.1:0"));

	EXPECT(listener);
	return *std::move(listener);
}

inline Task<Result<Pair>> connect(Loop &loop, weir::Listener &listener)
{
	weir::Address address = listener.address();
	auto [client, server] = co_await gather(loop.connect(address), listener.accept());

	TRY(ours, std::move(client));
	TRY(theirs, std::move(server));
	co_return Pair{std::move(ours), std::move(theirs)};
}

#endif /* TESTS_HPP_NET_HPP */
