// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/data/epoch_plan.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace detente::data {
namespace {

// Streams beside those of epoch_batches, which are the epochs' numbers.
constexpr std::uint64_t kQuotaStream = 0x71756f7461;
constexpr std::uint64_t kPhaseStream = 0x7068617365;
constexpr std::uint64_t kOrderStream = 0x6f72646572;
constexpr std::uint64_t kShuffleStream = 0x73687566;

// Rows per batch as epoch_batches cuts `rows` of them.
std::vector<std::size_t> cut_sizes(std::size_t rows, const BatchOptions& options) {
  std::vector<std::size_t> sizes(batch_count(rows, options),
                                 static_cast<std::size_t>(options.batch_size));
  if (!sizes.empty()) sizes.back() = rows - (sizes.size() - 1) * sizes.front();
  return sizes;
}

std::size_t sum_of(const std::vector<std::size_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::size_t{0});
}

}  // namespace

void Sampler::describe(FieldVisitor& visitor) {
  visitor.choice(
      "sampler",
      kind,
      {{"proportional", Kind::kProportional},
       {"square_root", Kind::kSquareRoot},
       {"equal", Kind::kEqual},
       {"temperature", Kind::kTemperature}},
      "Which share of the rows each of data.sources gives: by its number of rows, by the "
      "square root of that, all alike, or by its power 1/temperature (docs/data.md).");
  visitor.number("temperature",
                 temperature,
                 {.min = 0, .max = 1e6, .min_open = true},
                 "With sampler: temperature. 1 is proportional, 2 the square root; the larger, the "
                 "more alike.");
}

std::vector<double> Sampler::shares(std::span<const std::size_t> rows) const {
  const double power = kind == Kind::kProportional ? 1.0
                       : kind == Kind::kSquareRoot ? 0.5
                       : kind == Kind::kEqual      ? 0.0
                                                   : 1.0 / temperature;
  // Relative to the largest, so that no power overflows.
  const double largest = rows.empty() ? 0.0 : static_cast<double>(*std::ranges::max_element(rows));
  std::vector<double> shares;
  double sum = 0;
  for (const std::size_t count : rows) {
    shares.push_back(count == 0 ? 0.0 : std::pow(static_cast<double>(count) / largest, power));
    sum += shares.back();
  }
  for (double& share : shares) share /= sum;
  return shares;
}

EpochPlan::EpochPlan(const Source& source,
                     const BatchOptions& options,
                     const Sampler& sampler,
                     std::vector<std::int64_t> own_batches,
                     std::uint64_t seed)
    : EpochPlan(source.costs(), source.origins(), options, sampler, std::move(own_batches), seed) {
  locality_ = source.locality();
}

EpochPlan::EpochPlan(std::span<const std::size_t> costs,
                     std::span<const std::uint32_t> origins,
                     const BatchOptions& options,
                     const Sampler& sampler,
                     std::vector<std::int64_t> own_batches,
                     std::uint64_t seed)
    : costs_(costs), options_(options), seed_(seed) {
  batch_count(costs.size(), options);  // checks the options
  DETENTE_CHECK(origins.empty() || origins.size() == costs.size(),
                ErrorCode::kInternal,
                "[data::EpochPlan] {} rows and origins of {}.",
                costs.size(),
                origins.size());
  members_.resize(own_batches.size());
  for (std::size_t row = 0; row < origins.size(); ++row) {
    if (origins[row] >= members_.size()) members_.resize(origins[row] + 1);
    members_[origins[row]].push_back(row);
  }
  own_batches.resize(members_.size(), 0);
  for (const std::int64_t batch : own_batches) own_.push_back(static_cast<std::size_t>(batch));
  if (plain()) {
    if (!own_.empty() && own_[0] > 0) options_.batch_size = own_batches[0];
    sizes_ = cut_sizes(costs.size(), options_);
    return;
  }
  std::vector<std::size_t> shared;  // rows of the sources that the sampler serves
  for (std::size_t i = 0; i < members_.size(); ++i) {
    shared.push_back(own_[i] > 0 ? 0 : members_[i].size());
  }
  const std::size_t own_rows = sum_of(own_);
  const auto by_sampler = sum_of(shared) > 0 ? static_cast<std::size_t>(options.batch_size) : 0;
  if (own_rows == 0) {
    sizes_ = cut_sizes(costs.size(), options);
  } else {
    const std::size_t step = own_rows + by_sampler;
    sizes_.assign((costs.size() + step - 1) / step, by_sampler);
  }
  const std::size_t all = sum_of(sizes_);
  double before = 0;
  for (const double share : sampler.shares(shared)) {
    before += std::isnan(share) ? 0.0 : share * static_cast<double>(all);
    // What is a whole number but for rounding is one: its source gives exactly so many rows.
    if (std::abs(before - std::round(before)) < 1e-9 * static_cast<double>(all)) {
      before = std::round(before);
    }
    bounds_.push_back(before);
  }
}

std::size_t EpochPlan::rows() const {
  return plain() ? sum_of(sizes_) : sum_of(sizes_) + sum_of(own_) * sizes_.size();
}

std::vector<std::size_t> EpochPlan::quotas(std::uint64_t epoch) const {
  const double offset = Rng(seed_).fork(kQuotaStream).fork(epoch).uniform();
  std::vector<std::size_t> quotas;
  auto before = static_cast<std::size_t>(0);
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const auto upto = static_cast<std::size_t>(std::floor(bounds_[i] + offset));
    quotas.push_back(own_[i] > 0 ? own_[i] * sizes_.size() : upto - before);
    before = upto;
  }
  return quotas;
}

std::vector<std::vector<std::size_t>> EpochPlan::spread(const std::vector<std::size_t>& quotas,
                                                        std::uint64_t epoch) const {
  Rng rng = Rng(seed_).fork(kPhaseStream).fork(epoch);
  std::vector<std::vector<std::size_t>> per_step(members_.size());
  // Each source's rows at equal distances on the same stretch; a batch is the next so many of all.
  std::vector<std::pair<double, std::size_t>> places;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    per_step[i].assign(sizes_.size(), own_[i]);
    const double phase = rng.uniform();
    if (own_[i] > 0) continue;
    for (std::size_t k = 0; k < quotas[i]; ++k) {
      places.emplace_back((static_cast<double>(k) + phase) / static_cast<double>(quotas[i]), i);
    }
  }
  std::sort(places.begin(), places.end());
  auto next = places.begin();
  for (std::size_t step = 0; step < sizes_.size(); ++step) {
    for (std::size_t k = 0; k < sizes_[step]; ++k) ++per_step[(next++)->second][step];
  }
  return per_step;
}

RowList EpochPlan::drawn(std::size_t source,
                         std::size_t begin,
                         const std::vector<std::size_t>& per_step) const {
  const RowList& members = members_[source];
  const std::size_t end = begin + sum_of(per_step);
  RowList rows;
  RowList order;
  std::vector<std::size_t> passes;  // where a new one begins in `rows`
  for (std::size_t at = begin; at < end; ++at) {
    if (order.empty() || at % members.size() == 0) {
      order = members;
      Rng rng = Rng(seed_).fork(kOrderStream).fork(source).fork(at / members.size());
      rng.shuffle(order);
      passes.push_back(rows.size());
    }
    rows.push_back(order[at % members.size()]);
  }
  if (options_.pool_batches == 1) return rows;
  const auto pool = static_cast<std::size_t>(options_.pool_batches);
  passes.push_back(rows.size());
  auto pass = passes.begin();
  std::size_t first = 0;
  for (std::size_t step = 0; step < per_step.size(); step += pool) {
    std::size_t last = first;
    for (std::size_t s = step; s < std::min(step + pool, per_step.size()); ++s) last += per_step[s];
    while (first < last) {
      while (*pass <= first) ++pass;
      const std::size_t stop = std::min(last, *pass);
      std::stable_sort(rows.begin() + static_cast<std::ptrdiff_t>(first),
                       rows.begin() + static_cast<std::ptrdiff_t>(stop),
                       [&](std::size_t a, std::size_t b) { return costs_[a] < costs_[b]; });
      first = stop;
    }
  }
  return rows;
}

std::vector<RowList> EpochPlan::batches(std::uint64_t epoch) const {
  if (plain() && !locality_.groups.empty()) {
    return windowed_batches(locality_.groups, locality_.window, options_, seed_, epoch);
  }
  if (plain()) return epoch_batches(costs_, options_, seed_, epoch);
  std::vector<std::size_t> begins(members_.size(), 0);
  for (std::uint64_t before = 0; before < epoch; ++before) {
    const std::vector<std::size_t> taken = quotas(before);
    for (std::size_t i = 0; i < taken.size(); ++i) begins[i] += taken[i];
  }
  const auto per_step = spread(quotas(epoch), epoch);
  std::vector<RowList> batches(sizes_.size());
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const RowList rows = drawn(i, begins[i], per_step[i]);
    auto next = rows.begin();
    for (std::size_t step = 0; step < batches.size(); ++step) {
      const auto end = next + static_cast<std::ptrdiff_t>(per_step[i][step]);
      batches[step].insert(batches[step].end(), next, end);
      next = end;
    }
  }
  Rng rng = Rng(seed_).fork(kShuffleStream).fork(epoch);
  rng.shuffle(batches);
  return batches;
}

}  // namespace detente::data
