// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/report/internal/strict_json.h>
#include <detente/report/looks.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

namespace detente::report {
namespace {

using internal::Damaged;
using internal::demand;
using internal::entry_at;
using internal::list_at;
using internal::name_from;
using internal::optional_at;
using internal::real_at;
using internal::whole_at;

constexpr const char* kLooksFormat = "detente-looks-1";
constexpr std::size_t kLookSides[] = {96, 64, 48, 32, 24, 16};

std::string look_picture(const Pixels& pixels, std::size_t side, std::size_t& used) {
  const std::size_t longest = std::max(pixels.height, pixels.width);
  if (longest == 0 || pixels.rgb.empty()) return "";
  const auto fitted = [&](std::size_t length) {
    return longest <= side ? length : std::max<std::size_t>(1, length * side / longest);
  };
  std::string text = base64(png_bytes(shrunk(pixels, fitted(pixels.height), fitted(pixels.width))));
  used += text.size();
  return text;
}

RunLooks pictures_of_side(const LookPixels& looks, std::size_t side, std::size_t& used) {
  RunLooks out;
  out.epoch = looks.epoch;
  out.searched = looks.searched;
  out.probe = short_name(looks.probe);
  for (const auto& from : looks.views) {
    auto& to = out.views.emplace_back();
    to.row = from.row;
    to.image = look_picture(from.image, side, used);
    for (const auto& view : from.views) {
      if (to.views.size() == kMostViews) break;
      to.views.push_back({short_name(view.name), look_picture(view.picture, side, used)});
    }
  }
  for (const auto& from : looks.attention) {
    auto& to = out.attention.emplace_back();
    to.row = from.row;
    to.image = look_picture(from.image, side, used);
    to.attention = look_picture(from.attention, side, used);
    to.peak = from.peak;
  }
  for (const auto& from : looks.asked) {
    auto& to = out.asked.emplace_back();
    to.row = from.row;
    to.label = short_name(from.label);
    to.image = look_picture(from.image, side, used);
    for (const auto& near : from.nearest) {
      to.nearest.push_back({near.row,
                            near.cosine,
                            short_name(near.label),
                            near.right,
                            look_picture(near.image, side, used)});
    }
  }
  return out;
}

// The weight at a place between the middles of the fields; beyond those at the edges their own.
double weight_at(
    std::span<const float> weights, std::size_t rows, std::size_t columns, double y, double x) {
  const auto along = [](double at, std::size_t count) {
    const double place = std::clamp(at - 0.5, 0.0, static_cast<double>(count - 1));
    const auto low = static_cast<std::size_t>(place);
    return std::tuple{low, std::min(low + 1, count - 1), place - static_cast<double>(low)};
  };
  const auto [top, bottom, down] = along(y, rows);
  const auto [left, right, over] = along(x, columns);
  const auto value = [&](std::size_t row, std::size_t column) {
    return static_cast<double>(weights[row * columns + column]);
  };
  const double above = value(top, left) * (1 - over) + value(top, right) * over;
  const double below = value(bottom, left) * (1 - over) + value(bottom, right) * over;
  return above * (1 - down) + below * down;
}

Json looks_json(const RunLooks& looks) {
  Json json{{"format", kLooksFormat}, {"epoch", looks.epoch}};
  for (const auto& viewed : looks.views) {
    Json views = Json::array();
    for (const auto& view : viewed.views) {
      views.push_back({{"name", view.name}, {"picture", view.picture}});
    }
    json["views"].push_back(
        {{"row", viewed.row}, {"image", viewed.image}, {"views", std::move(views)}});
  }
  for (const auto& one : looks.attention) {
    json["attention"].push_back({{"row", one.row},
                                 {"image", one.image},
                                 {"attention", one.attention},
                                 {"peak", json_number(one.peak)}});
  }
  if (looks.asked.empty()) return json;
  Json asked = Json::array();
  for (const auto& one : looks.asked) {
    Json nearest = Json::array();
    for (const auto& near : one.nearest) {
      nearest.push_back({{"row", near.row},
                         {"cosine", json_number(near.cosine)},
                         {"label", near.label},
                         {"right", near.right},
                         {"image", near.image}});
    }
    asked.push_back({{"row", one.row},
                     {"label", one.label},
                     {"image", one.image},
                     {"nearest", std::move(nearest)}});
  }
  json["neighbours"] = {
      {"searched", looks.searched}, {"probe", looks.probe}, {"asked", std::move(asked)}};
  return json;
}

bool truth_from(const Json& value) {
  demand(value.is_boolean());
  return value.get<bool>();
}

RunLooks looks_from(const Json& json) {
  demand(entry_at(json, "format") == kLooksFormat);
  RunLooks out;
  std::size_t used = 0;
  const auto picture = [&used](const Json& object, const char* key) {
    return internal::picture_at(object, key, used, kMostLookPictures);
  };
  out.epoch = static_cast<std::int64_t>(whole_at(json, "epoch"));
  if (optional_at(json, "views") != nullptr) {
    for (const Json& one : list_at(json, "views", kViewedImages)) {
      auto& to = out.views.emplace_back();
      to.row = whole_at(one, "row");
      to.image = picture(one, "image");
      for (const Json& view : list_at(one, "views", kMostViews)) {
        to.views.push_back({name_from(entry_at(view, "name")), picture(view, "picture")});
      }
    }
  }
  if (optional_at(json, "attention") != nullptr) {
    for (const Json& one : list_at(json, "attention", kAttendedImages)) {
      auto& to = out.attention.emplace_back();
      to.row = whole_at(one, "row");
      to.image = picture(one, "image");
      to.attention = picture(one, "attention");
      to.peak = real_at(one, "peak");
    }
  }
  const Json* neighbours = optional_at(json, "neighbours");
  if (neighbours == nullptr) return out;
  out.searched = whole_at(*neighbours, "searched");
  out.probe = name_from(entry_at(*neighbours, "probe"));
  for (const Json& one : list_at(*neighbours, "asked", kAskedImages)) {
    auto& to = out.asked.emplace_back();
    to.row = whole_at(one, "row");
    to.label = name_from(entry_at(one, "label"));
    to.image = picture(one, "image");
    for (const Json& near : list_at(one, "nearest", kNeighbours)) {
      to.nearest.push_back({whole_at(near, "row"),
                            real_at(near, "cosine"),
                            name_from(entry_at(near, "label")),
                            truth_from(entry_at(near, "right")),
                            picture(near, "image")});
    }
  }
  return out;
}

}  // namespace

RunLooks look_pictures(const LookPixels& looks) {
  for (const std::size_t side : kLookSides) {
    std::size_t used = 0;
    RunLooks out = pictures_of_side(looks, side, used);
    if (used <= kMostLookPictures) return out;
  }
  RunLooks none;
  none.epoch = looks.epoch;
  return none;
}

Pixels attention_pixels(const Pixels& image,
                        std::span<const float> weights,
                        std::size_t rows,
                        std::size_t columns) {
  DETENTE_CHECK(rows > 0 && columns > 0 && weights.size() == rows * columns,
                ErrorCode::kShape,
                "[report::attention_pixels] {} weights for {} x {} fields; expected one each.",
                weights.size(),
                rows,
                columns);
  // Of the colours so much, the rest of a grey picture.
  constexpr double kColored = 0.62;
  const auto [low, high] = std::minmax_element(weights.begin(), weights.end());
  const auto least = static_cast<double>(*low);
  const double range = static_cast<double>(*high) - least;
  Pixels out{image.height, image.width, {}};
  out.rgb.reserve(image.rgb.size());
  for (std::size_t y = 0; y < image.height; ++y) {
    for (std::size_t x = 0; x < image.width; ++x) {
      const auto place = [](std::size_t at, std::size_t length, std::size_t fields) {
        return (static_cast<double>(at) + 0.5) / static_cast<double>(length) *
               static_cast<double>(fields);
      };
      const double weight = weight_at(
          weights, rows, columns, place(y, image.height, rows), place(x, image.width, columns));
      const double share =
          range > 0 && std::isfinite(weight) ? std::clamp((weight - least) / range, 0.0, 1.0) : 0;
      const Color color = ramp_color(share);
      const std::uint8_t* from = image.rgb.data() + 3 * (y * image.width + x);
      const double grey = 0.299 * from[0] + 0.587 * from[1] + 0.114 * from[2];
      for (const std::uint8_t part : {color.r, color.g, color.b}) {
        out.rgb.push_back(
            static_cast<std::uint8_t>(std::lround(kColored * part + (1 - kColored) * grey)));
      }
    }
  }
  return out;
}

std::vector<std::size_t> evenly_chosen(std::size_t rows, std::size_t count) {
  count = std::min(rows, count);
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back((2 * i + 1) * rows / (2 * count));
  return out;
}

std::string looks_text(const RunLooks& looks) { return json_text(looks_json(looks), -1) + "\n"; }

std::optional<RunLooks> parse_looks(std::string_view text) {
  try {
    return looks_from(Json::parse(text, nullptr, false));
  } catch (const Damaged&) {
    return std::nullopt;
  }
}

}  // namespace detente::report
