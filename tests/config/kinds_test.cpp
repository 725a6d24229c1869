// SPDX-License-Identifier: Apache-2.0
#include <detente/config/kinds.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace detente::config {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Shape {
  virtual ~Shape() = default;
  virtual const char* kind() const = 0;
  virtual void describe(FieldVisitor& v) = 0;
};

std::unique_ptr<Shape> make_shape(const std::string& word);

struct Circle : Shape {
  double radius = 1;
  double common = 0;
  const char* kind() const override { return "circle"; }
  void describe(FieldVisitor& v) override {
    v.number("radius", radius, {.min = 0}, "Radius.");
    v.number("common", common, {}, "Of both.");
  }
};

// Holds another shape in a section, and a list.
struct Frame : Shape {
  std::string word = "circle";
  std::unique_ptr<Shape> shape;
  std::vector<Circle> holes;
  double common = 0;
  const char* kind() const override { return "frame"; }
  void describe(FieldVisitor& v) override {
    v.section("inside", "What it frames.", [&](FieldVisitor& s) {
      s.kind("kind", word, {"circle", "frame"}, shape, make_shape, "Shape.");
    });
    v.sections(
        "holes",
        holes.size(),
        [&](std::size_t n) { holes.resize(n); },
        [&](std::size_t i, FieldVisitor& s) { holes[i].describe(s); },
        "Holes.");
    v.number("common", common, {}, "Of both.");
  }
};

std::unique_ptr<Shape> make_shape(const std::string& word) {
  if (word == "circle") return std::make_unique<Circle>();
  return std::make_unique<Frame>();
}

struct Entry {
  std::string name;
  std::string size = "small";
  std::string word;
  std::shared_ptr<Shape> shape;
  void describe(FieldVisitor& v) {
    v.text("name", name, "Name.");
    v.choice_text("size", size, {"small", "large"}, "Decides the default.");
    v.section("shape", "Shape.", [&](FieldVisitor& s) {
      if (word.empty()) word = size == "large" ? "frame" : "circle";
      s.kind("kind", word, {"circle", "frame"}, shape, make_shape, "Shape.");
    });
  }
};

struct Picture {
  std::int64_t seed = 0;
  std::string word = "circle";
  std::unique_ptr<Shape> shape;
  std::vector<Entry> entries;
  void describe(FieldVisitor& v) {
    v.integer("seed", seed, {.min = 0}, "Seed.");
    v.section("shape", "Shape.", [&](FieldVisitor& s) {
      s.kind("kind", word, {"circle", "frame"}, shape, make_shape, "Shape.");
    });
    v.sections(
        "entries",
        entries.size(),
        [&](std::size_t n) { entries.resize(n); },
        [&](std::size_t i, FieldVisitor& s) { entries[i].describe(s); },
        "Entries.");
  }
};

std::optional<Kind> kind_at(const std::string& yaml, const std::string& path) {
  Picture picture;
  return find_kind(parse_yaml(yaml, "t"), path, [&](FieldVisitor& v) { picture.describe(v); });
}

// The picture's YAML after the assignments, which must be readable.
std::string after(const std::string& yaml, const std::vector<std::string>& assignments) {
  Node root = parse_yaml(yaml, "t");
  for (const auto& assignment : assignments) {
    Picture pattern;
    drop_replaced_options(root, assignment, [&](FieldVisitor& v) { pattern.describe(v); });
    apply_override(root, assignment);
  }
  Picture picture;
  const Describe describe = [&](FieldVisitor& v) { picture.describe(v); };
  read_fields(root, describe);
  return to_yaml(describe);
}

TEST(FindKind, SaysTheWordAndWhatStandsBesideIt) {
  EXPECT_EQ(kind_at("{seed: 1}", "shape.kind")->word, "circle");
  EXPECT_THAT(kind_at("{seed: 1}", "shape.kind")->options, ElementsAre("radius", "common"));
  const auto frame = kind_at("{shape: {kind: frame, inside: {kind: circle}}}", "shape.kind");
  EXPECT_EQ(frame->word, "frame");
  EXPECT_THAT(frame->options, ElementsAre("inside", "holes", "common"));
}

TEST(FindKind, GoesThroughKindsAndLists) {
  const std::string yaml =
      "{shape: {kind: frame, inside: {kind: frame}}, "
      "entries: [{name: a}, {name: b, size: large}, {name: c, shape: {kind: frame}}]}";
  EXPECT_EQ(kind_at(yaml, "shape.inside.kind")->word, "frame");
  EXPECT_EQ(kind_at(yaml, "shape.inside.inside.kind")->word, "circle");
  EXPECT_EQ(kind_at(yaml, "entries.a.shape.kind")->word, "circle");
  EXPECT_EQ(kind_at(yaml, "entries.b.shape.kind")->word, "frame");  // by another word's default
  EXPECT_EQ(kind_at(yaml, "entries.2.shape.kind")->word, "frame");
}

TEST(FindKind, FindsNothingWhereNoKindIs) {
  const std::string yaml = "{seed: 1, entries: [{name: a}]}";
  for (const char* path : {"seed",
                           "shape",
                           "shape.radius",
                           "shape.kind.more",
                           "shape.inside.kind",
                           "entries",
                           "entries.kind",
                           "entries.b.shape.kind",
                           "entries.7.shape.kind",
                           "",
                           ".",
                           "shape..kind"}) {
    EXPECT_FALSE(kind_at(yaml, path).has_value()) << path;
  }
}

TEST(FindKind, DoesNotMindWhatIsWrongElsewhere) {
  const auto kind =
      kind_at("{seed: many, shape: {kind: square, radius: [], edge: 3}}", "shape.kind");
  EXPECT_EQ(kind->word, "circle");  // "square" is none: the default's options are what can be there
  EXPECT_FALSE(kind_at("{shape: 3}", "shape.inside.kind").has_value());
}

TEST(DropReplacedOptions, LetsAWordBeReplaced) {
  const std::string yaml =
      "{shape: {kind: circle, radius: 3, common: 2}, entries: [{name: a, shape: {radius: 5}}]}";
  EXPECT_THAT(after(yaml, {"shape.kind=frame"}), Not(HasSubstr("radius: 3")));
  // A common option was said of the other kind.
  EXPECT_THAT(after(yaml, {"shape.kind=frame"}), Not(HasSubstr("common: 2")));
  EXPECT_THAT(after(yaml, {"shape.kind=frame"}), HasSubstr("radius: 5"));
  EXPECT_THAT(after(yaml, {"entries.a.shape.kind=frame"}),
              AllOf(HasSubstr("radius: 3"), Not(HasSubstr("radius: 5"))));
  // Options given after the word, or before it, are the new word's.
  EXPECT_THAT(after(yaml, {"shape.kind=frame", "shape.common=7"}), HasSubstr("common: 7"));
  EXPECT_THAT(after(yaml, {"shape.kind=frame", "shape.kind=circle", "shape.radius=8"}),
              HasSubstr("radius: 8"));
}

TEST(DropReplacedOptions, LeavesTheRestAlone) {
  const std::string yaml = "{shape: {kind: circle, radius: 3}, entries: [{name: a}]}";
  for (const char* assignment : {"shape.kind=circle", "seed=4", "shape.common=1"}) {
    EXPECT_THAT(after(yaml, {assignment}), HasSubstr("radius: 3")) << assignment;
  }
  Node root = parse_yaml(yaml, "t");
  const auto before = flatten(root);
  for (const char* wrong : {"shape.kind", "=", "", "entries.b.shape.kind=frame", "a..b=3"}) {
    Picture pattern;
    drop_replaced_options(root, wrong, [&](FieldVisitor& v) { pattern.describe(v); });
    EXPECT_EQ(flatten(root), before) << wrong;
  }
}

TEST(DropReplacedOptions, ReadsTheWordAsYamlDoes) {
  for (const char* same : {"shape.kind=circle", "shape.kind= circle ", "shape.kind='circle'"}) {
    EXPECT_THAT(after("{shape: {kind: circle, radius: 7}}", {same}), HasSubstr("radius: 7"))
        << same;
  }
  EXPECT_THAT(after("{shape: {kind: circle, radius: 7}}", {"shape.kind=\"frame\""}),
              Not(HasSubstr("radius: 7")));
}

}  // namespace
}  // namespace detente::config
