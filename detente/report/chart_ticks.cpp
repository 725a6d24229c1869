// SPDX-License-Identifier: Apache-2.0
#include <detente/report/chart.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace detente::report {

std::vector<double> round_ticks(double low, double high, int target) {
  std::vector<double> ticks;
  if (!(low < high) || !std::isfinite(low) || !std::isfinite(high)) return ticks;
  target = std::max(target, 2);
  const double raw = high / target - low / target;  // the difference alone may be infinite
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double m : {1.0, 2.0, 2.5, 5.0}) {
    if (m * power >= raw * (1 - 1e-9)) {
      step = m * power;
      break;
    }
  }
  if (!std::isfinite(step)) return ticks;
  const double first = std::ceil(low / step - 1e-9);
  const double last = std::floor(high / step + 1e-9);
  // A range narrower than its distance from zero has no distinguishable ticks, and counting them
  // from so far would not get on: the next double is further away than one.
  constexpr double kMost = 1e15;
  if (!(last - first < 1000) || !(std::max(std::abs(first), std::abs(last)) < kMost)) return ticks;
  const int count = static_cast<int>(last - first) + 1;
  for (int i = 0; i < count; ++i) {
    const double tick = (first + i) * step;
    ticks.push_back(tick == 0 ? 0.0 : tick);
  }
  return ticks;
}

std::vector<double> log_ticks(double low, double high) {
  std::vector<double> ticks;
  if (!(low > 0) || !(low < high) || !std::isfinite(high)) return ticks;
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  const auto collect = [&](std::initializer_list<double> multiples, int every) {
    ticks.clear();
    for (int e = first; e <= last; e += every) {
      for (const double m : multiples) {
        const double t = m * std::pow(10, e);
        if (t > 0 && std::isfinite(t) && t >= low * (1 - 1e-9) && t <= high * (1 + 1e-9)) {
          ticks.push_back(t);
        }
      }
    }
  };
  collect({1}, std::max(1, (last - first) / 6));
  if (ticks.size() < 3) collect({1, 2, 5}, 1);
  if (ticks.size() < 2) return round_ticks(low, high, 4);
  return ticks;
}

std::string tick_text(double value, double step) {
  const double size = std::abs(value);
  if (value == 0) return "0";
  if (size >= 1e6 || size < 1e-4) {
    std::string text = fmt::format("{:.3g}", value);
    // "1e-07" → "1e-7"
    if (const auto e = text.find('e'); e != std::string::npos) {
      std::string exponent = text.substr(e + 1);
      const bool negative = exponent[0] == '-';
      exponent.erase(0, exponent.find_first_not_of("+-0"));
      if (exponent == "6" && !negative) return text.substr(0, e) + "M";
      text = text.substr(0, e) + "e" + (negative ? "-" : "") + exponent;
    }
    return text;
  }
  if (size >= 1e4) return fmt::format("{:g}k", value / 1000);
  int decimals = 0;
  if (step > 0) {
    // 2.5 needs one digit more than its power of ten says.
    decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
    const double scaled = step * std::pow(10, decimals);
    if (std::abs(scaled - std::round(scaled)) > 1e-6) ++decimals;
  } else {
    return fmt::format("{:g}", value);
  }
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace detente::report
