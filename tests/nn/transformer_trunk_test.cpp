// SPDX-License-Identifier: Apache-2.0
// Against the answers of another implementation (tests/golden/nn/bert_tiny), and by laws.
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/data/text_source.h>
#include <detente/nn/transformer_trunk.h>
#include <detente/tensor/safetensors.h>
#include <detente/text/tokenizer.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

namespace detente::nn {
namespace {

using test::error_of;
using ::testing::HasSubstr;

const std::filesystem::path kTiny = DETENTE_SOURCE_DIR "/tests/golden/nn/bert_tiny";

at::Tensor tensor_from(const Json& rows) {
  std::vector<at::Tensor> list;
  if (!rows.is_array()) return torch::tensor(rows.get<double>(), torch::kFloat64);
  for (const Json& row : rows) list.push_back(tensor_from(row));
  return torch::stack(list);
}

struct Tiny {
  TransformerShape shape = TransformerShape::read(kTiny);
  Parameters parameters;

  explicit Tiny(std::int64_t frozen = 0, std::int64_t vocabulary = 30) {
    Rng rng(1);
    Draw draw(rng);
    TransformerEncoder::add_parameters(shape, vocabulary, frozen, draw, parameters);
  }
};

TEST(TransformerEncoder, AnswersAsThePublishedModel) {
  Tiny tiny;
  load_published(kTiny, tiny.parameters);
  const Json expected = Json::parse(read_file(kTiny / "expected.json"));
  const at::Tensor ids = tensor_from(expected["ids"]).to(torch::kInt64);
  const at::Tensor segments = tensor_from(expected["segments"]).to(torch::kInt64);
  Dropout off(nullptr);
  const at::Tensor real = ids != 0;
  const at::Tensor hidden =
      TransformerEncoder(tiny.shape, tiny.parameters)(ids, real, segments, off, 0.1);
  const at::Tensor distance = (hidden - tensor_from(expected["hidden"])).abs() * real.unsqueeze(-1);
  EXPECT_LT(distance.max().item<double>(), 2e-5);
}

TEST(TransformerEncoder, ReadsNamesWithThePrefixOfWholeModels) {
  const test::TempDir folder;
  NamedTensors prefixed;
  for (const auto& [name, tensor] : tensor::read_safetensors(kTiny / "model.safetensors")) {
    prefixed.emplace_back("bert." + name, tensor);
  }
  prefixed.emplace_back("cls.predictions.bias", torch::zeros({3}));
  tensor::write_safetensors(folder.path() / "model.safetensors", prefixed);
  Tiny tiny;
  Tiny other;
  load_published(kTiny, tiny.parameters);
  load_published(folder.path(), other.parameters);
  for (const auto& [name, tensor] : tiny.parameters.trained()) {
    EXPECT_TRUE(torch::equal(tensor, other.parameters(name))) << name;
  }
}

TEST(TransformerEncoder, SaysWhatAFileOfAnotherModelLacks) {
  Tiny other(0, 31);
  const Error size = error_of([&] { load_published(kTiny, other.parameters); });
  EXPECT_EQ(size.code(), ErrorCode::kData);
  EXPECT_THAT(size.what(), HasSubstr("tokenizer.vocab"));

  const test::TempDir folder;
  tensor::write_safetensors(folder.path() / "model.safetensors", {{"x", torch::zeros({1})}});
  Tiny tiny;
  EXPECT_THAT(error_of([&] { load_published(folder.path(), tiny.parameters); }).what(),
              HasSubstr("embeddings.word_embeddings.weight"));
  for (const auto& [content, word] :
       std::vector<std::pair<std::string, std::string>>{{"", "not JSON"},
                                                        {"{}", "hidden_size"},
                                                        {R"({"model_type": "roberta"})", "roberta"},
                                                        {R"({"hidden_act": "relu"})", "relu"}}) {
    write_file_atomic(folder.path() / "config.json", content);
    EXPECT_THAT(error_of([&] { TransformerShape::read(folder.path()); }).what(), HasSubstr(word));
  }
}

TEST(TransformerEncoder, FrozenPartsAreNotTrained) {
  Tiny tiny(2);
  for (const auto& [name, tensor] : tiny.parameters.trained()) {
    EXPECT_THAT(name, HasSubstr("encoder.layer.1."));
  }
  load_published(kTiny, tiny.parameters);  // frozen ones as well
  EXPECT_TRUE(torch::equal(tiny.parameters("embeddings.LayerNorm.bias"), [&] {
    for (const auto& [name, tensor] : tensor::read_safetensors(kTiny / "model.safetensors")) {
      if (name == "embeddings.LayerNorm.bias") return tensor;
    }
    return at::Tensor();
  }()));
}

class TransformerTrunkTest : public ::testing::Test {
 protected:
  // A trunk with options for a source of the text.
  void make(std::unique_ptr<data::PairSource> source,
            const std::string& text,
            const std::vector<std::pair<std::string, std::string>>& options = {}) {
    source_ = std::move(source);
    for (const auto& [key, value] : options) {
      set_field([&](FieldVisitor& v) { trunk_.describe(v); }, key, value, "test");
    }
    data::SourceInput input;
    input.files.train = folder_.write("t.tsv", text);
    trunk_.prepare(*source_);
    source_->read(input, nullptr);
    Rng rng(5);
    Draw draw(rng);
    trunk_.build(*source_, draw);
  }
  data::Batch batch(std::vector<std::size_t> rows) const { return source_->batch(rows, nullptr); }

  test::TempDir folder_;
  std::unique_ptr<data::PairSource> source_;
  TransformerTrunk trunk_;
};

const std::vector<std::pair<std::string, std::string>> kSmall = {
    {"width", "12"}, {"layers", "2"}, {"heads", "3"}, {"ffn", "24"}};
const char* kPairs = "sentence1\tsentence2\nab ab\tcd\nab cd ab cd\tab cd ab cd\ncd\tab ab ab ab\n";

TEST_F(TransformerTrunkTest, ATextDoesNotSeeItsNeighbours) {
  make(std::make_unique<data::TextSource>(), "text\nab cd ab\ncd\nab ab ab cd cd cd\n", kSmall);
  const at::Tensor all = trunk_.features(batch({0, 1, 2}));
  ASSERT_EQ(all.size(1), 12);
  for (std::int64_t i = 0; i < 3; ++i) {
    const at::Tensor alone = trunk_.features(batch({static_cast<std::size_t>(i)}));
    EXPECT_TRUE(torch::allclose(alone[0], all[i], 1e-4, 1e-5)) << i;
  }
}

TEST_F(TransformerTrunkTest, EqualSentencesHaveCosineOne) {
  make(std::make_unique<data::PairSource>(), kPairs, kSmall);
  const at::Tensor features = trunk_.features(batch({0, 1, 2}));
  ASSERT_EQ(features.size(1), 4 * 12 + 1);
  EXPECT_NEAR(features[1][48].item<double>(), 3.0, 1e-4);
  EXPECT_LT(features[0][48].item<double>(), 3.0 - 1e-3);
  // |u − v| of equal sentences.
  EXPECT_LT(features[1].slice(0, 24, 36).abs().max().item<double>(), 1e-4);
}

TEST_F(TransformerTrunkTest, PortableViewsAreTheFeatures) {
  auto options = kSmall;
  for (const char* mode : {"siamese", "cross"}) {
    options.emplace_back("mode", mode);
    make(std::make_unique<data::PairSource>(), kPairs, options);
    const auto inputs = trunk_.portable_inputs(*source_);
    EXPECT_EQ(inputs.list[1].name, mode == std::string("siamese") ? "second" : "segments");
    const auto& special = source_->tokenizer().special();
    // Pair 0: "ab ab" and "cd".
    std::vector<std::int64_t> a = {special.cls};
    for (const auto id : source_->tokenizer().encode("ab ab")) a.push_back(id);
    a.push_back(special.sep);
    std::vector<std::int64_t> b = {special.cls};
    for (const auto id : source_->tokenizer().encode("cd")) b.push_back(id);
    b.push_back(special.sep);
    TensorList tensors;
    if (mode == std::string("siamese")) {
      tensors = {torch::tensor(a).unsqueeze(0), torch::tensor(b).unsqueeze(0)};
    } else {
      std::vector<std::int64_t> segments(a.size(), 0);
      segments.insert(segments.end(), b.size() - 1, 1);
      a.insert(a.end(), b.begin() + 1, b.end());
      tensors = {torch::tensor(a).unsqueeze(0), torch::tensor(segments).unsqueeze(0)};
    }
    const at::Tensor portable = trunk_.portable_views(tensors, *source_).at(0);
    EXPECT_TRUE(torch::allclose(portable[0], trunk_.features(batch({0}))[0], 1e-4, 1e-5)) << mode;
  }
}

TEST_F(TransformerTrunkTest, RatesFallTowardsTheFirstLayer) {
  auto options = kSmall;
  options.insert(options.end(), {{"rate", "0.5"}, {"layer_decay", "0.5"}, {"hidden", "7"}});
  make(std::make_unique<data::TextSource>(), "text\nab\nab\n", options);
  const auto rates = trunk_.learning_rates();
  const auto names = trunk_.parameters().trained_names();
  ASSERT_EQ(rates.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double expected = names[i].starts_with("embeddings.")        ? 0.125
                            : names[i].starts_with("encoder.layer.0.") ? 0.25
                            : names[i].starts_with("encoder.layer.1.") ? 0.5
                                                                       : 1.0;
    EXPECT_DOUBLE_EQ(rates[i], expected) << names[i];
  }
}

TEST_F(TransformerTrunkTest, RefusesWhatDoesNotFit) {
  TransformerTrunk trunk;
  const auto set = [&](const char* key, const char* value) {
    set_field([&](FieldVisitor& v) { trunk.describe(v); }, key, value, "test");
  };
  set("max_length", "511");
  EXPECT_THAT(error_of([&] { trunk.validate(); }).what(), HasSubstr("513 positions"));
  set("max_length", "10");
  set("heads", "5");
  EXPECT_THAT(error_of([&] { trunk.validate(); }).what(), HasSubstr("does not divide"));
  set("heads", "4");
  set("freeze", "4");
  EXPECT_THAT(error_of([&] { trunk.validate(); }).what(), HasSubstr("3 parts"));
}

TEST_F(TransformerTrunkTest, APublishedFolderDecidesTheShape) {
  TransformerTrunk trunk;
  set_field([&](FieldVisitor& v) { trunk.describe(v); }, "pretrained", kTiny.string(), "test");
  trunk.resolve_paths("/");
  set_field([&](FieldVisitor& v) { trunk.describe(v); }, "max_length", "10", "test");
  EXPECT_NO_THROW(trunk.validate());
  EXPECT_EQ(trunk.width(), 8);
}

// data/minilm/README.md
TEST(MiniLm, SentencesHaveThePublishedVectors) {
  const char* folder = std::getenv("DETENTE_MINILM");
  if (folder == nullptr) GTEST_SKIP() << "DETENTE_MINILM does not name the model's folder";
  const Json golden = Json::parse(read_file(DETENTE_SOURCE_DIR "/tests/golden/nn/minilm.json"));
  const text::TokenizerOptions options{.kind = text::TokenizerOptions::Kind::kWordpiece,
                                       .vocab = std::string(folder) + "/vocab.txt",
                                       .lower_case = true,
                                       .strip_accents = true};
  const auto tokenizer = text::make_tokenizer(options, {});
  const TransformerShape shape = TransformerShape::read(folder);
  Rng rng(1);
  Draw draw(rng);
  Parameters parameters;
  TransformerEncoder::add_parameters(
      shape, static_cast<std::int64_t>(tokenizer->size()), 0, draw, parameters);
  load_published(folder, parameters);
  const TransformerEncoder encoder(shape, parameters);
  Dropout off(nullptr);
  for (std::size_t i = 0; i < golden["sentences"].size(); ++i) {
    std::vector<std::int64_t> ids = {tokenizer->special().cls};
    for (const auto id : tokenizer->encode(golden["sentences"][i].get<std::string>())) {
      ids.push_back(id);
    }
    ids.push_back(tokenizer->special().sep);
    EXPECT_EQ(ids, golden["ids"][i].get<std::vector<std::int64_t>>()) << i;
    const at::Tensor tokens = torch::tensor(ids).unsqueeze(0);
    const at::Tensor mean = encoder(tokens, tokens >= 0, {}, off, 0).mean(1)[0];
    const at::Tensor distance = mean / mean.norm() - tensor_from(golden["vectors"][i]);
    EXPECT_LT(distance.abs().max().item<double>(), 1e-4) << i;
  }
}

}  // namespace
}  // namespace detente::nn
