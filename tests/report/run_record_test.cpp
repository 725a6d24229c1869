// SPDX-License-Identifier: Apache-2.0
#include <detente/report/run_record.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace detente::report {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

StepRecord full_step() {
  StepRecord record;
  record.epoch = 2;
  record.step = 17;
  record.lr = 1e-3;
  record.losses = {{"b", 0.25}, {"a", kNoNumber}};
  record.loss = 0.125;
  record.weights = {{"b", 0.5}, {"a", 0}};
  record.gradients = StepRecord::Gradients{{{"b", 2}, {"a", 0}}, {{"b|a", kNoNumber}}, true};
  record.direction_norm = 3;
  record.estimated = true;
  record.estimate_cosine = 0.75;
  record.loss_scale = 1024;
  record.skipped = true;
  record.notice = "slower than it could be";
  DiagnosisRecord diagnosis;
  diagnosis.conflict_fraction = 0.5;
  diagnosis.magnitude_similarity = {{"b|a", 0.5}};
  diagnosis.xi = {{"b|a", -1}};
  diagnosis.triad = {{"b|a", {true, std::nullopt, false}}};
  diagnosis.groups = {{"trunk", {{"b", 1}}, {{"b|a", 0.5}}, NamedNumbers{{"b", 0.25}}},
                      {"rest", {{"b", 1}}, {}, std::nullopt}};
  diagnosis.curvature = {{"gradients", 4}, {"step", 0.5}};
  record.diagnosis = diagnosis;
  record.ms = {{"total", 4}, {"solve", 0.5}};
  return record;
}

// The file's format: other programs read these very keys.
TEST(StepRecord, IsWrittenWithTheKeysOfTheManualInTheirOrder) {
  EXPECT_EQ(
      full_step().to_json().dump(),
      R"({"type":"step","epoch":2,"step":17,"lr":0.001,"losses":{"b":0.25,"a":null},"loss":0.125,)"
      R"("weights":{"b":0.5,"a":0.0},"grad_norms":{"b":2.0,"a":0.0},"cosines":{"b|a":null},)"
      R"("conflict":true,"direction_norm":3.0,"estimated":true,"estimate_cosine":0.75,)"
      R"("loss_scale":1024.0,"skipped":true,"notice":"slower than it could be",)"
      R"("diagnosis":{"conflict_fraction":0.5,"magnitude_similarity":{"b|a":0.5},)"
      R"("xi":{"b|a":-1.0},"triad":{"b|a":{"dominated":true,"curved":null,"large_step":false}},)"
      R"("groups":{"trunk":{"grad_norms":{"b":1.0},"cosines":{"b|a":0.5},"weights":{"b":0.25}},)"
      R"("rest":{"grad_norms":{"b":1.0},"cosines":{}}},)"
      R"("curvature":{"gradients":4.0,"step":0.5}},"ms":{"total":4.0,"solve":0.5}})");
}

TEST(StepRecord, LeavesOutWhatAStepDoesNotHave) {
  StepRecord record;
  record.epoch = record.step = 1;
  record.lr = record.loss = 1;
  record.diagnosis = DiagnosisRecord{};  // of a step in which nothing was measured
  EXPECT_EQ(record.to_json().dump(),
            R"({"type":"step","epoch":1,"step":1,"lr":1.0,"losses":{},"loss":1.0,"weights":{},)"
            R"("direction_norm":null,"ms":{}})");
}

TEST(StepRecord, ReadsWhatItWrote) {
  for (const StepRecord& record : {full_step(), StepRecord{.epoch = 1, .step = 3}}) {
    const Json line = record.to_json();
    const auto read = StepRecord::from_json(Json::parse(line.dump()));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->to_json(), line);
  }
}

TEST(StepRecord, ReadsWhatIsThere) {
  const auto read = [](const char* text) { return StepRecord::from_json(Json::parse(text)); };
  for (const char* other : {"[]",
                            "3",
                            R"({"step":1})",
                            R"({"type":1,"step":1})",
                            R"({"type":"epoch","step":1})",
                            R"({"type":"step"})",
                            R"({"type":"step","step":null})",
                            R"({"type":"step","step":1e300})"}) {
    EXPECT_FALSE(read(other).has_value()) << other;
  }
  const auto odd = read(R"({"type":"step","step":4,"loss":"high","losses":{"a":"x","b":1},"ms":[1],
      "grad_norms":null,"conflict":2,"notice":7,
      "diagnosis":{"triad":{"a|b":1,"a|c":{"curved":"no"}},"groups":{"g":3,"h":{}}}})");
  ASSERT_TRUE(odd.has_value());
  EXPECT_TRUE(std::isnan(odd->loss));
  EXPECT_THAT(odd->losses,
              ElementsAre(Pair("a", ::testing::IsNan()), Pair("b", ::testing::DoubleEq(1))));
  EXPECT_THAT(odd->ms, IsEmpty());
  ASSERT_TRUE(odd->gradients.has_value());
  EXPECT_THAT(odd->gradients->norms, IsEmpty());
  EXPECT_EQ(odd->gradients->conflict, true);
  EXPECT_EQ(odd->notice, "");
  ASSERT_EQ(odd->diagnosis->triad.size(), 1U);
  EXPECT_EQ(odd->diagnosis->triad[0].first, "a|c");
  EXPECT_FALSE(odd->diagnosis->triad[0].second.curved.has_value());
  ASSERT_EQ(odd->diagnosis->groups.size(), 1U);
  EXPECT_EQ(odd->diagnosis->groups[0].name, "h");
}

TEST(EpochRecord, IsWrittenWithTheKeysOfTheManualAndReadAgain) {
  EpochRecord record;
  record.epoch = 1;
  record.step = 365;
  record.train_losses = {{"score", 0.5}, {"same", kNoNumber}};
  record.dev = {{"score", {{"pearson", 0.5}, {"mae", kNoNumber}}}, {"same", {{"f1", 1}}}};
  record.seconds = 2;
  record.examples_per_second = 8;
  record.best = true;
  const std::string text =
      R"({"type":"epoch","epoch":1,"step":365,"train_losses":{"score":0.5,"same":null},)"
      R"("dev":{"score":{"pearson":0.5,"mae":null},"same":{"f1":1.0}},"seconds":2.0,)"
      R"("examples_per_second":8.0,"best":true})";
  EXPECT_EQ(record.to_json().dump(), text);
  const auto read = EpochRecord::from_json(Json::parse(text));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->to_json().dump(), text);
  EXPECT_FALSE(EpochRecord::from_json(Json::parse(R"({"type":"epoch","step":3})")).has_value());
}

TEST(RecordStep, IsThatOfEitherTypeAndNoughtForTheRest) {
  EXPECT_EQ(record_step(full_step().to_json()), 17);
  EXPECT_EQ(record_step(Json::parse(R"({"type":"epoch","step":4})")), 4);
  EXPECT_EQ(record_step(Json::parse(R"({"step":"four"})")), 0);
  EXPECT_EQ(record_step(Json::parse("[4]")), 0);
}

TEST(StepRecord, KeepsDenormalNumbers) {
  StepRecord record = full_step();
  record.lr = 1e-310;
  record.loss = 5e-324;
  const auto again = StepRecord::from_json(Json::parse(record.to_json().dump()));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->lr, 1e-310);
  EXPECT_EQ(again->loss, 5e-324);
}

}  // namespace
}  // namespace detente::report
