// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/report/answer_pictures.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace detente::report {
namespace {

// From what is as large as a page shows it to what a face is still known by.
constexpr std::size_t kSides[] = {192, 160, 128, 96, 64, 48, 32};

std::pair<std::size_t, std::size_t> fitted(std::size_t height,
                                           std::size_t width,
                                           std::size_t side) {
  const std::size_t longest = std::max(height, width);
  if (longest <= side) return {height, width};
  return {std::max<std::size_t>(1, height * side / longest),
          std::max<std::size_t>(1, width * side / longest)};
}

// Every so-many-th pixel: a mean of ids or directions is none of them.
std::vector<double> sampled(const std::vector<double>& planes,
                            const MapExamples& maps,
                            std::size_t height,
                            std::size_t width) {
  const std::size_t size = maps.height * maps.width;
  std::vector<double> out;
  for (std::size_t plane = 0; plane < planes.size() / size; ++plane) {
    for (std::size_t y = 0; y < height; ++y) {
      const std::size_t from = (2 * y + 1) * maps.height / (2 * height);
      for (std::size_t x = 0; x < width; ++x) {
        out.push_back(
            planes[plane * size + from * maps.width + (2 * x + 1) * maps.width / (2 * width)]);
      }
    }
  }
  return out;
}

std::string png_text(const Pixels& pixels) { return base64(png_bytes(pixels)); }

// The ends of the colours: what all but the lowest and highest two percent of the true values lie between,
// so that one far corner leaves colours for the rest; without true values those of the answers.
void take_range(const MapExamples& maps, MapAnswers& out) {
  constexpr double kCut = 0.02;
  for (const auto part : {&MapExample::truth, &MapExample::answer}) {
    std::vector<double> known;
    for (const MapExample& example : maps.examples) {
      for (const double value : example.*part) {
        if (std::isfinite(value)) known.push_back(value);
      }
    }
    if (known.empty()) continue;
    std::sort(known.begin(), known.end());
    const auto cut = static_cast<std::size_t>(kCut * static_cast<double>(known.size()));
    out.low = known[cut];
    out.high = known[known.size() - 1 - cut];
    return;
  }
}

void take_classes(const MapExamples& maps, MapAnswers& out) {
  std::set<std::size_t> seen;
  for (const MapExample& example : maps.examples) {
    for (const auto* values : {&example.truth, &example.answer}) {
      for (const double id : *values) {
        if (id >= 0 && id < 1e9) seen.insert(static_cast<std::size_t>(id));
      }
    }
  }
  for (const std::size_t id : seen) {
    if (out.classes.size() == kMostLegend) return;
    const bool named = id < maps.classes.size() && !maps.classes[id].empty();
    out.classes.push_back({id, named ? short_name(maps.classes[id]) : std::to_string(id)});
  }
}

bool shows_ids(TaskKind kind) { return kind == TaskKind::kSegmentation || has_classes(kind); }

// Half of each where something is known, else what lies under it.
void lay_over(const Pixels& under, const std::vector<double>& values, Pixels& pixels) {
  for (std::size_t i = 0; i < pixels.height * pixels.width; ++i) {
    for (std::size_t c = 3 * i; c < 3 * i + 3; ++c) {
      const int below = under.rgb[c];
      pixels.rgb[c] = static_cast<std::uint8_t>(
          std::isnan(values[i]) ? below : (below + pixels.rgb[c] + 1) / 2);
    }
  }
}

std::string map_picture(TaskKind kind,
                        const MapExamples& maps,
                        const MapExample& example,
                        const std::vector<double>& planes,
                        const MapAnswers& look,
                        std::size_t side) {
  const std::size_t expected = (kind == TaskKind::kNormals ? 3 : 1) * maps.height * maps.width;
  DETENTE_CHECK(expected > 0 && planes.size() == expected,
                ErrorCode::kShape,
                "[report::add_pictures] a map of {} numbers; expected {} ({} x {}).",
                planes.size(),
                expected,
                maps.height,
                maps.width);
  const auto [height, width] = fitted(maps.height, maps.width, side);
  const std::vector<double> values = sampled(planes, maps, height, width);
  Pixels pixels = shows_ids(kind) ? class_pixels(values, height, width)
                  : kind == TaskKind::kNormals
                      ? direction_pixels(values, height, width)
                      : ramp_pixels(values, height, width, look.low, look.high);
  if (!example.under.rgb.empty()) lay_over(shrunk(example.under, height, width), values, pixels);
  return png_text(pixels);
}

std::string input_picture(const Pixels& pixels, std::size_t side) {
  if (pixels.rgb.empty()) return "";
  const auto [height, width] = fitted(pixels.height, pixels.width, side);
  return png_text(shrunk(pixels, height, width));
}

}  // namespace

std::vector<std::size_t> shown_rows(const std::vector<std::vector<bool>>& has) {
  if (has.empty()) return {};
  std::vector<std::size_t> best;
  std::size_t most = 0;
  for (std::size_t row = 0; row < has.front().size(); ++row) {
    std::size_t count = 0;
    for (const auto& task : has) count += task[row] ? 1 : 0;
    if (count > most) best.clear();
    most = std::max(most, count);
    if (count == most && most > 0) best.push_back(row);
  }
  if (best.size() <= kMostExamples) return best;
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < kMostExamples; ++i) {
    rows.push_back(best[(2 * i + 1) * best.size() / (2 * kMostExamples)]);
  }
  return rows;
}

void add_pictures(RunAnswers& answers,
                  std::span<const ShownInput> inputs,
                  std::span<const MapExamples> maps) {
  for (const std::size_t side : kSides) {
    std::size_t used = 0;
    std::vector<RunAnswers::Example> examples;
    for (const ShownInput& input : inputs) {
      examples.push_back({input.row, short_name(input.name), input_picture(input.pixels, side)});
      used += examples.back().input.size();
    }
    std::vector<MapAnswers> pictures(maps.size());
    for (std::size_t i = 0; i < maps.size(); ++i) {
      const TaskKind kind = answers.tasks[maps[i].task].kind;
      if (shows_ids(kind)) {
        take_classes(maps[i], pictures[i]);
      } else if (kind != TaskKind::kNormals) {
        take_range(maps[i], pictures[i]);
      }
      for (const MapExample& example : maps[i].examples) {
        pictures[i].pairs.push_back(
            {map_picture(kind, maps[i], example, example.truth, pictures[i], side),
             map_picture(kind, maps[i], example, example.answer, pictures[i], side)});
        used += pictures[i].pairs.back().truth.size() + pictures[i].pairs.back().answer.size();
      }
    }
    if (used > kMostPictures) continue;
    answers.examples = std::move(examples);
    for (std::size_t i = 0; i < maps.size(); ++i) {
      answers.tasks[maps[i].task].maps = std::move(pictures[i]);
    }
    return;
  }
}

}  // namespace detente::report
