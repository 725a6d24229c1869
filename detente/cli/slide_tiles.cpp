// SPDX-License-Identifier: Apache-2.0
// detente slide tiles FILE [--out CSV] [--overlay PNG]
#include <detente/cli/output_file.h>
#include <detente/cli/slide.h>
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/data/slide_source.h>
#include <detente/data/tissue.h>
#include <detente/report/pixels.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace detente::cli {
namespace {

constexpr std::int64_t kOverlaySide = 1024;

struct SlideTilesFlags : SlideFlags {
  std::string out;
  std::string overlay;
  std::vector<std::string> set;
};

void set_options(const SlideTilesFlags& flags, data::SlideSource& source) {
  set_field([&](FieldVisitor& v) { source.describe(v); },
            "timeout_s",
            number_text(std::max(1.0, std::ceil(flags.limit))),
            "slide tiles");
  for (const std::string& pair : flags.set) {
    const std::size_t equals = pair.find('=');
    DETENTE_CHECK(equals != std::string::npos && equals > 0,
                  ErrorCode::kInvalidArgument,
                  "slide tiles: --set {} is no KEY=VALUE, as in --set mpp=0.5.",
                  pair);
    // As in a recipe, too: data.mpp.
    std::string key = pair.substr(0, equals);
    if (key.starts_with("data.")) key.erase(0, 5);
    set_field([&](FieldVisitor& v) { source.describe(v); },
              key,
              pair.substr(equals + 1),
              "slide tiles --set");
  }
}

// Tiles in a frame, tissue as it is, the rest paler.
report::Pixels overlay_of(const data::SlideSource::Overview& overview) {
  const auto width = static_cast<std::size_t>(overview.picture.width);
  const auto height = static_cast<std::size_t>(overview.picture.height);
  report::Pixels pixels{height, width, overview.picture.values};
  std::vector<bool> inside(width * height, false);
  std::vector<bool> frame(width * height, false);
  for (const auto& tile : overview.tiles) {
    for (std::size_t y = tile.top; y < tile.bottom; ++y) {
      for (std::size_t x = tile.left; x < tile.right; ++x) {
        inside[y * width + x] = true;
        const bool edge =
            y == tile.top || x == tile.left || y + 1 == tile.bottom || x + 1 == tile.right;
        if (edge) frame[y * width + x] = true;
      }
    }
  }
  constexpr std::uint8_t kFrame[] = {0x1f, 0x77, 0xb4};
  for (std::size_t i = 0; i < inside.size(); ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      std::uint8_t& value = pixels.rgb[3 * i + c];
      if (frame[i]) {
        value = kFrame[c];
      } else if (!inside[i]) {
        value = static_cast<std::uint8_t>((value + 2 * 255) / 3);
      }
    }
  }
  return pixels;
}

struct SlideLine {
  std::string file;
  std::size_t tiles = 0;
  double tissue = 0;
  int threshold = 0;
  data::StainStatistics stain;
};

// Of the part of the slide that its overview shows.
SlideLine line_of(const data::SlideSource& source, std::size_t slide) {
  SlideLine line{.file = source.file(slide)};
  if (const auto overview = source.overview(slide, kOverlaySide)) {
    line.tiles = overview->tiles.size();
    const data::TissueMask mask(overview->picture, overview->scale_x, overview->scale_y);
    line.tissue = mask.share();
    line.threshold = mask.threshold();
    line.stain = data::stain_statistics(overview->picture, mask);
  }
  return line;
}

void run_slide_tiles(const SlideTilesFlags& flags, Context& context) {
  for (const std::string& out : {flags.out, flags.overlay}) {
    if (!out.empty()) demand_harmless("slide tiles", out, {flags.file});
  }
  data::SlideSource source;
  set_options(flags, source);
  data::SourceInput input;
  input.files = data::one_file(flags.file);
  // Nothing of an example is asked for.
  input.part = data::Part::kDev;
  source.read(input, nullptr);
  std::vector<SlideLine> lines;
  for (std::size_t i = 0; i < source.slides(); ++i) lines.push_back(line_of(source, i));
  if (!flags.out.empty()) {
    const auto folder = std::filesystem::absolute(flags.out).parent_path();
    write_file_atomic(flags.out, source.plan_text(folder));
  }
  if (!flags.overlay.empty()) {
    DETENTE_CHECK(source.slides() == 1,
                  ErrorCode::kInvalidArgument,
                  "slide tiles: --overlay is a picture of one slide, and '{}' has {}; name one.",
                  flags.file,
                  source.slides());
    if (const auto overview = source.overview(0, kOverlaySide)) {
      write_file_atomic(flags.overlay, report::png_bytes(overlay_of(*overview)));
    }
  }
  if (flags.json) {
    Json slides = Json::array();
    for (const SlideLine& line : lines) {
      slides.push_back({{"file", line.file},
                        {"tiles", line.tiles},
                        {"tissue", line.tissue},
                        {"threshold", line.threshold},
                        {"density_means", line.stain.means},
                        {"density_deviations", line.stain.deviations}});
    }
    context.out << json_text({{"tiles", source.size()},
                              {"slides", slides},
                              {"warnings", source.warnings()},
                              {"out", flags.out}})
                << "\n";
    return;
  }
  for (const std::string& warning : source.warnings()) {
    context.err << "warning: " << text::printable(warning) << "\n";
  }
  report::Table table({{"slide"},
                       {"tiles", report::Align::kRight},
                       {"tissue", report::Align::kRight},
                       {"density R", report::Align::kRight},
                       {"G", report::Align::kRight},
                       {"B", report::Align::kRight}});
  for (const SlideLine& line : lines) {
    table.add_row({text::printable(std::filesystem::path(line.file).filename().string()),
                   std::to_string(line.tiles),
                   fmt::format("{:.1f} %", 100 * line.tissue),
                   fmt::format("{:.3f}", line.stain.means[0]),
                   fmt::format("{:.3f}", line.stain.means[1]),
                   fmt::format("{:.3f}", line.stain.means[2])});
  }
  context.out << table.text();
  for (const std::string& note : source.notes()) context.out << "\n" << note << "\n";
  for (const std::string& out : {flags.out, flags.overlay}) {
    if (!out.empty()) context.out << "Wrote " << text::printable(out) << "\n";
  }
}

}  // namespace

void add_slide_tiles(CLI::App& group, Context& context) {
  CLI::App* command = group.add_subcommand(
      "tiles", "Plan the tiles of a slide, or of a list or folder of them, as training does");
  const auto flags = std::make_shared<SlideTilesFlags>();
  add_slide_flags(*command, *flags);
  command->add_option("--out",
                      flags->out,
                      "A table of the tiles (CSV), which data.train may name in place of slides");
  command->add_option("--overlay", flags->overlay, "A picture of the slide with its tiles (PNG)");
  command->add_option("--set",
                      flags->set,
                      "KEY=VALUE of the recipe's data section: tile, mpp, stride, tissue, "
                      "slide_mpp, tiles, per_slide, annotations, ...");
  command->callback([flags, &context] { run_slide_tiles(*flags, context); });
}

}  // namespace detente::cli
