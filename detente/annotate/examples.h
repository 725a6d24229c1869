// SPDX-License-Identifier: Apache-2.0
// Labelled examples for few-shot prompts.
#pragma once

#include <detente/annotate/encoder.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace detente::annotate {

struct Example {
  std::string text;                                // as it is shown
  std::string plain;                               // what is compared with rows
  std::vector<std::optional<std::size_t>> labels;  // per task
};

class Examples {
 public:
  Examples() = default;
  // With an encoder the examples can be asked for by likeness. Calls of an endpoint's are named -1, "@examples".
  Examples(std::vector<Example> examples, Encoder* encoder);

  std::size_t size() const { return examples_.size(); }
  const Example& operator[](std::size_t i) const { return examples_[i]; }

  // The first `count` that have a label for the task and are not the row itself (the same text, blanks and case aside).
  std::vector<std::size_t> first(std::size_t task, std::size_t count, const std::string& row) const;
  // Of those the `count` most similar to the row, the most similar last (Liu et al., "What Makes Good In-Context
  // Examples for GPT-3?", 2022, arXiv:2101.06804); of equal ones the earlier count as more similar. Exact.
  std::vector<std::size_t> nearest(std::size_t task,
                                   std::size_t count,
                                   const std::string& row,
                                   std::span<const double> vector) const;

 private:
  std::vector<std::size_t> usable(std::size_t task, const std::string& row) const;

  std::vector<Example> examples_;
  std::vector<std::string> normal_;
  Vectors vectors_;
};

}  // namespace detente::annotate
