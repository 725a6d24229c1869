// SPDX-License-Identifier: Apache-2.0
#include <detente/config/tree.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/suggest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>

namespace detente::config {
namespace {

constexpr std::size_t kMaxValues = 100000;

std::string place(const std::string& name, const YAML::Mark& mark) {
  return mark.line < 0 ? name : name + ":" + std::to_string(mark.line + 1);
}

class TreeBuilder {
 public:
  explicit TreeBuilder(std::string name) : name_(std::move(name)) {}

  Node build(const YAML::Node& source) {
    Node node;
    node.origin = place(name_, source.Mark());
    DETENTE_CHECK(++count_ <= kMaxValues,
                  ErrorCode::kInvalidArgument,
                  "[config::parse_yaml] {}: more than {} values; aliases multiply too much.",
                  node.origin,
                  kMaxValues);
    for (const auto& ancestor : ancestors_) {
      DETENTE_CHECK(!ancestor.is(source),
                    ErrorCode::kInvalidArgument,
                    "[config::parse_yaml] {}: an alias contains itself (a cycle). Write the value "
                    "out instead.",
                    node.origin);
    }
    switch (source.Type()) {
      case YAML::NodeType::Scalar:
        node.kind = Node::Kind::kScalar;
        node.scalar = source.Scalar();
        break;
      case YAML::NodeType::Sequence:
        node.kind = Node::Kind::kList;
        ancestors_.push_back(source);
        for (const auto& item : source) node.items.push_back(build(item));
        ancestors_.pop_back();
        break;
      case YAML::NodeType::Map:
        node.kind = Node::Kind::kMap;
        ancestors_.push_back(source);
        for (const auto& entry : source) add_entry(node, entry.first, entry.second);
        ancestors_.pop_back();
        break;
      case YAML::NodeType::Null:
      case YAML::NodeType::Undefined:
        break;
    }
    return node;
  }

 private:
  void add_entry(Node& map, const YAML::Node& key, const YAML::Node& value) {
    const std::string origin = place(name_, key.Mark());
    DETENTE_CHECK(key.IsScalar(),
                  ErrorCode::kInvalidArgument,
                  "[config::parse_yaml] {}: a key must be a word.",
                  origin);
    DETENTE_CHECK(map.find(key.Scalar()) == nullptr,
                  ErrorCode::kInvalidArgument,
                  "[config::parse_yaml] {}: the key '{}' is given twice.",
                  origin,
                  key.Scalar());
    map.entries.emplace_back(key.Scalar(), build(value));
    // A key's line is where a reader looks; an empty value may stand elsewhere.
    map.entries.back().second.origin = origin;
  }

  std::string name_;
  std::size_t count_ = 0;
  std::vector<YAML::Node> ancestors_;
};

std::vector<YAML::Node> load_documents(const std::string& text, const std::string& name) {
  try {
    return YAML::LoadAll(text);
  } catch (const YAML::Exception& error) {
    fail(ErrorCode::kInvalidArgument,
         "[config::parse_yaml] {}: not valid YAML: {}.",
         place(name, error.mark),
         error.msg);
  }
}

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
        values.push_back(parse_number(item_text(item, name), where(item), path(name)));
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
        values.push_back(item_text(item, name));
        if (!allowed.empty()) check_choice(values.back(), allowed, where(item), path(name));
      }
    }
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
  const std::string& item_text(const Node& item, const char* name) const {
    DETENTE_CHECK(item.kind == Node::Kind::kScalar,
                  ErrorCode::kInvalidArgument,
                  "{} an entry of '{}' must be a single value; got {}.",
                  where(item),
                  path(name),
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

// A word that YAML would read as something else, or not at all, needs quotes.
bool needs_quotes(const std::string& text) {
  if (text.empty()) return true;
  static const std::vector<std::string> words = {
      "null", "~", "true", "false", "yes", "no", "on", "off"};
  const std::string lower = lower_ascii(text);  // YAML reads NULL and Yes like null and yes
  if (std::find(words.begin(), words.end(), lower) != words.end()) return true;
  if (text.find_first_of(":#{}[],&*!|>'\"%@`\n\t\\") != std::string::npos) return true;
  return text.front() == ' ' || text.back() == ' ' || text.front() == '-' || text.front() == '?';
}

std::string scalar_yaml(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return needs_quotes(text) ? Json(text).dump() : text;
  }
  if (value.is_null()) return "null";
  if (value.is_number_float()) return number_text(value.get<double>());
  return value.dump();
}

void write_yaml(const Json& json, const std::string& indent, std::string& out) {
  for (const auto& [key, value] : json.items()) {
    out += indent + key + ":";
    if (value.is_object()) {
      if (value.empty()) out += " {}";
      out += "\n";
      write_yaml(value, indent + "  ", out);
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      out += "\n";
      for (const auto& item : value) {
        std::string block;
        write_yaml(item, indent + "    ", block);
        block.replace(indent.size() + 2, 1, "-");
        out += block;
      }
    } else if (value.is_array()) {
      out += " [";
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (i > 0) out += ", ";
        out += scalar_yaml(value[i]);
      }
      out += "]\n";
    } else {
      out += " " + scalar_yaml(value) + "\n";
    }
  }
}

std::string escape_cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

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
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (error == std::errc() && end == key.data() + key.size()) {
    return index < items.size() ? &items[index] : nullptr;
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

Node parse_yaml(const std::string& text, const std::string& name) {
  const auto documents = load_documents(text, name);
  DETENTE_CHECK(!documents.empty() && !documents.front().IsNull(),
                ErrorCode::kInvalidArgument,
                "[config::parse_yaml] '{}' is empty; expected 'key: value' lines.",
                name);
  DETENTE_CHECK(documents.size() == 1,
                ErrorCode::kInvalidArgument,
                "[config::parse_yaml] '{}' holds {} documents (separated by '---'); expected one.",
                name,
                documents.size());
  DETENTE_CHECK(documents.front().IsMap(),
                ErrorCode::kInvalidArgument,
                "[config::parse_yaml] '{}' must be a section of 'key: value' lines at its top "
                "level.",
                name);
  try {
    return TreeBuilder(name).build(documents.front());
  } catch (const YAML::Exception& error) {
    fail(ErrorCode::kInvalidArgument,
         "[config::parse_yaml] {}: {}.",
         place(name, error.mark),
         error.msg);
  }
}

Node load_yaml(const std::filesystem::path& path) {
  return parse_yaml(read_file(path), path.string());
}

void apply_override(Node& root, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  DETENTE_CHECK(equals != std::string::npos && equals > 0,
                ErrorCode::kInvalidArgument,
                "[config::apply_override] '{}' is not an assignment; expected key=value, e.g. "
                "train.epochs=3.",
                assignment);
  const std::string path = assignment.substr(0, equals);
  const std::string origin = "--set " + path;
  Node value;
  const std::string text = assignment.substr(equals + 1);
  if (!text.empty()) {
    const auto documents = load_documents(text, origin);
    if (documents.size() == 1) value = TreeBuilder(origin).build(documents.front());
  }
  Node* at = &root;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t dot = path.find('.', begin);
    const std::string key =
        path.substr(begin, dot == std::string::npos ? std::string::npos : dot - begin);
    DETENTE_CHECK(!key.empty(),
                  ErrorCode::kInvalidArgument,
                  "[config::apply_override] '{}' has an empty part between dots.",
                  path);
    if (at->kind == Node::Kind::kList) {
      Node* element = at->element(key);
      DETENTE_CHECK(element != nullptr,
                    ErrorCode::kInvalidArgument,
                    "[config::apply_override] {}: the list has no element '{}'; it has {} (an "
                    "element is named by its index or its 'name').",
                    origin,
                    key,
                    at->items.size());
      at = element;
    } else {
      DETENTE_CHECK(at->kind != Node::Kind::kScalar,
                    ErrorCode::kInvalidArgument,
                    "[config::apply_override] {}: '{}' is below a single value ('{}'), not a "
                    "section.",
                    origin,
                    key,
                    at->scalar);
      at->kind = Node::Kind::kMap;
      if (at->find(key) == nullptr) at->entries.emplace_back(key, Node{});
      at = at->find(key);
    }
    if (dot == std::string::npos) break;
    begin = dot + 1;
  }
  *at = std::move(value);
  at->origin = origin;
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

std::string to_yaml(const Describe& describe) {
  std::string out;
  write_yaml(fields_to_json(describe), "", out);
  return out;
}

std::string fields_markdown(const Describe& describe) {
  std::string out;
  std::string open;
  bool first = true;
  for (const FieldInfo& field : list_fields(describe)) {
    const std::size_t dot = field.name.rfind('.');
    const std::string section = dot == std::string::npos ? "" : field.name.substr(0, dot);
    if (first || section != open) {
      out += "\n### " + (section.empty() ? std::string("top level") : "`" + section + "`") +
             "\n\n| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n";
      open = section;
      first = false;
    }
    const std::string shown =
        field.default_value.empty() ? "" : "`" + escape_cell(field.default_value) + "`";
    out += "| `" + escape_cell(field.name) + "` | " + field.type + " | " + shown + " | " +
           escape_cell(field.rule) + " | " + escape_cell(field.doc) + " |\n";
  }
  return out;
}

}  // namespace detente::config
