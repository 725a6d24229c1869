// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/doctor_slides.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/slides/openslide_places.h>
#include <detente/slides/sample_slide.h>
#include <detente/slides/slide_worker.h>
#include <detente/slides/slide_workers.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <filesystem>
#include <ostream>
#include <string>
#include <string_view>

namespace detente::cli {
namespace {

constexpr std::int64_t kSampleWidth = 80;
constexpr std::int64_t kSampleHeight = 60;

void slides_line(std::ostream& out, std::string_view name, std::string_view value) {
  out << fmt::format("{:<12} {}\n", name, text::printable(value));
}

// Whether a made slide comes back as it was made.
void read_sample(slides::SlideWorkers& reader) {
  const TemporaryFolder folder(std::filesystem::temp_directory_path());
  const std::string file = (folder.path() / "sample.tiff").string();
  const slides::Picture made = slides::sample_picture(kSampleWidth, kSampleHeight);
  write_file_atomic(file, slides::sample_slide(made, {.levels = 2}));
  const slides::SlideInfo info = reader.info(file);
  const slides::Picture read =
      reader.read(file, {0, 0, 0, kSampleWidth, kSampleHeight, kSampleWidth, kSampleHeight});
  DETENTE_CHECK(info.levels.size() == 2 && read.values == made.values,
                ErrorCode::kData,
                "[cli::doctor] a TIFF that was made to be read comes back as something else.");
}

Json slides_facts() {
  Json facts = {{"openslide", nullptr},
                {"library", nullptr},
                {"shared_cache", nullptr},
                {"confined", nullptr},
                {"places", slides::openslide_places()},
                {"worker", nullptr},
                {"reads", false},
                {"problem", ""}};
  try {
    facts["worker"] = slides::find_slide_worker();
    slides::SlideWorkers reader;
    const slides::OpenSlideFacts found = reader.facts();
    facts["openslide"] = found.version;
    facts["library"] = found.library;
    facts["shared_cache"] = found.shared_cache;
    facts["confined"] = found.confined;
    read_sample(reader);
    facts["reads"] = true;
  } catch (const Error& error) {
    facts["problem"] = error.what();
  }
  return facts;
}

void slides_text(const Json& facts, std::ostream& out) {
  const auto shown = [&](const char* key) {
    return facts.at(key).is_string() ? facts.at(key).get<std::string>() : std::string("not found");
  };
  slides_line(out, "worker", shown("worker"));
  if (facts.at("openslide").is_string()) {
    slides_line(out, "OpenSlide", shown("openslide") + " (" + shown("library") + ")");
    slides_line(out,
                "cache",
                facts.at("shared_cache") == true ? "shared by the open slides"
                                                 : "32 MiB for each open slide (before 4.0)");
    slides_line(out,
                "confined",
                facts.at("confined") == true
                    ? "the worker may read files and decode, and little else"
                    : "no: this kernel or processor has no seccomp filter, or forbids to set one");
  } else {
    slides_line(out, "OpenSlide", "not found");
  }
  if (facts.at("reads") == true) {
    out << "\nSlides can be read: a TIFF that was made came back as it was. All of it: "
           "docs/slides.md\n";
    return;
  }
  out << "\nproblem: " << text::printable_lines(facts.at("problem").get<std::string>()) << "\n";
}

}  // namespace

bool explain_slides(bool json, Context& context) {
  const Json facts = slides_facts();
  if (json) {
    context.out << json_text(facts) << "\n";
  } else {
    slides_text(facts, context.out);
  }
  return facts.at("reads") == true;
}

}  // namespace detente::cli
