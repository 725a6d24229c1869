// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/calculator.h>
#include <detente/core/error.h>
#include <detente/core/fields.h>

#include <charconv>
#include <cmath>

namespace detente::annotate {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  fail(ErrorCode::kInvalidArgument,
       "[annotate::calculate] {}; expected numbers, + - * / ^ % and brackets.",
       what);
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  double whole() {
    const double value = sum();
    if (peek() != '\0') refuse("'" + std::string(rest_.substr(0, 10)) + "' is not understood");
    return value;
  }

 private:
  char peek() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t')) rest_.remove_prefix(1);
    return rest_.empty() ? '\0' : rest_[0];
  }
  bool take(char c) {
    if (peek() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  double sum() {
    double value = product();
    for (;;) {
      if (take('+')) {
        value += product();
      } else if (take('-')) {
        value -= product();
      } else {
        return value;
      }
    }
  }

  double product() {
    double value = signed_power();
    for (;;) {
      if (take('*')) {
        value *= signed_power();
      } else if (take('/')) {
        value /= divisor();
      } else if (take('%')) {
        value = std::fmod(value, divisor());
      } else {
        return value;
      }
    }
  }

  double divisor() {
    const double value = signed_power();
    if (value == 0) refuse("division by zero");
    return value;
  }

  double signed_power() {
    if (++depth_ > 64) refuse("it nests too deeply");
    double value = 0;
    if (take('-')) {
      value = -signed_power();
    } else if (take('+')) {
      value = signed_power();
    } else {
      value = atom();
      if (take('^')) value = std::pow(value, signed_power());
    }
    --depth_;
    return value;
  }

  double atom() {
    if (take('(')) {
      const double value = sum();
      if (!take(')')) refuse("a bracket is never closed");
      return value;
    }
    const char next = peek();
    double value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc() || !((next >= '0' && next <= '9') || next == '.')) {
      refuse(rest_.empty() ? "it ends too early"
                           : "'" + std::string(rest_.substr(0, 10)) + "' is no number");
    }
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  std::string_view rest_;
  int depth_ = 0;
};

}  // namespace

std::string calculate(std::string_view expression) {
  if (expression.size() > 1000) refuse("it is longer than 1,000 bytes");
  const double value = Parser(expression).whole();
  if (!std::isfinite(value)) refuse("the value is no finite number");
  return number_text(value);
}

}  // namespace detente::annotate
