// SPDX-License-Identifier: Apache-2.0
// Losses beside those of the labels, as a user of the library adds them.
#include <detente/nn/ema.h>
#include <detente/tensor/safetensors.h>
#include <detente/train/initial_model.h>
#include <detente/train/snapshot.h>
#include <gmock/gmock.h>
#include <tests/train/last_snapshot.h>
#include <tests/train/tiny_run.h>
#include <torch/types.h>

#include <csignal>
#include <memory>
#include <utility>

namespace detente::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

NamedTensors parameters_of(const nn::Model& model) {
  NamedTensors named = model.named_shared_parameters();
  for (std::size_t k = 0; k < model.heads().size(); ++k) {
    const NamedTensors& own = model.named_head_parameters(k);
    named.insert(named.end(), own.begin(), own.end());
  }
  return named;
}

// The model under dropout is to agree with a mean teacher without (Tarvainen and Valpola 2017).
class Consistency final : public LossSource {
 public:
  explicit Consistency(const LossContext& context)
      : context_(context),
        teacher_(make_model(context.recipe, *context.corpus.train)),
        average_(parameters_of(context.model), {.decay = 0.8}) {
    average_.copy_to(parameters_of(*teacher_));
  }

  std::vector<std::string> tasks() const override { return {"consistency"}; }
  TaskLosses operator()(const data::RowList& rows, const StepDraws& draws) override {
    const data::Batch batch = context_.corpus.train->batch(rows, nullptr);
    at::Tensor target;
    {
      const torch::NoGradGuard no_grad;
      target = teacher_->forward(batch)[0];
    }
    Rng dropout = draws.rng;
    const at::Tensor prediction = context_.model.forward(batch, &dropout)[0];
    return {{(prediction - target).square().mean()}, {static_cast<double>(rows.size())}};
  }
  void after_step(std::int64_t /*step*/) override {
    average_.update();
    average_.copy_to(parameters_of(*teacher_));
  }
  NamedTensors state() const override { return average_.state(); }
  void load_state(const NamedTensors& state) override {
    average_.load_state(state);
    average_.copy_to(parameters_of(*teacher_));
  }

 private:
  LossContext context_;
  std::unique_ptr<nn::Model> teacher_;
  nn::Ema average_;
};

// A number of its own that is to become 3, and a diary of the steps.
class OwnNumber final : public LossSource {
 public:
  explicit OwnNumber(std::vector<std::int64_t>& steps) : steps_(steps) {}
  std::vector<std::string> tasks() const override { return {"nothing", "number"}; }
  NamedTensors own_parameters(std::size_t task) const override {
    if (task == 0) return {};
    return {{"number.value", value_}};
  }
  TaskLosses operator()(const data::RowList& rows, const StepDraws&) override {
    const auto n = static_cast<double>(rows.size());
    return {{at::Tensor(), (value_ - 3).square().sum()}, {0, n}};
  }
  void after_step(std::int64_t step) override { steps_.push_back(step); }
  NamedTensors state() const override { return {{"value", value_.detach()}}; }

 private:
  std::vector<std::int64_t>& steps_;
  at::Tensor value_ = torch::zeros({1}).set_requires_grad(true);
};

template <class Source, class... More>
MakeLosses maker(More&... more) {
  return [&more...](const LossContext& context) -> std::unique_ptr<LossSource> {
    if constexpr (sizeof...(More) == 0) {
      return std::make_unique<Source>(context);
    } else {
      return std::make_unique<Source>(more...);
    }
  };
}

class LossSourceTest : public TinyRunTest {
 protected:
  TrainOutcome run_with(const std::string& out,
                        std::vector<MakeLosses> losses,
                        const std::vector<std::string>& overrides = {},
                        ExistingRun existing = ExistingRun::kRefuse,
                        std::shared_ptr<RunObserver> observer = nullptr) {
    std::ostream silent(nullptr);
    TrainOptions options{folder_ / out, existing, Progress::Style::kNone};
    options.losses = std::move(losses);
    if (observer != nullptr) options.observers.push_back(std::move(observer));
    return train(recipe(overrides), options, silent);
  }

  std::vector<Json> steps(const std::string& out) const {
    std::vector<Json> lines = read_lines(folder_ / out / "metrics.jsonl");
    std::erase_if(lines, [](const Json& line) { return line["type"] != "step"; });
    return lines;
  }
};

struct StopsAfter : RunObserver {
  explicit StopsAfter(std::int64_t step) : last(step) {}
  void on_step(const report::StepRecord& record) override { now = record.step; }
  bool stop() override { return now == last; }
  std::int64_t last;
  std::int64_t now = 0;
};

TEST_F(LossSourceTest, IsATaskOfTheRunWithoutMetrics) {
  const TrainOutcome outcome = run_with("run", {maker<Consistency>()});
  const auto lines = steps("run");
  ASSERT_EQ(lines.size(), 18U);
  for (const Json& line : lines) {
    EXPECT_GT(line["losses"]["consistency"].get<double>(), 0);  // dropout, then a lag
    EXPECT_TRUE(line["weights"]["consistency"].is_number());
    EXPECT_TRUE(line["cosines"].contains("score|consistency"));
    EXPECT_TRUE(line["cosines"].contains("same|consistency"));
  }
  const Json epoch = read_lines(folder_ / "run/metrics.jsonl").back();
  EXPECT_TRUE(epoch["train_losses"]["consistency"].is_number());
  EXPECT_FALSE(epoch["dev"].contains("consistency"));
  EXPECT_GT(outcome.summary["tasks"]["score"]["pearson"].get<double>(), 0.4);
}

TEST_F(LossSourceTest, TheTeacherFollowsTheModel) {
  // Without chance and without a step the teacher is the model.
  const std::vector<std::string> calm = {"model.dropout=0",
                                         "model.embedding_dropout=0",
                                         "model.token_dropout=0",
                                         "model.symmetric=false"};
  run_with("calm", {maker<Consistency>()}, calm);
  const auto lines = steps("calm");
  EXPECT_NEAR(lines[0]["losses"]["consistency"].get<double>(), 0, 1e-10);
  EXPECT_GT(lines[1]["losses"]["consistency"].get<double>(), 1e-8);
}

TEST_F(LossSourceTest, ChangesNothingOfTheOthersDraws) {
  run("alone");
  run_with("beside", {maker<Consistency>()});
  EXPECT_EQ(steps("alone")[0]["losses"]["score"], steps("beside")[0]["losses"]["score"]);
}

TEST_F(LossSourceTest, StoppedAndResumedEqualsNeverStopped) {
  for (const std::vector<std::string>& overrides :
       {std::vector<std::string>{},
        {"balance.method=famo"},
        {"balance.method=gradvac", "train.micro_batches=3"}}) {
    const std::string name = std::to_string(overrides.size());
    run_with(name + "whole", {maker<Consistency>()}, overrides);
    run_with(name + "parted",
             {maker<Consistency>()},
             overrides,
             ExistingRun::kRefuse,
             std::make_shared<StopsAfter>(8));
    run_with(name + "parted", {maker<Consistency>()}, overrides, ExistingRun::kResume);
    EXPECT_EQ(timeless(read_lines(folder_ / (name + "whole") / "metrics.jsonl")),
              timeless(read_lines(folder_ / (name + "parted") / "metrics.jsonl")));
    EXPECT_EQ(read_file(folder_ / (name + "whole") / "model.safetensors"),
              read_file(folder_ / (name + "parted") / "model.safetensors"));
    // The teacher, too.
    const NamedTensors whole = last_snapshot(folder_ / (name + "whole")).tensors;
    const NamedTensors parted = last_snapshot(folder_ / (name + "parted")).tensors;
    ASSERT_EQ(whole.size(), parted.size());
    std::size_t of_teacher = 0;
    for (std::size_t i = 0; i < whole.size(); ++i) {
      EXPECT_EQ(whole[i].first, parted[i].first);
      EXPECT_TRUE(torch::equal(whole[i].second, parted[i].second)) << whole[i].first;
      of_teacher += whole[i].first.starts_with("losses.1.average.") ? 1 : 0;
    }
    EXPECT_GT(of_teacher, 10U);
  }
}

TEST_F(LossSourceTest, ARunGoesOnWithItsOwnLossesOnly) {
  const auto stop = [] { return std::make_shared<StopsAfter>(8); };
  run_with("with", {maker<Consistency>()}, {}, ExistingRun::kRefuse, stop());
  run_with("without", {}, {}, ExistingRun::kRefuse, stop());
  Error error = error_of([&] { run_with("with", {}, {}, ExistingRun::kResume); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("other losses"));
  error = error_of([&] { run_with("without", {maker<Consistency>()}, {}, ExistingRun::kResume); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
}

TEST_F(LossSourceTest, TrainsItsOwnParametersAndHearsOfEveryStep) {
  std::vector<std::int64_t> told;
  run_with("run",
           {maker<OwnNumber>(told)},
           {"optimizer.lr=0.2", "optimizer.weight_decay=0", "train.epochs=6"});
  ASSERT_EQ(told.size(), 36U);
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(told[i], static_cast<std::int64_t>(i) + 1);
  }
  const NamedTensors tensors = last_snapshot(folder_ / "run").tensors;
  double value = 0;
  for (const auto& [name, tensor] : tensors) {
    if (name == "losses.1.value") value = tensor.item<double>();
  }
  EXPECT_NEAR(value, 3, 0.5);
  // A loss that is never there is an absent task.
  for (const Json& line : steps("run")) {
    EXPECT_TRUE(line["losses"]["nothing"].is_null());
    EXPECT_EQ(line["weights"]["nothing"], 0.0);
  }
}

// Losses by name, without anything behind them.
struct Named : LossSource {
  Named(std::vector<std::string> names, std::string parameter = "")
      : names_(std::move(names)), parameter_(std::move(parameter)) {}
  std::vector<std::string> tasks() const override { return names_; }
  NamedTensors own_parameters(std::size_t) const override {
    if (parameter_.empty()) return {};
    return {{parameter_, torch::zeros({1})}};
  }
  TaskLosses operator()(const data::RowList& rows, const StepDraws& draws) override {
    drawn = draws.rng.state();
    return {TensorList(values), std::vector<double>(values, static_cast<double>(rows.size()))};
  }
  NamedTensors state() const override {
    if (names_.size() < 2) return {};
    return {{"x", torch::zeros({1})}};
  }
  void load_state(const NamedTensors& state) override { loaded = state.size(); }

  std::vector<std::string> names_;
  std::string parameter_;
  std::size_t values = 1;
  std::size_t loaded = 0;
  std::array<std::uint64_t, 4> drawn{};
};

std::vector<std::unique_ptr<LossSource>> sources(std::unique_ptr<LossSource> first,
                                                 std::unique_ptr<LossSource> second) {
  std::vector<std::unique_ptr<LossSource>> list;
  list.push_back(std::move(first));
  list.push_back(std::move(second));
  return list;
}

using Names = std::vector<std::string>;

TEST(JoinedLosses, RefusesNamesThatCannotBe) {
  const auto refusal = [](Names first, Names second, const std::string& parameter = "") {
    try {
      JoinedLosses joined(sources(std::make_unique<Named>(std::move(first), parameter),
                                  std::make_unique<Named>(std::move(second), parameter)));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refusal({"a"}, {"b"}), "");
  EXPECT_THAT(refusal({"a"}, {"a"}), HasSubstr("two losses are named 'a'"));
  EXPECT_THAT(refusal({"a|b"}, {"c"}), HasSubstr("'a|b'"));
  EXPECT_THAT(refusal({""}, {"c"}), HasSubstr("named ''"));
  EXPECT_THAT(refusal({"a"}, {"b"}, "w"), HasSubstr("two own parameters are named 'w'"));
}

TEST(JoinedLosses, PutsTasksDrawsAndStatesOneAfterTheOther) {
  auto first = std::make_unique<Named>(Names{"a"});
  auto second = std::make_unique<Named>(Names{"b", "c"});
  Named& a = *first;
  Named& b = *second;
  b.values = 2;
  JoinedLosses joined(sources(std::move(first), std::move(second)));
  EXPECT_THAT(joined.tasks(), ElementsAre("a", "b", "c"));
  const StepDraws draws{Rng(7), std::nullopt};
  EXPECT_THAT(joined({4, 5}, draws).rows, ElementsAre(2, 2, 2));
  EXPECT_EQ(a.drawn, Rng(7).state());
  EXPECT_NE(b.drawn, a.drawn);
  const auto again = b.drawn;
  joined({4, 5}, draws);
  EXPECT_EQ(b.drawn, again);
  ASSERT_EQ(joined.state().size(), 1U);
  EXPECT_EQ(joined.state()[0].first, "1.x");
  joined.load_state(joined.state());
  EXPECT_EQ(b.loaded, 1U);
  EXPECT_THROW(joined.load_state({{"2.x", torch::zeros({1})}}), Error);
  b.values = 1;
  EXPECT_THROW(joined({4, 5}, draws), Error);
}

}  // namespace
}  // namespace detente::train
