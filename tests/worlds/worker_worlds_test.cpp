// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <gmock/gmock.h>
#include <tests/support/error_of.h>
#include <tests/worlds/fake_worlds.h>

#include <limits>
#include <ostream>

namespace detente::worlds {
namespace {

using detente::test::error_of;
using test::add_faults;
using test::Fake;
using test::fake_options;
using test::kFive;
using test::some_actions;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

std::vector<float> row(std::span<const float> rows,
                       const Spec& spec,
                       std::size_t k,
                       std::size_t size) {
  const auto one = rows.subspan(k * spec.observation, spec.observation);
  for (std::size_t j = size; j < one.size(); ++j) EXPECT_EQ(one[j], 0.0F);  // of a smaller task
  return {one.begin(), one.begin() + static_cast<std::ptrdiff_t>(size)};
}

class WorkerCounts : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(, WorkerCounts, ::testing::Values(1, 2, 3, 5, 8));

TEST_P(WorkerCounts, GiveTheBitsOfTheEnvironmentsThemselves) {
  WorkerWorlds worlds(fake_options("five", GetParam()));
  const Spec& spec = worlds.spec();
  EXPECT_THAT(spec.tasks, ElementsAre("plain", "größe \"1\"", "タスク: [yes]", "a,b", "-5"));
  EXPECT_EQ(spec.observation, 4U);
  EXPECT_EQ(spec.action, 3U);
  EXPECT_EQ(spec.horizon, 6U);
  EXPECT_THAT(spec.setting, HasSubstr("five fakes, horizon 6"));
  EXPECT_EQ(worlds.workers(), static_cast<std::size_t>(std::min(GetParam(), 5)));
  std::vector<Fake> expected;
  for (std::size_t k = 0; k < 5; ++k) expected.emplace_back(kFive[k], 7, k, 0, 6);
  worlds.reset();
  int ended = 0;
  int truncated = 0;
  for (std::size_t t = 0; t < 40; ++t) {
    for (std::size_t k = 0; k < 5; ++k) {
      ASSERT_THAT(row(worlds.observations(), spec, k, kFive[k].observation),
                  ElementsAreArray(expected[k].now()));
    }
    auto actions = some_actions(spec, t);
    actions[0] *= 5;  // to be clipped
    const Step& step = worlds.step(actions);
    for (std::size_t k = 0; k < 5; ++k) {
      const auto result = expected[k].step(&actions[k * spec.action]);
      ASSERT_THAT(row(step.observations, spec, k, kFive[k].observation),
                  ElementsAreArray(result.after));
      ASSERT_EQ(step.rewards[k], result.reward);
      ASSERT_EQ(step.success[k] != 0, result.success);
      ASSERT_EQ(step.ended[k] != 0, result.ended);
      ASSERT_EQ(step.truncated[k] != 0, result.truncated);
      ASSERT_EQ(step.lost[k], 0);
      ended += step.ended[k];
      truncated += step.truncated[k];
    }
  }
  EXPECT_GT(ended, 0);
  EXPECT_GT(truncated, 0);
  EXPECT_EQ(worlds.losses().all(), 0);
}

TEST(WorkerWorlds, LetsExpertsActAndSaysHow) {
  WorkerWorlds worlds(fake_options("five", 2));
  const Spec& spec = worlds.spec();
  worlds.reset();
  for (int t = 0; t < 10; ++t) {
    const std::vector<float> before(worlds.observations().begin(), worlds.observations().end());
    worlds.step_by_experts();
    for (std::size_t k = 0; k < 5; ++k) {
      for (std::size_t i = 0; i < std::min(kFive[k].action, kFive[k].observation); ++i) {
        const double wanted = (2.0 * before[k * spec.observation + i] - 1) / kFive[k].high;
        EXPECT_NEAR(
            worlds.expert_actions()[k * spec.action + i], std::clamp(wanted, -1.0, 1.0), 1e-6);
      }
    }
  }
}

TEST(WorkerWorlds, TakesAHorizonOfTheUser) {
  WorkerOptions options = fake_options("two", 1);
  options.horizon = 2;
  WorkerWorlds worlds(options);
  EXPECT_EQ(worlds.spec().horizon, 2U);
  worlds.reset();
  const std::vector<float> still(4, -1.0F);
  EXPECT_THAT(worlds.step(still).truncated, Each(0));
  EXPECT_THAT(worlds.step(still).truncated, Each(1));
}

TEST(WorkerWorlds, GoesOnWithTheNextEpisodesFromItsState) {
  WorkerWorlds worlds(fake_options("two", 2));
  worlds.reset();
  for (std::size_t t = 0; t < 15; ++t) worlds.step(some_actions(worlds.spec(), t));
  const Json state = Json::parse(worlds.state().dump());
  worlds.reset();  // what comes next in a run that was not stopped
  const std::vector<float> next(worlds.observations().begin(), worlds.observations().end());
  WorkerWorlds other(fake_options("two", 1));
  EXPECT_FALSE(other.exact_state());
  other.load_state(state);
  EXPECT_THAT(std::vector<float>(other.observations().begin(), other.observations().end()),
              ElementsAreArray(next));
  Json bad = state;
  bad["tasks"] = {"a", "c"};
  EXPECT_EQ(error_of([&] { other.load_state(bad); }).code(), ErrorCode::kData);
}

TEST(WorkerWorlds, TimesTheEnvironmentsAloneAndBeginsAnew) {
  WorkerWorlds worlds(fake_options("two", 2));
  const double seconds = worlds.own_seconds(50);
  EXPECT_GT(seconds, 0);
  EXPECT_LT(seconds, 10);
  EXPECT_THAT(worlds.step(std::vector<float>(4, -1.0F)).lost, Each(0));
}

TEST(WorkerWorlds, SaysWhatItRunsIn) {
  const WorkerWorlds worlds(fake_options("two", 1));
  EXPECT_THAT(worlds.facts().dump(), HasSubstr("\"python\":\"3."));
  EXPECT_TRUE(worlds.facts()["packages"].contains("numpy"));
}

TEST(WorkerWorlds, RefusesActionsThatAreNone) {
  WorkerWorlds worlds(fake_options("two", 1));
  const std::vector<float> still(4, 0.0F);
  EXPECT_THAT(error_of([&] { worlds.step(still); }).what(), HasSubstr("reset()"));
  worlds.reset();
  EXPECT_EQ(error_of([&] { worlds.step(std::vector<float>(5)); }).code(), ErrorCode::kShape);
  const std::vector<float> bad = {0, 0, std::numeric_limits<float>::infinity(), 0};
  const Error error = error_of([&] { worlds.step(bad); });
  EXPECT_EQ(error.code(), ErrorCode::kNumeric);
  EXPECT_THAT(error.what(), HasSubstr("'b'"));
  EXPECT_THAT(worlds.step(still).lost, Each(0));
}

struct BadStart {
  const char* function;
  ErrorCode code;
  std::vector<const char*> words;

  // The name of the test.
  friend void PrintTo(const BadStart& one, std::ostream* out) { *out << one.function; }
};

class BadStarts : public ::testing::TestWithParam<BadStart> {};
INSTANTIATE_TEST_SUITE_P(
    ,
    BadStarts,
    ::testing::Values(
        BadStart{"fake_worlds:printing",
                 ErrorCode::kUnsupported,
                 {"no such scene", "in printing", "worker.py"}},
        BadStart{"fake_worlds:ending", ErrorCode::kUnsupported, {"SystemExit: 5"}},
        BadStart{"fake_worlds:empty", ErrorCode::kUnsupported, {"gives no environments"}},
        BadStart{"fake_worlds:wrong", ErrorCode::kUnsupported, {"gives 1; expected pairs"}},
        BadStart{"fake_worlds:missing", ErrorCode::kUnsupported, {"detente_no_such_package"}},
        BadStart{"fake_worlds:no_such", ErrorCode::kUnsupported, {"has no 'no_such'"}},
        BadStart{"no_such_module:f", ErrorCode::kUnsupported, {"No module named 'no_such_module'"}},
        BadStart{"fake_worlds:discrete",
                 ErrorCode::kUnsupported,
                 {"Discrete(4)", "'d'", "expected a Box"}},
        BadStart{"fake_worlds:unbounded", ErrorCode::kUnsupported, {"'u' has no bounds"}},
        BadStart{"fake_worlds:twice", ErrorCode::kUnsupported, {"has a name twice"}},
        BadStart{"no-such-entry",
                 ErrorCode::kUnsupported,
                 {"no environment 'no-such-entry'", "metaworld:MT10"}}),
    [](const auto& info) {
      std::string name = info.param.function;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
      return name;
    });

TEST_P(BadStarts, AreNamed) {
  WorkerOptions options = fake_options("", 2);
  options.environment = GetParam().function;
  const Error error = error_of([&] { WorkerWorlds worlds(options); });
  EXPECT_EQ(error.code(), GetParam().code) << error.what();
  for (const char* word : GetParam().words) EXPECT_THAT(error.what(), HasSubstr(word));
}

TEST(WorkerWorlds, NamesTheLimitOfAStartThatTakesTooLong) {
  WorkerOptions options = fake_options("slow", 2);
  options.start_limit = 0.4;
  const Error error = error_of([&] { WorkerWorlds worlds(options); });
  EXPECT_EQ(error.code(), ErrorCode::kPeerLost);
  EXPECT_THAT(error.what(), HasSubstr("within 0.4 s"));
}

TEST(WorkerWorlds, NamesAProgramThatIsNoPython) {
  WorkerOptions options = fake_options("two", 1);
  options.python = "true";
  EXPECT_THAT(error_of([&] { WorkerWorlds worlds(options); }).what(),
              HasSubstr("expected 'true' to be Python"));
  options.python = "detente-no-such-python";
  EXPECT_EQ(error_of([&] { WorkerWorlds worlds(options); }).code(), ErrorCode::kIo);
}

TEST(WorkerWorlds, RefusesOptionsThatBreakARule) {
  for (const auto& spoil : std::vector<void (*)(WorkerOptions&)>{
           [](WorkerOptions& options) { options.workers = -1; },
           [](WorkerOptions& options) { options.goals = "some"; },
           [](WorkerOptions& options) { options.step_limit = 0; },
           [](WorkerOptions& options) { options.environment = ""; }}) {
    WorkerOptions options = fake_options("two", 1);
    spoil(options);
    EXPECT_EQ(error_of([&] { WorkerWorlds worlds(options); }).code(), ErrorCode::kInvalidArgument);
  }
}

TEST(WorkerWorlds, RefusesAHelloThatIsNone) {
  const auto said = [](const std::string& script) {
    WorkerOptions options = fake_options("two", 1);
    options.script = script;
    return error_of([&] { WorkerWorlds worlds(options); });
  };
  const std::string begin =
      "import json, struct, time\n"
      "take(int.from_bytes(take(8), 'little'))\n"
      "def say(kind, text, sequence=0):\n"
      "    connection.sendall(struct.pack('=IIQ', ord(kind), len(text), sequence) + "
      "text.encode())\n"
      "good = {'magic': 'detente-worlds', 'protocol': 1, 'total': 1, 'horizon': 5, 'setting': "
      "'s',\n"
      "        'tasks': [{'index': 0, 'name': 'n', 'observation': 2, 'action': 1}]}\n"
      "def hello(**changed):\n"
      "    say('H', json.dumps({**good, **changed}))\n";
  const std::string end = "time.sleep(60)\n";
  for (const char* line : {"connection.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n')\n",
                           "say('H', 'no json')\n",
                           "say('K', '')\n",
                           "say('H', '{}', 1)\n",
                           "hello(magic='other')\n",
                           "hello(protocol=2)\n",
                           "hello(total=0)\n",
                           "hello(total=2)\n",
                           "hello(total=-1)\n",
                           "hello(horizon=0)\n",
                           "hello(setting='')\n",
                           "hello(tasks=[])\n",
                           "hello(tasks=3)\n",
                           "hello(tasks=[3])\n",
                           "hello(tasks=[dict(good['tasks'][0], index=1)])\n",
                           "hello(tasks=[dict(good['tasks'][0], observation=0)])\n",
                           "hello(tasks=[dict(good['tasks'][0], observation=1e99)])\n",
                           "hello(tasks=[dict(good['tasks'][0], name=None)])\n",
                           "hello(tasks=good['tasks'] * 2)\n"}) {
    const Error error = said(begin + line + end);
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << line << error.what();
  }
  // Right so far, but then it does not take the memory.
  EXPECT_EQ(said(begin + "hello()\n").code(), ErrorCode::kPeerLost);
}

}  // namespace
}  // namespace detente::worlds
