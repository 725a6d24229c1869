// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/report/table.h>
#include <detente/valuation/removal.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace detente::valuation {
namespace {

using Order = std::vector<std::size_t>;

Order shuffled(const Order& known, std::uint64_t seed, std::uint64_t stream) {
  Order order = known;
  Rng rng = Rng(seed).fork(stream);
  rng.shuffle(order);
  return order;
}

}  // namespace

void check_shares(std::span<const double> shares) {
  DETENTE_CHECK(
      !shares.empty(),
      ErrorCode::kInvalidArgument,
      "[valuation::removal_curve] there is no share of examples to remove; expected one at "
      "least, such as 0.1.");
  double before = 0;
  for (const double share : shares) {
    DETENTE_CHECK(
        share > before && share < 1,
        ErrorCode::kInvalidArgument,
        "[valuation::removal_curve] the share {} comes after {}; expected ascending shares "
        "above 0 and below 1, such as 0.1,0.2,0.4.",
        share,
        before);
    before = share;
  }
}

RemovalCurve removal_curve(std::span<const double> values,
                           const KeptScore& score,
                           const RemovalOptions& options) {
  Order known;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) known.push_back(i);
  }
  check_shares(options.shares);
  DETENTE_CHECK(
      options.seeds >= 1 && known.size() >= 2,
      ErrorCode::kInvalidArgument,
      "[valuation::removal_curve] {} random orders of {} examples with a value; expected one "
      "order at least and two examples, one of which is removed.",
      options.seeds,
      known.size());
  // Equal values lie in a random order, for that of the rows may say something (sorted by class).
  Order lowest = shuffled(known, options.seed, 0);
  Order highest = lowest;
  std::stable_sort(lowest.begin(), lowest.end(), [&](std::size_t a, std::size_t b) {
    return values[a] < values[b];
  });
  std::stable_sort(highest.begin(), highest.end(), [&](std::size_t a, std::size_t b) {
    return values[a] > values[b];
  });
  std::vector<Order> random;
  for (std::size_t s = 0; s < options.seeds; ++s) {
    random.push_back(shuffled(known, options.seed, s + 1));
  }
  const std::size_t total = 1 + options.shares.size() * (2 + options.seeds);
  std::size_t done = 0;
  const auto score_without = [&](const Order& order, std::size_t removed) {
    std::vector<char> gone(values.size(), 0);
    for (std::size_t i = 0; i < removed; ++i) gone[order[i]] = 1;
    Order kept;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (gone[i] == 0) kept.push_back(i);
    }
    ++done;
    return score(kept);
  };
  RemovalCurve curve;
  curve.lines = {
      {"lowest values first", {}, {}}, {"highest values first", {}, {}}, {"at random", {}, {}}};
  const auto add = [](RemovalLine& line, double share, std::size_t removed, double found) {
    line.shares.push_back(share);
    line.removed.push_back(removed);
    line.scores.push_back(found);
  };
  const auto goes_on = [&] { return !options.progress || options.progress(done, total); };
  if (!goes_on()) return curve;
  const double whole = score_without(known, 0);
  for (RemovalLine& line : curve.lines) add(line, 0, 0, whole);
  RemovalLine& chance = curve.lines[2];
  chance.low = chance.high = {whole};
  for (const double share : options.shares) {
    const auto asked =
        static_cast<std::size_t>(std::llround(share * static_cast<double>(known.size())));
    const std::size_t removed = std::min(asked, known.size() - 1);
    if (!goes_on()) return curve;
    const double without_lowest = score_without(lowest, removed);
    const double without_highest = score_without(highest, removed);
    std::vector<double> found;
    for (const Order& order : random) {
      if (!goes_on()) return curve;
      found.push_back(score_without(order, removed));
    }
    add(curve.lines[0], share, removed, without_lowest);
    add(curve.lines[1], share, removed, without_highest);
    add(chance,
        share,
        removed,
        std::accumulate(found.begin(), found.end(), 0.0) / static_cast<double>(found.size()));
    chance.low.push_back(*std::min_element(found.begin(), found.end()));
    chance.high.push_back(*std::max_element(found.begin(), found.end()));
  }
  goes_on();
  return curve;
}

std::string removal_csv(std::span<const RemovalCurve> curves) {
  std::string text = "task,metric,order,share,removed,score,low,high\n";
  for (const RemovalCurve& curve : curves) {
    for (const RemovalLine& line : curve.lines) {
      for (std::size_t i = 0; i < line.scores.size(); ++i) {
        const auto number = [i](const std::vector<double>& of) {
          return i < of.size() && std::isfinite(of[i]) ? fmt::format("{}", of[i]) : std::string();
        };
        text += fmt::format("{},{},{},{},{},{},{},{}\n",
                            report::csv_cell(curve.task),
                            report::csv_cell(curve.metric),
                            report::csv_cell(line.name),
                            line.shares[i],
                            i < line.removed.size() ? std::to_string(line.removed[i]) : "",
                            number(line.scores),
                            number(line.low),
                            number(line.high));
      }
    }
  }
  return text;
}

}  // namespace detente::valuation
