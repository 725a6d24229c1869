// SPDX-License-Identifier: Apache-2.0
// Shapley values of the parts of joined data, against the closed form of a squared loss and against every
// order of the parts with answers put together by hand.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/appraise/appraise.h>
#include <detente/data/joined_source.h>
#include <detente/nn/joined_trunk.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace detente::appraise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using train::Corpus;
using train::LoadedRun;

class ModalityTest : public train::TinyRunTest {
 protected:
  static constexpr int kRows = 60;

  // `side` hangs on the left part, `value` on all; every seventh example lacks the facts, if so asked.
  void write_all(bool lacking, const std::string& more = "") {
    Rng rng(11);
    std::string facts = "who,z,zz\n";
    std::string list = "who,x,y,w,side,value,part\n";
    for (int i = 0; i < kRows; ++i) {
      const double x = rng.normal();
      const double y = rng.normal();
      const double z = rng.normal();
      const double w = rng.normal();
      facts += fmt::format("p{},{},{}\n", i, z, rng.normal());
      list += fmt::format("{},{},{},{},{},{},{}\n",
                          lacking && i % 7 == 3 ? "" : fmt::format("p{}", i),
                          x,
                          y,
                          w,
                          i == 5 ? "" : std::to_string(x > 0 ? 1 : 0),
                          x - 2 * z + 0.3 * w,
                          i < 40 ? "train" : "dev");
    }
    write_file_atomic(folder_ / "facts.csv", facts);
    write_file_atomic(folder_ / "list.csv", list);
    write_file_atomic(recipe_path(),
                      "data:\n"
                      "  kind: joined\n"
                      "  train: list.csv\n"
                      "  split: {column: part}\n"
                      "  parts:\n"
                      "    - {name: 'left, \"first\"', kind: table, inputs: [x, y]}\n"
                      "    - {name: facts, kind: table, file: facts.csv, key: who}\n"
                      "    - {name: 시계, kind: table, inputs: [w]}\n"
                      "model:\n"
                      "  kind: joined\n"
                      "  widths: []\n"
                      "  parts:\n"
                      "    - {name: 'left, \"first\"', widths: [6], dropout: 0}\n"
                      "    - {name: facts, widths: [5], dropout: 0}\n"
                      "    - {name: 시계, widths: [4], dropout: 0}\n"
                      "tasks:\n"
                      "  - {name: side, head: binary, metrics: [accuracy]}\n"
                      "  - {name: value, head: regression, loss: {name: mse}, metrics: [pearson]}\n"
                      "optimizer: {lr: 0.03}\n"
                      "train: {epochs: 8, batch_size: 16}\n"
                      "precision: float64\n"
                      "threads: 1\n" +
                          more);
  }
  LoadedRun trained(const std::vector<std::string>& overrides = {}) {
    run("run", overrides);
    return train::load_run(folder_ / "run", {});
  }
  static Corpus corpus_of(const LoadedRun& run) {
    const auto& files = run.recipe.data.files;
    return {train::load_rows(run.recipe, files, data::Part::kTrain, *run.source, true),
            train::load_rows(run.recipe, files, data::Part::kDev, *run.source, true)};
  }

  // What the head of a task says of each part's features, [rows, parts], and of their means over the
  // training rows, [parts]; then its bias.
  struct ByParts {
    at::Tensor own, mean;
    double bias = 0;
  };
  static ByParts by_parts(const LoadedRun& run,
                          const Corpus& corpus,
                          const data::Source& rows,
                          std::size_t task) {
    const auto& trunk = dynamic_cast<const nn::JoinedTrunk&>(run.model->trunk());
    const TensorList head = run.model->head_parameters(task);
    const auto features = [&](std::size_t part, const data::Source& source) {
      data::RowList all(source.size());
      std::iota(all.begin(), all.end(), std::size_t{0});
      return trunk.part(part)
          .features(
              data::JoinedSource::part_batch(trunk.part_names()[part], source.batch(all, nullptr)))
          .detach();
    };
    TensorList own;
    TensorList mean;
    std::int64_t begin = 0;
    for (std::size_t p = 0; p < trunk.part_names().size(); ++p) {
      const std::int64_t width = trunk.part(p).width();
      const at::Tensor weight = head[0].detach().narrow(1, begin, width).squeeze(0);
      own.push_back(at::mv(features(p, rows), weight));
      mean.push_back(at::dot(features(p, *corpus.train).mean(0), weight));
      begin += width;
    }
    return {at::stack(own, 1), at::stack(mean), head[1].detach().item<double>()};
  }
  static double number(const at::Tensor& tensor, std::int64_t i, std::int64_t j) {
    return tensor[i][j].item<double>();
  }
  // The mean over all orders of what each player adds.
  template <class Value>
  static std::vector<double> by_orders(std::size_t players, const Value& value) {
    std::vector<std::size_t> order(players);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::vector<double> sum(players, 0.0);
    double orders = 0;
    do {
      std::vector<char> in(players, 0);
      double before = value(in);
      for (const std::size_t player : order) {
        in[player] = 1;
        const double after = value(in);
        sum[player] += after - before;
        before = after;
      }
      ++orders;
    } while (std::next_permutation(order.begin(), order.end()));
    for (double& one : sum) one /= orders;
    return sum;
  }
};

TEST_F(ModalityTest, SquaredLossHasAClosedForm) {
  write_all(false);
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  const Appraisal found = modality({run, corpus}, {});
  ASSERT_EQ(found.table.series.size(), 6U);
  EXPECT_EQ(found.table.series[3].task_judged, "value");
  EXPECT_EQ(found.table.series[3].task_trained, "all");
  EXPECT_EQ(found.table.series[3].modality, "left, \"first\"");
  EXPECT_EQ(found.table.series[5].modality, "시계");
  const ByParts parts = by_parts(run, corpus, *corpus.train, 1);
  const auto& labels = corpus.train->target("value").values;
  const at::Tensor targets =
      run.model->heads().loss_target(1,
                                     at::from_blob(const_cast<double*>(labels.data()),
                                                   {static_cast<std::int64_t>(labels.size())},
                                                   at::TensorOptions(at::kDouble)));
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(corpus.train->size()); ++i) {
    // −(e − Σ_{p in S} d_p)²: the square of a sum is shared out as d_p Σ d.
    std::vector<double> d;
    double error = targets[i].item<double>() - parts.bias;
    double sum = 0;
    for (std::int64_t p = 0; p < 3; ++p) {
      d.push_back(number(parts.own, i, p) - parts.mean[p].item<double>());
      error -= parts.mean[p].item<double>();
      sum += d.back();
    }
    for (std::size_t p = 0; p < 3; ++p) {
      const double expected = d[p] * (2 * error - sum);
      EXPECT_NEAR(found.table.series[3 + p].values[static_cast<std::size_t>(i)],
                  expected,
                  1e-9 * (1 + std::abs(expected)));
    }
  }
  // Constant answers have no correlation, and nothing is shared out of one.
  EXPECT_FALSE(found.validation["value"].contains("metric"));
  EXPECT_LT(found.audit["max_relative_error"].get<double>(), 1e-12);
  std::string notes;
  for (const auto& note : found.notes) notes += note + "\n";
  EXPECT_THAT(notes,
              AllOf(HasSubstr("pearson is undefined"), HasSubstr("the mean of its features")));
}

TEST_F(ModalityTest, IsTheMeanOverAllOrders) {
  write_all(false);
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  const Appraisal found = modality({run, corpus}, {.rows = 1000});
  const ByParts train = by_parts(run, corpus, *corpus.train, 0);
  const auto logit = [](const ByParts& parts, std::int64_t i, const std::vector<char>& in) {
    double sum = parts.bias;
    for (std::int64_t p = 0; p < 3; ++p) {
      sum += in[static_cast<std::size_t>(p)] != 0 ? number(parts.own, i, p)
                                                  : parts.mean[p].item<double>();
    }
    return sum;
  };
  const auto& labels = corpus.train->target("side").values;
  for (std::size_t i = 0; i < corpus.train->size(); ++i) {
    if (std::isnan(labels[i])) {
      for (std::size_t p = 0; p < 3; ++p) {
        EXPECT_TRUE(std::isnan(found.table.series[p].values[i])) << i;
      }
      continue;
    }
    const auto expected = by_orders(3, [&](const std::vector<char>& in) {
      const double z = logit(train, static_cast<std::int64_t>(i), in);
      return -std::log1p(std::exp(labels[i] > 0 ? -z : z));
    });
    for (std::size_t p = 0; p < 3; ++p) {
      EXPECT_NEAR(found.table.series[p].values[i], expected[p], 1e-9);
    }
  }
  const ByParts dev = by_parts(run, corpus, *corpus.dev, 0);
  const auto& judged = corpus.dev->target("side").values;
  const auto n = static_cast<double>(judged.size());
  const auto accuracy = by_orders(3, [&](const std::vector<char>& in) {
    double right = 0;
    for (std::size_t i = 0; i < judged.size(); ++i) {
      right += (logit(dev, static_cast<std::int64_t>(i), in) > 0) == (judged[i] > 0) ? 1 : 0;
    }
    return right / n;
  });
  const Json& own = found.validation["side"];
  EXPECT_EQ(own["rows"], 20);
  double parts = 0;
  for (std::size_t p = 0; p < 3; ++p) {
    const std::string& name = found.table.series[p].modality;
    EXPECT_NEAR(own["metric"]["parts"][name].get<double>(), accuracy[p], 1e-12);
    parts += own["loss"]["parts"][name]["value"].get<double>();
  }
  EXPECT_NEAR(parts, own["loss"]["none"].get<double>() - own["loss"]["all"].get<double>(), 1e-9);
}

// Of an example that lacks a part the part is worth exactly 0; where the network knows examples without it, a
// part that is taken away is lacking as theirs is.
TEST_F(ModalityTest, AMissingPartIsWorthNothingAndHowItIsMissingIsTheNetworksWay) {
  write_all(true);
  for (const char* join : {"concat", "gated"}) {
    run("run", {std::string("model.join=") + join, "model.widths=[7]"}, train::ExistingRun::kForce);
    const LoadedRun run = train::load_run(folder_ / "run", {});
    const Corpus corpus = corpus_of(run);
    const Appraisal found = modality({run, corpus}, {});
    const auto& joined = dynamic_cast<const data::JoinedSource&>(*corpus.train);
    std::size_t lacking = 0;
    for (std::size_t i = 0; i < joined.size(); ++i) {
      if (joined.has(1, i)) continue;
      ++lacking;
      EXPECT_EQ(found.table.series[4].values[i], 0.0) << join << i;
      EXPECT_NE(found.table.series[3].values[i], 0.0);
    }
    EXPECT_EQ(lacking, 6U);
    std::string notes;
    for (const auto& note : found.notes) notes += note + "\n";
    EXPECT_THAT(notes, HasSubstr("missing as there: 'facts'"));
    EXPECT_THAT(notes, HasSubstr("training rows: 'left, \"first\"', '시계'"));
    // Without the facts alone: the trunk and the batch that lacks them agree to the bit.
    nn::Model model = run.model->clone();
    auto& trunk = dynamic_cast<nn::JoinedTrunk&>(model.trunk());
    const data::RowList rows = {0, 1, 2, 3, 4};
    data::Batch batch = joined.batch(rows, nullptr);
    joined.switch_off(1, batch);
    const TensorList expected = model.forward(batch);
    trunk.take_away(1, {});
    const TensorList taken = model.forward(joined.batch(rows, nullptr));
    for (std::size_t k = 0; k < 2; ++k) EXPECT_TRUE(at::equal(taken[k], expected[k]));
    EXPECT_TRUE(at::equal(model.clone().forward(joined.batch(rows, nullptr))[0], taken[0]));
    trunk.restore_parts();
    EXPECT_TRUE(at::equal(model.forward(joined.batch(rows, nullptr))[0],
                          run.model->forward(joined.batch(rows, nullptr))[0]));
    EXPECT_THAT(train::error_of([&] { trunk.take_away(0, at::zeros({3})); }).what(),
                HasSubstr("has 3 numbers"));
  }
}

// A part that no head listens to is worth nothing to any example.
TEST_F(ModalityTest, APartThatChangesNoAnswerIsWorthNothing) {
  write_all(false);
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  {
    const at::NoGradGuard no_grad;
    // Behind the six features of the first part and the five of the second.
    for (std::size_t k = 0; k < 2; ++k) run.model->head_parameters(k)[0].narrow(1, 11, 4).zero_();
  }
  const Appraisal found = modality({run, corpus}, {});
  for (const std::size_t series : {2U, 5U}) {
    EXPECT_EQ(found.table.series[series].modality, "시계");
    for (std::size_t i = 0; i < corpus.train->size(); ++i) {
      const double value = found.table.series[series].values[i];
      if (!std::isnan(value)) {
        EXPECT_NEAR(value, 0, 1e-14);
      }
      EXPECT_EQ(std::isnan(value), std::isnan(found.table.series[series - 1].values[i]));
    }
  }
  EXPECT_EQ(found.validation["side"]["metric"]["parts"]["시계"], 0);
}

TEST_F(ModalityTest, WantsTwoToSixParts) {
  run("run");
  const LoadedRun pairs = train::load_run(folder_ / "run", {});
  const Corpus corpus = corpus_of(pairs);
  EXPECT_THAT(train::error_of([&] {
                modality({pairs, corpus}, {});
              }).what(),
              AllOf(HasSubstr("has one part (data.kind: pairs)"), HasSubstr("2 to 6 parts")));
  std::string list = "x0,x1,x2,x3,x4,x5,x6,value\n";
  Rng rng(1);
  for (int i = 0; i < 24; ++i) {
    for (int j = 0; j < 8; ++j) list += fmt::format("{}{}", rng.normal(), j < 7 ? "," : "\n");
  }
  write_file_atomic(folder_ / "list.csv", list);
  for (const int count : {1, 7}) {
    std::string parts;
    for (int j = 0; j < count; ++j) {
      parts += fmt::format("    - {{name: p{}, kind: table, inputs: [x{}]}}\n", j, j);
    }
    write_file_atomic(recipe_path(),
                      "data:\n  kind: joined\n  train: list.csv\n  split: {dev: 0.25}\n  parts:\n" +
                          parts +
                          "model: {kind: joined, widths: [4]}\n"
                          "tasks: [{name: value, head: regression}]\n"
                          "train: {epochs: 1, batch_size: 16}\nthreads: 1\n");
    run("many", {}, train::ExistingRun::kForce);
    const LoadedRun many = train::load_run(folder_ / "many", {});
    const Corpus rows = corpus_of(many);
    EXPECT_THAT(train::error_of([&] {
                  modality({many, rows}, {});
                }).what(),
                count == 1 ? HasSubstr("has one part ('p0')") : HasSubstr("at most 6 parts"));
  }
}

TEST_F(ModalityTest, InterruptedNothingIsKnown) {
  write_all(false);
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  Options options;
  options.progress = [](std::size_t done, std::size_t) { return done < 4; };
  const Appraisal found = modality({run, corpus}, options);
  ASSERT_EQ(found.table.series.size(), 6U);
  for (const auto& series : found.table.series) {
    ASSERT_EQ(series.values.size(), corpus.train->size());
    for (const double value : series.values) EXPECT_TRUE(std::isnan(value));
  }
  EXPECT_TRUE(found.audit.is_null());
}

}  // namespace
}  // namespace detente::appraise
