// SPDX-License-Identifier: Apache-2.0
// A YAML file as a plain tree that remembers where each value stood, and the visitor that fills
// self-describing structs (core/fields.h) from it strictly: an unknown key, a wrong type or an
// impossible value is an error with file, line, what is allowed and the nearest name.
#pragma once

#include <detente/core/fields.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace detente::config {

// How the origin of what apply_override put into a tree begins.
inline constexpr const char* kOverride = "--set ";

struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  std::string scalar;
  std::vector<Node> items;                            // kList
  std::vector<std::pair<std::string, Node>> entries;  // kMap, in the file's order
  std::string origin;                                 // "recipe.yaml:12" or "--set a.b"

  // Defined where a pair with a Node is complete, which clang asks for.
  Node();
  Node(const Node& other);
  Node(Node&& other) noexcept;
  Node& operator=(const Node& other);
  Node& operator=(Node&& other) noexcept;
  ~Node();

  const Node* find(const std::string& key) const;
  Node* find(const std::string& key);
  // Of a list: by its index or by the `name:` it holds; null where there is none.
  const Node* element(const std::string& key) const;
  Node* element(const std::string& key);
  void erase(const std::string& key);
};

// Parses YAML text; `name` is used in messages. Errors (kInvalidArgument): invalid UTF-8, syntax,
// more than one document, an alias that contains itself, duplicate keys, a root that is not a map, more than
// 100,000 values (aliases that multiply).
Node parse_yaml(const std::string& text, const std::string& name);
Node load_yaml(const std::filesystem::path& path);

// "a.b=value" on a tree: makes missing maps, replaces the value (which is parsed as YAML, so lists
// work, but without comments: a # belongs to the text). No value at all is an error. An element of a list is named by its index or by its `name:` ("tasks.score.weight=2").
void apply_override(Node& root, const std::string& assignment);

// The value at a dotted path, or null.
const Node* find_path(const Node& root, const std::string& path);

// Every scalar by its dotted path ("tasks[0].name"), in the file's order.
std::vector<std::pair<std::string, std::string>> flatten(const Node& root);

// Fills what `describe` describes. Keys that are absent keep their defaults. Files that an override
// names relatively become absolute, by the current folder.
void read_fields(const Node& root, const Describe& describe);

// A text as YAML that every reader takes for this very text, quoted unless it is a plain word.
std::string text_yaml(const std::string& text);

// The struct as YAML that reads back to the same values.
std::string to_yaml(const Describe& describe);

// Markdown tables of all fields, one table a section; the source of docs/recipe.md and --help.
std::string fields_markdown(const Describe& describe);

}  // namespace detente::config
