// SPDX-License-Identifier: Apache-2.0
#include <detente/config/tree.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/core/whole_number.h>

#include <algorithm>
#include <filesystem>

namespace detente::config {
namespace {

const char* node_text(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      return "a single value";
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "a section";
  }
  return "?";
}

class ReadVisitor : public FieldVisitor {
 public:
  ReadVisitor(const Node& map, std::string prefix) : map_(map), prefix_(std::move(prefix)) {}

  void number(const char* name, double& value, const NumberRule& rule, const char*) override {
    if (const Node* node = scalar(name)) {
      const double parsed = parse_number(node->scalar, where(*node), path(name));
      check_number(parsed, rule, where(*node), path(name));
      value = parsed;
    }
  }
  void integer(const char* name,
               std::int64_t& value,
               const NumberRule& rule,
               const char*) override {
    if (const Node* node = scalar(name)) {
      const std::int64_t parsed = parse_integer(node->scalar, where(*node), path(name));
      check_number(static_cast<double>(parsed), rule, where(*node), path(name));
      value = parsed;
    }
  }
  void flag(const char* name, bool& value, const char*) override {
    if (const Node* node = scalar(name)) value = parse_flag(node->scalar, where(*node), path(name));
  }
  void text(const char* name, std::string& value, const char*) override {
    if (const Node* node = scalar(name)) value = node->scalar;
  }
  void file(const char* name, std::string& value, const char*) override {
    const Node* node = scalar(name);
    if (node == nullptr) return;
    value = node->scalar;
    // Typed where the program runs, not where the recipe lies.
    std::error_code ignored;
    if (node->origin.starts_with(kOverride) && !value.empty()) {
      value = (std::filesystem::current_path(ignored) / value).string();
    }
  }
  void choice_text(const char* name,
                   std::string& value,
                   const std::vector<std::string>& allowed,
                   const char*) override {
    if (const Node* node = scalar(name)) {
      check_choice(node->scalar, allowed, where(*node), path(name));
      value = node->scalar;
    }
  }
  void numbers(const char* name,
               std::vector<double>& values,
               const NumberRule& rule,
               const char*) override {
    if (const Node* node = list(name)) {
      values.clear();
      for (const Node& item : node->items) {
        const std::string place = item_path(*node, item, name);
        values.push_back(parse_number(item_text(item, place), where(item), path(name)));
        check_number(values.back(), rule, where(item), path(name));
      }
    }
  }
  void texts(const char* name,
             std::vector<std::string>& values,
             const std::vector<std::string>& allowed,
             const char*) override {
    if (const Node* node = list(name)) {
      values.clear();
      for (const Node& item : node->items) {
        values.push_back(item_text(item, item_path(*node, item, name)));
        if (!allowed.empty()) check_choice(values.back(), allowed, where(item), path(name));
      }
    }
  }
  void word_or_numbers(const char* name,
                       std::string& value,
                       const std::vector<std::string>& words,
                       const NumberRule& rule,
                       const char*) override {
    const Node* node = take(name);
    if (node == nullptr || node->kind == Node::Kind::kNull) return;
    std::string text;
    if (node->kind == Node::Kind::kList) {
      for (const Node& item : node->items) {
        text += (text.empty() ? "[" : ", ") + item_text(item, item_path(*node, item, name));
      }
      text = text.empty() ? "[]" : text + "]";
    } else {
      text = scalar(name)->scalar;
    }
    parse_word_or_numbers(text, words, rule, where(*node), path(name));
    value = text;
  }
  void section(const char* name,
               const char*,
               const std::function<void(FieldVisitor&)>& body) override {
    const Node* node = take(name);
    static const Node nothing;
    if (node == nullptr) node = &nothing;
    read_map(*node, path(name), body);
  }
  void sections(const char* name,
                std::size_t /*size*/,
                const std::function<void(std::size_t)>& resize,
                const std::function<void(std::size_t, FieldVisitor&)>& body,
                const char*) override {
    const Node* node = take(name);
    if (node == nullptr) return;
    DETENTE_CHECK(node->kind == Node::Kind::kList || node->kind == Node::Kind::kNull,
                  ErrorCode::kInvalidArgument,
                  "{} '{}' must be a list; got {}.",
                  where(*node),
                  path(name),
                  node_text(*node));
    resize(node->items.size());
    for (std::size_t i = 0; i < node->items.size(); ++i) {
      read_map(node->items[i],
               path(name) + "[" + std::to_string(i) + "]",
               [&](FieldVisitor& visitor) { body(i, visitor); });
    }
  }

  static void read_map(const Node& node, const std::string& prefix, const Describe& describe) {
    DETENTE_CHECK(node.kind == Node::Kind::kMap || node.kind == Node::Kind::kNull,
                  ErrorCode::kInvalidArgument,
                  "{} '{}' must be a section of 'key: value' lines; "
                  "got {}.",
                  where(node),
                  prefix.empty() ? "recipe" : prefix,
                  node_text(node));
    ReadVisitor visitor(node, prefix);
    describe(visitor);
    visitor.refuse_unknown();
  }

 private:
  static std::string where(const Node& node) {
    return node.origin.empty() ? "[config::read]" : "[config::read] " + node.origin + ":";
  }
  std::string path(const char* name) const {
    return prefix_.empty() ? std::string(name) : prefix_ + "." + name;
  }

  const Node* take(const char* name) {
    known_.emplace_back(name);
    return map_.find(name);
  }
  const Node* scalar(const char* name) {
    const Node* node = take(name);
    if (node == nullptr || node->kind == Node::Kind::kNull) return nullptr;
    DETENTE_CHECK(node->kind == Node::Kind::kScalar,
                  ErrorCode::kInvalidArgument,
                  "{} '{}' must be a single value; got {}.",
                  where(*node),
                  path(name),
                  node_text(*node));
    return node;
  }
  const Node* list(const char* name) {
    const Node* node = take(name);
    if (node == nullptr || node->kind == Node::Kind::kNull) return nullptr;
    DETENTE_CHECK(node->kind == Node::Kind::kList,
                  ErrorCode::kInvalidArgument,
                  "{} '{}' must be a list, e.g. [a, b]; got {}.",
                  where(*node),
                  path(name),
                  node_text(*node));
    return node;
  }
  // "tasks[0].class_names[2]".
  std::string item_path(const Node& list, const Node& item, const char* name) const {
    return fmt::format("{}[{}]", path(name), &item - list.items.data());
  }
  // Of words, YAML takes these few for something else; all others, yes and true included, are the
  // words they are written as.
  const std::string& item_text(const Node& item, const std::string& place) const {
    DETENTE_CHECK(item.kind != Node::Kind::kNull,
                  ErrorCode::kInvalidArgument,
                  "{} '{}' is nothing: so YAML reads null, Null, NULL, ~ and an entry left empty. "
                  "If the word is meant, quote it, e.g. \"NULL\"; otherwise take the entry out.",
                  where(item),
                  place);
    DETENTE_CHECK(item.kind == Node::Kind::kScalar,
                  ErrorCode::kInvalidArgument,
                  "{} '{}' must be a single value; got {}. Quote a word that holds ': ', a bracket "
                  "or a brace.",
                  where(item),
                  place,
                  node_text(item));
    return item.scalar;
  }
  void refuse_unknown() const {
    for (const auto& [key, value] : map_.entries) {
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      const std::string inside = prefix_.empty() ? "" : " in '" + prefix_ + "'";
      fail(ErrorCode::kInvalidArgument,
           "{} unknown key '{}'{}; {}",
           where(value),
           key,
           inside,
           expected_one_of(key, known_));
    }
  }

  const Node& map_;
  std::string prefix_;
  std::vector<std::string> known_;
};

}  // namespace

Node::Node() = default;
Node::Node(const Node& other) = default;
Node::Node(Node&& other) noexcept = default;
Node& Node::operator=(const Node& other) = default;
Node& Node::operator=(Node&& other) noexcept = default;
Node::~Node() = default;

const Node* Node::find(const std::string& key) const {
  for (const auto& [name, value] : entries) {
    if (name == key) return &value;
  }
  return nullptr;
}

Node* Node::find(const std::string& key) {
  return const_cast<Node*>(static_cast<const Node*>(this)->find(key));
}

const Node* Node::element(const std::string& key) const {
  if (const auto index = whole_number<std::size_t>(key)) {
    return *index < items.size() ? &items[*index] : nullptr;
  }
  for (const Node& item : items) {
    const Node* name = item.find("name");
    if (name != nullptr && name->scalar == key) return &item;
  }
  return nullptr;
}

Node* Node::element(const std::string& key) {
  return const_cast<Node*>(static_cast<const Node*>(this)->element(key));
}

void Node::erase(const std::string& key) {
  std::erase_if(entries, [&](const auto& entry) { return entry.first == key; });
}

const Node* find_path(const Node& root, const std::string& path) {
  const Node* at = &root;
  std::size_t begin = 0;
  while (at != nullptr) {
    const std::size_t dot = path.find('.', begin);
    at = at->find(path.substr(begin, dot == std::string::npos ? dot : dot - begin));
    if (dot == std::string::npos) return at;
    begin = dot + 1;
  }
  return nullptr;
}

std::vector<std::pair<std::string, std::string>> flatten(const Node& root) {
  std::vector<std::pair<std::string, std::string>> values;
  const std::function<void(const Node&, const std::string&)> walk = [&](const Node& node,
                                                                        const std::string& path) {
    if (node.kind == Node::Kind::kScalar) values.emplace_back(path, node.scalar);
    for (const auto& [key, value] : node.entries) {
      walk(value, path.empty() ? key : path + "." + key);
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      walk(node.items[i], path + "[" + std::to_string(i) + "]");
    }
  };
  walk(root, "");
  return values;
}

void read_fields(const Node& root, const Describe& describe) {
  ReadVisitor::read_map(root, "", describe);
}

}  // namespace detente::config
