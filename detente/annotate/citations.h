// SPDX-License-Identifier: Apache-2.0
// Passages as a prompt shows them, and what an answer says it rests on.
#pragma once

#include <detente/annotate/documents.h>
#include <detente/annotate/retriever.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::annotate {

// "[1]" and the passage between marks, and so on; "(none)" for none.
std::string sources_text(const Documents& documents, std::span<const Hit> hits);

struct Citations {
  std::vector<std::size_t> cited;    // numbers from 1, ascending, each once, all among those given
  std::vector<std::string> foreign;  // others, as they were written
};

// Every [n], also of lists: [1, 3].
Citations citations_of(std::string_view answer, std::size_t given);

// The answer without them.
std::string without_citations(std::string_view answer);

// Whether the answer (or its "Answer:" line) begins with the words, in any case.
bool says_not_found(std::string_view answer, const std::string& words);

}  // namespace detente::annotate
