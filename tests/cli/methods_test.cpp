// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/core/file.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "tests/support/run_cli.h"

namespace detente::cli {
namespace {

using namespace detente::test;
using testing::HasSubstr;

TEST(MethodsCommand, ListsTheWholeRegistryAsJson) {
  const CliRun run = run_cli({"methods", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json list = run.json();
  ASSERT_EQ(list.size(), balance::registry().size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto& info = balance::registry()[i];
    EXPECT_EQ(list[i].at("name"), info.name);
    EXPECT_EQ(list[i].at("class"), balance::name_of(info.method_class));
    EXPECT_EQ(list[i].at("stateful"), info.stateful);
    for (const char* key : {"title", "summary", "when", "paper"}) {
      EXPECT_FALSE(list[i].at(key).get<std::string>().empty()) << key;
    }
    for (const Json& option : list[i].at("options")) {
      for (const char* key : {"name", "type", "default", "rule", "doc"}) {
        EXPECT_TRUE(option.contains(key)) << key;
      }
    }
  }
}

TEST(MethodsCommand, GivesOptionsWithTypedDefaults) {
  const Json list = run_cli({"methods", "cagrad", "--json"}).json();
  ASSERT_EQ(list.size(), 1u);
  Json c;
  for (const Json& option : list[0].at("options")) {
    if (option.at("name") == "c") c = option;
  }
  ASSERT_FALSE(c.is_null());
  EXPECT_EQ(c.at("type"), "number");
  EXPECT_EQ(c.at("default"), 0.4);
}

TEST(MethodsCommand, ListsNamesAndSummariesForPeople) {
  const CliRun run = run_cli({"methods"});
  EXPECT_EQ(run.exit_code, 0);
  for (const auto& info : balance::registry()) {
    EXPECT_THAT(run.out, HasSubstr(info.name));
    EXPECT_THAT(run.out, HasSubstr(info.summary));
  }
}

TEST(MethodsCommand, ExplainsEachMethod) {
  for (const auto& info : balance::registry()) {
    const CliRun run = run_cli({"methods", info.name});
    EXPECT_EQ(run.exit_code, 0);
    for (const auto& text : {info.title, info.summary, info.when, info.paper}) {
      EXPECT_THAT(run.out, HasSubstr(text)) << info.name;
    }
  }
}

TEST(MethodsCommand, SaysWhatEachClassNeeds) {
  for (const auto& [name, text] : std::vector<std::pair<std::string, std::string>>{
           {"ew", "Class  L: needs the losses only\n"},
           {"mgda", "Class  G: needs the inner products of the gradients\n"},
           {"modo", "Class  X: needs the inner products of two batches' gradients; keeps a state"},
           {"graddrop", "Class  J: needs the gradients themselves, coordinate by coordinate\n"}}) {
    EXPECT_THAT(run_cli({"methods", name}).out, HasSubstr(text)) << name;
  }
  const std::string list = run_cli({"methods"}).out;
  EXPECT_THAT(list, HasSubstr("J the gradients themselves"));
  EXPECT_THAT(list, HasSubstr("X those of two"));
}

TEST(MethodsCommand, SuggestsTheNearestName) {
  const CliRun run = run_cli({"methods", "pcgrda"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("Did you mean 'pcgrad'?"));
  EXPECT_TRUE(run.out.empty());
}

TEST(MethodsCommand, WroteTheIndexOfTheDocumentation) {
  const CliRun run = run_cli({"methods", "--markdown"});
  ASSERT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.out, read_file(DETENTE_SOURCE_DIR "/docs/methods/README.md"))
      << "run: detente methods --markdown > docs/methods/README.md";
}

TEST(MethodsCommand, EveryMethodStandsInTheReadme) {
  const std::string readme = read_file(DETENTE_SOURCE_DIR "/README.md");
  for (const auto& info : balance::registry()) {
    EXPECT_NE(readme.find("| [" + info.name + "](docs/methods/" + info.name + ".md) | " +
                          balance::name_of(info.method_class) + " | " + info.summary + " |"),
              std::string::npos)
        << info.name;
  }
}

// The text under a heading of the second level, up to the next; "" if there is none.
std::string section(const std::string& page, const std::string& heading) {
  const std::string line = "\n## " + heading + "\n";
  const std::size_t at = page.find(line);
  if (at == std::string::npos) return "";
  const std::size_t from = at + line.size();
  return page.substr(from, page.find("\n## ", from) - from);
}

TEST(MethodPages, HaveEverySectionOfTheTemplate) {
  for (const auto& info : balance::registry()) {
    SCOPED_TRACE(info.name);
    const std::string page = read_file(DETENTE_SOURCE_DIR "/docs/methods/" + info.name + ".md");
    EXPECT_EQ(page.rfind("# " + info.name + ": ", 0), 0U);
    for (const char* heading : {"Formula",
                                "Why the plain thing fails",
                                "When to choose it",
                                "Options",
                                "Degenerate input",
                                "Cost",
                                "Differences from the paper and its code",
                                "Reference"}) {
      EXPECT_GT(section(page, heading).size(), 5U) << heading;
    }
    EXPECT_TRUE(std::regex_search(page, std::regex("Checked\\s+against")))
        << "say what the method was verified against, and how";
  }
}

TEST(MethodPages, ListEveryOption) {
  for (const auto& info : balance::registry()) {
    const std::string page = read_file(DETENTE_SOURCE_DIR "/docs/methods/" + info.name + ".md");
    const auto method = info.make();
    for (const FieldInfo& field : list_fields([&](FieldVisitor& v) { method->describe(v); })) {
      EXPECT_THAT(section(page, "Options"), HasSubstr("`" + field.name + "`")) << info.name;
    }
  }
}

}  // namespace
}  // namespace detente::cli
