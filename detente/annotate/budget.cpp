// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/budget.h>

#include <chrono>

namespace detente::annotate {
namespace {

Spent sum(const Spent& a, const Spent& b, std::int64_t sign = 1) {
  return {a.prompt_tokens + sign * b.prompt_tokens, a.answer_tokens + sign * b.answer_tokens};
}

}  // namespace

bool Budget::fits(const Spent& more) const {
  const Spent all = sum(sum(spent_, under_way_), more);
  return all.tokens() <= most_tokens_ && all.cost(price_) <= most_cost_;
}

bool Budget::reserve(const Spent& most, const std::function<bool()>& stop) {
  std::unique_lock lock(mutex_);
  while (!exhausted_ && !fits(most)) {
    if (calls_ == 0) {
      exhausted_ = true;
      break;
    }
    if (stop && stop()) return false;
    changed_.wait_for(lock, std::chrono::milliseconds(50));
  }
  if (exhausted_) {
    changed_.notify_all();
    return false;
  }
  under_way_ = sum(under_way_, most);
  ++calls_;
  return true;
}

void Budget::settle(const Spent& reserved, const Spent& spent) {
  const std::lock_guard lock(mutex_);
  under_way_ = sum(under_way_, reserved, -1);
  spent_ = sum(spent_, spent);
  --calls_;
  changed_.notify_all();
}

void Budget::add(const Spent& spent) {
  const std::lock_guard lock(mutex_);
  spent_ = sum(spent_, spent);
}

bool Budget::exhausted() const {
  const std::lock_guard lock(mutex_);
  return exhausted_;
}

Spent Budget::spent() const {
  const std::lock_guard lock(mutex_);
  return spent_;
}

}  // namespace detente::annotate
