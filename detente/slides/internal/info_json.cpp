// SPDX-License-Identifier: Apache-2.0
#include <detente/core/json_text.h>
#include <detente/slides/internal/info_json.h>
#include <detente/slides/openslide.h>

#include <cmath>
#include <utility>

namespace detente::slides::internal {
namespace {

bool is_measure(double value) { return std::isfinite(value) && value >= 0; }

bool is_side(std::int64_t side) { return side >= 1 && side <= kLongestSide; }

}  // namespace

std::string text_of(const SlideInfo& info) {
  Json levels = Json::array();
  for (const Level& level : info.levels) {
    levels.push_back({level.width, level.height, level.downsample});
  }
  Json associated = Json::array();
  for (const AssociatedImage& one : info.associated) {
    associated.push_back({one.name, one.width, one.height});
  }
  return json_text({{"vendor", info.vendor},
                    {"levels", levels},
                    {"mpp", {info.mpp_x, info.mpp_y}},
                    {"objective", info.objective_power},
                    {"background", info.background},
                    {"associated", associated},
                    {"properties", info.properties}},
                   -1);
}

std::optional<SlideInfo> info_of(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    SlideInfo info;
    info.vendor = json.at("vendor").get<std::string>();
    for (const Json& level : json.at("levels")) {
      info.levels.push_back({.width = level.at(0).get<std::int64_t>(),
                             .height = level.at(1).get<std::int64_t>(),
                             .downsample = level.at(2).get<double>()});
      const Level& last = info.levels.back();
      if (!is_side(last.width) || !is_side(last.height) || !is_measure(last.downsample) ||
          last.downsample <= 0) {
        return std::nullopt;
      }
    }
    info.mpp_x = json.at("mpp").at(0).get<double>();
    info.mpp_y = json.at("mpp").at(1).get<double>();
    info.objective_power = json.at("objective").get<double>();
    info.background = json.at("background").get<std::uint32_t>() & 0xffffffU;
    for (const Json& one : json.at("associated")) {
      info.associated.push_back({.name = one.at(0).get<std::string>(),
                                 .width = one.at(1).get<std::int64_t>(),
                                 .height = one.at(2).get<std::int64_t>()});
      const AssociatedImage& last = info.associated.back();
      if (!is_side(last.width) || !is_side(last.height)) return std::nullopt;
    }
    for (const auto& [name, value] : json.at("properties").items()) {
      info.properties.emplace(name, value.get<std::string>());
    }
    const bool fits = !info.levels.empty() && info.levels.size() <= kMostLevels &&
                      info.associated.size() <= kMostAssociated &&
                      info.properties.size() <= kMostProperties + 1 && is_measure(info.mpp_x) &&
                      is_measure(info.mpp_y) && is_measure(info.objective_power);
    if (!fits) return std::nullopt;
    return info;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace detente::slides::internal
