// SPDX-License-Identifier: Apache-2.0
// detente slide thumbnail FILE --out PNG
#include <detente/cli/output_file.h>
#include <detente/cli/slide.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/report/pixels.h>
#include <detente/slides/slide_workers.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

namespace detente::cli {
namespace {

struct ThumbnailFlags : SlideFlags {
  std::string out;
  std::string associated;
  std::int64_t size = 1024;
};

// Sides of a picture of width x height whose longer one is at most `size`, in proportion.
std::pair<std::int64_t, std::int64_t> thumbnail_sides(std::int64_t width,
                                                      std::int64_t height,
                                                      std::int64_t size) {
  const double scale =
      std::min(1.0, static_cast<double>(size) / static_cast<double>(std::max(width, height)));
  const auto side = [&](std::int64_t of) {
    const auto scaled = static_cast<std::int64_t>(std::llround(static_cast<double>(of) * scale));
    return std::clamp<std::int64_t>(scaled, 1, std::min(of, size));
  };
  return {side(width), side(height)};
}

report::Pixels thumbnail_pixels(slides::Picture picture) {
  return {.height = static_cast<std::size_t>(picture.height),
          .width = static_cast<std::size_t>(picture.width),
          .rgb = std::move(picture.values)};
}

void run_slide_thumbnail(const ThumbnailFlags& flags, Context& context) {
  demand_harmless("slide thumbnail", flags.out, {flags.file});
  slides::SlideWorkers reader(slide_options(flags));
  Json facts = {{"file", flags.file}, {"out", flags.out}};
  report::Pixels pixels;
  std::string of;
  if (!flags.associated.empty()) {
    slides::Picture picture = reader.associated(flags.file, flags.associated);
    const auto [width, height] = thumbnail_sides(picture.width, picture.height, flags.size);
    pixels = report::shrunk(thumbnail_pixels(std::move(picture)),
                            static_cast<std::size_t>(height),
                            static_cast<std::size_t>(width));
    facts["associated"] = flags.associated;
    of = "'" + flags.associated + "'";
  } else {
    const slides::SlideInfo info = reader.info(flags.file);
    // The smallest level that is large enough.
    std::size_t level = 0;
    for (std::size_t i = 1; i < info.levels.size(); ++i) {
      const slides::Level& one = info.levels[i];
      if (std::max(one.width, one.height) >= flags.size && one.width <= info.levels[level].width) {
        level = i;
      }
    }
    const slides::Level& read = info.levels[level];
    const auto [width, height] =
        thumbnail_sides(info.levels.front().width, info.levels.front().height, flags.size);
    pixels = thumbnail_pixels(reader.read(flags.file,
                                          {.level = static_cast<int>(level),
                                           .width = read.width,
                                           .height = read.height,
                                           .out_width = std::min(width, read.width),
                                           .out_height = std::min(height, read.height)}));
    facts["level"] = level;
    of = fmt::format("level {}", level);
  }
  write_file_atomic(flags.out, report::png_bytes(pixels));
  facts["width"] = pixels.width;
  facts["height"] = pixels.height;
  if (flags.json) {
    context.out << json_text(facts) << "\n";
  } else {
    context.out << fmt::format("{}: {} x {} pixels of {}\n",
                               text::printable(flags.out),
                               pixels.width,
                               pixels.height,
                               text::printable(of));
  }
}

}  // namespace

void add_slide_thumbnail(CLI::App& group, Context& context) {
  CLI::App* command = group.add_subcommand(
      "thumbnail", "Write a small picture of all of it, or one beside it, as PNG");
  const auto flags = std::make_shared<ThumbnailFlags>();
  add_slide_flags(*command, *flags);
  command->add_option("--out", flags->out, "The PNG file to write")->required();
  command->add_option("--size", flags->size, "Pixels of the longer side, where there are so many")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option(
      "--associated", flags->associated, "A picture beside the slide instead: label, macro");
  command->callback([flags, &context] { run_slide_thumbnail(*flags, context); });
}

}  // namespace detente::cli
