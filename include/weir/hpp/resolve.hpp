/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * resolve.hpp - names to addresses, and connections by name
 *
 * Not part of weir.hpp: it needs libweir-resolve, see <weir/resolve.h>.
 */
#ifndef WEIR_HPP_RESOLVE_HPP
#define WEIR_HPP_RESOLVE_HPP

#include <weir/hpp/call.hpp>
#include <weir/resolve.h>

namespace weir {

/* A question to a resolver; gives the addresses, best first. */
class [[nodiscard]] Resolve : public detail::Call<Resolve> {
public:
	Resolve(detail::Core *core, weir_resolver *resolver, const Path &name, uint16_t port,
		int family, const Where &at) noexcept
		: Call(core, "resolve", at), resolver_(resolver), name_(name), port_(port),
		  family_(family)
	{
	}

	Resolve(Resolve &&) = default;

	std::coroutine_handle<> start(const detail::Context &context, detail::Link link)
	{
		begin(link);
		question_.reset(new struct weir_resolve());
		question_->ctx = this;
		question_->family = static_cast<uint16_t>(family_);
		question_->port = port_;
		question_->deadline_ns = context.deadline_ns;
		question_->token = context.token;
		question_->done = [](struct weir_resolve *question) noexcept {
			static_cast<Resolve *>(question->ctx)->end();
		};
		::weir_resolve(resolver_, question_.get(), name_.text);
		return std::noop_coroutine();
	}

	Result<std::vector<Address>> take()
	{
		if (question_->res < 0)
			return failure(question_->res);
		return std::vector<Address>(question_->addrs, question_->addrs + question_->res);
	}

private:
	weir_resolver *resolver_;
	Path name_;
	uint16_t port_;
	int family_;
	std::unique_ptr<struct weir_resolve> question_;
};

/* Asks the hosts file and name servers. Its questions end before it does. */
class Resolver {
public:
	Resolver(Resolver &&other) noexcept
		: core_(other.core_), resolver_(std::exchange(other.resolver_, nullptr))
	{
	}

	Resolver &operator=(Resolver &&other) noexcept
	{
		std::swap(core_, other.core_);
		std::swap(resolver_, other.resolver_);
		return *this;
	}

	~Resolver()
	{
		weir_resolver_close(resolver_);
	}

	/* Options as in <weir/resolve.h>; the size is filled in. */
	static Result<Resolver> open(const Ops &loop, weir_resolver_opts opts = {})
	{
		weir_resolver *resolver;
		int err;

		opts.sz = sizeof(opts);
		err = weir_resolver_open(&resolver, loop.raw(), &opts);
		if (err)
			return failure(err);
		return Resolver(loop.core(), resolver);
	}

	/* The addresses of @name, with @port; of one family, or of both. */
	Resolve resolve(Path name, uint16_t port, int family = 0,
			Where at = Where::current()) const noexcept
	{
		return Resolve(core_, resolver_, name, port, family, at);
	}

	/* Connects to whichever address of @name answers first. */
	Task<Result<Socket>> connect(Path name, uint16_t port, Where at = Where::current()) const
	{
		return connect(core_, resolve(name, port, 0, at), at);
	}

private:
	Resolver(detail::Core *core, weir_resolver *resolver) noexcept
		: core_(core), resolver_(resolver)
	{
	}

	static Task<Result<Socket>> connect(detail::Core *core, Resolve resolve, Where at)
	{
		auto addresses = co_await std::move(resolve);

		if (!addresses)
			co_return std::unexpected(addresses.error());
		co_return co_await Ops(core).race(*addresses, {}, at);
	}

	detail::Core *core_;
	weir_resolver *resolver_;
};

} /* namespace weir */

#endif /* WEIR_HPP_RESOLVE_HPP */
