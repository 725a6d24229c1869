// SPDX-License-Identifier: Apache-2.0
#include <detente/train/run_state.h>
#include <gtest/gtest.h>

namespace detente::train {
namespace {

Json scores(double miou, const Json& depth) {
  return {{"segmentation", {{"miou", miou}}}, {"depth", {{"abs_error", depth}}}};
}

TEST(RunState, LastEpochsAreMeansOverTheTenNewest) {
  RunState state;
  EXPECT_EQ(state.last_epochs(), (Json{{"epochs", 0}, {"tasks", Json::object()}}));
  for (int epoch = 1; epoch <= 14; ++epoch) state.count_epoch(scores(epoch, 2.0 * epoch));
  const Json found = state.last_epochs();
  EXPECT_EQ(found["epochs"], 10);
  EXPECT_DOUBLE_EQ(found["tasks"]["segmentation"]["miou"].get<double>(), 9.5);  // 5, 6, ..., 14
  EXPECT_DOUBLE_EQ(found["tasks"]["depth"]["abs_error"].get<double>(), 19);
  EXPECT_EQ(found["tasks"].begin().key(), "segmentation");
}

TEST(RunState, LastEpochsAreUndefinedWhereOneIsAndSkipEpochsWithoutAMeasurement) {
  RunState state;
  state.count_epoch(scores(1, 3));
  state.count_epoch(scores(2, nullptr));
  state.count_epoch({{"segmentation", {{"miou", 6}}}, {"probe", {{"knn", 0.5}}}});
  const Json found = state.last_epochs();
  EXPECT_DOUBLE_EQ(found["tasks"]["segmentation"]["miou"].get<double>(), 3);
  EXPECT_TRUE(found["tasks"]["depth"]["abs_error"].is_null());
  EXPECT_DOUBLE_EQ(found["tasks"]["probe"]["knn"].get<double>(), 0.5);
}

TEST(RunState, KeepsTheLastEpochsInASnapshotAndReadsOlderOnes) {
  RunState state;
  state.begin_epoch(1);
  state.count_epoch(scores(1, nullptr));
  const RunState again = RunState::from_json(Json::parse(state.to_json().dump()));
  EXPECT_EQ(again.last_epochs(), state.last_epochs());
  Json old = state.to_json();
  old.erase("last_metrics");
  EXPECT_EQ(RunState::from_json(old).last_epochs()["epochs"], 0);
}

}  // namespace
}  // namespace detente::train
