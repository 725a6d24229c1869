// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/rng.h>
#include <detente/core/safetensors_layout.h>
#include <detente/core/whole_number.h>
#include <detente/worlds/replay.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

namespace detente::worlds {
namespace {

constexpr const char* kReplayFormat = "detente-replay-1";

bool replay_finite(std::span<const float> values) {
  return std::all_of(
      values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

std::map<std::string, std::string> replay_metadata(const ReplaySizes& sizes, std::size_t oldest) {
  return {{"format", kReplayFormat},
          {"tasks", std::to_string(sizes.tasks)},
          {"observation", std::to_string(sizes.observation)},
          {"action", std::to_string(sizes.action)},
          {"capacity", std::to_string(sizes.capacity)},
          {"oldest", std::to_string(oldest)}};
}

template <class T>
SafetensorsPart replay_part(const char* name, const std::vector<T>& values, std::size_t rows) {
  const std::size_t width = rows == 0 ? 0 : values.size() / rows;
  SafetensorsPart part{
      .name = name,
      .dtype = sizeof(T) == 8 ? "I64" : "F32",
      .shape = {static_cast<std::int64_t>(rows)},
      .bytes = {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)}};
  if (width > 1) part.shape.push_back(static_cast<std::int64_t>(width));
  return part;
}

}  // namespace

Replay::Replay(const ReplaySizes& sizes) : sizes_(sizes) {
  DETENTE_CHECK(
      sizes.tasks >= 1 && sizes.observation >= 1 && sizes.action >= 1,
      ErrorCode::kInvalidArgument,
      "[worlds::Replay] expected at least one task, observed number and action, got {}, {} "
      "and {}.",
      sizes.tasks,
      sizes.observation,
      sizes.action);
  DETENTE_CHECK(sizes.capacity >= 1 && sizes.capacity <= std::numeric_limits<std::uint32_t>::max(),
                ErrorCode::kInvalidArgument,
                "[worlds::Replay] the capacity must be 1 to 4294967295, got {}.",
                sizes.capacity);
  places_.resize(sizes.tasks);
}

void Replay::place(std::size_t row, std::size_t task) {
  places_[task].push_back(static_cast<std::uint32_t>(row));
}

void Replay::add(std::size_t task,
                 std::span<const float> observation,
                 std::span<const float> action,
                 float reward,
                 std::span<const float> next,
                 bool ended) {
  DETENTE_CHECK(task < sizes_.tasks,
                ErrorCode::kInvalidArgument,
                "[worlds::Replay] there is no task {}; expected 0 to {}.",
                task,
                sizes_.tasks - 1);
  DETENTE_CHECK(
      observation.size() == sizes_.observation && next.size() == sizes_.observation &&
          action.size() == sizes_.action,
      ErrorCode::kShape,
      "[worlds::Replay] got observations of {} and {} numbers and an action of {}; expected "
      "{}, {} and {}.",
      observation.size(),
      next.size(),
      action.size(),
      sizes_.observation,
      sizes_.observation,
      sizes_.action);
  DETENTE_CHECK(replay_finite(observation) && replay_finite(next) && replay_finite(action) &&
                    std::isfinite(reward),
                ErrorCode::kNumeric,
                "[worlds::Replay] a transition of task {} is not finite; expected finite numbers. "
                "Leave lost episodes out (Step::lost).",
                task);
  const std::size_t row = size() < sizes_.capacity ? size() : oldest_;
  if (row == size()) {
    observations_.resize(observations_.size() + sizes_.observation);
    actions_.resize(actions_.size() + sizes_.action);
    next_.resize(next_.size() + sizes_.observation);
    rewards_.push_back(0);
    not_done_.push_back(0);
    tasks_.push_back(0);
  } else {
    // The oldest of all is the oldest of its task.
    places_[static_cast<std::size_t>(tasks_[row])].pop_front();
    oldest_ = (oldest_ + 1) % sizes_.capacity;
  }
  const auto put = [row](std::span<const float> from, std::vector<float>& to) {
    std::copy(from.begin(), from.end(), &to[row * from.size()]);
  };
  put(observation, observations_);
  put(action, actions_);
  put(next, next_);
  rewards_[row] = reward;
  not_done_[row] = ended ? 0.0F : 1.0F;
  tasks_[row] = static_cast<std::int64_t>(task);
  place(row, task);
}

void Replay::add(std::span<const float> before, std::span<const float> actions, const Step& step) {
  const std::size_t o = sizes_.observation;
  const std::size_t a = sizes_.action;
  DETENTE_CHECK(
      before.size() == sizes_.tasks * o && actions.size() == sizes_.tasks * a &&
          step.observations.size() == sizes_.tasks * o,
      ErrorCode::kShape,
      "[worlds::Replay] the step is of {} observed numbers and {} of actions; expected {} "
      "tasks with {} and {} each.",
      before.size(),
      actions.size(),
      sizes_.tasks,
      o,
      a);
  const std::span<const float> after = step.observations;
  for (std::size_t k = 0; k < sizes_.tasks; ++k) {
    if (step.lost[k] != 0) continue;
    add(k,
        before.subspan(k * o, o),
        actions.subspan(k * a, a),
        step.rewards[k],
        after.subspan(k * o, o),
        step.ended[k] != 0);
  }
}

void Replay::sample(ReplaySampling how,
                    std::size_t rows,
                    std::uint64_t seed,
                    std::uint64_t number,
                    ReplayBatch& batch) const {
  DETENTE_CHECK(size() > 0 && rows > 0,
                ErrorCode::kInvalidArgument,
                "[worlds::Replay] cannot draw {} transitions of {}; expected at least one of each.",
                rows,
                size());
  Rng rng = Rng(seed).fork(number);
  std::vector<std::vector<std::uint32_t>> drawn(sizes_.tasks);
  if (how == ReplaySampling::kUniform) {
    for (std::size_t i = 0; i < rows; ++i) {
      const auto row = static_cast<std::uint32_t>(rng.below(size()));
      drawn[static_cast<std::size_t>(tasks_[row])].push_back(row);
    }
  } else {
    std::vector<std::size_t> there;
    for (std::size_t k = 0; k < sizes_.tasks; ++k) {
      if (size_of(k) > 0) there.push_back(k);
    }
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t k = there[(i + number) % there.size()];
      drawn[k].push_back(places_[k][static_cast<std::size_t>(rng.below(size_of(k)))]);
    }
  }
  const std::size_t o = sizes_.observation;
  const std::size_t a = sizes_.action;
  batch.observations.resize(rows * o);
  batch.next.resize(rows * o);
  batch.actions.resize(rows * a);
  batch.rewards.resize(rows);
  batch.not_done.resize(rows);
  batch.tasks.resize(rows);
  batch.begin.assign(1, 0);
  std::size_t at = 0;
  for (std::size_t k = 0; k < sizes_.tasks; ++k) {
    for (const std::size_t row : drawn[k]) {
      std::copy_n(&observations_[row * o], o, &batch.observations[at * o]);
      std::copy_n(&next_[row * o], o, &batch.next[at * o]);
      std::copy_n(&actions_[row * a], a, &batch.actions[at * a]);
      batch.rewards[at] = rewards_[row];
      batch.not_done[at] = not_done_[row];
      batch.tasks[at++] = static_cast<std::int64_t>(k);
    }
    batch.begin.push_back(at);
  }
}

void Replay::save(const std::filesystem::path& path) const {
  write_file_atomic(path,
                    safetensors_content({replay_part("observations", observations_, size()),
                                         replay_part("actions", actions_, size()),
                                         replay_part("rewards", rewards_, size()),
                                         replay_part("next", next_, size()),
                                         replay_part("not_done", not_done_, size()),
                                         replay_part("tasks", tasks_, size())},
                                        replay_metadata(sizes_, oldest_)));
}

void Replay::load(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  const SafetensorsLayout layout = read_safetensors_layout(content, path.string());
  const auto bad = [&path](const std::string& what) {
    fail(ErrorCode::kData,
         "[worlds::Replay] '{}' {}. Begin anew without it, or bring back the file of this run.",
         path.string(),
         what);
  };
  const auto said = [&layout](const char* key) {
    const auto found = layout.metadata.find(key);
    return found == layout.metadata.end() ? std::string() : found->second;
  };
  if (said("format") != kReplayFormat) bad("holds no transitions");
  const auto oldest = whole_number<std::size_t>(said("oldest"));
  if (!oldest || *oldest >= sizes_.capacity ||
      layout.metadata != replay_metadata(sizes_, *oldest)) {
    bad(fmt::format(
        "is of other sizes; expected {} tasks, {} observed numbers, {} of an action and a "
        "capacity of {}",
        sizes_.tasks,
        sizes_.observation,
        sizes_.action,
        sizes_.capacity));
  }
  Replay read(sizes_);
  read.oldest_ = *oldest;
  const auto take = [&](const char* name, auto& values) {
    using Value = typename std::decay_t<decltype(values)>::value_type;
    for (const SafetensorsEntry& entry : layout.entries) {
      if (entry.name != name || entry.bytes != sizeof(Value)) continue;
      values.resize((entry.end - entry.begin) / sizeof(Value));
      if (!values.empty()) {
        std::memcpy(
            values.data(), content.data() + layout.numbers + entry.begin, entry.end - entry.begin);
      }
    }
  };
  take("observations", read.observations_);
  take("actions", read.actions_);
  take("rewards", read.rewards_);
  take("next", read.next_);
  take("not_done", read.not_done_);
  take("tasks", read.tasks_);
  const std::size_t rows = read.tasks_.size();
  if (rows > sizes_.capacity || (rows < sizes_.capacity && *oldest != 0) ||
      read.rewards_.size() != rows || read.not_done_.size() != rows ||
      read.observations_.size() != rows * sizes_.observation ||
      read.next_.size() != rows * sizes_.observation ||
      read.actions_.size() != rows * sizes_.action) {
    bad("has parts that do not fit each other");
  }
  for (std::size_t i = 0; i < rows; ++i) {
    const std::size_t row = (*oldest + i) % rows;
    const std::int64_t task = read.tasks_[row];
    if (task < 0 || static_cast<std::size_t>(task) >= sizes_.tasks)
      bad("names a task that is none");
    read.place(row, static_cast<std::size_t>(task));
  }
  *this = std::move(read);
}

}  // namespace detente::worlds
