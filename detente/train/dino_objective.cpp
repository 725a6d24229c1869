// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/picture_source.h>
#include <detente/distill/collapse.h>
#include <detente/distill/schedules.h>
#include <detente/nn/ema.h>
#include <detente/nn/image_trunk.h>
#include <detente/train/dino_objective.h>
#include <detente/train/step_draws.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

namespace detente::train {
namespace {

constexpr std::uint64_t kViewStream = 0x76696577;
constexpr std::uint64_t kHeadStream = 0x64696e6f;
constexpr const char* kHeadPrefix = "dino.";
constexpr const char* kTeacherAverage = "teacher.average.";

// Views of one size as one batch, view after view.
std::vector<data::Batch> by_size(std::vector<data::Batch> views) {
  const auto sides = [](const data::Batch& batch) {
    const auto& shape = batch.front().shape;
    return std::pair{shape[2], shape[3]};
  };
  std::vector<data::Batch> groups;
  for (data::Batch& view : views) {
    if (!groups.empty() && sides(groups.back()) == sides(view)) {
      data::append_images(groups.back(), view);
    } else {
      groups.push_back(std::move(view));
    }
  }
  return groups;
}

// The first `rows` images of a batch.
data::Batch first_of(const data::Batch& batch, std::size_t rows) {
  const data::Array& all = batch.front();
  const auto& values = std::get<std::vector<float>>(all.values);
  const auto count = static_cast<std::ptrdiff_t>(values.size() / all.shape[0] * rows);
  std::vector<std::size_t> shape = all.shape;
  shape[0] = rows;
  return {{all.name, std::move(shape), std::vector<float>(values.begin(), values.begin() + count)}};
}

class DinoLosses final : public LossSource {
 public:
  DinoLosses(const DinoRecipe& options, const LossContext& context)
      : options_(options),
        context_(context),
        source_(dynamic_cast<const data::PictureSource&>(*context.corpus.train)),
        views_(options.crops.views(source_.shape())),
        head_(make_head()),
        centre_(torch::zeros({1, options.head.out},
                             tensor::tensor_options(context.device, context.dtype))),
        monitor_(options.head.out) {
    head_.parameters().to(context.device, context.dtype);
    if (options.momentum == 1.0) {
      messages_.emplace_back(
          "warning: train.dino.momentum is 1, so the teacher, which is the model that is kept, "
          "never "
          "moves from its first parameters.");
    }
  }

  std::vector<std::string> tasks() const override {
    if (!as_tasks()) return {"dino"};
    return {"global_to_global", "local_to_global"};
  }

  NamedTensors own_parameters(std::size_t /*task*/) const override {
    return as_tasks() ? NamedTensors{} : head_parameters();
  }
  NamedTensors shared_parameters() const override {
    return as_tasks() ? head_parameters() : NamedTensors{};
  }

  TaskLosses operator()(const data::RowList& rows, const StepDraws& draws) override {
    begin();
    const std::vector<data::Batch> groups =
        by_size(data::view_batches(source_,
                                   rows,
                                   views_,
                                   draws.examples.fork(kViewStream),
                                   static_cast<int>(context_.recipe.threads)));
    at::Tensor taught;
    at::Tensor teacher_features;
    at::Tensor learned;
    {
      std::optional<tensor::Autocast> autocast;
      if (draws.precision) autocast.emplace(context_.device, *draws.precision);
      {
        const torch::NoGradGuard no_grad;
        // The global views come first, and local ones of their size behind them.
        const auto globals = static_cast<std::size_t>(options_.crops.global_crops);
        teacher_features =
            teacher_->trunk->features(first_of(groups.front(), globals * rows.size()));
        taught = teacher_->head(teacher_features);
      }
      Rng dropout = draws.rng;
      TensorList features;
      for (const data::Batch& group : groups) {
        features.push_back(context_.model.trunk().features(group, &dropout));
      }
      learned = head_(features.size() == 1 ? features[0] : torch::cat(features, 0));
    }
    const auto numbers = tensor::tensor_options(context_.device, context_.dtype);
    taught = taught.to(numbers);
    const double temperature = distill::teacher_temperature(options_.loss, epoch(draws.step));
    const distill::DinoTerms terms = distill::dino_terms(learned.to(numbers),
                                                         taught,
                                                         centre_,
                                                         static_cast<std::int64_t>(views_.size()),
                                                         options_.crops.global_crops,
                                                         options_.loss.student_temperature,
                                                         temperature);
    if (draws.makes_step) {
      gather(draws.step, taught, teacher_features.slice(0, 0, rows_of(rows)).to(numbers), terms);
    }
    const auto count = static_cast<double>(rows.size());
    if (!as_tasks()) return {{terms.total}, {count}};
    return {{terms.global_to_global, terms.local_to_global}, {count, count}};
  }

  void before_update(std::int64_t step) override {
    if (epoch(step) >= options_.freeze_last_layer) return;
    for (const auto& [name, tensor] : head_.parameters().trained()) {
      if (distill::DinoHead::is_last_layer(name)) at::Tensor(tensor).mutable_grad().reset();
    }
  }

  void after_step(std::int64_t step) override {
    begin();
    const torch::NoGradGuard no_grad;
    if (!seen_.sum.defined() || seen_.step != step - 1) seen_ = Seen(centre_, step - 1);
    context_.group->sum(seen_.sum);
    context_.group->sum(seen_.numbers);
    const double rows = seen_.numbers[kRows];
    if (rows > 0) {
      centre_ = distill::moved_centre(centre_,
                                      seen_.sum,
                                      rows * static_cast<double>(options_.crops.global_crops),
                                      options_.loss.centre_momentum);
    }
    const double momentum =
        distill::cosine_course(options_.momentum, 1.0, step - 1, context_.total_steps);
    follow(momentum);
    const auto mean = [&](Number number) {
      return rows > 0 ? seen_.numbers[number] / rows : std::nan("");
    };
    const double share = std::log(static_cast<double>(options_.head.out));
    numbers_ = {
        {"mean_entropy", mean(kMeanEntropy) / share},
        {"entropy_of_mean", mean(kEntropyOfMean) / share},
        {"kl", mean(kCrossEntropy) - mean(kMeanEntropy)},
        {"feature_deviation", mean(kDeviation)},
        {"teacher_momentum", momentum},
        {"teacher_temperature", distill::teacher_temperature(options_.loss, epoch(step - 1))}};
    // One row has the answer of all.
    const double none = std::nan("");
    watch(rows > 1 ? mean(kMeanEntropy) : none, mean(kEntropyOfMean), mean(kDeviation), step);
    seen_ = Seen(centre_, step);
  }

  report::NamedNumbers numbers() const override { return numbers_; }
  std::vector<std::string> messages() override { return std::exchange(messages_, {}); }

  // Of a run without tasks the teacher is what is used.
  std::optional<NamedTensors> kept_model() const override {
    if (!context_.recipe.tasks.empty() || teacher_ == nullptr) return std::nullopt;
    NamedTensors state = context_.model.state();
    const NamedTensors taught = teacher_->trunk->parameters().trained();
    for (auto& [name, tensor] : state) {
      for (const auto& [own, value] : taught) {
        if (own == name) tensor = value;
      }
    }
    return state;
  }

  NamedTensors state() const override {
    // A run that ends before its first step has a student alone.
    begin();
    NamedTensors all = head_parameters();
    for (auto& named : nn::with_prefix(teacher_parameters(), kTeacherAverage)) {
      all.push_back(std::move(named));
    }
    all.emplace_back("centre", centre_);
    all.emplace_back("monitor", torch::tensor(monitor_.state(), torch::kFloat64));
    return all;
  }

  void load_state(const NamedTensors& state) override {
    begin();
    const torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : state) {
      if (name.starts_with(kHeadPrefix) || name.starts_with(kTeacherAverage)) continue;
      if (name == "centre" && tensor.sizes() == centre_.sizes()) {
        centre_.copy_(tensor);
      } else if (name == "monitor") {
        const at::Tensor numbers = tensor.to(torch::kCPU, torch::kFloat64).contiguous();
        monitor_.load_state(
            {numbers.data_ptr<double>(), static_cast<std::size_t>(numbers.numel())});
      } else {
        fail(ErrorCode::kData,
             "[train::dino] the snapshot's '{}' does not fit this recipe's train.dino; it belongs "
             "to another run.",
             name);
      }
    }
    nn::load_named(nn::without_prefix(state, kHeadPrefix), head_.parameters().trained());
    nn::load_named(nn::without_prefix(state, kTeacherAverage), teacher_parameters());
    copy_fixed();
  }

 private:
  enum Number : std::size_t { kRows, kMeanEntropy, kEntropyOfMean, kCrossEntropy, kDeviation };

  // What the passes of a step have shown, each number times its rows.
  struct Seen {
    Seen() = default;
    Seen(const at::Tensor& like, std::int64_t of) : step(of), sum(torch::zeros_like(like)) {}
    std::int64_t step = -1;
    at::Tensor sum;
    std::array<double, 5> numbers{};
  };

  struct Teacher {
    std::unique_ptr<nn::Trunk> trunk;
    distill::DinoHead head;
  };

  bool as_tasks() const { return options_.terms == DinoRecipe::Terms::kTasks; }
  std::int64_t epoch(std::int64_t step) const { return step / context_.steps_per_epoch; }
  static std::int64_t rows_of(const data::RowList& rows) {
    return static_cast<std::int64_t>(rows.size());
  }

  distill::DinoHead make_head() const {
    Rng rng =
        nn::Model::initial_rng(static_cast<std::uint64_t>(context_.recipe.seed)).fork(kHeadStream);
    nn::Draw draw(rng);
    return {options_.head, context_.model.trunk().width(), draw};
  }

  NamedTensors head_parameters() const {
    return nn::with_prefix(head_.parameters().trained(), kHeadPrefix);
  }

  // Of a trunk and a head, in one order for student and teacher.
  static NamedTensors parameters_of(const nn::Trunk& trunk, const distill::DinoHead& head) {
    NamedTensors all = trunk.parameters().trained();
    for (auto& named : nn::with_prefix(head.parameters().trained(), kHeadPrefix)) {
      all.push_back(std::move(named));
    }
    return all;
  }

  NamedTensors teacher_parameters() const {
    return parameters_of(*teacher_->trunk, teacher_->head);
  }

  // The teacher starts as a copy of the student, which has its first parameters when it is asked for
  // its first loss and not before.
  void begin() const {
    if (teacher_ != nullptr) return;
    teacher_ = std::make_unique<Teacher>(Teacher{context_.model.trunk().clone(), head_});
    for (const auto& [name, tensor] : teacher_parameters()) tensor.set_requires_grad(false);
  }

  // The teacher's parameters are the running average themselves.
  void follow(double momentum) {
    const NamedTensors student = parameters_of(context_.model.trunk(), head_);
    NamedTensors teacher = teacher_parameters();
    for (std::size_t i = 0; i < teacher.size(); ++i) {
      nn::follow(teacher[i].second, student[i].second, momentum);
    }
    copy_fixed();
  }

  // Running statistics of the layers that have some are the student's.
  void copy_fixed() {
    const torch::NoGradGuard no_grad;
    const NamedTensors& from = context_.model.trunk().parameters().fixed();
    const NamedTensors& to = teacher_->trunk->parameters().fixed();
    for (std::size_t i = 0; i < from.size(); ++i) at::Tensor(to[i].second).copy_(from[i].second);
  }

  // `features`: the teacher's of one global view.
  void gather(std::int64_t step,
              const at::Tensor& taught,
              const at::Tensor& features,
              const distill::DinoTerms& terms) {
    const torch::NoGradGuard no_grad;
    if (seen_.step != step || !seen_.sum.defined()) seen_ = Seen(centre_, step);
    seen_.sum += taught.sum(0, /*keepdim=*/true);
    const auto n = static_cast<double>(features.size(0));
    const double deviation = distill::feature_deviation(features);
    const double values[] = {
        1.0, terms.mean_entropy, terms.entropy_of_mean, terms.cross_entropy, deviation};
    for (std::size_t i = 0; i < seen_.numbers.size(); ++i) seen_.numbers[i] += n * values[i];
  }

  void watch(double mean_entropy, double entropy_of_mean, double deviation, std::int64_t step) {
    if (options_.collapse == DinoRecipe::Collapse::kIgnore || std::isnan(mean_entropy)) return;
    // While the temperature rises the answers are what it makes them.
    if (epoch(step - 1) < options_.loss.teacher_warmup_epochs) return;
    const auto state = monitor_.add(mean_entropy, entropy_of_mean, deviation);
    if (state == distill::CollapseMonitor::State::kFine) return;
    const std::string remedy = monitor_.remedy(state, options_.loss);
    if (options_.collapse == DinoRecipe::Collapse::kStop) {
      fail(ErrorCode::kNumeric,
           "[train::dino] {} (train.dino.collapse: warn goes on all the same.)",
           remedy);
    }
    if (!warned_) messages_.push_back("warning: " + remedy);
    warned_ = true;
  }

  DinoRecipe options_;
  LossContext context_;
  const data::PictureSource& source_;
  std::vector<data::ViewOptions> views_;
  distill::DinoHead head_;
  at::Tensor centre_;
  distill::CollapseMonitor monitor_;
  mutable std::unique_ptr<Teacher> teacher_;  // made by begin(), whoever asks first
  Seen seen_;
  report::NamedNumbers numbers_;
  std::vector<std::string> messages_;
  bool warned_ = false;
};

}  // namespace

void DinoObjective::describe(FieldVisitor& train) {
  train.section("dino", "Self-distillation without labels.", [this](FieldVisitor& s) {
    options_.crops.describe(s);
    s.section("head", "The network between features and what views agree on.", [this](auto& h) {
      options_.head.describe(h);
    });
    options_.loss.describe(s);
    s.number("momentum",
             options_.momentum,
             {.min = 0, .max = 1},
             "What the teacher keeps of itself in the first step; it rises to 1 by half a cosine. "
             "0.9995 for batches of 256 and less.");
    s.integer("freeze_last_layer",
              options_.freeze_last_layer,
              {.min = 0, .max = 1e9},
              "Epochs in which the head's last layer stays as it is.");
    s.choice("terms",
             options_.terms,
             {{"one", DinoRecipe::Terms::kOne}, {"tasks", DinoRecipe::Terms::kTasks}},
             "tasks: pairs of two global views and pairs with a local one are losses of their own, "
             "which the method reconciles.");
    s.choice("collapse",
             options_.collapse,
             {{"stop", DinoRecipe::Collapse::kStop},
              {"warn", DinoRecipe::Collapse::kWarn},
              {"ignore", DinoRecipe::Collapse::kIgnore}},
             "What happens when all answers have become one, or say nothing, for 50 steps.");
  });
}

void DinoObjective::check(const Recipe& recipe, const std::string& where) const {
  DETENTE_CHECK(dynamic_cast<const data::PictureSource*>(recipe.data.source.get()) != nullptr,
                ErrorCode::kInvalidArgument,
                "{}: 'train.objective: dino' learns from views of images; expected data.kind: "
                "images or slides, got {}.",
                where,
                recipe.data.kind);
  DETENTE_CHECK(options_.crops.global_crops + options_.crops.local_crops >= 2,
                ErrorCode::kInvalidArgument,
                "{}: 'train.dino' has one view of an image, which nothing can agree with; expected "
                "two or more (global_crops + local_crops).",
                where);
  DETENTE_CHECK(options_.terms == DinoRecipe::Terms::kOne ||
                    (options_.crops.global_crops >= 2 && options_.crops.local_crops >= 1),
                ErrorCode::kInvalidArgument,
                "{}: 'train.dino.terms: tasks' needs pairs of both kinds; expected two global "
                "crops and a local one at least, got {} and {}.",
                where,
                options_.crops.global_crops,
                options_.crops.local_crops);
  DETENTE_CHECK(options_.loss.teacher_warmup_epochs <= recipe.loop.epochs,
                ErrorCode::kInvalidArgument,
                "{}: 'train.dino.teacher_warmup_epochs' is {}, longer than the run of {} epochs.",
                where,
                options_.loss.teacher_warmup_epochs,
                recipe.loop.epochs);
}

std::vector<Objective::View> DinoObjective::views(const data::ImageShape& shape) const {
  std::vector<View> named;
  const auto globals = static_cast<std::size_t>(options_.crops.global_crops);
  for (const data::ViewOptions& view : options_.crops.views(shape)) {
    const std::size_t i = named.size();
    named.push_back({i < globals ? "global " + std::to_string(i + 1)
                                 : "local " + std::to_string(i + 1 - globals),
                     view});
  }
  return named;
}

std::unique_ptr<LossSource> DinoObjective::losses(const LossContext& context) const {
  DETENTE_CHECK(!context.model.trunk().per_task() && !context.model.trunk().maps(),
                ErrorCode::kInvalidArgument,
                "[train::dino] model.kind {} has no one vector for an image; expected vit or "
                "resnet.",
                context.model.trunk().kind());
  const auto& source = dynamic_cast<const data::PictureSource&>(*context.corpus.train);
  const auto* trunk = dynamic_cast<const nn::ImageTrunk*>(&context.model.trunk());
  for (const data::ViewOptions& view : options_.crops.views(source.shape())) {
    const auto same = [&](std::size_t side) {
      return static_cast<std::int64_t>(side) == view.size;
    };
    DETENTE_CHECK(
        trunk != nullptr && (trunk->takes_sides(view.size, view.size) ||
                             (same(source.shape().height) && same(source.shape().width))),
        ErrorCode::kInvalidArgument,
        "[train::dino] model.kind {} does not take views of {} x {} pixels; expected "
        "whole patches of vit (model.patch), at least 8 pixels for resnet, or the images' "
        "own size (train.dino.global_size, local_size).",
        context.model.trunk().kind(),
        view.size,
        view.size);
  }
  return std::make_unique<DinoLosses>(options_, context);
}

}  // namespace detente::train
