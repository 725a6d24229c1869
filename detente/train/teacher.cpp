// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/train/loaded_run.h>
#include <detente/train/teacher.h>
#include <torch/types.h>

#include <utility>

namespace detente::train {
namespace {

TeacherAnswers constants_of(const nn::Model& model, const data::Batch& batch, std::size_t task) {
  const torch::NoGradGuard no_grad;
  TeacherAnswers answers;
  answers.logits = model.forward(batch, nullptr, &answers.features).at(task);
  return answers;
}

// A run that is trained. It sees the rows in its own encoding (scales, tokens), which its training rows
// taught it, with the same random changes.
class RunTeacher final : public Teacher {
 public:
  RunTeacher(const TaskRecipe& task, const LossContext& context) : run_(load_teacher(task)) {
    const std::string what = "task '" + task.name + "': ";
    const TaskRecipe& of = context.recipe.tasks[task_index(context.recipe.tasks, task.distill.of)];
    task_ = task_index(run_.recipe.tasks, task.distill.teacher_task);
    std::vector<std::string> names;
    for (const TaskRecipe& other : run_.recipe.tasks) names.push_back(other.name);
    DETENTE_CHECK(!names.empty(),
                  ErrorCode::kInvalidArgument,
                  "[train::teacher] {}the teacher '{}' was trained without tasks and answers "
                  "nothing; expected a run with a task of {}. (train.start_from begins with its "
                  "features.)",
                  what,
                  task.distill.teacher,
                  name_of(of.head.kind));
    DETENTE_CHECK(task_ < run_.recipe.tasks.size(),
                  ErrorCode::kInvalidArgument,
                  "[train::teacher] {}the teacher '{}' has no task '{}'; {} (teacher_task).",
                  what,
                  task.distill.teacher,
                  task.distill.teacher_task,
                  expected_one_of(task.distill.teacher_task, names));
    const TaskRecipe& taught = run_.recipe.tasks[task_];
    DETENTE_CHECK(taught.head.kind == of.head.kind && taught.head.classes == of.head.classes &&
                      taught.head.outputs == of.head.outputs,
                  ErrorCode::kInvalidArgument,
                  "[train::teacher] {}the teacher's head of '{}' is {} with {} classes and {} "
                  "numbers; that of '{}' is {} with {} and {}. Expected heads of one shape.",
                  what,
                  taught.name,
                  name_of(taught.head.kind),
                  taught.head.classes,
                  taught.head.outputs,
                  of.name,
                  name_of(of.head.kind),
                  of.head.classes,
                  of.head.outputs);
    const std::vector<std::string> here =
        of.class_names.empty() ? context.corpus.train->class_names(of.column) : of.class_names;
    DETENTE_CHECK(here.empty() || taught.class_names.empty() || here == taught.class_names,
                  ErrorCode::kInvalidArgument,
                  "[train::teacher] {}the teacher's classes are others, or in another order, than "
                  "those of '{}': {} there and {} here. Expected the same class_names.",
                  what,
                  of.name,
                  join_names(taught.class_names),
                  join_names(here));
    DETENTE_CHECK(run_.recipe.data.kind == context.recipe.data.kind,
                  ErrorCode::kInvalidArgument,
                  "[train::teacher] {}the teacher '{}' was trained on data.kind {}, here it is {}.",
                  what,
                  task.distill.teacher,
                  run_.recipe.data.kind,
                  context.recipe.data.kind);
    run_.model->to(context.device, context.dtype);
    if (data::saved_files(*run_.source) == data::saved_files(*context.corpus.train)) return;
    // With this recipe's options, so that the changes of training rows are the same.
    rows_ = context.recipe.data.source->fresh();
    data::SourceInput input{
        context.recipe.data.files, data::Part::kTrain, target_columns(context.recipe), {}};
    input.threads = static_cast<int>(context.recipe.threads);
    rows_->read(input, run_.source.get());
    DETENTE_CHECK(rows_->size() == context.corpus.train->size(),
                  ErrorCode::kData,
                  "[train::teacher] {}the teacher's encoding leaves {} of {} training rows; "
                  "expected all.",
                  what,
                  rows_->size(),
                  context.corpus.train->size());
  }

  TeacherAnswers operator()(const data::RowList& rows,
                            const data::Batch& batch,
                            const Rng& augment) override {
    if (rows_ == nullptr) return constants_of(*run_.model, batch, task_);
    return constants_of(*run_.model, rows_->batch(rows, &augment), task_);
  }
  std::int64_t width() const override { return run_.model->trunk().width(); }

 private:
  static LoadedRun load_teacher(const TaskRecipe& task) {
    const std::string& teacher = task.distill.teacher;
    try {
      return load_run(teacher_root(teacher), {});
    } catch (const Error& error) {
      const std::string word = std::filesystem::path(teacher).filename().string();
      throw Error(
          error.code(),
          fmt::format("task '{}', teacher: {}{}",
                      task.name,
                      error.what(),
                      lower_ascii(word) == "ema" ? " (The model's own average is 'ema'.)" : ""));
    }
  }

  // The file of a model names its run.
  static std::filesystem::path teacher_root(const std::filesystem::path& path) {
    return path.filename() == "model.safetensors" ? path.parent_path() : path;
  }

  LoadedRun run_;
  std::unique_ptr<data::Source> rows_;  // null: the encodings are one
  std::size_t task_ = 0;
};

// The model itself, as it was on average.
class EmaTeacher final : public Teacher {
 public:
  EmaTeacher(const TaskRecipe& task, const LossContext& context)
      : student_(context.model),
        task_(task_index(context.recipe.tasks, task.distill.of)),
        options_{.decay = task.distill.decay, .schedule = nn::EmaOptions::Schedule::kWarmup} {}

  TeacherAnswers operator()(const data::RowList& /*rows*/,
                            const data::Batch& batch,
                            const Rng& /*augment*/) override {
    begin();
    return constants_of(*model_, batch, task_);
  }
  std::int64_t width() const override { return student_.trunk().width(); }

  void after_step() override {
    begin();
    ema_->update();
    ema_->copy_to(model_->state());
  }
  NamedTensors state() const override {
    begin();
    return ema_->state();
  }
  void load_state(const NamedTensors& state) override {
    begin();
    ema_->load_state(state);
    ema_->copy_to(model_->state());
  }

 private:
  // The student has its first parameters when it is asked for its first loss.
  void begin() const {
    if (model_) return;
    model_.emplace(student_.clone());
    for (const auto& [name, tensor] : model_->state()) tensor.set_requires_grad(false);
    ema_.emplace(student_.state(), options_);
  }

  const nn::Model& student_;
  std::size_t task_;
  nn::EmaOptions options_;
  // Made by begin(), whoever asks first.
  mutable std::optional<nn::Model> model_;
  mutable std::optional<nn::Ema> ema_;
};

}  // namespace

std::unique_ptr<Teacher> make_teacher(const TaskRecipe& task, const LossContext& context) {
  if (task.distill.teacher == "ema") return std::make_unique<EmaTeacher>(task, context);
  return std::make_unique<RunTeacher>(task, context);
}

}  // namespace detente::train
