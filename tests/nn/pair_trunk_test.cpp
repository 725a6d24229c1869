// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/model.h>
#include <detente/nn/pair_trunk.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <map>

#include "tests/support/tolerances.h"

namespace detente::nn {
namespace {

Model make_pair_model(const PairModelOptions& options,
                      const Vocabulary& vocabulary,
                      std::vector<TaskHead> heads,
                      std::uint64_t seed,
                      std::int64_t extra_features) {
  Rng rng = Model::initial_rng(seed);
  Draw draw(rng);
  auto trunk = std::make_unique<PairTrunk>(options);
  trunk->build(vocabulary, extra_features, draw);
  const std::int64_t width = trunk->width();
  return {std::move(trunk), Heads(std::move(heads), width, draw)};
}

// A trunk and its heads without a source: batches are views of token ids.
class PairModel {
 public:
  // Parameters are drawn from `seed` alone: the same on every machine and engine.
  // `extra_features`: how many numbers come with each pair (lexical features).
  PairModel(const PairModelOptions& options,
            const Vocabulary& vocabulary,
            std::vector<TaskHead> heads,
            std::uint64_t seed,
            std::int64_t extra_features = 0);

  // As in nn::Model.
  TensorList forward(const PairBatch& batch, Rng* dropout = nullptr) const;
  std::vector<Matrix> predict(const PairBatch& batch) const;
  at::Tensor features(const PairBatch& batch, Rng* dropout = nullptr) const;

  const std::vector<TaskHead>& heads() const { return model_.heads().tasks(); }

  TensorList shared_parameters() const { return model_.shared_parameters(); }
  TensorList head_parameters(std::size_t head) const { return model_.head_parameters(head); }
  std::vector<std::string> shared_names() const {
    return model_.trunk().parameters().trained_names();
  }
  std::vector<std::string> head_names(std::size_t head) const {
    return model_.heads().parameters(head).trained_names();
  }
  std::int64_t parameter_count() const { return model_.parameter_count(); }
  NamedTensors state() const { return model_.state(); }
  void load_state(const NamedTensors& state) { model_.load_state(state); }

  // As in PairTrunk and Heads.
  void set_embedding(MatrixView table) { trunk().set_embedding(table); }
  void set_token_weights(std::span<const double> weights) { trunk().set_token_weights(weights); }
  void set_extra_scale(std::span<const double> means, std::span<const double> deviations) {
    trunk().set_number_scale(means, deviations);
  }
  void set_initial_prediction(std::size_t head, double value) {
    model_.heads().set_initial_prediction(head, value);
  }
  void to(tensor::Device device, tensor::DType dtype) { model_.to(device, dtype); }

 private:
  PairTrunk& trunk() { return static_cast<PairTrunk&>(model_.trunk()); }
  const PairTrunk& trunk() const { return static_cast<const PairTrunk&>(model_.trunk()); }

  Model model_;
};

PairModel::PairModel(const PairModelOptions& options,
                     const Vocabulary& vocabulary,
                     std::vector<TaskHead> heads,
                     std::uint64_t seed,
                     std::int64_t extra_features)
    : model_(make_pair_model(options, vocabulary, std::move(heads), seed, extra_features)) {}

TensorList PairModel::forward(const PairBatch& batch, Rng* dropout) const {
  return model_.heads()(trunk().features(batch, dropout));
}

std::vector<Matrix> PairModel::predict(const PairBatch& batch) const {
  const torch::NoGradGuard no_grad;
  return model_.predict(trunk().views(batch));
}

at::Tensor PairModel::features(const PairBatch& batch, Rng* dropout) const {
  return trunk().features(batch, dropout);
}

using Ids = std::vector<std::int32_t>;

// Sentences that outlive the batch made of them.
struct PairSentences {
  std::vector<Ids> first;
  std::vector<Ids> second;
  std::vector<float> extra;

  PairBatch batch() const {
    PairBatch result;
    for (const auto& ids : first) result.first.emplace_back(ids);
    for (const auto& ids : second) result.second.emplace_back(ids);
    result.extra = extra;
    return result;
  }
  PairSentences row(std::size_t i) const { return {{first[i]}, {second[i]}, {}}; }
};

PairSentences pair_sentences() {
  return {{{5, 6, 7}, {8, 9}, {10, 5, 5, 11, 6, 9, 7}, {6}},
          {{5, 7}, {9, 8, 10, 11}, {11, 10, 5}, {12, 12, 5}},
          {}};
}

std::vector<TaskHead> pair_heads() {
  return {{"score", {.kind = HeadKind::kRegression}},
          {"same", {.kind = HeadKind::kBinary}},
          {"kind", {.kind = HeadKind::kClasses, .classes = 3}}};
}

PairModelOptions pair_options() {
  PairModelOptions options;
  options.width = 8;
  options.heads = 2;
  options.layers = 2;
  options.ffn = 12;
  options.hidden = 6;
  options.max_length = 10;
  return options;
}

PairModel pair_model(const PairModelOptions& options,
                     std::uint64_t seed = 3,
                     std::int64_t extra = 0,
                     std::int64_t ids_per_token = 1) {
  tensor::set_threads(1);  // for tensors this small, threads only wait for each other
  PairModel model(options, {.size = 13, .ids_per_token = ids_per_token}, pair_heads(), seed, extra);
  model.to({}, tensor::DType::kFloat64);
  return model;
}

void expect_predictions_near(const std::vector<Matrix>& a,
                             const std::vector<Matrix>& b,
                             double tolerance,
                             std::size_t row_a = 0,
                             std::size_t row_b = 0,
                             std::size_t rows = 1) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t k = 0; k < a.size(); ++k) {
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t c = 0; c < a[k].cols(); ++c) {
        EXPECT_NEAR(a[k](row_a + i, c), b[k](row_b + i, c), tolerance) << "head " << k;
      }
    }
  }
}

// The same network with plain loops over vectors of doubles, one sentence at a time.
class PlainPairModel {
 public:
  using Vector = std::vector<double>;

  PlainPairModel(const PairModel& model, const PairModelOptions& options) : options_(options) {
    for (const auto& [name, tensor] : model.state()) {
      tensors_[name] = tensor.to(torch::kDouble).contiguous();
    }
  }

  // The output of a head with one number.
  double operator()(const Ids& first, const Ids& second, const std::string& head) const {
    const Vector u = encode(first);
    const Vector v = encode(second);
    Vector features;
    for (const double x : u) features.push_back(x);
    for (const double x : v) features.push_back(x);
    for (std::size_t i = 0; i < u.size(); ++i) features.push_back(std::abs(u[i] - v[i]));
    for (std::size_t i = 0; i < u.size(); ++i) features.push_back(u[i] * v[i]);
    Vector hidden = linear(norm(features, "features.norm"), "trunk");
    for (double& x : hidden) x = gelu(x);
    return linear(hidden, "heads." + head)[0];
  }

 private:
  static double gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }
  double at(const std::string& name, std::size_t i) const {
    return tensors_.at(name).data_ptr<double>()[i];
  }
  Vector linear(const Vector& x, const std::string& name) const {
    const auto out = static_cast<std::size_t>(tensors_.at(name + ".bias").numel());
    Vector y(out);
    for (std::size_t o = 0; o < out; ++o) {
      y[o] = at(name + ".bias", o);
      for (std::size_t i = 0; i < x.size(); ++i) {
        y[o] += at(name + ".weight", o * x.size() + i) * x[i];
      }
    }
    return y;
  }
  Vector norm(Vector x, const std::string& name) const {
    double mean = 0;
    double variance = 0;
    const auto n = static_cast<double>(x.size());
    for (const double v : x) mean += v / n;
    for (const double v : x) variance += (v - mean) * (v - mean) / n;
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = (x[i] - mean) / std::sqrt(variance + 1e-5) * at(name + ".weight", i) +
             at(name + ".bias", i);
    }
    return x;
  }
  Vector encode(const Ids& ids) const {
    const auto d = static_cast<std::size_t>(options_.width);
    const auto heads = static_cast<std::size_t>(options_.heads);
    const std::size_t part = d / heads;
    std::vector<Vector> x;
    for (std::size_t t = 0; t < ids.size(); ++t) {
      x.emplace_back(d);
      for (std::size_t i = 0; i < d; ++i) {
        x[t][i] = at("embedding.weight", static_cast<std::size_t>(ids[t]) * d + i) +
                  at("position.weight", t * d + i);
      }
    }
    for (std::int64_t l = 0; l < options_.layers; ++l) {
      const std::string name = "layers." + std::to_string(l);
      std::vector<Vector> qkv;
      for (const auto& token : x) {
        qkv.push_back(linear(norm(token, name + ".norm1"), name + ".attention.qkv"));
      }
      for (std::size_t t = 0; t < x.size(); ++t) {
        Vector mixed(d, 0.0);
        for (std::size_t h = 0; h < heads; ++h) {
          Vector weights;
          double total = 0;
          for (const auto& other : qkv) {
            double score = 0;
            for (std::size_t i = 0; i < part; ++i) {
              score += qkv[t][h * part + i] * other[d + h * part + i];
            }
            weights.push_back(std::exp(score / std::sqrt(static_cast<double>(part))));
            total += weights.back();
          }
          for (std::size_t s = 0; s < qkv.size(); ++s) {
            for (std::size_t i = 0; i < part; ++i) {
              mixed[h * part + i] += weights[s] / total * qkv[s][2 * d + h * part + i];
            }
          }
        }
        const Vector out = linear(mixed, name + ".attention.out");
        for (std::size_t i = 0; i < d; ++i) x[t][i] += out[i];
      }
      for (auto& token : x) {
        Vector inner = linear(norm(token, name + ".norm2"), name + ".ffn.in");
        for (double& value : inner) value = gelu(value);
        const Vector out = linear(inner, name + ".ffn.out");
        for (std::size_t i = 0; i < d; ++i) token[i] += out[i];
      }
    }
    Vector pooled(d, 0.0);
    for (const auto& token : x) {
      const Vector y = options_.layers > 0 ? norm(token, "norm") : token;
      for (std::size_t i = 0; i < d; ++i) pooled[i] += y[i] / static_cast<double>(x.size());
    }
    return pooled;
  }

  PairModelOptions options_;
  std::map<std::string, at::Tensor> tensors_;
};

TEST(PairModel, EqualsThePlainComputation) {
  for (const std::int64_t layers : {0, 1, 2}) {
    auto options = pair_options();
    options.layers = layers;
    const PairModel model = pair_model(options);
    const PlainPairModel plain(model, options);
    const auto sentences = pair_sentences();
    const auto predictions = model.forward(sentences.batch());
    for (std::size_t i = 0; i < sentences.first.size(); ++i) {
      const auto row = static_cast<std::int64_t>(i);
      EXPECT_NEAR(predictions[0][row].item<double>(),
                  plain(sentences.first[i], sentences.second[i], "score"),
                  test::kAccumulated)
          << layers << " layers, row " << i;
      EXPECT_NEAR(predictions[1][row].item<double>(),
                  plain(sentences.first[i], sentences.second[i], "same"),
                  test::kAccumulated);
    }
  }
}

std::vector<std::pair<std::string, PairModelOptions>> pair_variants() {
  std::vector<std::pair<std::string, PairModelOptions>> variants;
  variants.emplace_back("plain", pair_options());
  variants.emplace_back("bag", pair_options());
  variants.back().second.layers = 0;
  variants.back().second.positions = PairModelOptions::Positions::kNone;
  variants.emplace_back("rich", pair_options());
  variants.back().second.alignment = PairModelOptions::Alignment::kBoth;
  variants.back().second.pooling = PairModelOptions::Pooling::kIdf;
  variants.back().second.learn_token_weights = true;
  variants.back().second.hidden = 0;
  variants.emplace_back("cross", pair_options());
  variants.back().second.mode = PairModelOptions::Mode::kCross;
  return variants;
}

class PairModelVariant : public testing::TestWithParam<std::pair<std::string, PairModelOptions>> {
 protected:
  const PairModelOptions& options() const { return GetParam().second; }
};

INSTANTIATE_TEST_SUITE_P(Variants,
                         PairModelVariant,
                         testing::ValuesIn(pair_variants()),
                         [](const auto& info) { return info.param.first; });

TEST_P(PairModelVariant, PaddingAndCompanyInTheBatchChangeNothing) {
  const PairModel model = pair_model(options());
  const auto sentences = pair_sentences();
  const auto together = model.predict(sentences.batch());
  for (std::size_t i = 0; i < sentences.first.size(); ++i) {
    expect_predictions_near(
        model.predict(sentences.row(i).batch()), together, test::kRounding, 0, i);
  }
}

TEST_P(PairModelVariant, PaddingChangesFloat32OnlyByRounding) {
  PairModel model = pair_model(options());
  model.to({}, tensor::DType::kFloat32);
  const auto sentences = pair_sentences();
  const auto together = model.predict(sentences.batch());
  for (std::size_t i = 0; i < sentences.first.size(); ++i) {
    expect_predictions_near(model.predict(sentences.row(i).batch()), together, 1e-6, 0, i);
  }
}

TEST_P(PairModelVariant, TokensBeyondTheLimitAreCutOff) {
  auto short_options = options();
  short_options.max_length = 3;
  const PairModel model = pair_model(short_options);
  auto sentences = pair_sentences();
  const auto before = model.predict(sentences.batch());
  sentences.first[2] = {10, 5, 5, 12, 12, 12};
  sentences.second[1] = {9, 8, 10};
  expect_predictions_near(model.predict(sentences.batch()), before, test::kRounding, 0, 0, 4);
}

TEST_P(PairModelVariant, DropoutFollowsItsGeneratorAlone) {
  const PairModel model = pair_model(options());
  const auto sentences = pair_sentences();
  const auto run = [&](std::uint64_t seed) {
    Rng rng(seed);
    return model.forward(sentences.batch(), &rng)[0];
  };
  torch::manual_seed(1);
  const auto once = run(5);
  torch::manual_seed(2);
  EXPECT_TRUE(torch::equal(run(5), once));
  EXPECT_FALSE(torch::equal(run(6), once));
  EXPECT_TRUE(
      torch::equal(model.forward(sentences.batch())[0], model.forward(sentences.batch())[0]));
}

// Each entry of the features is 0 or 1/(1 − share) times what it is without dropout.
TEST(PairModel, DropoutDropsItsShareAndKeepsTheMean) {
  auto options = pair_options();
  options.layers = 0;
  options.embedding_dropout = 0;
  options.symmetric = false;
  options.hidden = 500;
  options.dropout = 0.3;
  const PairModel model = pair_model(options);
  const auto sentences = pair_sentences();
  Rng rng(1);
  const auto ratio = model.features(sentences.batch(), &rng) / model.features(sentences.batch());
  const auto dropped = ratio == 0;
  EXPECT_TRUE(torch::allclose(ratio.masked_select(dropped.logical_not()),
                              torch::full({1}, 1 / 0.7, torch::kDouble),
                              test::kRounding,
                              0));
  // 2000 draws: six standard deviations are 0.061.
  EXPECT_NEAR(dropped.to(torch::kDouble).mean().item<double>(), 0.3, 0.061);
}

TEST_P(PairModelVariant, StateMovesToAnotherModelWhole) {
  const PairModel model = pair_model(options(), 3);
  PairModel other = pair_model(options(), 4);
  const auto sentences = pair_sentences();
  const auto expected = model.predict(sentences.batch());
  EXPECT_NE(other.predict(sentences.batch())[0](0, 0), expected[0](0, 0));
  other.load_state(model.state());
  expect_predictions_near(other.predict(sentences.batch()), expected, 0.0, 0, 0, 4);
}

TEST_P(PairModelVariant, EveryParameterLearns) {
  const PairModel model = pair_model(options());
  const auto sentences = pair_sentences();
  const auto predictions = model.forward(sentences.batch());
  auto loss = predictions[0].square().sum() + predictions[1].square().sum();
  (loss + predictions[2].square().sum()).backward();
  const auto names = model.shared_names();
  const auto parameters = model.shared_parameters();
  ASSERT_EQ(names.size(), parameters.size());
  std::int64_t count = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    ASSERT_TRUE(parameters[i].grad().defined()) << names[i];
    EXPECT_TRUE(torch::isfinite(parameters[i].grad()).all().item<bool>()) << names[i];
    EXPECT_GT(parameters[i].grad().abs().max().item<double>(), 0.0) << names[i];
    count += parameters[i].numel();
  }
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_THAT(model.head_names(k),
                testing::ElementsAre("heads." + model.heads()[k].name + ".weight",
                                     "heads." + model.heads()[k].name + ".bias"));
    for (const auto& parameter : model.head_parameters(k)) {
      EXPECT_TRUE(parameter.grad().defined());
      count += parameter.numel();
    }
  }
  EXPECT_EQ(model.parameter_count(), count);
}

TEST_P(PairModelVariant, LearnsAFewPairsByHeart) {
  const PairModel model = pair_model(options());
  const auto sentences = pair_sentences();
  const auto target = torch::tensor({0.0, 1.0, -1.0, 2.0}, torch::kDouble);
  TensorList parameters = model.shared_parameters();
  for (const auto& parameter : model.head_parameters(0)) parameters.push_back(parameter);
  torch::optim::Adam optimizer(parameters, torch::optim::AdamOptions(0.02));
  for (int i = 0; i < 100; ++i) {
    optimizer.zero_grad();
    (model.forward(sentences.batch())[0] - target).square().mean().backward();
    optimizer.step();
  }
  EXPECT_LT((model.forward(sentences.batch())[0] - target).square().mean().item<double>(), 0.05);
}

TEST_P(PairModelVariant, AnEmptySentenceGivesFiniteAnswers) {
  const PairModel model = pair_model(options());
  const PairSentences sentences{{{}, {5, 6}}, {{7}, {}}, {}};
  for (const auto& output : model.predict(sentences.batch())) {
    for (std::size_t i = 0; i < output.rows(); ++i) EXPECT_TRUE(std::isfinite(output(i, 0)));
  }
}

TEST(PairModel, SeedAloneDecidesTheParameters) {
  const PairModel a = pair_model(pair_options(), 3);
  torch::manual_seed(99);
  const PairModel b = pair_model(pair_options(), 3);
  const PairModel c = pair_model(pair_options(), 4);
  EXPECT_TRUE(torch::equal(a.shared_parameters()[0], b.shared_parameters()[0]));
  EXPECT_FALSE(torch::equal(a.shared_parameters()[0], c.shared_parameters()[0]));
}

TEST(PairModel, SymmetricModelsPredictTheSameForEitherOrder) {
  auto options = pair_options();
  const auto sentences = pair_sentences();
  const PairSentences reversed{sentences.second, sentences.first, {}};
  for (const bool symmetric : {true, false}) {
    options.symmetric = symmetric;
    const PairModel model = pair_model(options);
    const double there = model.predict(sentences.batch())[0](0, 0);
    const double back = model.predict(reversed.batch())[0](0, 0);
    if (symmetric) {
      EXPECT_NEAR(there, back, test::kRounding);
    } else {
      EXPECT_GT(std::abs(there - back), test::kLimit);
    }
  }
}

TEST(PairModel, HeadsAnswerInTheirKind) {
  std::vector<TaskHead> heads = pair_heads();
  heads[0].options.output = HeadOptions::Output::kSigmoid;
  heads[0].options.low = 1.0;
  heads[0].options.high = 5.0;
  PairModel model(pair_options(), {.size = 13}, heads, 1);
  const auto sentences = pair_sentences();
  const auto logits = model.forward(sentences.batch());
  EXPECT_EQ(logits[0].sizes(), (std::vector<std::int64_t>{4}));
  EXPECT_EQ(logits[1].sizes(), (std::vector<std::int64_t>{4}));
  EXPECT_EQ(logits[2].sizes(), (std::vector<std::int64_t>{4, 3}));
  const auto predictions = model.predict(sentences.batch());
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_GT(predictions[0](i, 0), 1.0);
    EXPECT_LT(predictions[0](i, 0), 5.0);
    EXPECT_GT(predictions[1](i, 0), 0.0);
    EXPECT_LT(predictions[1](i, 0), 1.0);
    EXPECT_NEAR(
        predictions[2](i, 0) + predictions[2](i, 1) + predictions[2](i, 2), 1.0, test::kFloat32);
  }
}

TEST(PairModel, TokensOfSeveralIdsAreTheirScaledSum) {
  auto options = pair_options();
  options.layers = 0;
  options.positions = PairModelOptions::Positions::kNone;
  PairModel triple = pair_model(options, 3, 0, 3);
  PairModel single = pair_model(options, 3, 0, 1);
  single.load_state(triple.state());
  // With the weight of all but one id of each token at 0, that one is all there is.
  std::vector<double> weights(13, 0.0);
  for (const std::size_t id : {5, 6, 7}) weights[id] = 1.0;
  triple.set_token_weights(weights);
  single.set_token_weights(weights);
  const PairSentences triples{{{5, 8, 9, 6, 9, 9}}, {{7, 10, 11}}, {}};
  const PairSentences singles{{{5, 6}}, {{7}}, {}};
  expect_predictions_near(triple.predict(triples.batch()), single.predict(singles.batch()), 1e-5);
}

TEST(PairModel, TokenWeightsDecideThePooling) {
  auto options = pair_options();
  options.layers = 0;
  options.positions = PairModelOptions::Positions::kNone;
  options.pooling = PairModelOptions::Pooling::kIdf;
  PairModel model = pair_model(options);
  std::vector<double> weights(13, 1.0);
  weights[6] = 0.0;
  model.set_token_weights(weights);
  const PairSentences with{{{5, 6, 6, 7}}, {{8}}, {}};
  const PairSentences without{{{5, 7}}, {{8}}, {}};
  expect_predictions_near(model.predict(with.batch()), model.predict(without.batch()), 1e-5);
}

TEST(PairModel, ExtraNumbersEnterScaled) {
  PairModel model = pair_model(pair_options(), 3, 2);
  auto sentences = pair_sentences();
  sentences.extra.assign(8, 4.0F);
  const auto at_four = model.predict(sentences.batch());
  const std::vector<double> means = {3.0, 4.0};
  const std::vector<double> deviations = {0.5, 0.0};
  model.set_extra_scale(means, deviations);
  // (3.0 + 4 · 0.5 − 3.0) / 0.5 = 4 and (8 − 4) / 1 = 4.
  for (std::size_t i = 0; i < 8; i += 2) {
    sentences.extra[i] = 5.0F;
    sentences.extra[i + 1] = 8.0F;
  }
  expect_predictions_near(model.predict(sentences.batch()), at_four, test::kRounding, 0, 0, 4);
}

TEST(PairModel, StartsFromTheGivenAnswer) {
  PairModel model = pair_model(pair_options());
  {
    const torch::NoGradGuard no_grad;
    for (std::size_t k = 0; k < 2; ++k) model.head_parameters(k)[0].zero_();
  }
  model.set_initial_prediction(0, 2.5);
  model.set_initial_prediction(1, 0.3);
  const auto predictions = model.predict(pair_sentences().batch());
  EXPECT_NEAR(predictions[0](0, 0), 2.5, test::kFloat32);
  EXPECT_NEAR(predictions[1](0, 0), 0.3, test::kFloat32);
}

TEST(PairModel, TakesAnEmbeddingTable) {
  PairModel model = pair_model(pair_options());
  Matrix table(13, 8, 0.25);
  model.set_embedding(table);
  const auto embedding = model.shared_parameters()[0];
  EXPECT_EQ(embedding[5][3].item<double>(), 0.25);
  EXPECT_EQ(embedding[0].abs().sum().item<double>(), 0.0) << "padding";
  EXPECT_TRUE(embedding.requires_grad());
}

TEST(PairModel, RefusesWhatDoesNotFit) {
  PairModel model = pair_model(pair_options(), 3, 1);
  const auto code = [](const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::StartsWith("[nn::"));
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  auto sentences = pair_sentences();
  EXPECT_EQ(code([&] { model.predict(sentences.batch()); }), ErrorCode::kShape) << "no extra";
  sentences.extra.assign(4, 0.0F);
  EXPECT_NO_THROW(model.predict(sentences.batch()));
  EXPECT_EQ(code([&] { model.predict(PairBatch{}); }), ErrorCode::kShape);
  for (const std::int32_t id : {13, -1}) {
    sentences.first[1][0] = id;
    EXPECT_EQ(code([&] { model.predict(sentences.batch()); }), ErrorCode::kData) << id;
  }
  EXPECT_EQ(code([&] { model.set_embedding(Matrix(12, 8)); }), ErrorCode::kShape);
  EXPECT_EQ(code([&] { model.set_token_weights(std::vector<double>(12, 1.0)); }),
            ErrorCode::kShape);
  EXPECT_EQ(code([&] { model.set_token_weights(std::vector<double>(13, -1.0)); }),
            ErrorCode::kInvalidArgument);
  NamedTensors state = model.state();
  NamedTensors missing(state.begin() + 1, state.end());
  NamedTensors unknown = state;
  unknown.emplace_back("other.weight", torch::zeros({1}));
  NamedTensors shape = state;
  shape[0].second = torch::zeros({3, 3});
  for (const auto& bad : {missing, unknown, shape}) {
    EXPECT_EQ(code([&] { model.load_state(bad); }), ErrorCode::kData);
  }
  EXPECT_EQ(code([] { PairModel(pair_options(), {.size = 0}, pair_heads(), 1); }),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace detente::nn
