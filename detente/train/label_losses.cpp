// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/distill/kd.h>
#include <detente/train/corpus.h>
#include <detente/train/label_losses.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace detente::train {
namespace {

constexpr std::uint64_t kAugmentStream = 0x6175676d;
constexpr std::uint64_t kProjectionStream = 0x70726f6a;
constexpr const char* kTeacherPrefix = "teacher.";

std::string projection_prefix(const TaskRecipe& task) { return "distill." + task.name + "."; }

}  // namespace

LabelLosses::LabelLosses(const LossContext& context)
    : recipe_(context.recipe),
      data_(*context.corpus.train),
      model_(context.model),
      device_(context.device),
      dtype_(context.dtype),
      heads_(context.recipe, *context.corpus.train, context.model, context.device, context.dtype),
      steps_per_epoch_(context.steps_per_epoch) {
  Rng rng =
      nn::Model::initial_rng(static_cast<std::uint64_t>(recipe_.seed)).fork(kProjectionStream);
  nn::Draw draw(rng);
  for (const TaskRecipe& task : recipe_.distill) {
    Lesson& lesson = lessons_.emplace_back();
    lesson.task = &task;
    lesson.head = task_index(recipe_.tasks, task.distill.of);
    lesson.teacher = make_teacher(task, context);
    if (task.distill.what != DistillRecipe::What::kFeatures) continue;
    DETENTE_CHECK(!model_.trunk().per_task() && !model_.trunk().maps(),
                  ErrorCode::kInvalidArgument,
                  "[train::distill] task '{}': model.kind {} has no one vector of features to "
                  "learn; use what: answers.",
                  task.name,
                  model_.trunk().kind());
    lesson.projection.add_linear(
        draw, "projection", model_.trunk().width(), lesson.teacher->width());
    lesson.projection.to(device_, dtype_);
  }
}

std::vector<std::string> LabelLosses::tasks() const {
  std::vector<std::string> names;
  for (const TaskRecipe& task : recipe_.tasks) names.push_back(task.name);
  for (const Lesson& lesson : lessons_) names.push_back(lesson.task->name);
  return names;
}

bool LabelLosses::is_taught(std::size_t head) const {
  return std::any_of(lessons_.begin(), lessons_.end(), [&](const Lesson& lesson) {
    return lesson.head == head && lesson.task->distill.what == DistillRecipe::What::kAnswers;
  });
}

NamedTensors LabelLosses::own_parameters(std::size_t task) const {
  const std::size_t heads = recipe_.tasks.size();
  if (task < heads) return is_taught(task) ? NamedTensors{} : model_.named_head_parameters(task);
  const Lesson& lesson = lessons_[task - heads];
  return nn::with_prefix(lesson.projection.trained(), projection_prefix(*lesson.task));
}

NamedTensors LabelLosses::shared_parameters() const {
  NamedTensors all;
  for (std::size_t k = 0; k < recipe_.tasks.size(); ++k) {
    if (!is_taught(k)) continue;
    for (auto& named : model_.named_head_parameters(k)) all.push_back(std::move(named));
  }
  return all;
}

TaskLosses LabelLosses::operator()(const data::RowList& rows, const StepDraws& draws) {
  Rng dropout = draws.rng;
  const Rng augment = draws.examples.fork(kAugmentStream);
  const data::Batch batch = data_.batch(rows, &augment);
  const TensorList labels = make_targets(data_, rows, &augment);
  TensorList predictions;
  at::Tensor features;
  {
    std::optional<tensor::Autocast> autocast;
    if (draws.precision) autocast.emplace(device_, *draws.precision);
    predictions = model_.forward(batch, &dropout, &features);
  }
  TaskLosses losses;
  heads_.add(labels, predictions, losses);
  for (Lesson& lesson : lessons_) {
    const TeacherAnswers taught = (*lesson.teacher)(rows, batch, augment);
    double count = 0;
    at::Tensor loss = lesson_loss(
        lesson, taught, predictions[lesson.head], features, labels[lesson.head], &count);
    if (loss.defined() && lesson.task->weight != 1.0) loss = loss * lesson.task->weight;
    losses.values.push_back(std::move(loss));
    losses.rows.push_back(count);
    lesson.rows += count;
  }
  losses.predictions = std::move(predictions);
  return losses;
}

at::Tensor LabelLosses::lesson_loss(Lesson& lesson,
                                    const TeacherAnswers& taught,
                                    const at::Tensor& prediction,
                                    const at::Tensor& features,
                                    const at::Tensor& target,
                                    double* rows) const {
  const DistillRecipe& distill = lesson.task->distill;
  const TaskKind kind = recipe_.tasks[lesson.head].head.kind;
  const auto options = tensor::tensor_options(device_, dtype_);
  at::Tensor logits = taught.logits.to(options);
  // Which rows count, [B].
  at::Tensor counts =
      torch::ones({logits.size(0)}, torch::TensorOptions(torch::kBool).device(logits.device()));
  if (distill.rows != DistillRecipe::Rows::kAll) {
    at::Tensor labelled = target.isnan().logical_not();
    if (labelled.dim() > 1) labelled = labelled.flatten(1).any(1);
    labelled = labelled.to(counts.device());
    counts = distill.rows == DistillRecipe::Rows::kLabelled ? labelled : labelled.logical_not();
  }
  if (distill.confidence > 0) {
    counts = counts.logical_and(std::get<0>(logits.softmax(1).max(1)) >= distill.confidence);
  }
  if (distill.what == DistillRecipe::What::kFeatures) {
    const at::Tensor wanted = taught.features.to(options).flatten(1);
    const at::Tensor got = lesson.projection.linear(features.to(options), "projection");
    const at::Tensor chosen = counts.nonzero().flatten();
    *rows = static_cast<double>(chosen.numel());
    if (chosen.numel() == 0) return {};
    return (got - wanted).square().mean(1).index_select(0, chosen).mean();
  }
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor mask = counts.logical_not().view(logits.dim() == 1 ? at::IntArrayRef({-1})
                                                                      : at::IntArrayRef({-1, 1}));
  if (distill.hard) {
    // The first choice, as a row of answers that are sure: finite ones, whose products with 0 are 0.
    logits = 1e4 * torch::one_hot(logits.argmax(1), logits.size(1)).to(options);
  }
  logits = logits.masked_fill(mask, nothing);
  return distill::distillation_loss(
      kind, prediction.to(options), logits, distill.hard ? 1.0 : distill.temperature, rows);
}

void LabelLosses::after_step(std::int64_t /*step*/) {
  ++steps_;
  for (Lesson& lesson : lessons_) lesson.teacher->after_step();
}

std::vector<std::string> LabelLosses::messages() {
  std::vector<std::string> all;
  if (steps_ < steps_per_epoch_) return all;
  for (Lesson& lesson : lessons_) {
    if (lesson.rows > 0 || lesson.told) continue;
    lesson.told = true;
    const DistillRecipe& distill = lesson.task->distill;
    all.push_back(
        fmt::format("warning: task '{}' has taught nothing in a whole epoch: no row counts by its "
                    "rows ({}) and "
                    "confidence ({}).",
                    lesson.task->name,
                    distill.rows == DistillRecipe::Rows::kAll        ? "all"
                    : distill.rows == DistillRecipe::Rows::kLabelled ? "labelled"
                                                                     : "unlabelled",
                    distill.confidence));
  }
  return all;
}

NamedTensors LabelLosses::state() const {
  NamedTensors all;
  for (const Lesson& lesson : lessons_) {
    NamedTensors own = lesson.projection.trained();
    for (auto& named : nn::with_prefix(lesson.teacher->state(), kTeacherPrefix)) {
      own.push_back(std::move(named));
    }
    for (auto& named : nn::with_prefix(own, projection_prefix(*lesson.task))) {
      all.push_back(std::move(named));
    }
  }
  return all;
}

void LabelLosses::load_state(const NamedTensors& state) {
  std::size_t taken = 0;
  for (Lesson& lesson : lessons_) {
    NamedTensors own = nn::without_prefix(state, projection_prefix(*lesson.task));
    taken += own.size();
    const NamedTensors teacher = nn::without_prefix(own, kTeacherPrefix);
    std::erase_if(own, [](const auto& named) { return named.first.starts_with(kTeacherPrefix); });
    nn::load_named(own, lesson.projection.trained());
    lesson.teacher->load_state(teacher);
  }
  DETENTE_CHECK(taken == state.size(),
                ErrorCode::kData,
                "[train::distill] the snapshot has the state of other tasks of the kind distill "
                "than this recipe; it is of another run.");
}

}  // namespace detente::train
