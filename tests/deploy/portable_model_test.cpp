// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/data/audio_source.h>
#include <detente/data/image_source.h>
#include <detente/data/pair_source.h>
#include <detente/data/table_source.h>
#include <detente/data/text_source.h>
#include <detente/deploy/portable_model.h>
#include <detente/nn/mlp_trunk.h>
#include <detente/nn/pair_trunk.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_sounds.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/script.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>

namespace detente::deploy {
namespace {

using ::testing::HasSubstr;

struct Trained {
  std::unique_ptr<data::Source> source;
  std::unique_ptr<nn::Model> model;
};

std::vector<nn::TaskHead> heads() {
  std::vector<nn::TaskHead> heads(3);
  heads[0].name = "value";
  heads[0].options.output = nn::HeadOptions::Output::kStandard;
  heads[1].name = "is it \"so\"\\?";
  heads[1].options.kind = HeadKind::kBinary;
  heads[2].name = "no";
  heads[2].options.kind = HeadKind::kClasses;
  heads[2].options.classes = 3;
  return heads;
}

AnswerNames names() { return {{}, {}, {"a", "b", "c"}}; }

// A source that has read the text, and a model for it whose heads stand in a unit of their own.
Trained trained(std::unique_ptr<data::Source> source,
                std::unique_ptr<nn::Trunk> trunk,
                const std::string& file,
                const std::string& text) {
  const test::TempDir folder;
  data::SourceInput input;
  input.files.train = (folder.path() / file).string();
  write_file_atomic(input.files.train, text);
  trunk->prepare(*source);
  source->read(input, nullptr);
  Trained trained{std::move(source), nullptr};
  trained.model = std::make_unique<nn::Model>(std::move(trunk), heads(), *trained.source, 3);
  trained.model->heads().start_from(0, std::vector<double>{1000, 1400, 1500});
  return trained;
}

Trained table_model() {
  return trained(std::make_unique<data::TableSource>(),
                 std::make_unique<nn::MlpTrunk>(),
                 "t.csv",
                 "x,day,word,half\n1,2024-01-01,a,\n2.5,2024-02-01,b,1\n-3,2024-03-01 12:00,a,2\n"
                 "1e9,2024-03-02,b,7\n");
}

torch::jit::Module loaded(const std::string& bytes, torch::jit::ExtraFilesMap* files = nullptr) {
  std::istringstream in(bytes);
  torch::jit::ExtraFilesMap none;
  return torch::jit::load(in, torch::kCPU, files != nullptr ? *files : none);
}

TEST(PortableModel, TorchScriptAnswersAsTheModelDoes) {
  const Trained t = table_model();
  torch::jit::ExtraFilesMap files{{"detente.json", ""}, {"columns.json", ""}};
  torch::jit::Module module = loaded(to_torchscript(*t.model, *t.source, names()), &files);

  std::vector<std::size_t> rows(t.source->size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  const auto expected = t.model->predict(t.source->batch(rows, nullptr));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  // Columns in the order of the table: x, day, half; and word.
  const at::Tensor numbers =
      torch::tensor({1.0, 19723.0, nan, 2.5, 19754.0, 1.0, -3.0, 19783.5, 2.0, 1e9, 19784.0, 7.0},
                    torch::kFloat64)
          .view({4, 3});
  const at::Tensor categories = torch::tensor({1, 2, 1, 2}, torch::kInt64).view({4, 1});
  const auto answers = module.forward({numbers, categories}).toGenericDict();
  for (std::size_t k = 0; k < 3; ++k) {
    const at::Tensor answer = answers.at(t.model->heads().tasks()[k].name)
                                  .toTensor()
                                  .to(torch::kFloat64)
                                  .reshape({4, -1});
    ASSERT_EQ(answer.size(1), static_cast<std::int64_t>(expected[k].cols()));
    for (std::int64_t i = 0; i < 4; ++i) {
      for (std::int64_t j = 0; j < answer.size(1); ++j) {
        const double want = expected[k](static_cast<std::size_t>(i), static_cast<std::size_t>(j));
        EXPECT_NEAR(answer[i][j].item<double>(), want, 1e-5 * std::max(1.0, std::abs(want)));
      }
    }
  }
  const Json described = Json::parse(files.at("detente.json"));
  EXPECT_EQ(described["inputs"][0]["shape"], Json::parse(R"(["batch", "3"])"));
  EXPECT_EQ(described["outputs"][2]["classes"], Json::parse(R"(["a", "b", "c"])"));
  EXPECT_EQ(Json::parse(files.at("columns.json"))["columns"].size(), 4U);
}

TEST(PortableModel, KeepsParametersByName) {
  const Trained t = table_model();
  const torch::jit::Module module = loaded(to_torchscript(*t.model, *t.source, names()));
  std::size_t count = 0;
  for (const auto& parameter : module.parameters())
    count += static_cast<std::size_t>(parameter.numel());
  EXPECT_EQ(count, static_cast<std::size_t>(t.model->parameter_count()));
}

TEST(PortableModel, OnnxPassesItsChecker) {
  const Trained t = table_model();
  const std::string bytes = to_onnx(*t.model, *t.source, names());
  EXPECT_NO_THROW(torch::jit::check_onnx_proto(bytes));
  EXPECT_THAT(bytes, HasSubstr("detente-model-1"));
  EXPECT_THAT(bytes, HasSubstr("columns.json"));
  EXPECT_EQ(bytes, to_onnx(*t.model, *t.source, names()));
}

// Every kind of head behind every way of sharing.
TEST(PortableModel, AllHeadsAndWaysOfSharingAnswerAsTheModelDoes) {
  std::vector<nn::TaskHead> all = heads();
  all.push_back({"grade", {.kind = HeadKind::kOrdinal, .classes = 4}});
  all.push_back({"two", {.kind = HeadKind::kOrdinal, .classes = 2}});
  all.push_back({"tags", {.kind = HeadKind::kLabels, .outputs = 3}});
  all.push_back({"pose", {.outputs = 2, .output = nn::HeadOptions::Output::kStandard}});
  const AnswerNames given = {{}, {}, {"a", "b", "c"}, {}, {}, {"x", "y", "z"}, {"left", "right"}};
  for (const std::string& kind : nn::sharing_kinds()) {
    SCOPED_TRACE(kind);
    Trained t = table_model();
    t.model = std::make_unique<nn::Model>(
        std::make_unique<nn::MlpTrunk>(), all, *t.source, 3, nn::make_sharing(kind));
    // Recording compares the answers for other rows with the model's.
    torch::jit::ExtraFilesMap files{{"detente.json", ""}};
    torch::jit::Module module = loaded(to_torchscript(*t.model, *t.source, given), &files);
    const Json outputs = Json::parse(files.at("detente.json"))["outputs"];
    EXPECT_EQ(outputs[5]["labels"], Json::parse(R"(["x", "y", "z"])"));
    EXPECT_EQ(outputs[6]["values"], Json::parse(R"(["left", "right"])"));
    EXPECT_THAT(outputs[3]["meaning"].get<std::string>(), HasSubstr("in their order"));
    std::size_t count = 0;
    for (const auto& parameter : module.parameters()) {
      count += static_cast<std::size_t>(parameter.numel());
    }
    EXPECT_EQ(count, static_cast<std::size_t>(t.model->parameter_count()));
    EXPECT_NO_THROW(torch::jit::check_onnx_proto(to_onnx(*t.model, *t.source, given)));
  }
}

TEST(PortableModel, PairsOfAnyLengthsAnswerAsTheModelDoes) {
  auto trunk = std::make_unique<nn::PairTrunk>(
      nn::PairModelOptions{.width = 16,
                           .layers = 2,
                           .pooling = nn::PairModelOptions::Pooling::kIdf,
                           .alignment = nn::PairModelOptions::Alignment::kBoth});
  const Trained t =
      trained(std::make_unique<data::PairSource>(),
              std::move(trunk),
              "p.tsv",
              "sentence1\tsentence2\nab cd ef gh\tcd\nx\tab ab ab ab ab\ncd\tcd ef\n");
  EXPECT_NO_THROW(torch::jit::check_onnx_proto(to_onnx(*t.model, *t.source, names())));
  torch::jit::Module module = loaded(to_torchscript(*t.model, *t.source, names()));
  std::vector<std::size_t> rows(t.source->size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  const data::Batch batch = t.source->batch(rows, nullptr);
  const auto expected = t.model->predict(batch);
  const auto& trunk_built = static_cast<const nn::PairTrunk&>(t.model->trunk());
  const auto input = [&](const char* name) {
    const at::Tensor ids = nn::tensor_of(data::array_of(batch, name));
    const at::Tensor lengths = nn::tensor_of(data::array_of(batch, std::string(name) + "_length"));
    at::Tensor own = ids.clone();
    for (std::int64_t i = 0; i < own.size(0); ++i) {
      own[i].slice(0, lengths[i].item<std::int64_t>()).fill_(trunk_built.vocabulary().pad);
    }
    return own.view({own.size(0), -1, trunk_built.vocabulary().ids_per_token});
  };
  const auto answers = module.forward({input("first"), input("second")}).toGenericDict();
  const at::Tensor value = answers.at("value").toTensor();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_NEAR(value[static_cast<std::int64_t>(i)].item<double>(), expected[0](i, 0), 2e-2);
  }
}

// Any size of batch, both kinds of normalisation.
TEST(PortableModel, NetworksForImagesAnswerAsTheModelDoes) {
  for (const char* norm : {"group", "batch"}) {
    for (const std::string kind : {"convnet", "resnet", "wide_resnet"}) {
      std::unique_ptr<nn::Trunk> trunk = nn::make_trunk(kind);
      const auto set = [&](const char* key, const char* value) {
        set_field([&](FieldVisitor& v) { trunk->describe(v); }, key, value, "test");
      };
      set("norm", norm);
      if (kind == "resnet") set("small", "true");
      if (kind == "wide_resnet") set("depth", "10");
      // CIFAR-10's form: a label and 3 × 32 × 32 bytes, five images.
      std::string records;
      for (int i = 0; i < 5; ++i) {
        records += static_cast<char>(i);
        for (int j = 0; j < 3072; ++j)
          records += static_cast<char>((i * 37 + j * 11 + j * j) % 256);
      }
      const Trained t =
          trained(std::make_unique<data::ImageSource>(), std::move(trunk), "c.bin", records);
      const std::vector<std::size_t> rows = {0, 1, 2, 3, 4};
      const auto expected = t.model->predict(t.source->batch(rows, nullptr));
      torch::jit::Module module = loaded(to_torchscript(*t.model, *t.source, names()));
      at::Tensor images = torch::empty({5, 3, 32, 32});
      for (std::int64_t i = 0; i < images.numel(); ++i) {
        images.data_ptr<float>()[i] = static_cast<float>(
            static_cast<unsigned char>(records[static_cast<std::size_t>(i + i / 3072 + 1)]));
      }
      const at::Tensor answer =
          module.forward({images}).toGenericDict().at("no").toTensor().to(torch::kFloat64);
      for (std::size_t i = 0; i < 5; ++i) {
        for (std::size_t j = 0; j < 3; ++j) {
          EXPECT_NEAR(
              answer[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(j)].item<double>(),
              expected[2](i, j),
              1e-4)
              << norm << kind;
        }
      }
      EXPECT_NO_THROW(torch::jit::check_onnx_proto(to_onnx(*t.model, *t.source, names())));
    }
  }
}

TEST(PortableModel, NetworksForRecordingsAnswerAsTheModelDoes) {
  const test::TempDir sounds;
  std::string list = "audio\n";
  for (int i = 0; i < 3; ++i) {
    const std::string name = std::to_string(i) + ".wav";
    sounds.write(name, test::wav_file(test::pcm16(test::tone(300 + 400 * i, 2000))));
    list += sounds.file(name) + "\n";
  }
  for (const char* kind : {"convnet", "convnet1d", "resnet"}) {
    const Trained t =
        trained(std::make_unique<data::AudioSource>(), nn::make_trunk(kind), "a.csv", list);
    const auto& source = static_cast<const data::AudioSource&>(*t.source);
    const std::vector<std::size_t> rows = {0, 1, 2};
    const auto expected = t.model->predict(source.batch(rows, nullptr));
    torch::jit::Module module = loaded(to_torchscript(*t.model, source, names()));
    std::vector<at::Tensor> energies;
    for (const std::size_t row : rows) {
      const auto own = source.energies(row);  // as many frames each
      energies.push_back(torch::tensor(at::ArrayRef<float>(own.data(), own.size()))
                             .view({-1, static_cast<std::int64_t>(source.bands())})
                             .t());
    }
    const at::Tensor answer = module.forward({torch::stack(energies)})
                                  .toGenericDict()
                                  .at("no")
                                  .toTensor()
                                  .to(torch::kFloat64);
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < 3; ++j) {
        EXPECT_NEAR(
            answer[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(j)].item<double>(),
            expected[2](i, j),
            1e-4)
            << kind;
      }
    }
    EXPECT_NO_THROW(torch::jit::check_onnx_proto(to_onnx(*t.model, source, names())));
  }
}

TEST(PortableModel, TransformersAnswerAsTheModelDoes) {
  auto trunk = nn::make_trunk("transformer");
  for (const auto& [key, value] : std::vector<std::pair<const char*, const char*>>{
           {"width", "12"}, {"layers", "2"}, {"heads", "3"}, {"ffn", "24"}}) {
    set_field([&](FieldVisitor& v) { trunk->describe(v); }, key, value, "test");
  }
  const Trained t = trained(
      std::make_unique<data::TextSource>(), std::move(trunk), "t.tsv", "text\nab cd ab\ncd ab\n");
  // Recording runs the model on other sizes and compares.
  EXPECT_NO_THROW(loaded(to_torchscript(*t.model, *t.source, names())));
  EXPECT_NO_THROW(torch::jit::check_onnx_proto(to_onnx(*t.model, *t.source, names())));
}

TEST(PortableModel, CrossPairsAnswerAsTheModelDoes) {
  auto trunk = std::make_unique<nn::PairTrunk>(
      nn::PairModelOptions{.mode = nn::PairModelOptions::Mode::kCross, .width = 16, .layers = 2});
  const Trained t =
      trained(std::make_unique<data::PairSource>(),
              std::move(trunk),
              "p.tsv",
              "sentence1\tsentence2\nab cd ef gh\tcd\nx\tab ab ab ab ab\ncd\tcd ef\n");
  EXPECT_NO_THROW(torch::jit::check_onnx_proto(to_onnx(*t.model, *t.source, names())));
  torch::jit::Module module = loaded(to_torchscript(*t.model, *t.source, names()));
  const auto& vocabulary = static_cast<const nn::PairTrunk&>(t.model->trunk()).vocabulary();
  const std::vector<std::size_t> rows = {0, 1, 2};
  const data::Batch batch = t.source->batch(rows, nullptr);
  const auto expected = t.model->predict(batch);
  const auto sentence = [&](const char* name, std::int64_t row) {
    const at::Tensor length = nn::tensor_of(data::array_of(batch, std::string(name) + "_length"));
    return nn::tensor_of(data::array_of(batch, name))[row]
        .slice(0, 0, length[row].item<std::int64_t>())
        .to(torch::kInt64);
  };
  const std::int64_t unit = vocabulary.ids_per_token;
  const at::Tensor cls = torch::full({unit}, vocabulary.cls, torch::kInt64);
  const at::Tensor sep = torch::full({unit}, vocabulary.sep, torch::kInt64);
  at::Tensor joined = torch::full({3, 40 * unit}, vocabulary.pad, torch::kInt64);
  at::Tensor segments = torch::ones({3, 40}, torch::kInt64);
  for (std::int64_t i = 0; i < 3; ++i) {
    const at::Tensor a = sentence("first", i);
    const at::Tensor row = torch::cat({cls, a, sep, sentence("second", i), sep});
    joined[i].slice(0, 0, row.size(0)).copy_(row);
    segments[i].slice(0, 0, a.size(0) / unit + 2).zero_();
  }
  const auto answers = module.forward({joined.view({3, -1, unit}), segments}).toGenericDict();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_NEAR(answers.at("value").toTensor()[static_cast<std::int64_t>(i)].item<double>(),
                expected[0](i, 0),
                2e-2);
  }
}

}  // namespace
}  // namespace detente::deploy
