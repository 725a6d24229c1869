// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/log.h>
#include <detente/balance/method_info.h>
#include <detente/core/error.h>

namespace detente::balance {
namespace {

class Log final : public Method {
 public:
  const char* name() const override { return "log"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }

 protected:
  void compute(const Problem& problem, Result& result) override {
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      DETENTE_CHECK(problem.losses[i] > -1,
                    ErrorCode::kNumeric,
                    "[balance::log] the loss of task {} is {}; expected a number > -1, because the "
                    "method takes log(1 + loss).",
                    internal::task_name(problem, i),
                    problem.losses[i]);
      result.weights[i] = 1.0 / (1.0 + problem.losses[i]);
    }
  }
};

}  // namespace

std::unique_ptr<Method> make_log() { return std::make_unique<Log>(); }

MethodInfo log_info() {
  return {.name = "log",
          .title = "Log-transformed losses",
          .summary = "The gradient of the sum of log(1 + loss).",
          .when = "When one loss is now and then very large; small losses count as they are.",
          .paper = "Loss balancing option of Ludwig",
          .method_class = MethodClass::kLoss,
          .laws = kCommonLaws | kZeroRowIgnored,
          .make = &make_log};
}

}  // namespace detente::balance
