// SPDX-License-Identifier: Apache-2.0
// detente slide info FILE
#include <detente/cli/slide.h>
#include <detente/core/json_text.h>
#include <detente/slides/slide_workers.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>

namespace detente::cli {
namespace {

struct SlideInfoFlags : SlideFlags {
  bool properties = false;
};

// Of a property, where not all of them are asked for.
constexpr std::size_t kShownValue = 100;

void slide_line(std::ostream& out, std::string_view name, std::string_view value) {
  out << fmt::format("{:<12} {}\n", text::printable(name), text::printable(value));
}

Json slide_json(const SlideInfoFlags& flags,
                const slides::SlideInfo& info,
                const slides::OpenSlideFacts& facts) {
  Json levels = Json::array();
  for (const slides::Level& level : info.levels) {
    levels.push_back(
        {{"width", level.width}, {"height", level.height}, {"downsample", level.downsample}});
  }
  Json associated = Json::array();
  for (const slides::AssociatedImage& one : info.associated) {
    associated.push_back({{"name", one.name}, {"width", one.width}, {"height", one.height}});
  }
  const auto measure = [](double value) { return value > 0 ? Json(value) : Json(nullptr); };
  return {{"file", flags.file},
          {"vendor", info.vendor},
          {"levels", levels},
          {"mpp_x", measure(info.mpp_x)},
          {"mpp_y", measure(info.mpp_y)},
          {"objective", measure(info.objective_power)},
          {"background", fmt::format("#{:06x}", info.background)},
          {"associated", associated},
          {"properties", info.properties},
          {"openslide", {{"version", facts.version}, {"library", facts.library}}}};
}

// Those of OpenSlide's properties that no other line shows.
bool is_worth_a_line(std::string_view name) {
  for (const char* shown : {"openslide.level",
                            "openslide.mpp-",
                            "openslide.vendor",
                            "openslide.objective-power",
                            "openslide.background-color",
                            "openslide.associated.",
                            "openslide.region["}) {
    if (name.starts_with(shown)) return false;
  }
  return name.starts_with("openslide.") || name.starts_with("detente.");
}

void slide_text(std::ostream& out,
                const SlideInfoFlags& flags,
                const slides::SlideInfo& info,
                const slides::OpenSlideFacts& facts) {
  slide_line(out, "file", flags.file);
  slide_line(out, "format", info.vendor);
  for (std::size_t i = 0; i < info.levels.size(); ++i) {
    const slides::Level& level = info.levels[i];
    slide_line(
        out,
        fmt::format("level {}", i),
        fmt::format(
            "{} x {} pixels, downsample {:.6g}", level.width, level.height, level.downsample));
  }
  const slides::Level& whole = info.levels.front();
  if (info.mpp_x > 0 && info.mpp_y > 0) {
    slide_line(out,
               "resolution",
               fmt::format("{:.6g} x {:.6g} microns per pixel of level 0: {:.3g} x {:.3g} mm",
                           info.mpp_x,
                           info.mpp_y,
                           static_cast<double>(whole.width) * info.mpp_x / 1000,
                           static_cast<double>(whole.height) * info.mpp_y / 1000));
  } else {
    slide_line(out, "resolution", "the file does not say (microns per pixel)");
  }
  slide_line(out,
             "objective",
             info.objective_power > 0 ? fmt::format("{:.6g}x", info.objective_power)
                                      : std::string("the file does not say"));
  slide_line(out, "background", fmt::format("#{:06x}", info.background));
  std::string beside;
  for (const slides::AssociatedImage& one : info.associated) {
    beside +=
        fmt::format("{}{} ({} x {})", beside.empty() ? "" : ", ", one.name, one.width, one.height);
  }
  slide_line(out, "beside it", beside.empty() ? "nothing" : beside);
  slide_line(out, "read by", fmt::format("OpenSlide {} ({})", facts.version, facts.library));
  out << "\n";
  std::size_t hidden = 0;
  for (const auto& [name, value] : info.properties) {
    if (!flags.properties && !is_worth_a_line(name)) {
      ++hidden;
      continue;
    }
    const bool cut = !flags.properties && value.size() > kShownValue;
    out << text::printable(name) << " = "
        << text::printable(std::string_view(value).substr(0, cut ? kShownValue : value.size()))
        << (cut ? "..." : "") << "\n";
  }
  if (hidden > 0) out << fmt::format("and {} properties more: --properties\n", hidden);
}

}  // namespace

void add_slide_info(CLI::App& group, Context& context) {
  CLI::App* command =
      group.add_subcommand("info", "Format, levels, resolution, pictures beside it, properties");
  const auto flags = std::make_shared<SlideInfoFlags>();
  add_slide_flags(*command, *flags);
  command->add_flag("--properties", flags->properties, "Print all properties, in full");
  command->callback([flags, &context] {
    slides::SlideWorkers reader(slide_options(*flags));
    const slides::SlideInfo info = reader.info(flags->file);
    if (flags->json) {
      context.out << json_text(slide_json(*flags, info, reader.facts())) << "\n";
    } else {
      slide_text(context.out, *flags, info, reader.facts());
    }
  });
}

}  // namespace detente::cli
