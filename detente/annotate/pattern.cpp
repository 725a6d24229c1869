// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/pattern.h>
#include <detente/annotate/prompt.h>
#include <detente/annotate/tools.h>
#include <detente/config/tree.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <fmt/format.h>

namespace detente::annotate {

void Pattern::describe(FieldVisitor& v) {
  v.text("name", name, "A word for it");
  v.text("about", about, "What it does, in a line");
  v.text("system", system, "The first message, from the system");
  v.text("user", user, "The message with the row");
  v.choice_text(
      "parser",
      parser,
      {"label", "line"},
      "What is an answer: the whole text (label), or its last line \"Answer: ...\" (line)");
  v.texts("stop", stop, {}, "Words at which the model stops, at most 4");
  v.number("temperature", temperature, {.min = 0, .max = 2}, "Of each call");
  v.integer("max_tokens", max_tokens, {.min = 1, .max = 1e6}, "The longest answer of a call");
  v.integer("samples", samples, {.min = 1, .max = 1000}, "Answers of which the majority counts");
  v.flag("logprobs", logprobs, "Ask for log-probabilities, to break ties");
  v.integer("examples", examples, {.min = 0, .max = 1000}, "Examples before the row");
  v.choice_text(
      "choose", choose, {"fixed", "nearest"}, "Which examples: the first, or the most similar");
  v.text("example_answer", example_answer, "What the model is said to have answered to an example");
  v.choice_text(
      "extract", extract, {"never", "always", "missing"}, "When a second call asks for the label");
  v.text("extract_prompt", extract_prompt, "What the second call says");
  v.integer("extract_tokens", extract_tokens, {.min = 1, .max = 1e6}, "The longest answer to it");
  v.integer("sources", sources, {.min = 0, .max = 1000}, "Passages of the documents shown");
  v.flag("cite", cite, "An answer must cite one of them");
  v.text("not_found", not_found, "Words that say they do not hold the answer");
  v.texts("tools", tools, tool_names(), "Tools the model may use");
  v.integer("max_steps", max_steps, {.min = 1, .max = 1000}, "Most actions of a row");
  v.integer("row_tokens",
            row_tokens,
            {.min = 1, .max = 1e9},
            "Tokens of a row after which it must answer");
}

void Pattern::check() const {
  const std::string where = fmt::format("[annotate::Pattern] pattern '{}':", name);
  const auto demand = [&](bool good, const char* what) {
    DETENTE_CHECK(good, ErrorCode::kInvalidArgument, "{} {}", where, what);
  };
  demand(!name.empty(), "it has no name; expected `name: a word`.");
  demand(user.find("{{text}}") != std::string::npos,
         "`user` has no {{text}}, so that no row would be shown.");
  demand(samples == 1 || temperature > 0,
         "several samples at temperature 0 would all be the same; expected temperature > 0, e.g. "
         "0.7.");
  demand(stop.size() <= 4, "more than 4 stop words, which endpoints refuse.");
  demand(extract == "never" || !extract_prompt.empty(),
         "`extract` needs `extract_prompt`, what the second call says.");
  demand(tools.empty() || (extract == "never" && examples == 0),
         "tools go with neither `extract` nor `examples`.");
  demand(sources == 0 || user.find("{{sources}}") != std::string::npos,
         "`sources` needs {{sources}} in `user`.");
  Values values{{"task", ""}, {"about", ""}, {"labels", ""}};
  fill(extract_prompt, values, where);
  values.emplace_back("label", "");
  fill(example_answer, values, where);
  values.back() = {"tools", ""};
  fill(system, values, where);
  values.back() = {"text", ""};
  values.emplace_back("sources", "");
  fill(user, values, where);
}

std::vector<std::string> pattern_names() {
  std::vector<std::string> names;
  for (const auto& [name, text] : built_in_patterns()) names.push_back(name);
  return names;
}

std::string_view about_of(std::string_view yaml) {
  constexpr std::string_view kKey = "\nabout: ";
  const std::size_t at = yaml.find(kKey);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = yaml.substr(at + kKey.size());
  return rest.substr(0, rest.find('\n'));
}

Pattern load_pattern(const std::string& name_or_file) {
  Pattern pattern;
  const auto take = [&](const config::Node& root) {
    config::read_fields(root, [&](FieldVisitor& v) { pattern.describe(v); });
    pattern.check();
    return pattern;
  };
  for (const auto& [name, text] : built_in_patterns()) {
    if (name == name_or_file) return take(config::parse_yaml(text, name + ".yaml"));
  }
  DETENTE_CHECK(name_or_file.find_first_of("./") != std::string::npos,
                ErrorCode::kInvalidArgument,
                "[annotate::load_pattern] there is no pattern '{}'; {} Or a file of your own: "
                "--pattern ./mine.yaml (`detente annotate --show-pattern NAME` prints one to begin "
                "with).",
                name_or_file,
                expected_one_of(name_or_file, pattern_names()));
  return take(config::load_yaml(name_or_file));
}

}  // namespace detente::annotate
