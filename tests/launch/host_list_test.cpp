// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/launch/host_list.h>
#include <gmock/gmock.h>
#include <tests/support/error_of.h>

#include <random>
#include <string>
#include <vector>

namespace detente::launch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Names = std::vector<std::string>;

TEST(HostList, ExpandsRangesAndGroups) {
  EXPECT_THAT(expand_host_list("node[01-03,7],other"),
              ElementsAre("node01", "node02", "node03", "node7", "other"));
  EXPECT_THAT(expand_host_list("r[1-2]n[8-10]x"),
              ElementsAre("r1n8x", "r1n9x", "r1n10x", "r2n8x", "r2n9x", "r2n10x"));
  EXPECT_THAT(expand_host_list("a[098-101]"), ElementsAre("a098", "a099", "a100", "a101"));
  EXPECT_THAT(expand_host_list("here"), ElementsAre("here"));
  EXPECT_THAT(expand_host_list("a-1.b_c-2"), ElementsAre("a-1.b_c-2"));
}

TEST(HostList, ExpandsGroupsInGroups) {
  EXPECT_THAT(expand_host_list("n[a[1-2],b-,[7,8]]z"),
              ElementsAre("na1z", "na2z", "nb-z", "n7z", "n8z"));
}

TEST(HostList, SaysWhatIsWrongAndWhere) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "a name is missing at character 1"},
      {"a,", "a name is missing at character 3"},
      {"a,,b", "a name is missing at character 3"},
      {"a[", "a name is missing at character 3"},
      {"a[]", "a name is missing at character 3"},
      {"a[1-2", "'[' without its ']' at character 6"},
      {"a]", "']' without its '[' at character 2"},
      {"a[3-1]", "backwards"},
      {"a[1-9999999999]", "too long"},
      {"a[0-99999]", "more than 65536"},
      {"a[0-999]b[0-999]", "more than 65536"},
      {"a b", "a blank at character 2"},
      {"a\nb", "a blank at character 2"},
      {std::string(100, '['), "too many groups in groups"}};
  for (const auto& [text, why] : cases) {
    const Error error = test::error_of([&text = text] { expand_host_list(text); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr(why)) << text;
  }
}

TEST(HostList, ExpandsCounts) {
  EXPECT_THAT(expand_counts("2(x3),1"), ElementsAre(2, 2, 2, 1));
  EXPECT_THAT(expand_counts("8"), ElementsAre(8));
  for (const char* text :
       {"", ",", "2,", "0", "-1", "2(x0)", "2(x", "2(x)", "2(3)", "a", "1(x99999999)", "2(x3)4"}) {
    EXPECT_EQ(test::error_of([text] { expand_counts(text); }).code(), ErrorCode::kInvalidArgument)
        << text;
  }
}

// A list together with what it must expand to, made without the parser.
struct Made {
  std::string text;
  Names names;
};

class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  Made list(int depth) {
    Made made = one(depth);
    for (int more = below(3); more > 0; --more) {
      const Made next = one(depth);
      made.text += "," + next.text;
      made.names.insert(made.names.end(), next.names.begin(), next.names.end());
    }
    return made;
  }

  int below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }

 private:
  Made one(int depth) { return depth > 0 && below(2) == 0 ? range() : item(depth); }

  Made range() {
    const int width = 1 + below(3);
    const int first = below(width == 1 ? 9 : width == 2 ? 95 : 990);
    const int last = first + below(4);
    const auto written = [width](int number) {
      std::string text = std::to_string(number);
      if (static_cast<int>(text.size()) < width)
        text.insert(0, static_cast<std::size_t>(width) - text.size(), '0');
      return text;
    };
    Made made{written(first) + "-" + written(last), {}};
    for (int number = first; number <= last; ++number) made.names.push_back(written(number));
    return made;
  }

  Made item(int depth) {
    // Begins with a letter, or a range might be read into it.
    Made made{std::string(1, static_cast<char>('a' + below(26))), {}};
    made.names = {made.text};
    for (int parts = below(3); parts > 0; --parts) {
      Made part{std::to_string(below(100)), {}};
      part.names = {part.text};
      if (depth < 2 && below(2) == 0) {
        part = list(depth + 1);
        part.text = "[" + part.text + "]";
      }
      Names joined;
      for (const auto& left : made.names) {
        for (const auto& right : part.names) joined.push_back(left + right);
      }
      made.text += part.text;
      made.names = joined;
    }
    return made;
  }

  std::mt19937 random_;
};

TEST(HostList, ExpandsWhatAnotherProgramMade) {
  Maker maker(11);
  int compared = 0;
  for (int i = 0; i < 3000; ++i) {
    const Made made = maker.list(0);
    if (made.names.size() > 5000) continue;
    ++compared;
    ASSERT_EQ(expand_host_list(made.text), made.names) << made.text;
  }
  EXPECT_GT(compared, 1000);
}

TEST(HostList, SurvivesDamagedText) {
  Maker maker(12);
  const std::string alphabet = "[],-0129ab \n\xff";
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = maker.list(0).text.substr(0, 60);
    for (int changes = 1 + maker.below(4); changes > 0 && !text.empty(); --changes) {
      const auto at = static_cast<std::size_t>(maker.below(static_cast<int>(text.size())));
      const char put =
          alphabet[static_cast<std::size_t>(maker.below(static_cast<int>(alphabet.size())))];
      if (maker.below(3) == 0) {
        text.erase(at, 1);
      } else {
        text[at] = put;
      }
    }
    try {
      for (const std::string& name : expand_host_list(text)) {
        ASSERT_FALSE(name.empty()) << text;
        ASSERT_EQ(name.find_first_of("[], \n"), std::string::npos) << text;
      }
    } catch (const Error& error) {
      ++refused;
      ASSERT_EQ(error.code(), ErrorCode::kInvalidArgument) << text;
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace detente::launch
