// SPDX-License-Identifier: Apache-2.0
// Graphs and images with maps, as other programs use them.
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/data/dense_source.h>
#include <detente/data/graph_source.h>
#include <detente/deploy/portable_model.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_dense.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/script.h>

#include <cmath>
#include <numeric>
#include <sstream>

namespace detente::deploy {
namespace {

struct Network {
  std::unique_ptr<data::Source> source;
  std::unique_ptr<nn::Model> model;

  torch::jit::Module torchscript() const {
    std::istringstream in(to_torchscript(*model, *source, names()));
    return torch::jit::load(in);
  }
  AnswerNames names() const { return AnswerNames(model->heads().size()); }
};

nn::TaskHead head_of(const std::string& name, TaskKind kind, std::int64_t classes = 2) {
  nn::TaskHead head;
  head.name = name;
  head.options.kind = kind;
  head.options.classes = classes;
  return head;
}

Network network(std::unique_ptr<data::Source> source,
                const std::string& kind,
                const std::vector<std::pair<std::string, std::string>>& options,
                const std::string& content,
                const std::vector<nn::TaskHead>& heads) {
  const test::TempDir folder;
  std::unique_ptr<nn::Trunk> trunk = nn::make_trunk(kind);
  for (const auto& [key, value] : options) {
    set_field([&](FieldVisitor& v) { trunk->describe(v); }, key, value, "test");
  }
  data::SourceInput input;
  input.files.train = folder.file("data.txt");
  write_file_atomic(input.files.train, content);
  trunk->prepare(*source);
  source->read(input, nullptr);
  Network made{std::move(source), nullptr};
  made.model = std::make_unique<nn::Model>(std::move(trunk), heads, *made.source, 3);
  return made;
}

std::vector<std::size_t> all_rows(const data::Source& source) {
  std::vector<std::size_t> rows(source.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

at::Tensor whole_numbers(const data::Batch& batch, const char* name) {
  return nn::tensor_of(data::array_of(batch, name)).to(torch::kInt64);
}

// What a user of the exported model makes of a batch.
std::vector<c10::IValue> graph_inputs(const data::GraphSource& source, const data::Batch& batch) {
  const std::int64_t nodes = whole_numbers(batch, "degree").size(0);
  at::Tensor features = torch::zeros({nodes, static_cast<std::int64_t>(source.feature_count())});
  features.index_put_({whole_numbers(batch, "feature_node"), whole_numbers(batch, "feature")},
                      nn::tensor_of(data::array_of(batch, "feature_value")));
  const at::Tensor edges = torch::stack({whole_numbers(batch, "from"), whole_numbers(batch, "to")});
  if (source.nodes()) return {features, edges, whole_numbers(batch, "asked")};
  return {features, edges, whole_numbers(batch, "graph_of"), whole_numbers(batch, "sizes")};
}

void expect_graphs_agree(const Network& network) {
  const auto& source = static_cast<const data::GraphSource&>(*network.source);
  const data::Batch batch = source.batch(all_rows(source), nullptr);
  const auto expected = network.model->predict(batch);
  torch::jit::Module module = network.torchscript();
  const auto answers = module.forward(graph_inputs(source, batch)).toGenericDict();
  const at::Tensor value = answers.at("value").toTensor();
  const at::Tensor kind = answers.at("kind").toTensor();
  ASSERT_EQ(value.size(0), static_cast<std::int64_t>(source.size()));
  for (std::size_t i = 0; i < source.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    EXPECT_NEAR(value[row].item<double>(), expected[0](i, 0), 1e-5);
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(kind[row][static_cast<std::int64_t>(c)].item<double>(), expected[1](i, c), 1e-5);
    }
  }
  EXPECT_NO_THROW(
      torch::jit::check_onnx_proto(to_onnx(*network.model, *network.source, network.names())));
}

// A molecule of one atom has no edge; rings have more than chains.
constexpr const char* kMolecules =
    "a 3 2 6:0:2:0 8:0:0:0 6:0:2:0 0-1-1 1-2-1\n"
    "b 1 0 6:0:4:0\n"
    "c 4 4 6:0:2:0 6:0:2:0 7:0:1:0 6:0:2:0 0-1-1 1-2-1 2-3-1 0-3-1\n"
    "d 2 1 6:0:3:0 6:0:3:0 0-1-1\n";

TEST(PortableNetworks, GraphsAnswerAsTheModelDoes) {
  const std::vector<nn::TaskHead> heads = {head_of("value", TaskKind::kRegression),
                                           head_of("kind", TaskKind::kClasses, 3)};
  for (const char* kind : {"gcn", "gin"}) {
    for (const char* readout : {"sum", "mean"}) {
      SCOPED_TRACE(std::string(kind) + " " + readout);
      expect_graphs_agree(network(std::make_unique<data::GraphSource>(),
                                  kind,
                                  {{"readout", readout}, {"widths", "[8, 5]"}},
                                  kMolecules,
                                  heads));
    }
  }
  expect_graphs_agree(network(std::make_unique<data::GraphSource>(),
                              "gin",
                              {{"norm", "true"}, {"epsilon", "0.5"}},
                              kMolecules,
                              heads));
  expect_graphs_agree(network(
      std::make_unique<data::GraphSource>(), "gcn", {{"spread", "false"}}, kMolecules, heads));
}

TEST(PortableNetworks, NodesAnswerAsTheModelDoes) {
  const std::string nodes =
      "5 3 3 4\n0 0 1 0\n1 0 2 0 2\n2 0 0\n0 0 1 1\n1 0 1 2\n0 1\n1 2\n2 0\n3 1\n";
  for (const char* kind : {"gcn", "gin"}) {
    SCOPED_TRACE(kind);
    expect_graphs_agree(
        network(std::make_unique<data::GraphSource>(),
                kind,
                {},
                nodes,
                {head_of("value", TaskKind::kRegression), head_of("kind", TaskKind::kClasses, 3)}));
  }
}

// A map of each kind and a number for each image; sides that halve to odd ones.
TEST(PortableNetworks, MapsAnswerAsTheModelDoes) {
  const std::vector<nn::TaskHead> heads = {head_of("things", TaskKind::kSegmentation, 4),
                                           head_of("depth", TaskKind::kDepth),
                                           head_of("normals", TaskKind::kNormals),
                                           head_of("green", TaskKind::kBinary)};
  const std::string images_file =
      test::dense_container(5, {.channels = 3, .height = 37, .width = 34}, 4, true, 1);
  struct Case {
    const char* kind;
    std::vector<std::pair<std::string, std::string>> options;
  };
  for (const Case& one : {Case{"unet", {{"channels", "[4, 6, 8]"}, {"norm", "group"}}},
                          Case{"unet", {{"channels", "[4, 6]"}, {"norm", "batch"}}},
                          Case{"segnet", {{"width", "4"}}},
                          Case{"mtan", {{"width", "4"}}}}) {
    SCOPED_TRACE(one.kind);
    const Network made =
        network(std::make_unique<data::DenseSource>(), one.kind, one.options, images_file, heads);
    const auto& source = static_cast<const data::DenseSource&>(*made.source);
    const data::Batch batch = source.batch(all_rows(source), nullptr);
    at::Tensor images = nn::tensor_of(data::array_of(batch, "image")).to(torch::kFloat64);
    for (std::size_t c = 0; c < source.means().size(); ++c) {
      images.select(1, static_cast<std::int64_t>(c))
          .mul_(source.deviations()[c])
          .add_(source.means()[c]);
    }
    torch::jit::Module module = made.torchscript();
    const auto answers = module.forward({images.to(torch::kFloat32)}).toGenericDict();
    const TensorList expected = made.model->forward(batch);
    for (std::size_t k = 0; k < heads.size(); ++k) {
      const at::Tensor answer = made.model->heads().answer(k, expected[k]);
      const at::Tensor got = answers.at(heads[k].name).toTensor();
      ASSERT_EQ(got.sizes(), answer.sizes()) << heads[k].name;
      EXPECT_LT((got - answer).abs().max().item<double>(),
                1e-4 * (1 + answer.abs().max().item<double>()))
          << heads[k].name;
    }
    EXPECT_NO_THROW(torch::jit::check_onnx_proto(to_onnx(*made.model, *made.source, made.names())));
  }
}

}  // namespace
}  // namespace detente::deploy
