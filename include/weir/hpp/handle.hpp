/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * handle.hpp - what is given back when it goes out of scope: files, sockets,
 * leases, pools; and addresses
 *
 * None of them may outlive its loop, and all belong to its owner thread.
 */
#ifndef WEIR_HPP_HANDLE_HPP
#define WEIR_HPP_HANDLE_HPP

#include <string_view>

#include <weir/hpp/op.hpp>
#include <weir/net.h>
#include <weir/pool.h>

namespace weir {

class Ops;

/*
 * An open file of a loop. The destructor submits a close and does not wait for
 * it; the operation was set aside when the file was opened. What is in flight
 * on the file is cancelled by that, as by any close. To hear what the close came
 * to: co_await close().
 */
class Handle {
public:
	Handle() = default;
	Handle(Handle &&other) noexcept : closer_(std::exchange(other.closer_, nullptr)) {}

	Handle &operator=(Handle &&other) noexcept
	{
		std::swap(closer_, other.closer_);
		return *this;
	}

	~Handle()
	{
		if (closer_)
			detail::Core::close(closer_);
	}

	explicit operator bool() const noexcept
	{
		return closer_;
	}

	operator weir_file() const noexcept
	{
		return closer_ ? closer_->file : weir_file{};
	}

	/* The file as it is; the caller's to close. */
	weir_file release() noexcept
	{
		weir_file file = *this;

		if (closer_)
			detail::Core::spare(std::exchange(closer_, nullptr));
		return file;
	}

	/* Every operation there is, of its loop. */
	Ops ops() const noexcept;

	/* For what is built upon it. */
	detail::Core *core() const noexcept
	{
		return closer_ ? closer_->core : nullptr;
	}

	Op<uint32_t> poll(uint32_t events, Where at = Where::current()) const;
	/* A plain descriptor of the file, the caller's own. */
	Op<int> install(Where at = Where::current()) const;
	Op<void> close(Where at = Where::current());

protected:
	explicit Handle(detail::Closer *closer) noexcept : closer_(closer) {}

private:
	detail::Closer *closer_ = nullptr;
};

/* The bytes of a pool's buffer, one reference of them. */
class Lease {
public:
	Lease() = default;
	explicit Lease(weir_lease *reference) noexcept : lease_(reference) {}
	Lease(Lease &&other) noexcept : lease_(std::exchange(other.lease_, nullptr)) {}

	Lease &operator=(Lease &&other) noexcept
	{
		std::swap(lease_, other.lease_);
		return *this;
	}

	~Lease()
	{
		weir_lease_put(lease_);
	}

	/* False at the end of a stream: no more will come. */
	explicit operator bool() const noexcept
	{
		return lease_;
	}

	/* Another reference of the same bytes. */
	Lease share() const noexcept
	{
		return Lease(lease_ ? weir_lease_get(lease_) : nullptr);
	}

	/* What was received into it. */
	std::span<const std::byte> bytes() const noexcept
	{
		if (!lease_)
			return {};
		return {static_cast<const std::byte *>(weir_lease_data(lease_)),
			weir_lease_len(lease_)};
	}

	std::string_view text() const noexcept
	{
		return {reinterpret_cast<const char *>(bytes().data()), bytes().size()};
	}

	/* All of the buffer. */
	std::span<std::byte> room() const noexcept
	{
		if (!lease_)
			return {};
		return {static_cast<std::byte *>(weir_lease_data(lease_)), weir_lease_size(lease_)};
	}

	weir_lease *raw() const noexcept
	{
		return lease_;
	}

private:
	weir_lease *lease_ = nullptr;
};

/* A pool; what still holds buffers of it when it goes lets the loop close it. */
class Pool {
public:
	Pool() = default;
	Pool(detail::Core *core, weir_pool *pool) noexcept : core_(core), pool_(pool) {}

	Pool(Pool &&other) noexcept
		: core_(other.core_), pool_(std::exchange(other.pool_, nullptr))
	{
	}

	Pool &operator=(Pool &&other) noexcept
	{
		std::swap(core_, other.core_);
		std::swap(pool_, other.pool_);
		return *this;
	}

	/* Room on the list was made when the pool was opened. */
	~Pool()
	{
		if (pool_ && weir_pool_close(pool_))
			core_->pools.push_back(pool_);
	}

	/* A spare buffer to fill and send. */
	Result<Lease> lease() const noexcept
	{
		weir_lease *lease;
		int err = weir_pool_lease(pool_, &lease);

		if (err)
			return failure(err);
		return Lease(lease);
	}

	struct weir_pool_stats stats() const noexcept
	{
		struct weir_pool_stats stats;

		::weir_pool_stats(pool_, &stats, sizeof(stats));
		return stats;
	}

	weir_pool *raw() const noexcept
	{
		return pool_;
	}

private:
	detail::Core *core_ = nullptr;
	weir_pool *pool_ = nullptr;
};

/* A socket's address. */
class Address {
public:
	Address() = default;
	Address(const weir_addr &addr) noexcept : addr_(addr) {}

	static Result<Address> parse(const Path &text) noexcept
	{
		Address address;
		int err = weir_addr_parse(&address.addr_, text.text);

		if (err)
			return failure(err);
		return address;
	}

	/* Blocking, for start-up and work(): see weir_addr_resolve(); best first. */
	static Result<std::vector<Address>> resolve(const Path &host, uint16_t port)
	{
		weir_addr found[16];
		int count = weir_addr_resolve(host.text, port, found, std::size(found));

		if (count < 0)
			return failure(count);
		return std::vector<Address>(found, found + count);
	}

	/* What a system call filled in. */
	static Result<Address> from(const sockaddr *raw, size_t len) noexcept
	{
		Address address;
		int err = weir_addr_set(&address.addr_, raw, len);

		if (err)
			return failure(err);
		return address;
	}

	Result<uint16_t> port() const noexcept
	{
		int port = weir_addr_port(&addr_);

		if (port < 0)
			return failure(port);
		return static_cast<uint16_t>(port);
	}

	Result<void> set_port(uint16_t port) noexcept
	{
		int err = weir_addr_set_port(&addr_, port);

		if (err)
			return failure(err);
		return {};
	}

	friend bool operator==(const Address &a, const Address &b) noexcept
	{
		return weir_addr_equal(&a.addr_, &b.addr_);
	}

	/* Empty for what has no text. */
	std::string text() const
	{
		char text[WEIR_ADDR_TEXT_MAX];
		int len = weir_addr_format(&addr_, text, sizeof(text));

		return {text, static_cast<size_t>(std::max(len, 0))};
	}

	const sockaddr *raw() const noexcept
	{
		return reinterpret_cast<const sockaddr *>(&addr_.ss);
	}

	uint32_t size() const noexcept
	{
		return addr_.len;
	}

	weir_addr *addr() noexcept
	{
		return &addr_;
	}

private:
	weir_addr addr_ = {};
};

} /* namespace weir */

#endif /* WEIR_HPP_HANDLE_HPP */
