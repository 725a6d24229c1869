// SPDX-License-Identifier: Apache-2.0
// Environments of several tasks, stepped together: one vector step is one transition in each of K
// tasks.
//
// An episode of a task begins by itself after the last one: step() gives what followed the actions
// (`observations`, what a replay buffer stores), and observations() what to act on next, which is
// the first observation of a new episode where one has ended.
//
// Every episode has a number, and all that is random in it comes from episode_seed(seed, task,
// number): who knows the numbers can go on where another process stopped, and a task sees the same
// episodes whoever serves it.
#pragma once

#include <detente/core/json.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace detente::worlds {

struct Spec {
  std::vector<std::string> tasks;  // K >= 1 names, each once
  std::size_t observation = 0;     // O numbers for each task; zeros fill those of a smaller task
  std::size_t action = 0;   // A numbers in [-1, 1] for each task; a smaller task takes the first
  std::size_t horizon = 0;  // steps after which an episode is cut
  // In one line what numbers measured here depend on: package and versions, tasks, horizon, goals,
  // version of the reward, what is observed, when an episode counts as a success. Results carry it
  // word for word.
  std::string setting;
};

// Results of one vector step; K entries each, rows of observations one after the other.
struct Step {
  std::vector<float> observations;    // K x O
  std::vector<float> rewards;         // finite
  std::vector<std::uint8_t> success;  // whether the goal is reached at this step
  std::vector<std::uint8_t>
      ended;  // in a final state: nothing follows, so nothing is to be bootstrapped
  std::vector<std::uint8_t> truncated;  // cut, by the horizon or because it was lost
  // The environment died, hung, raised or gave numbers that are not finite: the episode counts for
  // nothing and this is no transition (reward 0; `observations` repeats the first one of the new
  // episode). Such an entry is truncated, too.
  std::vector<std::uint8_t> lost;

  void resize(const Spec& spec);
  bool over(std::size_t task) const { return ended[task] != 0 || truncated[task] != 0; }
};

class Worlds {
 public:
  virtual ~Worlds() = default;

  virtual const Spec& spec() const = 0;

  // Begins the next episode in every task; those that run are given up. To be called first.
  virtual void reset() = 0;
  // K x O, what to act on; good until the next call.
  virtual std::span<const float> observations() const = 0;
  // `actions` is K x A; what lies outside [-1, 1] is clipped. Good until the next call. Throws
  // kShape for another size, kNumeric for what is not finite, kInvalidArgument before reset().
  virtual const Step& step(std::span<const float> actions) = 0;

  // For a snapshot. What load_state() brings back is said by each kind: `exact_state()` is true
  // where all goes on to the bit, false where each task begins its next episode, the same as that
  // would have been without a stop.
  virtual Json state() const = 0;
  // Throws kData for what is no state of these tasks. reset() may follow, and need not.
  virtual void load_state(const Json& state) = 0;
  virtual bool exact_state() const = 0;
};

// A seed in [0, 2^31) for what is random in an episode: h = mix(seed), mix(h ^ task), mix(h ^
// episode), of which the upper 31 bits; mix is the finaliser of splitmix64 (Steele, Lea and Flood,
// OOPSLA 2014) on its argument plus the golden ratio's 0x9e3779b97f4a7c15. worker.py has the same.
std::uint32_t episode_seed(std::uint64_t seed, std::uint64_t task, std::uint64_t episode);

// What step() demands; `where` opens the message.
void check_actions(const Spec& spec, std::span<const float> actions, const char* where);

// The counts of `state["episodes"]`. Throws kData unless it is an object with `kind`, the same task
// names and one number for each.
std::vector<std::uint64_t> episodes_of(const Json& state, const char* kind, const Spec& spec);
Json state_of(const char* kind, const Spec& spec, std::span<const std::uint64_t> episodes);

}  // namespace detente::worlds
