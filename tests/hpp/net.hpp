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

/* A datagram socket at a port of its own choice; sim has no ports to choose from. */
inline Task<Result<Socket>> datagrams(Loop &loop, weir::Address *address)
{
	for (int tries = 0;; tries++) {
		*address = listen(loop).address();
		TRY(socket, co_await loop.socket(AF_INET, SOCK_DGRAM));
		auto bound = co_await socket.bind(*address);

		if (bound)
			co_return std::move(socket);
		/* What was free for a listener another may have for his datagrams. */
		if (bound.error() != std::errc::address_in_use || tries == 20)
			co_return std::unexpected(bound.error());
	}
}

#endif /* TESTS_HPP_NET_HPP */
