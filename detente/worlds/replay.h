// SPDX-License-Identifier: Apache-2.0
// The memory of off-policy learning: the last `capacity` transitions of all tasks in one ring, drawn
// from again and again.
//
// uniform: each row of a batch is any transition, so a task's share varies and may be 0 (the
// published soft actor-critic runs on Meta-World). stratified: every task that has transitions gets
// its equal share of the batch; what does not divide goes to tasks in turn, by the batch's number.
// Both draw with replacement, from a generator made of the seed and the batch's number alone: there
// is no state to save, and a resumed run draws what the run would have drawn.
//
// Memory: 4 (2 O + A + 2) + 8 bytes for a transition, and 4 for its place among its task's, taken as
// it fills; a million of MT10 (O 39, A 4) are 348 MB. A save needs as much again while it writes.
#pragma once

#include <detente/worlds/worlds.h>

#include <cstdint>
#include <deque>
#include <filesystem>
#include <span>
#include <vector>

namespace detente::worlds {

struct ReplaySizes {
  std::size_t tasks = 1;
  std::size_t observation = 0;
  std::size_t action = 0;
  std::size_t capacity = 1000000;  // 1 to 2^32 - 1

  bool operator==(const ReplaySizes&) const = default;
};

// B transitions, those of a task together: rows begin[k] to begin[k + 1] are task k's.
struct ReplayBatch {
  std::vector<float> observations;  // B x O
  std::vector<float> actions;       // B x A
  std::vector<float> rewards;       // B
  std::vector<float> next;          // B x O
  std::vector<float> not_done;      // B; 0 where nothing follows, 1 else, at the horizon, too
  std::vector<std::int64_t> tasks;  // B
  std::vector<std::size_t> begin;   // K + 1

  std::size_t rows() const { return tasks.size(); }
};

enum class ReplaySampling { kUniform, kStratified };

class Replay {
 public:
  // Throws kInvalidArgument for a size that is 0 or too large.
  explicit Replay(const ReplaySizes& sizes);

  const ReplaySizes& sizes() const { return sizes_; }
  std::size_t size() const { return tasks_.size(); }
  std::size_t size_of(std::size_t task) const { return places_[task].size(); }

  // In place of the oldest where it is full. Throws kShape for other sizes, kInvalidArgument for a
  // task that is none, kNumeric for what is not finite; nothing has changed then.
  void add(std::size_t task,
           std::span<const float> observation,
           std::span<const float> action,
           float reward,
           std::span<const float> next,
           bool ended);
  // A vector step, task by task; those that were lost are left out. `before` is what was acted upon.
  void add(std::span<const float> before, std::span<const float> actions, const Step& step);

  // The batch of that number. Throws kInvalidArgument where there is nothing yet or `rows` is 0.
  void sample(ReplaySampling how,
              std::size_t rows,
              std::uint64_t seed,
              std::uint64_t number,
              ReplayBatch& batch) const;

  // A safetensors file, written atomically: observations, actions, rewards, next, not_done, tasks, as
  // they lie in the ring, and in its metadata where the ring goes on. Throws kIo.
  void save(const std::filesystem::path& path) const;
  // Sampling and adding go on to the bit. Throws kIo, and kData for a file that is damaged or of
  // other sizes; nothing has changed then.
  void load(const std::filesystem::path& path);

 private:
  void place(std::size_t row, std::size_t task);

  ReplaySizes sizes_;
  std::size_t oldest_ = 0;  // the row that is replaced next, once it is full
  std::vector<float> observations_;
  std::vector<float> actions_;
  std::vector<float> rewards_;
  std::vector<float> next_;
  std::vector<float> not_done_;
  std::vector<std::int64_t> tasks_;
  std::vector<std::deque<std::uint32_t>> places_;  // rows of each task, the oldest first
};

}  // namespace detente::worlds
