// SPDX-License-Identifier: Apache-2.0
#include <detente/config/kinds.h>
#include <detente/core/error.h>

#include <algorithm>

namespace detente::config {
namespace {

const Node kNothing{};

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t dot = path.find('.', begin);
    parts.push_back(path.substr(begin, dot == std::string::npos ? dot : dot - begin));
    if (dot == std::string::npos) return parts;
    begin = dot + 1;
  }
}

// "inner.method" and "tasks[].name" stand in the tree below "inner" and "tasks".
std::vector<std::string> keys_of(const Describe& describe) {
  std::vector<std::string> keys;
  for (const FieldInfo& field : list_fields(describe)) {
    std::string key = field.name.substr(0, field.name.find_first_of(".["));
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(std::move(key));
  }
  return keys;
}

// Goes down the path and reads the words on the way: they decide what comes after them.
class KindFinder final : public FieldVisitor {
 public:
  KindFinder(const Node& map, std::vector<std::string> path) : map_(map), path_(std::move(path)) {}

  std::optional<Kind> found;

  void number(const char*, double&, const NumberRule&, const char*) override {}
  void integer(const char*, std::int64_t&, const NumberRule&, const char*) override {}
  void flag(const char*, bool&, const char*) override {}
  void text(const char*, std::string&, const char*) override {}
  void numbers(const char*, std::vector<double>&, const NumberRule&, const char*) override {}
  void texts(const char*,
             std::vector<std::string>&,
             const std::vector<std::string>&,
             const char*) override {}

  void choice_text(const char* name,
                   std::string& value,
                   const std::vector<std::string>& allowed,
                   const char*) override {
    const Node* written = map_.find(name);
    if (written == nullptr || written->kind != Node::Kind::kScalar) return;
    if (std::find(allowed.begin(), allowed.end(), written->scalar) == allowed.end()) return;
    value = written->scalar;
  }
  void kind_text(const char* name,
                 std::string& word,
                 const std::vector<std::string>& names,
                 const std::function<void(FieldVisitor&)>& options,
                 const char* doc) override {
    choice_text(name, word, names, doc);
    if (path_.size() == 1 && path_[0] == name) {
      found = Kind{word, keys_of(options)};
    } else {
      options(*this);
    }
  }
  void section(const char* name,
               const char*,
               const std::function<void(FieldVisitor&)>& body) override {
    if (path_.size() < 2 || path_[0] != name) return;
    const Node* child = map_.find(name);
    descend(child == nullptr ? kNothing : *child, 1, body);
  }
  void sections(const char* name,
                std::size_t,
                const std::function<void(std::size_t)>& resize,
                const std::function<void(std::size_t, FieldVisitor&)>& body,
                const char*) override {
    if (path_.size() < 3 || path_[0] != name) return;
    const Node* list = map_.find(name);
    const Node* element = list == nullptr ? nullptr : list->element(path_[1]);
    if (element == nullptr) return;
    resize(1);
    descend(*element, 2, [&](FieldVisitor& visitor) { body(0, visitor); });
  }

 private:
  void descend(const Node& node, std::ptrdiff_t parts, const Describe& describe) {
    KindFinder inside(node, {path_.begin() + parts, path_.end()});
    describe(inside);
    if (inside.found) found = std::move(inside.found);
  }

  const Node& map_;
  std::vector<std::string> path_;
};

// The map that holds the last part of the path; null where there is none.
Node* parent_of(Node& root, const std::vector<std::string>& path) {
  Node* at = &root;
  for (std::size_t i = 0; i + 1 < path.size() && at != nullptr; ++i) {
    at = at->kind == Node::Kind::kList ? at->element(path[i]) : at->find(path[i]);
  }
  return at;
}

}  // namespace

std::optional<Kind> find_kind(const Node& root, const std::string& path, const Describe& describe) {
  KindFinder finder(root, split_path(path));
  describe(finder);
  return finder.found;
}

void drop_replaced_options(Node& root, const std::string& assignment, const Describe& describe) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos) return;
  const std::string path = assignment.substr(0, equals);
  const auto kind = find_kind(root, path, describe);
  if (!kind) return;
  Node value;
  try {
    apply_override(value, "word" + assignment.substr(equals));  // as YAML reads it
  } catch (const Error&) {
    return;
  }
  const Node* word = value.find("word");
  if (word->kind == Node::Kind::kScalar && word->scalar == kind->word) return;
  Node* parent = parent_of(root, split_path(path));
  if (parent == nullptr) return;
  for (const std::string& key : kind->options) parent->erase(key);
}

}  // namespace detente::config
