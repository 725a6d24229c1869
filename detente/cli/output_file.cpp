// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/output_file.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#ifdef DETENTE_WITH_TORCH
#include <detente/train/run_directory.h>
#endif

#include <filesystem>
#include <system_error>

namespace detente::cli {

void demand_harmless(const char* command,
                     const std::string& out,
                     const std::vector<std::string>& sources) {
  if (out == "-") return;
  for (const std::string& source : sources) {
    std::error_code error;
    DETENTE_CHECK(source.empty() || !std::filesystem::equivalent(out, source, error),
                  ErrorCode::kInvalidArgument,
                  "[cli::{}] --out '{}' is the data itself ('{}'), which would be gone. Name "
                  "another file.",
                  command,
                  out,
                  source);
  }
#ifdef DETENTE_WITH_TORCH  // without it there is no command that makes runs
  DETENTE_CHECK(!train::is_run_file(out),
                ErrorCode::kInvalidArgument,
                "[cli::{}] --out '{}' is a file of the run itself. Name another file.",
                command,
                out);
#endif
}

std::optional<data::TableFormat> format_by_ending(const std::string& out) {
  const std::string name = lower_ascii(out);
  if (name.ends_with(".jsonl")) return data::TableFormat::kJsonLines;
  if (name.ends_with(".csv")) return data::TableFormat::kCsv;
  for (const char* ending : {".tsv", ".tab", ".txt"}) {
    if (name.ends_with(ending)) return data::TableFormat::kTsv;
  }
  return std::nullopt;
}

std::string tsv_cell(std::string cell) {
  for (char& c : cell) {
    if (c == '\t' || c == '\n' || c == '\r') c = ' ';
  }
  return cell;
}

}  // namespace detente::cli
