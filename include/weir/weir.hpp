/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * weir.hpp - weir in C++23: coroutines over the same operations
 *
 * Header only. co_await of an operation gives a std::expected of what it came
 * to; Task is a coroutine, gather() and when_any() run several, Loop runs them.
 * See Documentation/cpp.rst.
 */
#ifndef WEIR_HPP
#define WEIR_HPP

#if !defined(__cplusplus) || __cplusplus <= 202002L
#error "weir.hpp needs C++23"
#endif

#include <weir/hpp/call.hpp>
#include <weir/hpp/files.hpp>
#include <weir/hpp/group.hpp>
#include <weir/hpp/inbox.hpp>
#include <weir/hpp/loop.hpp>
#include <weir/hpp/message.hpp>
#include <weir/hpp/ops.hpp>
#include <weir/hpp/result.hpp>
#include <weir/hpp/task.hpp>

#endif /* WEIR_HPP */
