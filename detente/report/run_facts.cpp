// SPDX-License-Identifier: Apache-2.0
#include <detente/report/html_page.h>
#include <detente/report/run_facts.h>
#include <detente/text/shell_word.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace detente::report {
namespace {

double median_of_finite(std::vector<double> values) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return kNoNumber;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

std::string milliseconds_text(double ms) {
  if (!std::isfinite(ms)) return "–";
  return ms != 0 && ms < 0.01 ? fmt::format("{:.2g} ms", ms) : fmt::format("{:.2f} ms", ms);
}

}  // namespace

Table time_table(const RunData& run) {
  Table table({{"part of a step"},
               {"median", Align::kRight},
               {"mean", Align::kRight},
               {"share", Align::kRight}});
  const std::vector<double>* total = run.milliseconds.find("total");
  const double whole = total == nullptr ? kNoNumber : finite_mean(*total);
  const auto add = [&](const std::string& name, const std::vector<double>& values) {
    const double mean = finite_mean(values);
    if (!std::isfinite(mean)) return;
    const double share = whole > 0 ? mean / whole : kNoNumber;
    table.add_row({name,
                   milliseconds_text(median_of_finite(values)),
                   milliseconds_text(mean),
                   percent_text(share)});
  };
  std::vector<double> rest = total == nullptr ? std::vector<double>{} : *total;
  for (std::size_t part = 0; part < run.milliseconds.names.size(); ++part) {
    const std::string& name = run.milliseconds.names[part];
    const std::vector<double>& values = run.milliseconds.values[part];
    if (name == "total") continue;
    add(name, values);
    for (std::size_t i = 0; i < rest.size(); ++i) {
      if (std::isfinite(values[i])) rest[i] -= values[i];
    }
  }
  if (total == nullptr) return table;
  if (run.milliseconds.names.size() > 1) {
    // Clocks that were read one after the other may differ by less than their tick.
    for (double& value : rest) value = std::isfinite(value) ? std::max(value, 0.0) : value;
    add("rest", rest);
  }
  add("total", *total);
  return table;
}

Table environment_table(const RunData& run) {
  Table table({{"what"}, {"value"}});
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) table.add_row({name, value});
  };
  const auto count = [&](const char* key) {
    const double number = run.number(key);
    return std::isfinite(number) ? count_text(number) : "";
  };
  // Of agents: what their numbers depend on, without which they are none.
  add("setting", run.text("setting"));
  add("evaluation", run.text("evaluation"));
  if (const auto success = numbers_at(run.summary, "success"); !success.empty()) {
    std::string words;
    for (const auto& [when, value] : success) {
      words += fmt::format("{}{} {:.3f}", words.empty() ? "" : ", ", when, value);
    }
    add("mean success (best, last, mean of the last ten)", words);
  }
  add("detente", run.text("detente"));
  add("engine", run.text("engine"));
  add("processor", run.text("processor"));
  add("device", run.text("device"));
  add("threads", count("threads"));
  if (const double seed = run.number("seed"); std::isfinite(seed)) {
    add("seed", fmt::format("{:.0f}", seed));
  }
  if (const double mib = run.number("peak_memory_mib"); std::isfinite(mib)) {
    add("most memory held", count_text(mib) + " MiB");
  }
  if (const double seconds = run.number("seconds"); std::isfinite(seconds)) {
    add("time", duration_text(seconds));
  }
  return table;
}

std::string repeat_command(const RunData& run) {
  if (run.recipe.empty()) return "";
  const std::string folder = run.folder.empty() ? "." : run.folder;
  return "detente train " + text::shell_word(folder + "/recipe.yaml") + " --out " +
         text::shell_word(folder + "-again");
}

}  // namespace detente::report
