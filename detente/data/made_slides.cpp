// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/json.h>
#include <detente/core/rng.h>
#include <detente/data/made_slides.h>
#include <detente/data/slide_annotations.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

namespace detente::data {
namespace {

constexpr double kPi = std::numbers::pi;
constexpr int kCorners = 48;
constexpr double kMostBlur = 4;

using Colour = std::array<float, 3>;

// A number of [0, 1) for each cell of a grid, without memory of any.
double at_cell(std::int64_t x, std::int64_t y, std::uint64_t salt) {
  std::uint64_t h = static_cast<std::uint64_t>(x) * 0x9e3779b97f4a7c15U +
                    static_cast<std::uint64_t>(y) * 0xc2b2ae3d27d4eb4fU + salt;
  h = (h ^ (h >> 30U)) * 0xbf58476d1ce4e5b9U;
  h = (h ^ (h >> 27U)) * 0x94d049bb133111ebU;
  return static_cast<double>((h ^ (h >> 31U)) >> 11U) * 0x1.0p-53;
}

// The distances from a point to the nearest and the second nearest of points, one in each cell of a grid.
std::pair<double, double> nearest_points(double x, double y, double cell, std::uint64_t salt) {
  const auto column = static_cast<std::int64_t>(std::floor(x / cell));
  const auto row = static_cast<std::int64_t>(std::floor(y / cell));
  double first = 1e9;
  double second = 1e9;
  for (std::int64_t r = row - 1; r <= row + 1; ++r) {
    for (std::int64_t c = column - 1; c <= column + 1; ++c) {
      const double dx = (static_cast<double>(c) + at_cell(c, r, salt)) * cell - x;
      const double dy = (static_cast<double>(r) + at_cell(c, r, salt + 1)) * cell - y;
      const double distance = std::hypot(dx, dy);
      if (distance < first) {
        second = std::exchange(first, distance);
      } else {
        second = std::min(second, distance);
      }
    }
  }
  return {first, second};
}

// Wavy fibres.
Colour stroma(double x, double y, double turn, std::uint64_t salt) {
  const double along = x * std::cos(turn) + y * std::sin(turn);
  const double across = y * std::cos(turn) - x * std::sin(turn) + 7 * std::sin(along / 37);
  const double wave = std::sin(across * 2 * kPi / 11 + 2 * at_cell(0, 0, salt)) +
                      0.5 * std::sin(across * 2 * kPi / 4.7);
  const auto shade = static_cast<float>(18 * wave);
  return {218 + shade * 0.5F, 128 + shade, 172 + shade * 0.7F};
}

// Dark round spots close to each other.
Colour gland(double x, double y, double /*turn*/, std::uint64_t salt) {
  const double distance = nearest_points(x, y, 15, salt).first;
  const auto dark = static_cast<float>(1 / (1 + std::exp((distance - 5) * 1.5)));
  return {176 - 96 * dark, 112 - 72 * dark, 184 - 62 * dark};
}

// Large pale cells between thin walls.
Colour fat(double x, double y, double /*turn*/, std::uint64_t salt) {
  const auto [first, second] = nearest_points(x, y, 34, salt);
  const auto wall = static_cast<float>(std::exp(-(second - first) / 2.2));
  return {234 - 24 * wall, 186 - 90 * wall, 210 - 60 * wall};
}

struct Patch {
  std::size_t tissue = 0;
  double turn = 0;
  std::uint64_t salt = 0;
  AnnotatedRegion region;
};

// Around the centres of the quarters, so that no two meet.
Patch draw_patch(std::int64_t size, int quarter, Rng& rng) {
  const auto side = static_cast<double>(size);
  Patch patch;
  patch.tissue = static_cast<std::size_t>(rng.below(kTissues.size()));
  patch.turn = rng.uniform(0, kPi);
  patch.salt = rng();
  patch.region.name = kTissues[patch.tissue];
  const double x = side * (quarter % 2 == 0 ? 0.25 : 0.75) + rng.uniform(-0.02, 0.02) * side;
  const double y = side * (quarter / 2 == 0 ? 0.25 : 0.75) + rng.uniform(-0.02, 0.02) * side;
  const double radius = rng.uniform(0.17, 0.21) * side;
  const double waves[3] = {rng.uniform(0, 0.06), rng.uniform(0, 0.04), rng.uniform(0, 0.03)};
  const double phases[3] = {rng.uniform(0, 6), rng.uniform(0, 6), rng.uniform(0, 6)};
  std::vector<Point> ring;
  for (int i = 0; i < kCorners; ++i) {
    const double angle = 2 * kPi * i / kCorners;
    double r = 1;
    for (int w = 0; w < 3; ++w) r += waves[w] * std::sin((w + 2) * angle + phases[w]);
    ring.push_back({std::round(x + r * radius * std::cos(angle)),
                    std::round(y + r * radius * std::sin(angle))});
  }
  patch.region.rings = {std::move(ring)};
  patch.region.take_box();
  return patch;
}

// Gaussian along lines of `count` values `stride` apart; edges are repeated.
void blur_lines(std::vector<float>& values,
                std::size_t lines,
                std::size_t line_stride,
                std::size_t count,
                std::size_t stride,
                const std::vector<float>& kernel) {
  const auto radius = static_cast<std::int64_t>(kernel.size()) - 1;
  std::vector<float> line(count);
  for (std::size_t l = 0; l < lines; ++l) {
    float* begin = values.data() + l * line_stride;
    for (std::size_t i = 0; i < count; ++i) line[i] = begin[i * stride];
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(count); ++i) {
      float sum = 0;
      for (std::int64_t k = -radius; k <= radius; ++k) {
        const std::int64_t at =
            std::clamp<std::int64_t>(i + k, 0, static_cast<std::int64_t>(count) - 1);
        sum += kernel[static_cast<std::size_t>(std::abs(k))] * line[static_cast<std::size_t>(at)];
      }
      begin[static_cast<std::size_t>(i) * stride] = sum;
    }
  }
}

void blur(std::vector<float>& plane, std::size_t size, double sigma) {
  if (sigma < 0.1) return;
  std::vector<float> kernel;
  double sum = 0;
  for (int i = 0; i <= static_cast<int>(std::ceil(3 * sigma)); ++i) {
    kernel.push_back(static_cast<float>(std::exp(-0.5 * i * i / (sigma * sigma))));
    sum += (i == 0 ? 1 : 2) * static_cast<double>(kernel.back());
  }
  for (float& weight : kernel) weight /= static_cast<float>(sum);
  blur_lines(plane, size, size, size, 1, kernel);
  blur_lines(plane, size, 1, size, size, kernel);
}

std::string geojson_of(const std::vector<Patch>& patches) {
  Json features = Json::array();
  for (const Patch& patch : patches) {
    Json ring = Json::array();
    for (const Point& point : patch.region.rings[0]) ring.push_back({point.x, point.y});
    ring.push_back(ring.front());
    features.push_back({{"type", "Feature"},
                        {"properties", {{"classification", {{"name", patch.region.name}}}}},
                        {"geometry", {{"type", "Polygon"}, {"coordinates", {ring}}}}});
  }
  return Json{{"type", "FeatureCollection"}, {"features", features}}.dump() + "\n";
}

}  // namespace

MadeSlide make_slide(std::int64_t size, std::uint64_t seed, std::uint64_t number) {
  DETENTE_CHECK(size >= 64 && size <= 8192,
                ErrorCode::kInvalidArgument,
                "[data::make_slide] a slide of {} pixels a side; expected 64 to 8192.",
                size);
  Rng rng = Rng(seed).fork(0x736c696465).fork(number);
  MadeSlide made;
  // Multiples of the golden ratio, without the whole: spread evenly over however many slides there are.
  const double place = 0.6180339887498949 * static_cast<double>(number) + Rng(seed).uniform();
  made.blur = std::round(100 * kMostBlur * (place - std::floor(place))) / 100;
  const double stain = rng.uniform(0.8, 1.25);
  std::vector<Patch> patches;
  const auto empty = static_cast<int>(rng.below(8));  // one quarter, in half of the slides
  for (int quarter = 0; quarter < 4; ++quarter) {
    if (quarter != empty) patches.push_back(draw_patch(size, quarter, rng));
  }
  made.geojson = geojson_of(patches);

  using Texture = Colour (*)(double, double, double, std::uint64_t);
  static constexpr std::array<Texture, kTissues.size()> kTextures = {stroma, gland, fat};
  const auto side = static_cast<std::size_t>(size);
  std::vector<float> planes[3];
  for (auto& plane : planes) plane.assign(side * side, 243);
  for (const Patch& patch : patches) {
    const auto top = static_cast<std::int64_t>(patch.region.least.y);
    const auto left = static_cast<std::int64_t>(patch.region.least.x);
    for (std::int64_t y = top; y <= static_cast<std::int64_t>(patch.region.most.y); ++y) {
      for (std::int64_t x = left; x <= static_cast<std::int64_t>(patch.region.most.x); ++x) {
        const Point place{static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5};
        if (x < 0 || y < 0 || x >= size || y >= size || !patch.region.contains(place)) continue;
        const Colour colour = kTextures[patch.tissue](place.x, place.y, patch.turn, patch.salt);
        for (std::size_t c = 0; c < 3; ++c) {
          // A stain twice as strong is twice the optical density.
          planes[c][static_cast<std::size_t>(y) * side + static_cast<std::size_t>(x)] =
              static_cast<float>(255 * std::pow(static_cast<double>(colour[c]) / 255, stain));
        }
      }
    }
  }
  for (auto& plane : planes) blur(plane, side, made.blur);
  made.picture = {size, size, {}};
  made.picture.values.reserve(3 * side * side);
  for (std::size_t i = 0; i < side * side; ++i) {
    // The camera's noise, the same in all channels so that glass stays grey.
    const double noise = 2.5 * rng.normal();
    for (const auto& plane : planes) {
      made.picture.values.push_back(static_cast<std::uint8_t>(
          std::clamp(std::lround(static_cast<double>(plane[i]) + noise), 0L, 255L)));
    }
  }
  return made;
}

}  // namespace detente::data
