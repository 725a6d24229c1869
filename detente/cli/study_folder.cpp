// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/study_folder.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/text/shell_word.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace detente::cli {
namespace {

namespace fs = std::filesystem;

// What compare and report write into a study's folder, once they have begun.
constexpr std::array<std::string_view, 7> kStudyFiles = {"comparison.html",
                                                         "comparison.json",
                                                         "comparison.csv",
                                                         "comparison.md",
                                                         "comparison.tex",
                                                         "slurm",
                                                         "report.html"};

}  // namespace

bool is_bare_study(const fs::path& folder) {
  std::error_code none;
  if (!fs::is_regular_file(folder / "recipe.yaml", none) ||
      !fs::is_directory(folder / "runs", none)) {
    return false;
  }
  for (const char* of_a_run : {"metrics.jsonl", "summary.json"}) {
    if (fs::exists(folder / of_a_run, none)) return false;
  }
  return true;
}

void check_study_folder(const fs::path& out) {
  if (!fs::exists(out) || fs::is_regular_file(out / "study.json")) return;
  DETENTE_CHECK(
      fs::is_directory(out),
      ErrorCode::kIo,
      "[cli::compare] '{}' is no folder; expected one for the runs and the page, or a new name.",
      out.string());
  const bool bare = is_bare_study(out);
  for (const auto& entry : fs::directory_iterator(out)) {
    const std::string name = entry.path().filename().string();
    const bool of_a_study =
        name == "runs" || name == "recipe.yaml" || is_temporary_name(name) ||
        (bare && std::find(kStudyFiles.begin(), kStudyFiles.end(), name) != kStudyFiles.end());
    DETENTE_CHECK(
        of_a_study,
        ErrorCode::kInvalidArgument,
        "[cli::compare] '{}' holds other things ('{}') and no study; expected a new or empty "
        "folder, or one that `detente compare --methods` has made. Name another --out, or move "
        "'{}' away if it is not needed there.",
        out.string(),
        name,
        name);
  }
}

fs::path keep_recipe(const train::Recipe& recipe, const fs::path& out) {
  const fs::path kept = out / "recipe.yaml";
  const std::string text = recipe.to_yaml();
  if (!fs::exists(kept)) {
    write_file_atomic(kept, text);
    return kept;
  }
  train::load_kept_recipe(kept);
  const auto differences = train::recipe_differences(read_file(kept), text);
  std::string list;
  for (const auto& line : differences) list += "\n  " + line;
  DETENTE_CHECK(
      differences.empty(),
      ErrorCode::kInvalidArgument,
      "[cli::compare] the study in '{}' was begun with another recipe:{}\nUse another --out for "
      "this one, or the recipe as it was to go on.",
      out.string(),
      list);
  return kept;
}

std::string command_of(const CompareMethodsFlags& flags) {
  std::string command = "detente compare " + text::shell_word(flags.recipe) + " --methods " +
                        text::shell_word(flags.methods) + " --seeds " +
                        text::shell_word(flags.seeds);
  for (const auto& axis : flags.grid) command += " --grid " + text::shell_word(axis);
  for (const auto& change : flags.overrides) {
    command += " --set " + text::shell_word(change);
  }
  if (!flags.title.empty()) command += " --title " + text::shell_word(flags.title);
  if (flags.no_single) command += " --no-stl";
  if (flags.halving) command += " --halving";
  return command + " --out " + text::shell_word(flags.out);
}

void write_study(const CompareMethodsFlags& flags,
                 const study::WrittenStudy& written,
                 const fs::path& out) {
  // A count stays a number, as earlier versions wrote and read it.
  const bool counted = flags.seeds.find(',') == std::string::npos;
  const Json json = {{"format", "detente-study-1"},
                     {"recipe", flags.recipe},
                     {"methods", flags.methods},
                     {"title", flags.title},
                     {"grid", flags.grid},
                     {"set", flags.overrides},
                     {"seeds", counted ? Json(written.seeds.size()) : Json(flags.seeds)},
                     {"no_stl", flags.no_single},
                     {"halving", flags.halving},
                     {"plan", written.to_json()}};
  write_file_atomic(out / "study.json", json_text(json) + "\n");
}

StudyFile read_study(const fs::path& out) {
  const fs::path file = out / "study.json";
  const Json json = Json::parse(read_file(file), nullptr, false);
  StudyFile study;
  CompareMethodsFlags& flags = study.flags;
  DETENTE_CHECK(json.is_object(),
                ErrorCode::kData,
                "[cli::report] '{}' is damaged: no JSON object. The command that made the study "
                "(detente compare ... --out {}) writes it again and repeats nothing.",
                file.string(),
                out.string());
  try {
    json.at("recipe").get_to(flags.recipe);
    json.at("methods").get_to(flags.methods);
    json.at("title").get_to(flags.title);
    json.at("grid").get_to(flags.grid);
    json.at("set").get_to(flags.overrides);
    // A number in files of an earlier version.
    const Json& seeds = json.at("seeds");
    flags.seeds = seeds.is_number_integer() ? std::to_string(seeds.get<std::int64_t>())
                                            : seeds.get<std::string>();
    json.at("no_stl").get_to(flags.no_single);
    flags.halving = json.value("halving", false);
  } catch (const Json::exception& error) {
    fail(ErrorCode::kData,
         "[cli::report] '{}' is no description of a study: {}. `detente compare` with --out {} "
         "writes it "
         "again.",
         file.string(),
         error.what(),
         out.string());
  }
  flags.out = out.string();
  if (json.contains("plan")) study.written = study::WrittenStudy::from_json(json.at("plan"));
  return study;
}

}  // namespace detente::cli
