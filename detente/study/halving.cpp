// SPDX-License-Identifier: Apache-2.0
#include <detente/study/halving.h>

#include <algorithm>
#include <set>
#include <utility>

namespace detente::study {
namespace {

// How many are left of `count` after a round.
std::size_t better_half(std::size_t count) { return (count + 1) / 2; }

// How many seeds the settings of the round that begins after `begin` of them have at its end.
std::size_t round_end(std::size_t begin, std::size_t seeds) {
  return std::min(seeds, std::max<std::size_t>(1, 2 * begin));
}

// Runs of `count` settings from a round on that adds seeds after the first `begin` ones.
std::size_t runs_from(std::size_t count, std::size_t begin, std::size_t seeds) {
  std::size_t runs = 0;
  while (begin < seeds) {
    const std::size_t end = round_end(begin, seeds);
    runs += count * (end - begin);
    count = better_half(count);
    begin = end;
  }
  return runs;
}

}  // namespace

Halving halve(std::span<const Variant> variants,
              std::span<const StudyTask> tasks,
              std::span<const std::int64_t> seeds,
              std::span<const RunResult> results) {
  std::set<std::pair<std::size_t, std::int64_t>> there;
  for (const RunResult& result : results) there.insert({result.variant, result.seed});
  Halving halving;
  for (auto left : families(variants)) {
    std::size_t begin = 0;
    while (begin < seeds.size()) {
      const std::size_t end = round_end(begin, seeds.size());
      const std::size_t before = halving.next.size();
      for (std::size_t s = begin; s < end; ++s) {
        for (const std::size_t v : left) {
          if (!there.contains({v, seeds[s]})) halving.next.push_back({v, seeds[s]});
        }
      }
      if (halving.next.size() != before) {
        halving.later += runs_from(better_half(left.size()), end, seeds.size());
        break;
      }
      // Of the seeds that all of them have: more of one's own would be another measure.
      std::vector<RunResult> seen;
      for (const RunResult& result : results) {
        const auto seed =
            std::find(seeds.begin(), seeds.begin() + static_cast<std::ptrdiff_t>(end), result.seed);
        if (seed != seeds.begin() + static_cast<std::ptrdiff_t>(end)) seen.push_back(result);
      }
      left = ranked(left, variants, tasks, seen);
      if (end < seeds.size()) {
        left.resize(better_half(left.size()));
        std::sort(left.begin(), left.end());
      }
      begin = end;
    }
    halving.chosen.push_back(ranked(left, variants, tasks, results).front());
  }
  // Seed by seed, so that a study that is stopped early has pairs.
  std::stable_sort(halving.next.begin(), halving.next.end(), [&](const auto& a, const auto& b) {
    return std::find(seeds.begin(), seeds.end(), a.seed) <
           std::find(seeds.begin(), seeds.end(), b.seed);
  });
  return halving;
}

}  // namespace detente::study
