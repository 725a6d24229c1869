// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/calculator.h>
#include <detente/annotate/citations.h>
#include <detente/annotate/tools.h>
#include <detente/core/error.h>
#include <detente/core/json.h>
#include <detente/core/suggest.h>
#include <fmt/format.h>

#include <algorithm>

namespace detente::annotate {
namespace {

constexpr std::size_t kFound = 3;            // passages of a search
constexpr std::size_t kMostBytes = 8 << 10;  // of a cell that is looked up

struct Tool {
  const char* name;
  const char* argument;  // each has one, a text
  const char* about;
};

constexpr Tool kTools[] = {
    {"search", "query", "finds passages of the documents"},
    {"lookup", "column", "gives another column of the same row"},
    {"calculator", "expression", "computes, e.g. \"(3 + 4) * 2\""},
};

bool is_offered(const Tool& tool, const ToolContext& context) {
  if (std::string_view(tool.name) == "search") return context.retriever != nullptr;
  if (std::string_view(tool.name) == "lookup") return !context.columns.empty();
  return true;
}

std::vector<const Tool*> offered(const std::vector<std::string>& names,
                                 const ToolContext& context) {
  std::vector<const Tool*> found;
  for (const Tool& tool : kTools) {
    const bool wanted = std::find(names.begin(), names.end(), tool.name) != names.end();
    if (wanted && is_offered(tool, context)) found.push_back(&tool);
  }
  return found;
}

std::vector<std::string> column_names(const ToolContext& context) {
  std::vector<std::string> names;
  for (const auto& [name, cell] : context.columns) names.push_back(name);
  return names;
}

std::string run(const Tool& tool,
                const std::string& value,
                const ToolContext& context,
                CallKey& key) {
  const std::string_view name = tool.name;
  if (name == "search") {
    const std::vector<Hit> hits = context.retriever->search(value, kFound, key);
    return hits.empty() ? "Nothing was found." : sources_text(*context.documents, hits);
  }
  if (name == "lookup") {
    for (const auto& [column, cell] : context.columns) {
      if (column == value) return cell.empty() ? "(empty)" : cell.substr(0, kMostBytes);
    }
    fail(ErrorCode::kInvalidArgument,
         "there is no column '{}'; {}",
         value,
         expected_one_of(value, column_names(context)));
  }
  return calculate(value);
}

}  // namespace

std::vector<std::string> tool_names() {
  std::vector<std::string> names;
  for (const Tool& tool : kTools) names.emplace_back(tool.name);
  return names;
}

std::string tools_text(const std::vector<std::string>& names, const ToolContext& context) {
  std::string text;
  for (const Tool* tool : offered(names, context)) {
    text += fmt::format(R"({}- {{"tool": "{}", "arguments": {{"{}": "text"}}}} {})",
                        text.empty() ? "" : "\n",
                        tool->name,
                        tool->argument,
                        tool->about);
    if (std::string_view(tool->name) == "lookup") {
      text += "; columns: " + join_names(column_names(context));
    }
  }
  return text.empty() ? "(none)" : text;
}

std::string use_tool(const std::string& action,
                     const std::vector<std::string>& names,
                     const ToolContext& context,
                     CallKey& key) {
  const auto refuse = [](const std::string& what) { return "Error: " + what; };
  const Json json = Json::parse(action, nullptr, false);
  if (json.is_discarded() || !json.is_object()) {
    return refuse(
        R"(the action is no JSON object; expected {"tool": "its name", "arguments": {...}}.)");
  }
  const auto named = json.find("tool");
  if (named == json.end() || !named->is_string()) return refuse(R"(the action has no "tool".)");
  const std::vector<const Tool*> tools = offered(names, context);
  const auto name = named->get<std::string>();
  const auto found =
      std::find_if(tools.begin(), tools.end(), [&](const Tool* t) { return name == t->name; });
  if (found == tools.end()) {
    std::vector<std::string> known;
    for (const Tool* tool : tools) known.emplace_back(tool->name);
    return refuse(fmt::format("there is no tool '{}'; {}", name, expected_one_of(name, known)));
  }
  const Tool& tool = **found;
  const auto arguments = json.find("arguments");
  if (arguments == json.end() || !arguments->is_object() || arguments->size() != 1 ||
      !arguments->contains(tool.argument) || !arguments->at(tool.argument).is_string()) {
    return refuse(fmt::format(
        R"(the arguments of '{}' are wrong; expected {{"{}": "text"}}.)", name, tool.argument));
  }
  try {
    return run(tool, arguments->at(tool.argument).get<std::string>(), context, key);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    return refuse(error.what());
  }
}

std::string canonical_action(const std::string& action) {
  const auto json = nlohmann::json::parse(action, nullptr, false);  // sorts its keys
  return json.is_discarded() ? action
                             : json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace detente::annotate
