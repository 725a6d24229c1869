// SPDX-License-Identifier: Apache-2.0
// What a model may use in a ReAct loop. All of it reads and computes; nothing is changed or sent anywhere.
#pragma once

#include <detente/annotate/documents.h>
#include <detente/annotate/retriever.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente::annotate {

// search, lookup, calculator.
std::vector<std::string> tool_names();

// What the tools see.
struct ToolContext {
  const Documents* documents = nullptr;  // of search; without them there is no such tool
  const Retriever* retriever = nullptr;
  std::vector<std::pair<std::string, std::string>> columns;  // of the row, for lookup
};

// A line a tool: its name, its arguments with their types, what it does. `names` are a pattern's.
std::string tools_text(const std::vector<std::string>& names, const ToolContext& context);

// What comes of {"tool": "search", "arguments": {"query": "..."}} as the model wrote it; of no tool or wrong arguments
// "Error: " and what was expected. Never throws for what it wrote; kIo where an endpoint fails the search.
std::string use_tool(const std::string& action,
                     const std::vector<std::string>& names,
                     const ToolContext& context,
                     CallKey& key);

// The action with its keys in order and without blanks, so that equal ones are equal; as it is where it is no JSON.
std::string canonical_action(const std::string& action);

}  // namespace detente::annotate
