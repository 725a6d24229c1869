// SPDX-License-Identifier: Apache-2.0
// A pattern is data: what a model is told, how often it is asked and when an answer counts. Six are built in; a file
// of the same form (YAML) is another one.
#pragma once

#include <detente/annotate/answer.h>
#include <detente/core/fields.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente::annotate {

// Placeholders of all templates: {{task}}, {{about}}, {{labels}} (one a line, each behind "- "). In `user` also
// {{text}} (the row, between marks) and, with sources, {{sources}}; in `system`, with tools, {{tools}}; in
// `example_answer` {{label}} as well.
struct Pattern {
  std::string name;
  std::string about;  // what it does, for --help
  std::string system;
  std::string user = "{{text}}";
  std::string parser = "label";  // label or line, see AnswerForm
  std::vector<std::string> stop;
  double temperature = 0;
  std::int64_t max_tokens = 64;

  // Self-consistency: samples with seeds seed, seed + 1, ...
  std::int64_t samples = 1;
  bool logprobs = false;

  // Few-shot: messages before the row's.
  std::int64_t examples = 0;
  std::string choose = "fixed";  // fixed or nearest
  std::string example_answer = "{{label}}";

  // Chain of thought: what is said after the first answer to have the label, and when: never, always, or
  // only where the first answer has no label (missing).
  std::string extract = "never";
  std::string extract_prompt;
  std::int64_t extract_tokens = 32;

  // Retrieval: passages of the documents; with `cite` an answer must name one of them as [n], or say the words of
  // `not_found`.
  std::int64_t sources = 0;
  bool cite = true;
  std::string not_found = "not in the sources";

  // ReAct: the tools offered, and limits per row.
  std::vector<std::string> tools;
  std::int64_t max_steps = 8;
  std::int64_t row_tokens = 16000;

  AnswerForm form() const { return parser == "line" ? AnswerForm::kLine : AnswerForm::kLabel; }
  void describe(FieldVisitor& visitor);
  // What no single field shows: samples at temperature 0, a template without {{text}}, unknown placeholders and the like.
  // kInvalidArgument.
  void check() const;
};

// Name and YAML of each.
const std::vector<std::pair<std::string, std::string>>& built_in_patterns();
std::vector<std::string> pattern_names();
// The `about` of a built-in one's YAML, without reading all of it: a line that stands as it is, unquoted.
std::string_view about_of(std::string_view yaml);

// A built-in one by its name, or a file (a word with a slash or a dot). kInvalidArgument with the nearest name; what the
// file has wrong, with its line.
Pattern load_pattern(const std::string& name_or_file);

}  // namespace detente::annotate
