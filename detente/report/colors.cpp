// SPDX-License-Identifier: Apache-2.0
#include <detente/report/colors.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace detente::report {
namespace {

// Okabe and Ito's set (Wong, Nature Methods 2011), its yellow darkened to stand on white, and two
// more that stay apart from it under the three common kinds of colour blindness.
constexpr std::array kLineColors = {rgb(0x0072b2),
                                    rgb(0xd55e00),
                                    rgb(0x009e73),
                                    rgb(0xcc79a7),
                                    rgb(0x56b4e9),
                                    rgb(0xe69f00),
                                    rgb(0x5b4fa2),
                                    rgb(0x7f7f7f)};

// Eight samples of matplotlib's "plasma" (van der Walt and Smith, CC0), cut before its palest end.
constexpr std::array kRamp = {rgb(0x0d0887),
                              rgb(0x4c02a1),
                              rgb(0x7e03a8),
                              rgb(0xa92395),
                              rgb(0xcc4778),
                              rgb(0xe56b5d),
                              rgb(0xf89540),
                              rgb(0xfdc527)};

}  // namespace

std::string Color::hex() const { return fmt::format("#{:02x}{:02x}{:02x}", r, g, b); }

Color mix(Color a, Color b, double t) {
  const auto channel = [t](double from, double to) {
    return static_cast<std::uint8_t>(std::lround(from + (to - from) * t));
  };
  return {
      channel(a.r, b.r), channel(a.g, b.g), channel(a.b, b.b), a.alpha + (b.alpha - a.alpha) * t};
}

Color line_color(std::size_t i) { return kLineColors[i % kLineColors.size()]; }
std::size_t line_color_count() { return kLineColors.size(); }

Color ramp_color(double t) {
  if (!(t > 0)) return kRamp.front();
  if (t >= 1) return kRamp.back();
  const double at = t * static_cast<double>(kRamp.size() - 1);
  const auto i = static_cast<std::size_t>(at);
  return mix(kRamp[i], kRamp[std::min(i + 1, kRamp.size() - 1)], at - static_cast<double>(i));
}

}  // namespace detente::report
