// SPDX-License-Identifier: Apache-2.0
// report.html of one run: a page that holds everything it shows and can be mailed.
#pragma once

#include <detente/report/run_data.h>

#include <filesystem>
#include <string>

namespace detente::report {

// What the gradients did, in a few plain sentences.
std::string conflict_words(const RunData& run);

std::string html_report(const RunData& run);

// Reads `run_dir` and writes `run_dir`/report.html, atomically. Errors as read_run; kIo.
void write_html_report(const std::filesystem::path& run_dir);

}  // namespace detente::report
