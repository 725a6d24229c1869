// SPDX-License-Identifier: Apache-2.0
// Tokens and money: what was spent, and a limit that no call is begun beyond. How many tokens a call will take is
// not known before, so a call is let through while what was spent, what calls under way may take and what this one may
// take (its prompt, estimated, and its longest answer) fit the limit.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>

namespace detente::annotate {

struct Price {
  double prompt = 0;  // per million tokens, in whatever currency
  double answer = 0;
};

struct Spent {
  std::int64_t prompt_tokens = 0;
  std::int64_t answer_tokens = 0;

  std::int64_t tokens() const { return prompt_tokens + answer_tokens; }
  double cost(const Price& price) const {
    return (price.prompt * static_cast<double>(prompt_tokens) +
            price.answer * static_cast<double>(answer_tokens)) /
           1e6;
  }
};

class Budget {
 public:
  static constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

  Budget(std::int64_t most_tokens, double most_cost, Price price)
      : most_tokens_(most_tokens), most_cost_(most_cost), price_(price) {}
  Budget() : Budget(kNoLimit, std::numeric_limits<double>::infinity(), {}) {}

  // False: the limit is reached, and will stay so. Waits while only calls under way are in the way.
  bool reserve(const Spent& most, const std::function<bool()>& stop);
  // After a reserved call, whatever came of it.
  void settle(const Spent& reserved, const Spent& spent);
  // Spent without reservation: before this run.
  void add(const Spent& spent);

  bool exhausted() const;
  Spent spent() const;
  double cost() const { return spent().cost(price_); }
  const Price& price() const { return price_; }

 private:
  bool fits(const Spent& more) const;

  const std::int64_t most_tokens_;
  const double most_cost_;
  const Price price_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Spent spent_;
  Spent under_way_;
  std::size_t calls_ = 0;
  bool exhausted_ = false;
};

}  // namespace detente::annotate
