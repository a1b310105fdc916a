// SPDX-License-Identifier: GPL-2.0-only
/*
 * stream.cpp - what comes many times: clients, leases; and sockets that go
 */
#include <array>

#include <poll.h>

#include "net.hpp"

using weir::gather, weir::when_any;

static weir::Pool pool(Loop &loop, uint32_t count)
{
	weir_pool_opts opts = {};

	opts.buf_bytes = 256;
	opts.count = count;

	auto pool = loop.pool(opts);

	EXPECT(pool);
	return *std::move(pool);
}

TEST(bytes_go_there_and_back)
{
	auto make = [](Loop &loop) -> Task<Result<size_t>> {
		weir::Listener listener = listen(loop);
		TRY(pair, co_await connect(loop, listener));
		std::string out(100000, 'x'), in(100000, ' ');
		auto [sent, got] = co_await gather(pair.client.send_all(out),
						   pair.server.recv_full(in));

		EXPECT(sent && in == out);
		EXPECT(co_await pair.client.shutdown(SHUT_WR));
		EXPECT(co_await pair.server.recv(in) == size_t(0));
		EXPECT(co_await pair.client.close());
		EXPECT(!pair.client);
		co_return got;
	};
	auto got = loop.run(make(loop));

	EXPECT(got && *got == 100000);
}

static Task<Result<size_t>> read_all(Socket &socket, weir::Pool &from, std::string *all)
{
	auto leases = socket.recv(from);
	size_t count = 0;

	for (;;) {
		TRY(lease, co_await leases.next());

		if (!lease)
			break;
		all->append(lease.text());
		count++;
	}
	/* The end is told once. */
	EXPECT(co_await leases.next() == weir::failure(-ENODATA));
	co_return count;
}

TEST(a_stream_of_leases_ends_with_an_empty_one)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		weir::Pool buffers = pool(loop, 16);
		weir::Listener listener = listen(loop);
		TRY(pair, co_await connect(loop, listener));
		std::string out(20000, 'y'), in;
		auto send = [](Socket &socket, std::string &out) -> Task<Result<void>> {
			TRY_ONLY(co_await socket.send_all(out));
			co_return co_await socket.shutdown(SHUT_WR);
		};
		auto [sent, got] = co_await gather(send(pair.client, out),
						   read_all(pair.server, buffers, &in));

		EXPECT(sent && got && *got >= 20000 / 256);
		EXPECT(in == out);
		co_return Result<void>();
	};

	EXPECT(loop.run(make(loop)));
	EXPECT(loop.run());
}

TEST(a_lease_that_is_kept_outlives_its_stream)
{
	auto make = [](Loop &loop, weir::Pool &buffers) -> Task<Result<weir::Lease>> {
		weir::Listener listener = listen(loop);
		TRY(pair, co_await connect(loop, listener));

		TRY_ONLY(co_await pair.client.send_all("kept"sv));
		co_return co_await pair.server.recv(buffers).next();
	};
	weir::Pool buffers = pool(loop, 4);
	auto lease = loop.run(make(loop, buffers));

	EXPECT(lease && lease->text() == "kept");
	EXPECT(buffers.stats().free == 3);
	{
		weir::Lease other = lease->share();

		*lease = weir::Lease();
		EXPECT(other.text() == "kept");
	}
	EXPECT(loop.run());
	EXPECT(buffers.stats().free == 4);
}

TEST(a_stream_dropped_while_armed_gives_back_what_comes)
{
	auto make = [](Loop &loop, weir::Pool &buffers) -> Task<Result<void>> {
		weir::Listener listener = listen(loop);
		TRY(pair, co_await connect(loop, listener));
		std::array<char, 4> room;

		{
			auto dropped = pair.server.recv(buffers);

			EXPECT(co_await loop.sleep(1ms));
		}
		EXPECT(co_await loop.sleep(1ms));
		TRY_ONLY(co_await pair.client.send_all("more"sv));
		/* Nothing of it went into the stream that is gone. */
		EXPECT(co_await pair.server.recv_full(room) == size_t(4));
		co_return Result<void>();
	};
	weir::Pool buffers = pool(loop, 4);

	EXPECT(loop.run(make(loop, buffers)));
	EXPECT(loop.run());
	EXPECT(buffers.stats().free == 4);
}

TEST(a_spare_buffer_of_a_pool_can_be_sent)
{
	auto make = [](Loop &loop, weir::Pool &buffers) -> Task<Result<void>> {
		weir::Listener listener = listen(loop);
		TRY(pair, co_await connect(loop, listener));
		TRY(lease, buffers.lease());
		std::array<char, 5> room;

		std::memcpy(lease.room().data(), "spare", 5);
		TRY_ONLY(co_await pair.client.send_all(lease.room().first(5)));
		EXPECT(co_await pair.server.recv_full(room) == size_t(5));
		EXPECT(std::string_view(room.data(), 5) == "spare");
		co_return Result<void>();
	};
	weir::Pool buffers = pool(loop, 8);

	EXPECT(loop.run(make(loop, buffers)));
}

TEST(a_listener_keeps_clients_until_they_are_taken)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		weir::Listener listener = listen(loop);
		weir::Address address = listener.address();
		std::vector<weir::Op<Socket>> connects;
		std::vector<Socket> servers;

		EXPECT(address.text().starts_with("127.0.0.1:"));
		for (int i = 0; i < 20; i++)
			connects.push_back(loop.connect(address));

		auto clients = co_await gather(std::move(connects));

		for (auto &client : clients) {
			EXPECT(client);
			TRY(server, co_await listener.accept());
			servers.push_back(std::move(server));
		}
		EXPECT(servers.size() == 20);
		co_return Result<void>();
	};

	EXPECT(loop.run(make(loop)));
	EXPECT(loop.run());
	EXPECT(loop.stats().files == 0);
}

TEST(waiting_for_a_client_can_time_out_and_be_cancelled)
{
	auto make = [](Loop &loop) -> Task<void> {
		weir::Listener listener = listen(loop);
		auto late = co_await listener.accept().with_timeout(5ms);

		EXPECT(!late && late.error() == std::errc::timed_out);

		auto first = co_await when_any(listener.accept(), loop.sleep(1ms));

		EXPECT(first.index() == 1);

		/* Nothing is lost by that. */
		Result<Pair> pair = co_await connect(loop, listener);

		EXPECT(pair);
	};

	EXPECT(loop.run(make(loop)));
}

TEST(a_client_that_comes_wins_against_a_timeout)
{
	auto make = [](Loop &loop) -> Task<void> {
		weir::Listener listener = listen(loop);
		weir::Address address = listener.address();
		auto accept = [](weir::Listener &listener) -> Task<bool> {
			auto client = co_await listener.accept().with_timeout(1h);

			co_return client.has_value();
		};
		auto [client, accepted] = co_await gather(loop.connect(address), accept(listener));

		EXPECT(client && accepted);
	};
	auto begun = loop.now();

	EXPECT(loop.run(make(loop)));
	EXPECT(loop.now() - begun < 1min);
}

static Task<void> echo(Socket client)
{
	std::array<char, 64> room;

	for (;;) {
		auto n = co_await client.recv(room);

		if (!n || !*n || !co_await client.send_all(Bytes(room.data(), *n)))
			break;
	}
}

static Task<void> serve(Loop &loop, weir::Listener listener)
{
	while (auto client = co_await listener.accept())
		loop.spawn(echo(*std::move(client)));
}

static Task<Result<void>> ask(Loop &loop, weir::Address address, int number)
{
	TRY(socket, co_await loop.connect(address));
	std::string out = std::to_string(number), in(out.size(), ' ');

	TRY_ONLY(co_await socket.send_all(out));
	TRY(got, co_await socket.recv_full(in));
	EXPECT(in.compare(0, got, out, 0, got) == 0);
	if (got < in.size())
		co_return weir::failure(-EPIPE);
	co_return Result<void>();
}

TEST(a_server_answers_a_hundred_clients_at_once)
{
	auto make = [](Loop &loop) -> Task<void> {
		weir::Listener listener = listen(loop);
		weir::Address address = listener.address();
		std::vector<weir::Within<Task<Result<void>>>> clients;

		loop.spawn(serve(loop, std::move(listener)));
		for (int i = 0; i < 100; i++)
			clients.push_back(ask(loop, address, i).with_timeout(20s));
		for (auto &result : co_await gather(std::move(clients)))
			EXPECT(result);
	};

	EXPECT(loop.run(make(loop)));
	/* What was spawned, the server among it, ends with the loop. */
}

/* Ten clients of a server, each with a time limit; gives how many were served. */
static Task<int> world(Loop &loop)
{
	/* Of real time others may take much. */
	auto limit = loop.backend() == "sim"sv ? 1s : 20s;
	auto listener = loop.listen(*weir::Address::parse("127.0.0.1:0"));
	std::vector<weir::Within<Task<Result<void>>>> clients;
	int served = 0;

	if (!listener)
		co_return 0;

	weir::Address address = listener->address();

	loop.spawn(serve(loop, *std::move(listener)));
	for (int i = 0; i < 10; i++)
		clients.push_back(ask(loop, address, i).with_timeout(limit));
	for (auto &result : co_await gather(std::move(clients)))
		served += result.has_value();
	co_return served;
}

TEST(worlds_in_which_operations_fail_end_cleanly)
{
	bool on_sim = loop.backend() == "sim"sv;
	weir_sim_opts sim = {};
	weir_loop_opts opts = {};
	int served = 0;

	sim.sz = sizeof(sim);
	sim.delay_max_ns = 1000000;
	sim.short_permille = 200;
	sim.error_permille = 20;
	opts.backend = loop.backend();
	if (on_sim)
		opts.sim = &sim;
	for (opts.seed = 1; opts.seed <= (on_sim ? 100 : 5); opts.seed++) {
		auto other = Loop::open(opts);

		EXPECT(other);

		auto count = other->run(world(*other));

		EXPECT(count);
		served += *count;
	}
	if (on_sim)
		EXPECT(served > 100 && served < 1000);
	else
		EXPECT(served == 50);
}

TEST(the_same_seed_is_the_same_world)
{
	weir_sim_opts sim = {};
	weir_loop_opts opts = {};
	struct weir_loop_stats stats[2];
	std::chrono::nanoseconds ended[2];

	sim.sz = sizeof(sim);
	sim.delay_max_ns = 1000000;
	sim.error_permille = 20;
	opts.backend = "sim";
	opts.sim = &sim;
	opts.seed = 7;
	for (int i = 0; i < 2; i++) {
		auto other = Loop::open(opts);

		EXPECT(other && other->run(world(*other)));
		stats[i] = other->stats();
		ended[i] = other->now();
	}
	EXPECT(ended[0] == ended[1]);
	EXPECT(!std::memcmp(&stats[0], &stats[1], sizeof(stats[0])));
}

TEST_DIES(two_that_wait_for_one_stream_are_refused, "weir: two wait for the next of one stream")
{
	auto make = [](Loop &loop) -> Task<void> {
		weir::Listener listener = listen(loop);

		co_await gather(listener.accept(), listener.accept());
	};

	(void)loop.run(make(loop));
}

TEST_DIES(a_receive_destroyed_in_flight_terminates, "weir: recv in flight since ")
{
	auto make = [](Loop &loop) -> Task<void> {
		weir::Listener listener = listen(loop);
		auto pair = co_await connect(loop, listener);
		auto receive = [](Socket &socket) -> Task<void> {
			std::array<char, 16> room;

			(void)co_await socket.recv(room);
		};
		auto task = receive(pair->server);

		task.start({}, {std::noop_coroutine(), nullptr, 0}).resume();
		EXPECT(co_await loop.sleep(1ms));
		/* Here it goes, while the kernel may still write into it. */
	};

	(void)loop.run(make(loop));
}
