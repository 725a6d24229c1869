// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/joined_source.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/losses/registry.h>
#include <detente/nn/joined_trunk.h>
#include <detente/nn/model.h>
#include <detente/tensor/compat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_sounds.h>
#include <torch/torch.h>

#include <map>

namespace detente::nn {
namespace {

using test::error_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

using Settings = std::vector<std::pair<std::string, std::string>>;
using Rows = std::vector<std::size_t>;

template <class T>
void set(T& object, const Settings& settings) {
  for (const auto& [key, value] : settings) {
    set_field([&](FieldVisitor& v) { object.describe(v); }, key, value, "test");
  }
}

std::vector<TaskHead> three_heads() {
  return {{"a", {.kind = HeadKind::kRegression}},
          {"b", {.kind = HeadKind::kBinary}},
          {"c", {.kind = HeadKind::kClasses, .classes = 3}}};
}

// A table of its own and recordings, of which `lacking` rows lack one or the other.
class JoinedTrunkTest : public ::testing::Test {
 protected:
  void SetUp() override { tensor::set_threads(1); }

  std::string write(const std::string& name, const std::string& content) {
    write_file_atomic(folder_.path() / name, content);
    return folder_.file(name);
  }
  std::unique_ptr<data::JoinedSource> source(bool lacking, bool sound_first = false) {
    std::string facts = "who,p,q\n";
    std::string list = "who,audio,y\n";
    for (int i = 0; i < 8; ++i) {
      facts += fmt::format("w{},{},{}\n", i, i * i % 5, i % 3 == 0 ? "x" : "z");
      const auto tone = test::tone(300 + 150 * i, static_cast<std::size_t>(500 + 20 * i));
      write(fmt::format("s{}.wav", i), test::wav_file(test::pcm16(tone)));
      list += fmt::format("{},{},{}\n",
                          lacking && i % 3 == 1 ? "" : fmt::format("w{}", i),
                          lacking && i % 3 == 2 ? "" : fmt::format("s{}.wav", i),
                          i);
    }
    auto audio = data::make_source("audio");
    set(*audio, {{"mel.mels", "8"}, {"mel.hop", "20"}});
    auto joined = std::make_unique<data::JoinedSource>();
    const auto add_sound = [&] { joined->add_part("sound", std::move(audio)); };
    if (sound_first) add_sound();
    joined->add_part("facts", data::make_source("table"), {write("facts.csv", facts), "who", ""});
    if (!sound_first) add_sound();
    data::SourceInput input;
    input.files.train = write("list.csv", list);
    input.targets = {{.task = "y", .column = "y"}};
    joined->read(input, nullptr);
    return joined;
  }
  static std::unique_ptr<JoinedTrunk> trunk(const data::Source& source, const Settings& more = {}) {
    auto made = std::make_unique<JoinedTrunk>();
    made->suit(source);
    for (std::size_t i = 0; i < made->part_names().size(); ++i) {
      const std::string at = "parts[" + std::to_string(i) + "].";
      if (made->part_names()[i] == "sound") {
        set(*made, {{at + "channels", "[4]"}, {at + "hidden", "5"}});
      } else {
        set(*made, {{at + "widths", "[6]"}});
      }
    }
    set(*made, {{"widths", "[7]"}, {"gate_width", "4"}});
    set(*made, more);
    return made;
  }
  static Model model(const data::Source& source, const Settings& more = {}) {
    return {trunk(source, more), three_heads(), source, 3};
  }

  test::TempDir folder_;
};

const Rows kAll = {0, 1, 2, 3, 4, 5, 6, 7};

TEST_F(JoinedTrunkTest, OnePartWithNothingAboveItIsThePartsOwnModel) {
  const std::string path = write("t.csv", "p,q,y\n1,x,1\n2,z,2\n4,x,3\n,z,4\n3,x,5\n");
  data::SourceInput input;
  input.files.train = path;
  input.targets = {{.task = "y", .column = "y"}};
  auto table = data::make_source("table");
  table->read(input, nullptr);
  data::JoinedSource joined;
  joined.add_part("only", data::make_source("table"));
  joined.read(input, nullptr);
  const Model own(make_trunk("mlp"), three_heads(), *table, 3);
  auto alone = std::make_unique<JoinedTrunk>();
  alone->suit(joined);
  set(*alone, {{"widths", ""}});
  Model one(std::move(alone), three_heads(), joined, 3);
  EXPECT_EQ(one.parameter_count(), own.parameter_count());
  EXPECT_EQ(one.state().front().first, "parts.only." + own.state().front().first);
  const Rows rows = {3, 0, 2};
  const TensorList a = own.forward(table->batch(rows, nullptr));
  const TensorList b = one.forward(joined.batch(rows, nullptr));
  Rng first(5);
  Rng second(5);
  const TensorList c = own.forward(table->batch(rows, nullptr), &first);
  const TensorList d = one.forward(joined.batch(rows, nullptr), &second);
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_TRUE(torch::equal(a[k], b[k]));
    EXPECT_TRUE(torch::equal(c[k], d[k])) << "with dropout";
    EXPECT_FALSE(torch::equal(a[k], c[k]));
  }
}

TEST_F(JoinedTrunkTest, OrderOfThePartsDoesNotMatter) {
  for (const bool lacking : {false, true}) {
    for (const char* join : {"concat", "gated"}) {
      SCOPED_TRACE(std::string(join) + (lacking ? ", lacking" : ""));
      const auto source_a = source(lacking);
      const auto source_b = source(lacking, true);
      const Model a = model(*source_a, {{"join", join}});
      Model b = model(*source_b, {{"join", join}});
      // facts: 6 features, sound: 5; then the marks, in the order of the parts.
      std::vector<std::int64_t> order = {6, 7, 8, 9, 10, 0, 1, 2, 3, 4, 5};
      if (lacking) order.insert(order.end(), {12, 11});
      NamedTensors state = a.state();
      const auto width = static_cast<std::int64_t>(order.size());
      for (auto& [name, tensor] : state) {
        const bool sees_all = name.starts_with("gate.") || name == "layers.0.weight";
        if (sees_all && tensor.dim() == 2 && tensor.size(1) == width) {
          tensor = tensor.detach().index_select(1, torch::tensor(order));
        }
      }
      b.load_state(state);
      const TensorList x = a.forward(source_a->batch(kAll, nullptr));
      const TensorList y = b.forward(source_b->batch(kAll, nullptr));
      for (std::size_t k = 0; k < 3; ++k) {
        EXPECT_TRUE(torch::allclose(x[k], y[k], 1e-5, 1e-6));
      }
    }
  }
}

TEST_F(JoinedTrunkTest, GatedIsItsFormula) {
  const auto source = this->source(true);
  const auto trunk = this->trunk(*source, {{"join", "gated"}, {"widths", ""}});
  Rng rng(1);
  Draw draw(rng);
  trunk->build(*source, draw);
  EXPECT_EQ(trunk->width(), 4);
  const data::Batch batch = source->batch(kAll, nullptr);
  const at::Tensor present = tensor_of(data::array_of(batch, "present")).to(torch::kFloat);
  TensorList features;
  for (std::size_t p = 0; p < 2; ++p) {
    const std::string name = trunk->part_names()[p];
    const at::Tensor own = trunk->part(p).features(data::JoinedSource::part_batch(name, batch));
    at::Tensor all = torch::zeros({8, own.size(1)});
    for (std::int64_t i = 0, j = 0; i < 8; ++i) {
      if (present[i][static_cast<std::int64_t>(p)].item<float>() > 0) all[i] = own[j++].detach();
    }
    features.push_back(all);
  }
  const at::Tensor seen = torch::cat({features[0], features[1], present}, 1);
  at::Tensor expected = torch::zeros({8, 4});
  for (std::size_t p = 0; p < 2; ++p) {
    const std::string name = trunk->part_names()[p];
    const Parameters& from = trunk->parameters();
    expected += torch::sigmoid(seen.mm(from("gate." + name + ".weight").t())) *
                torch::tanh(features[p].mm(from("join." + name + ".weight").t()));
  }
  EXPECT_TRUE(torch::allclose(trunk->features(batch), expected, 1e-5, 1e-6));
}

TEST_F(JoinedTrunkTest, ExamplesAreAnsweredAloneAsTogether) {
  for (const char* join : {"concat", "gated"}) {
    const auto source = this->source(true);
    const Model m = model(*source, {{"join", join}});
    const TensorList together = m.forward(source->batch(kAll, nullptr));
    for (const std::size_t row : kAll) {
      const TensorList alone = m.forward(source->batch(Rows{row}, nullptr));
      for (std::size_t k = 0; k < 3; ++k) {
        const at::Tensor expected = together[k][static_cast<std::int64_t>(row)];
        EXPECT_TRUE(torch::allclose(alone[k][0], expected, 1e-5, 1e-6)) << join << " row " << row;
      }
    }
  }
}

TEST_F(JoinedTrunkTest, APartSwitchedOffSaysNothing) {
  const auto source = this->source(true);
  Model m = model(*source);
  data::Batch batch = source->batch(kAll, nullptr);
  source->switch_off(1, batch);
  const TensorList before = m.forward(batch);
  {
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : m.state()) {
      if (name.starts_with("parts.sound.")) at::Tensor(tensor).add_(1.0);
    }
  }
  const TensorList after = m.forward(batch);
  const TensorList on = m.forward(source->batch(kAll, nullptr));
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_TRUE(torch::equal(before[k], after[k]));
    EXPECT_FALSE(torch::allclose(on[k], after[k]));
  }
  // Gradients of a part that nobody has are none.
  const auto sound = m.trunk().parameters()("parts.sound.hidden.weight");
  const auto gradient = torch::autograd::grad({after[0].sum()}, {sound}, {}, true, false, true);
  EXPECT_FALSE(gradient[0].defined());
}

// Each task has rows of its own, two share some, or all share all: every strategy's way through the graph.
TEST_F(JoinedTrunkTest, TheEnginesGradientsAreThoseOfPlainPasses) {
  using engine::Strategy;
  const double nan = std::nan("");
  const std::vector<std::vector<std::vector<double>>> targets = {
      {{1, 2, 3, 4, 5, 6, 7, 8}, {1, 0, 1, 0, 1, 0, 1, 0}, {0, 1, 2, 0, 1, 2, 0, 1}},
      {{1, 2, nan, nan, nan, nan, nan, 8},
       {nan, nan, 1, 0, 1, nan, nan, nan},
       {nan, nan, nan, nan, nan, 2, 0, nan}},
      {{1, nan, 3, 4, nan, 6, 7, 8},
       {nan, 0, 1, nan, 1, 0, nan, 0},
       {0, 1, nan, 0, 1, nan, 0, nan}}};
  for (const bool lacking : {false, true}) {
    const auto source = this->source(lacking);
    for (const char* join : {"concat", "gated"}) {
      Model m = model(*source, {{"join", join}});
      m.to({}, tensor::DType::kFloat64);
      const data::Batch batch = source->batch(kAll, nullptr);
      const TensorList shared = m.shared_parameters();
      for (const auto& columns : targets) {
        const auto values = [&] {
          Rng rng(2);
          const TensorList predictions = m.forward(batch, &rng);
          const char* losses[] = {"mse", "bce", "cross_entropy"};
          TensorList list;
          for (std::size_t k = 0; k < 3; ++k) {
            list.push_back((*losses::make_loss(losses[k]))(
                predictions[k], torch::tensor(columns[k], torch::kDouble)));
          }
          return list;
        };
        TensorList rows;
        for (const at::Tensor& loss : values()) {
          const auto parts = torch::autograd::grad({loss}, shared, {}, true, false, true);
          TensorList flat;
          for (std::size_t i = 0; i < shared.size(); ++i) {
            flat.push_back(
                (parts[i].defined() ? parts[i] : torch::zeros_like(shared[i])).flatten());
          }
          rows.push_back(torch::cat(flat));
        }
        const at::Tensor all = torch::stack(rows);
        const at::Tensor gram = all.mm(all.t());
        std::vector<TensorList> own;
        for (std::size_t k = 0; k < 3; ++k) own.push_back(m.head_parameters(k));
        for (const auto memory :
             {engine::MultiTaskOptions::Memory::kFast, engine::MultiTaskOptions::Memory::kLow}) {
          for (const Strategy strategy :
               {Strategy::kSequential, Strategy::kGhost, Strategy::kAuto}) {
            if (memory == engine::MultiTaskOptions::Memory::kLow && strategy != Strategy::kAuto) {
              continue;
            }
            engine::MultiTaskBackward backward(
                shared,
                own,
                balance::make_method("cagrad"),
                {"a", "b", "c"},
                {.strategy = strategy, .memory = memory, .diagnose_every = 1});
            Rng rng(0);
            const engine::StepReport report = backward(values(), rng);
            SCOPED_TRACE(fmt::format("{} {} {}: {}",
                                     join,
                                     lacking,
                                     engine::name_of(strategy),
                                     engine::name_of(report.strategy)));
            for (std::int64_t i = 0; i < 3; ++i) {
              for (std::int64_t j = 0; j < 3; ++j) {
                EXPECT_NEAR(report.gram(static_cast<std::size_t>(i), static_cast<std::size_t>(j)),
                            gram[i][j].item<double>(),
                            1e-10 * gram.abs().max().item<double>());
              }
            }
            const auto weights = torch::tensor(report.weights, torch::kDouble);
            const at::Tensor direction = weights.unsqueeze(0).mm(all).squeeze(0);
            std::int64_t at = 0;
            for (const at::Tensor& parameter : shared) {
              const at::Tensor part = direction.narrow(0, at, parameter.numel()).view_as(parameter);
              EXPECT_TRUE(torch::allclose(parameter.grad(), part, 1e-9, 1e-11));
              at += parameter.numel();
            }
            tensor::clear_gradients(shared);
            for (const TensorList& head : own) tensor::clear_gradients(head);
          }
        }
      }
    }
  }
}

TEST_F(JoinedTrunkTest, CopiesAreOfTheirOwnAndKeepTheirNames) {
  const auto source = this->source(true);
  Model m = model(*source, {{"join", "gated"}});
  Model copy = m.clone();
  const data::Batch batch = source->batch(kAll, nullptr);
  {
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : copy.state()) at::Tensor(tensor).zero_();
  }
  EXPECT_TRUE(
      torch::equal(copy.forward(batch)[0], torch::zeros({8}).view_as(copy.forward(batch)[0])));
  EXPECT_FALSE(torch::equal(m.forward(batch)[0], copy.forward(batch)[0]));
  copy.load_state(m.state());
  EXPECT_TRUE(torch::equal(m.forward(batch)[0], copy.forward(batch)[0]));
  copy.to({}, tensor::DType::kFloat64);
  EXPECT_TRUE(
      torch::allclose(m.forward(batch)[0].to(torch::kDouble), copy.forward(batch)[0], 1e-4));
  std::map<std::string, int> names;
  for (const auto& [name, tensor] : copy.state()) {
    EXPECT_EQ(++names[name], 1);
    EXPECT_EQ(tensor.scalar_type(), torch::kDouble);
  }
  EXPECT_TRUE(names.contains("parts.sound.hidden.weight") && names.contains("gate.facts.weight"));
}

TEST_F(JoinedTrunkTest, SaysWhichPartIsWrong) {
  const auto source = this->source(false);
  JoinedTrunk trunk;
  EXPECT_THAT(error_of([&] { trunk.prepare(*data::make_source("table")); }).what(),
              HasSubstr("data.kind is table"));
  trunk.suit(*source);
  EXPECT_NO_THROW(trunk.validate());
  EXPECT_THAT(error_of([&] {
                set(trunk, {{"parts[1].kind", "mlp"}});
              }).what(),
              AllOf(HasSubstr("parts[1].kind"), HasSubstr("convnet1d")));
  set(trunk, {{"parts[0].widths", "[1.5]"}});
  EXPECT_THAT(error_of([&] { trunk.validate(); }).what(), HasSubstr("part 'facts'"));
  JoinedTrunk other;
  other.suit(*source);
  set(other, {{"parts[0].name", "fact"}});
  EXPECT_THAT(error_of([&] { other.validate(); }).what(),
              AllOf(HasSubstr("'fact'"), HasSubstr("'facts'")));
  JoinedTrunk twice;
  twice.suit(*source);
  set(twice, {{"parts[0].name", "sound"}});
  EXPECT_THAT(error_of([&] { twice.validate(); }).what(), HasSubstr("'sound' twice"));
}

}  // namespace
}  // namespace detente::nn
