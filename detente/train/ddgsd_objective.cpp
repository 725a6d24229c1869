// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/picture_source.h>
#include <detente/data/views.h>
#include <detente/train/ddgsd_objective.h>
#include <torch/types.h>

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace detente::train {
namespace {

constexpr std::uint64_t kDistortionStream = 0x64646773;

class DdgsdLosses final : public LossSource {
 public:
  DdgsdLosses(const DdgsdRecipe& options, const LossContext& context)
      : options_(options),
        context_(context),
        task_(context.recipe.tasks.front()),
        source_(dynamic_cast<const data::PictureSource&>(*context.corpus.train)),
        class_weights_(task_.weights_of_classes(source_.targets().front().values)) {}

  std::vector<std::string> tasks() const override {
    if (!as_tasks()) return {task_.name};
    return {task_.name + "_a", task_.name + "_b", "kl_ab", "kl_ba", "mmd"};
  }

  NamedTensors own_parameters(std::size_t /*task*/) const override {
    return as_tasks() ? NamedTensors{} : context_.model.named_head_parameters(0);
  }
  NamedTensors shared_parameters() const override {
    return as_tasks() ? context_.model.named_head_parameters(0) : NamedTensors{};
  }

  TaskLosses operator()(const data::RowList& rows, const StepDraws& draws) override {
    const Rng stream = draws.examples.fork(kDistortionStream);
    data::Batch a = data::distorted_batch(source_, rows, options_.distortions, stream, /*view=*/0);
    const data::Batch b =
        data::distorted_batch(source_, rows, options_.distortions, stream, /*view=*/1);
    const auto n = static_cast<std::int64_t>(rows.size());
    Rng dropout = draws.rng;
    at::Tensor features;
    at::Tensor logits;
    {
      std::optional<tensor::Autocast> autocast;
      if (draws.precision) autocast.emplace(context_.device, *draws.precision);
      if (options_.passes == DdgsdRecipe::Passes::kTogether) {
        data::append_images(a, b);
        logits = context_.model.forward(a, &dropout, &features).front();
      } else {
        at::Tensor second;
        const at::Tensor first_logits = context_.model.forward(a, &dropout, &features).front();
        const at::Tensor second_logits = context_.model.forward(b, &dropout, &second).front();
        features = torch::cat({features, second}, 0);
        logits = torch::cat({first_logits, second_logits}, 0);
      }
    }
    const auto numbers = tensor::tensor_options(context_.device, context_.dtype);
    logits = logits.to(numbers);
    features = features.to(numbers);
    const at::Tensor labels = make_targets(source_, rows).front().to(numbers);
    const at::Tensor logits_a = logits.slice(0, 0, n);
    const at::Tensor logits_b = logits.slice(0, n);
    losses::LossInfo info;
    const at::Tensor ce_a = (*task_.loss)(logits_a, labels, &info, class_weights_);
    const at::Tensor ce_b = (*task_.loss)(logits_b, labels, &info, class_weights_);
    const distill::DdgsdOptions& o = options_.loss;
    const double kl = o.kl_weight * (o.temperature_squared ? o.temperature * o.temperature : 1.0);
    // With `detach` the first argument is a target that learns nothing.
    const auto target = [&](const at::Tensor& z) { return o.detach ? z.detach() : z; };
    const at::Tensor kl_ab = kl * distill::kl_divergence(target(logits_a), logits_b, o.temperature);
    const at::Tensor kl_ba = kl * distill::kl_divergence(target(logits_b), logits_a, o.temperature);
    const at::Tensor mmd =
        o.mmd_weight * distill::mmd(features.slice(0, 0, n), features.slice(0, n), o.mmd);
    if (draws.makes_step) note(ce_a, ce_b, kl_ab, kl_ba, mmd);
    const auto labelled = static_cast<double>(info.rows);
    const auto all = static_cast<double>(n);
    if (as_tasks()) {
      return {{weighted(ce_a), weighted(ce_b), kl_ab, kl_ba, mmd},
              {labelled, labelled, all, all, all}};
    }
    at::Tensor total = kl_ab + kl_ba + mmd;
    if (ce_a.defined()) total = total + weighted(ce_a) + weighted(ce_b);
    return {{total}, {all}};
  }

  report::NamedNumbers numbers() const override { return numbers_; }

 private:
  bool as_tasks() const { return options_.terms == DdgsdRecipe::Terms::kTasks; }

  at::Tensor weighted(const at::Tensor& loss) const {
    return loss.defined() && task_.weight != 1.0 ? loss * task_.weight : loss;
  }

  // Of several parts of a batch: those of the last.
  void note(const at::Tensor& ce_a,
            const at::Tensor& ce_b,
            const at::Tensor& kl_ab,
            const at::Tensor& kl_ba,
            const at::Tensor& mmd) {
    if (as_tasks()) return;  // they are losses then
    const auto value = [](const at::Tensor& loss) {
      return loss.defined() ? loss.item<double>() : std::numeric_limits<double>::quiet_NaN();
    };
    numbers_ = {{"ce_a", value(ce_a)},
                {"ce_b", value(ce_b)},
                {"kl_ab", value(kl_ab)},
                {"kl_ba", value(kl_ba)},
                {"mmd", value(mmd)}};
  }

  DdgsdRecipe options_;
  LossContext context_;
  const TaskRecipe& task_;
  const data::PictureSource& source_;
  std::vector<double> class_weights_;
  report::NamedNumbers numbers_;
};

}  // namespace

void DdgsdObjective::describe(FieldVisitor& train) {
  train.section(
      "ddgsd", "Two distortions of each image, and one network.", [this](FieldVisitor& s) {
        options_.loss.describe(s);
        s.section(
            "distortions",
            "The random changes of which each image gets two draws; data.augment is not used.",
            [this](FieldVisitor& d) { options_.distortions.describe(d); });
        s.choice(
            "terms",
            options_.terms,
            {{"one", DdgsdRecipe::Terms::kOne}, {"tasks", DdgsdRecipe::Terms::kTasks}},
            "tasks: each of the five terms is a loss of its own, which the method reconciles.");
        s.choice("passes",
                 options_.passes,
                 {{"together", DdgsdRecipe::Passes::kTogether},
                  {"separate", DdgsdRecipe::Passes::kSeparate}},
                 "Both distortions as one batch, whose statistics they share where the network has "
                 "some, or one after the other.");
      });
}

void DdgsdObjective::check(const Recipe& recipe, const std::string& where) const {
  DETENTE_CHECK(
      dynamic_cast<const data::PictureSource*>(recipe.data.source.get()) != nullptr,
      ErrorCode::kInvalidArgument,
      "{}: 'train.objective: ddgsd' distorts images; expected data.kind: images or slides, got {}.",
      where,
      recipe.data.kind);
  DETENTE_CHECK(recipe.tasks.size() == 1 && recipe.tasks.front().head.kind == TaskKind::kClasses &&
                    recipe.distill.empty(),
                ErrorCode::kInvalidArgument,
                "{}: 'train.objective: ddgsd' is for one supervised task of classes, whose labels "
                "it needs, and no other; got {} supervised and {} distilled.",
                where,
                recipe.tasks.size(),
                recipe.distill.size());
  DETENTE_CHECK(options_.distortions.any(),
                ErrorCode::kInvalidArgument,
                "{}: 'train.ddgsd.distortions' changes nothing, and two equal images have nothing "
                "to teach each other; expected flip, crop, erase or jitter.",
                where);
}

std::unique_ptr<LossSource> DdgsdObjective::losses(const LossContext& context) const {
  DETENTE_CHECK(!context.model.trunk().per_task() && !context.model.trunk().maps(),
                ErrorCode::kInvalidArgument,
                "[train::ddgsd] model.kind {} has no one vector of features for an image; expected "
                "another.",
                context.model.trunk().kind());
  return std::make_unique<DdgsdLosses>(options_, context);
}

}  // namespace detente::train
