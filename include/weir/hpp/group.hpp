/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * group.hpp - several at once: gather() waits for all, when_any() for the first
 *
 * Both take tasks, operations, or another gather; and both end only when all
 * they started has ended, so that nothing of theirs is in flight afterwards.
 */
#ifndef WEIR_HPP_GROUP_HPP
#define WEIR_HPP_GROUP_HPP

#include <tuple>
#include <vector>

#include <weir/hpp/op.hpp>

namespace weir {
namespace detail {

/* Members of a group, different ones. */
template <Awaitable... A>
class Several {
public:
	explicit Several(A &&...members) : members_(std::move(members)...) {}

	static constexpr size_t size() noexcept
	{
		return sizeof...(A);
	}

	void start(const Context &context, Group *group)
	{
		size_t index = 0;

		std::apply([&](A &...member) {
			(member.start(context, Link{{}, group, index++}).resume(), ...);
		}, members_);
	}

	/* In order; whichever threw first in that order throws. */
	std::tuple<Taken<A>...> take()
	{
		return std::apply([](A &...member) {
			return std::tuple<Taken<A>...>{detail::take(member)...};
		}, members_);
	}

	std::variant<Taken<A>...> take_at(size_t index)
	{
		return take_from<0>(index);
	}

private:
	template <size_t I>
	std::variant<Taken<A>...> take_from(size_t index)
	{
		using Any = std::variant<Taken<A>...>;

		if constexpr (I + 1 < sizeof...(A)) {
			if (index != I)
				return take_from<I + 1>(index);
		}
		return Any(std::in_place_index<I>, detail::take(std::get<I>(members_)));
	}

	std::tuple<A...> members_;
};

/* Members of a group, as many of one type as there are. */
template <Awaitable A>
class Many {
public:
	explicit Many(std::vector<A> &&members) : members_(std::move(members)) {}

	size_t size() const noexcept
	{
		return members_.size();
	}

	void start(const Context &context, Group *group)
	{
		for (size_t i = 0; i < members_.size(); i++)
			members_[i].start(context, Link{{}, group, i}).resume();
	}

	std::vector<Taken<A>> take()
	{
		std::vector<Taken<A>> all;

		all.reserve(members_.size());
		for (A &member : members_)
			all.push_back(detail::take(member));
		return all;
	}

	std::pair<size_t, Taken<A>> take_at(size_t index)
	{
		return {index, detail::take(members_.at(index))};
	}

private:
	std::vector<A> members_;
};

/* One more than the members is awaited while they are being started. */
template <typename Members>
std::coroutine_handle<> start_all(Members &members, const Context &context, Group &group)
{
	group.left = members.size() + 1;
	members.start(context, &group);
	return group.arrive();
}

template <typename Members>
class [[nodiscard]] Gather : public Limited<Gather<Members>> {
public:
	explicit Gather(Members &&members) : members_(std::move(members)) {}

	std::coroutine_handle<> start(const Context &context, Link link)
	{
		group_.up = link;
		return start_all(members_, context, group_);
	}

	auto take()
	{
		return members_.take();
	}

private:
	Members members_;
	Group group_;
};

template <typename Members>
class [[nodiscard]] Any : public Limited<Any<Members>> {
public:
	explicit Any(Members &&members) : members_(std::move(members))
	{
		if (!members_.size())
			die("when_any() of nothing");
	}

	std::coroutine_handle<> start(Context context, Link link)
	{
		if (!context.core)
			die("when_any() where no loop runs");
		group_.token = token_.begin(context.core->loop, context.token);
		context.token = group_.token;
		group_.up = link;
		return start_all(members_, context, group_);
	}

	auto take()
	{
		token_.end();
		return members_.take_at(group_.first);
	}

private:
	LateToken token_;	/* first, so that it goes last */
	Members members_;
	Group group_;
};

} /* namespace detail */

/*
 * Runs all of them at once and ends when all have ended, with a tuple of what
 * they came to, std::monostate for void. An exception waits for the others.
 */
template <detail::Awaitable... A>
	requires(sizeof...(A) > 0 && !(std::is_lvalue_reference_v<A> || ...))
auto gather(A &&...members)
{
	return detail::Gather(detail::Several<A...>(std::move(members)...));
}

/* The same of as many of one type as there are, in their order. */
template <detail::Awaitable A>
auto gather(std::vector<A> members)
{
	return detail::Gather(detail::Many<A>(std::move(members)));
}

/*
 * Runs all of them at once, and cancels the others when the first has ended,
 * whatever it came to. Ends when all have ended, with the result of the first: a
 * variant whose index() tells which it was. What the others came to is dropped.
 */
template <detail::Awaitable... A>
	requires(sizeof...(A) > 0 && !(std::is_lvalue_reference_v<A> || ...))
auto when_any(A &&...members)
{
	return detail::Any(detail::Several<A...>(std::move(members)...));
}

/* The same of as many of one type as there are: a pair of index and result. */
template <detail::Awaitable A>
auto when_any(std::vector<A> members)
{
	return detail::Any(detail::Many<A>(std::move(members)));
}

} /* namespace weir */

#endif /* WEIR_HPP_GROUP_HPP */
