// SPDX-License-Identifier: Apache-2.0
// What is said at a worker's start, either way: its task, and its hello.
//
//   hello: {"magic": "detente-worlds", "protocol": 1, "total": K, "horizon": N, "setting": TEXT,
//           "facts": {...},
//           "tasks": [{"index": k, "name": TEXT, "observation": O_k, "action": A_k}, ...]}
#pragma once

#include <detente/worlds/worker_worlds.h>

namespace detente::worlds::internal {

// The number of workers to start. Throws kInvalidArgument for options that break a rule.
std::size_t checked_workers(const WorkerOptions& options);

Json task_of_worker(const WorkerOptions& options, std::size_t part, std::size_t parts);

// Of a worker that was waited for. Throws kUnsupported with its reason where it cannot serve,
// kPeerLost where it has ended, says what no worker says or has said nothing.
Json hello_of(const Worker& worker, const WorkerOptions& options);

// What all of them say together, and which tasks each has. Throws kUnsupported where they do not
// fit each other.
Spec spec_of(const std::vector<Json>& hellos, std::vector<std::vector<std::size_t>>& tasks);

// That a worker serves what the one before it did; throws kUnsupported.
void check_same(const Json& hello, const Spec& spec, const std::vector<std::size_t>& tasks);

// "'a', 'b' and 8 more".
std::string short_list(const std::vector<std::string>& names);

}  // namespace detente::worlds::internal
