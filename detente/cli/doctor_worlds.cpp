// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/doctor_worlds.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/core/suggest.h>
#include <detente/text/printable.h>
#include <detente/text/shell_word.h>
#include <detente/worlds/open.h>
#include <fmt/format.h>

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace detente::cli {
namespace {

void metaworld_line(std::ostream& out, std::string_view name, std::string_view value) {
  out << fmt::format("{:<12} {}\n", name, text::printable(value));
}

// Where not even Python answers, in the form of one that does.
Json probe_or_problem(const std::string& python) {
  try {
    return worlds::probe_metaworld(python);
  } catch (const Error& error) {
    return {{"program", worlds::python_of({.python = python})},
            {"python", nullptr},
            {"packages", Json::object()},
            {"missing", Json::array()},
            {"mt10", Json::array()},
            {"problem", error.what()},
            {"command", "pip install metaworld==3.1.1 packaging"}};
  }
}

void metaworld_text(const Json& facts, std::ostream& out) {
  const auto program = facts.value("program", std::string());
  const Json version = facts.value("python", Json());
  metaworld_line(out,
                 "python",
                 version.is_string() ? fmt::format("{} ({})", version.get<std::string>(), program)
                                     : fmt::format("does not answer ({})", program));
  for (const auto& [name, found] : facts.at("packages").items()) {
    metaworld_line(out, name, found.is_string() ? found.get<std::string>() : "missing");
  }
  if (!facts.at("mt10").empty()) {
    metaworld_line(out, "MT10", join_names(facts["mt10"].get<std::vector<std::string>>()));
  }
  if (facts.contains("step_ms")) {
    metaworld_line(out,
                   "speed",
                   fmt::format("{:.2f} ms a step of reach-v3, {:.1f} s until it begins",
                               facts["step_ms"].get<double>(),
                               facts.at("start_s").get<double>()));
  }
  const auto problem = facts.at("problem").get<std::string>();
  if (problem.empty()) {
    out << "\nMeta-World can be used: environment metaworld:MT10. All of it: docs/worlds.md\n";
    return;
  }
  out << "\nproblem: " << text::printable_lines(problem) << "\n  cure: ";
  if (version.is_string()) {
    out << text::printable(text::shell_word(program)) << " -m "
        << facts.at("command").get<std::string>() << "\n        or ";
  }
  out << "name another Python by --python or DETENTE_PYTHON\n";
}

}  // namespace

bool explain_metaworld(const std::string& python, bool json, Context& context) {
  Json facts = probe_or_problem(python);
  facts.erase("magic");
  facts.erase("protocol");
  if (json) {
    context.out << json_text(facts) << "\n";
  } else {
    metaworld_text(facts, context.out);
  }
  return facts.at("problem").get<std::string>().empty();
}

}  // namespace detente::cli
