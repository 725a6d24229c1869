// SPDX-License-Identifier: Apache-2.0
#include <detente/losses/registry.h>
#include <detente/train/recipe.h>

#include <algorithm>
#include <cmath>

namespace detente::train {
namespace {

constexpr NumberRule kClassWeight{.min = 0, .max = 1e6};

const std::vector<std::string>& class_weight_words() {
  static const std::vector<std::string> words = {"none", "balanced"};
  return words;
}

}  // namespace

void DistillRecipe::describe(FieldVisitor& visitor) {
  visitor.text("of", of, "kind: distill: the task whose head, and the features below it, learn.");
  visitor.file("teacher",
               teacher,
               "Whose answers are the targets: a run's folder (or its model.safetensors), or 'ema' "
               "for the running average of the model itself.");
  visitor.text("teacher_task", teacher_task, "The teacher's name of the task; default: as here.");
  visitor.choice("what",
                 what,
                 {{"answers", What::kAnswers}, {"features", What::kFeatures}},
                 "answers: of the teacher's head; features: the vector below it, which a learned "
                 "projection of this model's must meet.");
  visitor.number("temperature",
                 temperature,
                 {.min = 0, .max = 1e6, .min_open = true},
                 "Of classes: both answers are softened by it, and the loss has its square for a "
                 "factor (Hinton et al. 2015).");
  visitor.flag("hard", hard, "Of classes: the teacher's first choice alone is the target.");
  visitor.number("confidence",
                 confidence,
                 {.min = 0, .max = 1},
                 "Only rows where the teacher's first choice is at least this probable count.");
  visitor.choice(
      "rows",
      rows,
      {{"all", Rows::kAll}, {"labelled", Rows::kLabelled}, {"unlabelled", Rows::kUnlabelled}},
      "Which rows count: with a target of the task, without one, or both.");
  visitor.number(
      "decay", decay, {.min = 0, .max = 1}, "teacher: ema: what an update keeps of the average.");
}

void TaskRecipe::describe(FieldVisitor& visitor) {
  visitor.text("name", name, "The task's name in every output.");
  visitor.choice(
      "kind",
      kind,
      {{"supervised", Kind::kSupervised}, {"probe", Kind::kProbe}, {"distill", Kind::kDistill}},
      "supervised: learned from a column. probe: a column of classes that the features "
      "are judged by (nearest neighbours, a linear classifier) and nothing is trained "
      "on. distill: the head of another task learns from a teacher's answers "
      "(docs/distill.md); it has the keys from 'of' on, and 'weight'.");
  if (kind == Kind::kDistill) {
    distill.describe(visitor);
    visitor.number("weight",
                   weight,
                   {.min = 0, .max = 1e6, .min_open = true},
                   "Factor on this task's loss before balancing.");
    return;
  }
  visitor.text(
      "source",
      source,
      "With data.sources: which of them the task's targets are in; rows of the others have "
      "none. Of one source alone: that one.");
  visitor.text("column",
               column,
               "Column of the target; default: the task's name. Empty cells are "
               "missing targets and are masked in this task's loss.");
  visitor.texts(
      "columns",
      columns,
      {},
      "Regression and labels tasks: several columns in place of one; those of labels hold "
      "0 or 1 and name the labels.");
  visitor.text("separator",
               separator,
               "Labels tasks in one column: the character between the words of a cell; class_names "
               "has the words.");
  head.describe(visitor);
  visitor.text("threshold",
               threshold,
               "Binary tasks: the target is 1 where the column is at least this number; default: "
               "the column holds 0 and 1.");
  visitor.text("positive_from",
               positive_from,
               "Regression tasks: also report F1 of 'prediction at least this number'.");
  visitor.texts(
      "class_names",
      class_names,
      {},
      "Class and ordinal tasks: the words in the column, in the order of their ids. Labels in one "
      "column: the words. Segmentation: the names of the classes.");
  visitor.word_or_numbers(
      "class_weights",
      class_weights,
      class_weight_words(),
      kClassWeight,
      "Binary, class and ordinal tasks: what a row of each class counts in the loss. "
      "balanced: as much as the other classes, by the training rows; numbers: one per "
      "class, of a binary task for 0 and for 1 (docs/losses.md).");
  visitor.section(
      "loss", "The task's loss; its options stand beside its name.", [this](FieldVisitor& section) {
        if (loss_name.empty()) loss_name = losses::default_loss(head.kind);
        section.kind(
            "name",
            loss_name,
            losses::loss_names(),
            loss,
            [](const std::string& word) { return losses::make_loss(word); },
            "See docs/losses.md; default by the head: mse, bce, cross_entropy, cumulative or bce; "
            "of "
            "maps cross_entropy, mae or cosine.");
      });
  visitor.texts("metrics",
                metrics,
                {},
                "Metrics to report, the most important first; default: those of the head.");
  visitor.number("weight",
                 weight,
                 {.min = 0, .max = 1e6, .min_open = true},
                 "Factor on this task's loss before balancing.");
}

data::TargetColumn TaskRecipe::target() const {
  data::TargetColumn target;
  target.task = name;
  target.source = source;
  target.column = column;
  target.kind = head.kind;
  if (!threshold.empty())
    target.threshold = parse_number(threshold, "[train::recipe]", "threshold");
  target.columns = columns;
  if (!separator.empty()) target.separator = separator.front();
  if (has_classes(head.kind) || head.kind == TaskKind::kSegmentation) {
    target.classes = head.classes;
  }
  const bool scaled = head.output == nn::HeadOptions::Output::kScaled ||
                      head.output == nn::HeadOptions::Output::kSigmoid;
  if (head.kind == TaskKind::kRegression && scaled) target.range = {head.low, head.high};
  target.class_names = class_names;
  return target;
}

std::optional<double> TaskRecipe::positive_threshold() const {
  if (positive_from.empty()) return std::nullopt;
  return parse_number(positive_from, "[train::recipe]", "positive_from");
}

const std::vector<std::string>& TaskRecipe::answer_names() const {
  return columns.empty() ? class_names : columns;
}

std::vector<std::string> TaskRecipe::prediction_names() const {
  if (is_map(head.kind)) return {name};
  if (head.kind == TaskKind::kRegression && columns.empty()) return {name};
  if (head.kind != TaskKind::kRegression && head.kind != TaskKind::kLabels) {
    return {name, name + "_probability"};
  }
  std::vector<std::string> names;
  if (head.kind == TaskKind::kLabels) names.push_back(name);
  for (const std::string& answer : answer_names()) names.push_back(name + "_" + answer);
  return names;
}

std::vector<double> TaskRecipe::weights_of_classes(std::span<const double> targets) const {
  if (class_weights == "none") return {};
  if (const auto given = parse_word_or_numbers(
          class_weights, class_weight_words(), kClassWeight, "[train::recipe]", "class_weights")) {
    return *given;
  }
  const auto classes = static_cast<std::size_t>(has_classes(head.kind) ? head.classes : 2);
  std::vector<double> counts(classes, 0.0);
  double rows = 0;
  for (const double target : targets) {
    if (std::isnan(target)) continue;
    ++counts.at(static_cast<std::size_t>(target));
    ++rows;
  }
  std::vector<double> weights;
  for (const double count : counts) {
    weights.push_back(count > 0 ? rows / (static_cast<double>(classes) * count) : 1.0);
  }
  return weights;
}

std::size_t task_index(std::span<const TaskRecipe> tasks, std::string_view name) {
  const auto found =
      std::find_if(tasks.begin(), tasks.end(), [&](const auto& task) { return task.name == name; });
  return static_cast<std::size_t>(found - tasks.begin());
}

}  // namespace detente::train
