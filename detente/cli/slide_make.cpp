// SPDX-License-Identifier: Apache-2.0
// detente slide make --out FOLDER
#include <detente/cli/slide.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/data/made_slides.h>
#include <detente/slides/sample_slide.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>

namespace detente::cli {
namespace {

struct SlideMakeFlags {
  std::string out;
  std::int64_t slides = 24;
  std::int64_t size = 1024;
  std::int64_t seed = 0;
  bool json = false;
};

// Two slides are one patient's.
void run_slide_make(const SlideMakeFlags& flags, Context& context) {
  namespace fs = std::filesystem;
  const fs::path folder(flags.out);
  std::error_code error;
  DETENTE_CHECK(!fs::exists(folder, error) ||
                    (fs::is_directory(folder, error) && fs::is_empty(folder, error)),
                ErrorCode::kIo,
                "slide make: '{}' is there already and not an empty folder; expected a new one.",
                flags.out);
  make_directories(folder);
  std::string table = "slide,patient,regions,blur\n";
  std::uintmax_t bytes = 0;
  for (std::int64_t i = 0; i < flags.slides; ++i) {
    const data::MadeSlide made = data::make_slide(
        flags.size, static_cast<std::uint64_t>(flags.seed), static_cast<std::uint64_t>(i));
    const std::string name = fmt::format("made{:03}", i);
    const std::string file =
        slides::sample_slide(made.picture, {.levels = 3, .tile = 256, .microns_per_pixel = 0.5});
    bytes += file.size();
    write_file_atomic(folder / (name + ".tiff"), file);
    write_file_atomic(folder / (name + ".geojson"), made.geojson);
    table += fmt::format("{}.tiff,patient{:02},{}.geojson,{}\n", name, i / 2, name, made.blur);
  }
  // Last: a folder without it was not finished.
  write_file_atomic(folder / "slides.csv", table);
  if (flags.json) {
    context.out << json_text({{"out", flags.out}, {"slides", flags.slides}, {"bytes", bytes}})
                << "\n";
  } else {
    context.out << fmt::format("{} slides, {:.0f} MB, and slides.csv in {}\n",
                               flags.slides,
                               1e-6 * static_cast<double>(bytes),
                               text::printable(flags.out));
  }
}

}  // namespace

void add_slide_make(CLI::App& group, Context& context) {
  CLI::App* command = group.add_subcommand(
      "make", "Draw slides to try things with: tiled TIFF, regions as GeoJSON, and their list");
  const auto flags = std::make_shared<SlideMakeFlags>();
  command->add_option("--out", flags->out, "The folder to make")->required();
  command->add_option("--slides", flags->slides, "How many")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("--size", flags->size, "Sides in pixels; one takes 4 bytes for each pixel")
      ->check(CLI::Range(64, 8192))
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "Decides what they show")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{9000000000000000}))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print JSON");
  command->footer(
      "They are made, not scanned, and stand for nothing medical. Each is glass with patches of "
      "three textures\n"
      "(stroma, gland, fat) out of focus by 0 to 4 pixels (column blur). recipes/slides_tiff.yaml "
      "trains on them.");
  command->callback([flags, &context] { run_slide_make(*flags, context); });
}

}  // namespace detente::cli
