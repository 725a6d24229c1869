// SPDX-License-Identifier: Apache-2.0
// A person's question, answered from passages of documents alone, with what it rests on.
#pragma once

#include <detente/annotate/citations.h>
#include <detente/annotate/client.h>
#include <detente/annotate/retriever.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace detente::annotate {

struct QuestionOptions {
  std::string model;
  std::size_t passages = 5;
  std::int64_t max_tokens = 600;
};

struct QuestionAnswer {
  std::optional<std::string> text;  // nothing: see failure
  Failure failure;
  bool not_found = false;  // the model says that the passages do not hold it, or none was found
  std::vector<Hit> hits;   // shown to the model, [1] first
  Citations citations;     // numbers of them
  bool is_supported() const {
    return !not_found && !citations.cited.empty() && citations.foreign.empty();
  }
};

// One call; none where no passage has anything of the question. Throws kIo where an endpoint fails the search.
QuestionAnswer answer_question(const std::string& question,
                               const Documents& documents,
                               const Retriever& retriever,
                               Client& client,
                               const QuestionOptions& options);

}  // namespace detente::annotate
