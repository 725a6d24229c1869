// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace detente {
namespace {

using testing::HasSubstr;

struct Inner {
  std::int64_t depth = 3;
  void describe(FieldVisitor& v) { v.integer("depth", depth, {.min = 1, .max = 9}, "Layers."); }
};

struct Outer {
  enum class Mode { kFast, kExact };
  double rate = 0.5;
  bool loud = false;
  std::string title = "x";
  Mode mode = Mode::kFast;
  std::vector<double> grid = {1, 2.5};
  std::vector<std::string> words = {"red"};
  Inner inner;
  std::vector<Inner> list;

  void describe(FieldVisitor& v) {
    v.number("rate", rate, {.min = 0, .max = 1, .min_open = true}, "A rate.");
    v.flag("loud", loud, "Noise.");
    v.text("title", title, "A title.");
    v.choice("mode", mode, {{"fast", Mode::kFast}, {"exact", Mode::kExact}}, "How.");
    v.numbers("grid", grid, {.min = 0}, "Points.");
    v.texts("words", words, {"red", "green"}, "Colours.");
    v.section("inner", "Inside.", [&](FieldVisitor& w) { inner.describe(w); });
    v.sections(
        "list",
        list.size(),
        [&](std::size_t n) { list.resize(n); },
        [&](std::size_t i, FieldVisitor& w) { list[i].describe(w); },
        "Several.");
  }
};

// Chosen by a word that stands beside its options.
struct Engine {
  virtual ~Engine() = default;
  virtual std::string name() const = 0;
  virtual void describe(FieldVisitor& v) = 0;
};
struct Steam : Engine {
  double pressure = 3;
  std::string name() const override { return "steam"; }
  void describe(FieldVisitor& v) override { v.number("pressure", pressure, {.min = 0}, "Bar."); }
};
struct Diesel : Engine {
  std::int64_t cylinders = 4;
  std::string name() const override { return "diesel"; }
  void describe(FieldVisitor& v) override { v.integer("cylinders", cylinders, {.min = 1}, "N."); }
};

struct Car {
  std::string word = "steam";
  std::unique_ptr<Engine> engine;
  void describe(FieldVisitor& v) {
    const auto make = [](const std::string& name) -> std::unique_ptr<Engine> {
      if (name == "diesel") return std::make_unique<Diesel>();
      return std::make_unique<Steam>();
    };
    v.kind("engine", word, {"steam", "diesel"}, engine, make, "What drives it.");
  }
};

TEST(Kind, HasTheOptionsOfItsWordBesideIt) {
  Car car;
  const Describe all = [&](FieldVisitor& v) { car.describe(v); };
  auto fields = list_fields(all);
  ASSERT_EQ(fields.size(), 2U);
  EXPECT_EQ(fields[0].type, "choice");
  EXPECT_EQ(fields[0].default_value, "steam");
  EXPECT_EQ(fields[1].name, "pressure");
  set_field(all, "pressure", "5", "[test]");
  EXPECT_EQ(fields_to_json(all).dump(), R"({"engine":"steam","pressure":5.0})");
  // Another word, another object; the same word keeps the object and what was set in it.
  set_field(all, "engine", "steam", "[test]");
  EXPECT_EQ(fields_to_json(all)["pressure"], 5.0);
  set_field(all, "engine", "diesel", "[test]");
  EXPECT_EQ(fields_to_json(all).dump(), R"({"engine":"diesel","cylinders":4})");
  EXPECT_THROW(set_field(all, "pressure", "5", "[test]"), Error);
  EXPECT_THROW(set_field(all, "engine", "wind", "[test]"), Error);
  EXPECT_EQ(car.engine->name(), "diesel");
}

Describe describe(Outer& outer) {
  return [&](FieldVisitor& v) { outer.describe(v); };
}

std::string error_of(Outer& outer, const std::string& name, const std::string& text) {
  try {
    set_field(describe(outer), name, text, "[test]");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  ADD_FAILURE() << name << "=" << text << " was accepted";
  return {};
}

TEST(Fields, SetsEveryKindFromText) {
  Outer o;
  set_field(describe(o), "rate", "0.25", "[test]");
  set_field(describe(o), "loud", "yes", "[test]");
  set_field(describe(o), "title", "two words", "[test]");
  set_field(describe(o), "mode", "exact", "[test]");
  set_field(describe(o), "grid", "[3, 4, 5e-1]", "[test]");
  set_field(describe(o), "words", "green,red", "[test]");
  set_field(describe(o), "inner.depth", "7", "[test]");
  EXPECT_EQ(o.rate, 0.25);
  EXPECT_TRUE(o.loud);
  EXPECT_EQ(o.title, "two words");
  EXPECT_EQ(o.mode, Outer::Mode::kExact);
  EXPECT_EQ(o.grid, (std::vector<double>{3, 4, 0.5}));
  EXPECT_EQ(o.words, (std::vector<std::string>{"green", "red"}));
  EXPECT_EQ(o.inner.depth, 7);
}

TEST(Fields, ExplainsWhatIsWrongWithAValue) {
  Outer o;
  EXPECT_THAT(error_of(o, "rate", "0"), HasSubstr("in (0, 1]"));
  EXPECT_THAT(error_of(o, "rate", "nan"), HasSubstr("in (0, 1]"));
  EXPECT_THAT(error_of(o, "rate", "a lot"), HasSubstr("must be a number"));
  EXPECT_THAT(error_of(o, "inner.depth", "2.5"), HasSubstr("whole number"));
  EXPECT_THAT(error_of(o, "inner.depth", "10"), HasSubstr("in [1, 9]"));
  EXPECT_THAT(error_of(o, "loud", "maybe"), HasSubstr("true or false"));
  EXPECT_THAT(error_of(o, "mode", "exat"), HasSubstr("Did you mean 'exact'?"));
  EXPECT_THAT(error_of(o, "grid", "1,-2"), HasSubstr(">= 0"));
  EXPECT_THAT(error_of(o, "words", "red,blue"), HasSubstr("'blue'"));
  EXPECT_THAT(error_of(o, "rat", "1"), HasSubstr("Did you mean 'rate'?"));
  EXPECT_THAT(error_of(o, "inner.deph", "1"), HasSubstr("Did you mean 'inner.depth'?"));
}

TEST(Fields, LeavesTheValueAloneAfterAnError) {
  Outer o;
  error_of(o, "rate", "7");
  error_of(o, "grid", "1,x");
  EXPECT_EQ(o.rate, 0.5);
  EXPECT_EQ(o.grid, (std::vector<double>{1, 2.5}));
}

TEST(Fields, ReadsTheNumbersOfYamlAndC) {
  const auto number = [](const char* text) { return parse_number(text, "[test]", "x"); };
  EXPECT_EQ(number("1e-3"), 1e-3);
  EXPECT_EQ(number("+.5"), 0.5);
  EXPECT_EQ(number(".5"), 0.5);
  EXPECT_EQ(number("-2"), -2.0);
  EXPECT_EQ(number("inf"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(number(".inf"), std::numeric_limits<double>::infinity());
  for (const char* bad : {"", "1x", "1 2", "--1", "0x10", "1,5"}) {
    EXPECT_THROW(number(bad), Error) << bad;
  }
}

TEST(Fields, ListsNamesDefaultsAndRules) {
  Outer o;
  const auto fields = list_fields(describe(o));
  ASSERT_EQ(fields.size(), 9u);
  EXPECT_EQ(fields[0].name, "rate");
  EXPECT_EQ(fields[0].type, "number");
  EXPECT_EQ(fields[0].default_value, "0.5");
  EXPECT_EQ(fields[0].rule, "in (0, 1]");
  EXPECT_EQ(fields[3].default_value, "fast");
  EXPECT_EQ(fields[3].rule, "fast, exact");
  EXPECT_EQ(fields[6].name, "inner.depth");
  EXPECT_EQ(fields[7].name, "list");
  EXPECT_EQ(fields[8].name, "list[].depth");
  EXPECT_TRUE(o.list.empty());
}

TEST(Fields, PrintsTheValuesAsJson) {
  Outer o;
  o.list.resize(1);
  const Json json = fields_to_json(describe(o));
  EXPECT_EQ(json.at("rate"), 0.5);
  EXPECT_EQ(json.at("mode"), "fast");
  EXPECT_EQ(json.at("grid"), Json({1.0, 2.5}));
  EXPECT_EQ(json.at("inner").at("depth"), 3);
  EXPECT_EQ(json.at("list").at(0).at("depth"), 3);
}

TEST(Fields, ValidatesValuesSetByCode) {
  Outer o;
  EXPECT_NO_THROW(validate_fields(describe(o), "[test]"));
  o.inner.depth = 0;
  EXPECT_THROW(validate_fields(describe(o), "[test]"), Error);
  o.inner.depth = 1;
  o.rate = std::nan("");
  EXPECT_THROW(validate_fields(describe(o), "[test]"), Error);
}

TEST(NumberRule, KnowsOpenAndClosedBounds) {
  const NumberRule half_open{.min = 0, .max = 1, .min_open = true};
  EXPECT_FALSE(half_open.allows(0));
  EXPECT_TRUE(half_open.allows(1));
  EXPECT_FALSE(half_open.allows(std::nan("")));
  EXPECT_EQ((NumberRule{.min = 2}).text(), ">= 2");
  EXPECT_EQ((NumberRule{.max = 2, .max_open = true}).text(), "< 2");
  EXPECT_EQ(NumberRule{}.text(), "any number");
}

TEST(NumberText, ReadsBackAsTheSameDouble) {
  for (const double value : {0.1, 1.0 / 3, 1e-300, -2.5e17, 0.0}) {
    EXPECT_EQ(parse_number(number_text(value), "[test]", "x"), value);
  }
}

TEST(Fields, ReadsTheFlagsOfYaml) {
  for (const char* word : {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "1"}) {
    EXPECT_TRUE(parse_flag(word, "[t]", "x")) << word;
  }
  for (const char* word : {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "0"}) {
    EXPECT_FALSE(parse_flag(word, "[t]", "x")) << word;
  }
  for (const char* word : {"", "maybe", "truee", "2", "yes "}) {
    EXPECT_THROW(parse_flag(word, "[t]", "x"), Error) << word;
  }
}

TEST(Fields, ReadsDenormalNumbers) {
  EXPECT_EQ(parse_number("1e-310", "[t]", "x"), 1e-310);
  EXPECT_EQ(parse_number("5e-324", "[t]", "x"), 5e-324);
}

}  // namespace
}  // namespace detente
