// SPDX-License-Identifier: Apache-2.0
#include <detente/config/tree.h>
#include <detente/core/content_reader.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/text/unicode.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

namespace detente::config {
namespace {

constexpr std::size_t kMaxValues = 100000;

std::string place(const std::string& name, const YAML::Mark& mark) {
  return mark.line < 0 ? name : name + ":" + std::to_string(mark.line + 1);
}

std::size_t count_values(const Node& node) {
  std::size_t count = 1;
  for (const Node& item : node.items) count += count_values(item);
  for (const auto& entry : node.entries) count += count_values(entry.second);
  return count;
}

// yaml-cpp writes the escapes \_ (a blank that does not break) and \N (a new line) as one byte of
// Latin-1 into a text that is UTF-8 otherwise.
std::string utf8_of(const std::string& value) {
  std::string text;
  std::string_view rest = value;
  for (std::size_t bad; (bad = text::find_invalid_utf8(rest)) != std::string_view::npos;) {
    text += rest.substr(0, bad);
    text::append_utf8(text, static_cast<unsigned char>(rest[bad]));
    rest.remove_prefix(bad + 1);
  }
  return text += rest;
}

// Makes the tree from the parser's events, one document and no more. yaml-cpp's own tree would be
// made first and checked later, which is too late for a text that never ends: what it does not
// understand after a document's end (a comma, say) it takes for ever more empty documents.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string name) : name_(std::move(name)) {}

  Node root;

  void OnDocumentStart(const YAML::Mark& mark) override {
    DETENTE_CHECK(++documents_ == 1,
                  ErrorCode::kInvalidArgument,
                  "[config::parse_yaml] {}: the text goes on after its end; expected one document. "
                  "A '---' begins another, and a ',' at the start or after the last bracket is one "
                  "too many.",
                  place(name_, mark));
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(Node::Kind::kNull, mark), mark, anchor);
  }
  void OnScalar(const YAML::Mark& mark,
                const std::string&,
                YAML::anchor_t anchor,
                const std::string& written) override {
    const std::string value = utf8_of(written);
    if (!open_.empty() && open_.back().wants_key()) {
      take_key(value, mark);
      return;
    }
    Node node = make(Node::Kind::kScalar, mark);
    node.scalar = value;
    add(std::move(node), mark, anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    for (const Open& open : open_) {
      DETENTE_CHECK(open.anchor != anchor,
                    ErrorCode::kInvalidArgument,
                    "[config::parse_yaml] {}: an alias contains itself (a cycle). Write the value "
                    "out instead.",
                    place(name_, mark));
    }
    const Node& meant = anchors_[anchor];
    count(count_values(meant), mark);
    add(meant, mark, 0);
  }
  void OnSequenceStart(const YAML::Mark& mark,
                       const std::string&,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    begin(Node::Kind::kList, mark, anchor);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark,
                  const std::string&,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    begin(Node::Kind::kMap, mark, anchor);
  }
  void OnMapEnd() override { end(); }

 private:
  // A list or map whose end is still to come.
  struct Open {
    Node node;
    YAML::Mark mark;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    std::string key;
    std::string key_origin;
    std::unordered_set<std::string> keys;

    bool wants_key() const { return node.kind == Node::Kind::kMap && !has_key; }
  };

  void count(std::size_t more, const YAML::Mark& mark) {
    count_ += more;
    DETENTE_CHECK(count_ <= kMaxValues,
                  ErrorCode::kInvalidArgument,
                  "[config::parse_yaml] {}: more than {} values; aliases multiply too much.",
                  place(name_, mark),
                  kMaxValues);
  }
  Node make(Node::Kind kind, const YAML::Mark& mark) {
    count(1, mark);
    Node node;
    node.kind = kind;
    node.origin = place(name_, mark);
    return node;
  }
  void refuse_as_key(const YAML::Mark& mark) const {
    DETENTE_CHECK(open_.empty() || !open_.back().wants_key(),
                  ErrorCode::kInvalidArgument,
                  "[config::parse_yaml] {}: a key must be a word.",
                  place(name_, mark));
  }
  void take_key(const std::string& key, const YAML::Mark& mark) {
    Open& map = open_.back();
    DETENTE_CHECK(map.keys.insert(key).second,
                  ErrorCode::kInvalidArgument,
                  "[config::parse_yaml] {}: the key '{}' is given twice.",
                  place(name_, mark),
                  key);
    map.key = key;
    map.key_origin = place(name_, mark);
    map.has_key = true;
  }
  void begin(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    refuse_as_key(mark);
    Open open;
    open.node = make(kind, mark);
    open.mark = mark;
    open.anchor = anchor;
    open_.push_back(std::move(open));
  }
  void end() {
    Open done = std::move(open_.back());
    open_.pop_back();
    add(std::move(done.node), done.mark, done.anchor);
  }
  void add(Node node, const YAML::Mark& mark, YAML::anchor_t anchor) {
    refuse_as_key(mark);
    if (anchor != 0) {
      count(count_values(node), mark);
      anchors_[anchor] = node;
    }
    if (open_.empty()) {
      root = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == Node::Kind::kList) {
      parent.node.items.push_back(std::move(node));
      return;
    }
    // A key's line is where a reader looks; an empty value may stand elsewhere.
    node.origin = parent.key_origin;
    parent.node.entries.emplace_back(std::move(parent.key), std::move(node));
    parent.has_key = false;
  }

  std::string name_;
  std::size_t documents_ = 0;
  std::size_t count_ = 0;
  std::vector<Open> open_;
  std::unordered_map<YAML::anchor_t, Node> anchors_;
};

void demand_utf8(const std::string& text, const std::string& name) {
  const std::size_t bad = text::find_invalid_utf8(text);
  DETENTE_CHECK(bad == std::string::npos,
                ErrorCode::kInvalidArgument,
                "[config::parse_yaml] {}:{}: byte 0x{:02x} is not valid UTF-8. Save it as UTF-8, "
                "e.g. with iconv -f CP949 -t UTF-8.",
                name,
                1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(bad), '\n'),
                static_cast<unsigned char>(text[bad]));
}

// The only document of a text; without one, nothing.
Node parse_document(const std::string& text, const std::string& name) {
  demand_utf8(text, name);
  TreeBuilder builder(name);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    fail(ErrorCode::kInvalidArgument,
         "[config::parse_yaml] {}: not valid YAML: {}.",
         place(name, error.mark),
         error.msg);
  }
  return std::move(builder.root);
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// What stands after the = of --set: YAML, but for a comment, which nobody means there. A text that
// is no list, section or quotation stays whole ("runs/a #2").
Node parse_value(const std::string& text, const std::string& origin) {
  if (text.find(" #") != std::string::npos || text.front() == '#') {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin != std::string::npos &&
        std::string_view("[{\"'&*!|>").find(text[begin]) == std::string_view::npos) {
      Node node;
      node.kind = Node::Kind::kScalar;
      node.scalar = text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
      return node;
    }
  }
  return parse_document(text, origin);
}

// What to say where a list has no element of this name.
std::string no_element(const Node& list, const std::string& path, const std::string& key) {
  std::string text = fmt::format("'{}' has no element '{}'; ", path, key);
  std::vector<std::string> names;
  for (const Node& item : list.items) {
    const Node* name = item.find("name");
    if (name != nullptr && name->kind == Node::Kind::kScalar) names.push_back(name->scalar);
  }
  const std::size_t size = list.items.size();
  if (size == 0) return text + "the list is empty.";
  if (names.empty()) {
    return text + (size == 1 ? "its only element has the index 0."
                             : fmt::format("expected an index from 0 to {}.", size - 1));
  }
  return text + expected_one_of(key, names);
}

}  // namespace

Node parse_yaml(const std::string& text, const std::string& name) {
  Node root = parse_document(text, name);
  DETENTE_CHECK(root.kind != Node::Kind::kNull,
                ErrorCode::kInvalidArgument,
                "[config::parse_yaml] '{}' is empty; expected 'key: value' lines.",
                name);
  DETENTE_CHECK(root.kind == Node::Kind::kMap,
                ErrorCode::kInvalidArgument,
                "[config::parse_yaml] '{}' must be a section of 'key: value' lines at its top "
                "level.",
                name);
  return root;
}

Node load_yaml(const std::filesystem::path& path) {
  constexpr std::size_t kMostBytes = std::size_t{64} << 20U;
  return parse_yaml(read_short_file(path, kMostBytes), path.string());
}

void apply_override(Node& root, const std::string& assignment) {
  demand_utf8(assignment, "--set");
  const std::size_t equals = assignment.find('=');
  DETENTE_CHECK(equals != std::string::npos && equals > 0,
                ErrorCode::kInvalidArgument,
                "[config::apply_override] '{}' is not an assignment; expected key=value, e.g. "
                "train.epochs=3.",
                assignment);
  const std::string path = assignment.substr(0, equals);
  const std::string origin = kOverride + path;
  const std::string text = assignment.substr(equals + 1);
  DETENTE_CHECK(
      !is_blank(text),
      ErrorCode::kInvalidArgument,
      "[config::apply_override] '{}' gives no value; expected key=value. An empty text is "
      "{}='\"\"' and the default {}=null.",
      assignment,
      path,
      path);
  Node value = parse_value(text, origin);
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
                    "[config::apply_override] {}: {}",
                    origin,
                    no_element(*at, path.substr(0, begin - 1), key));
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

}  // namespace detente::config
