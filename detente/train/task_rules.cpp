// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/core/whole_number.h>
#include <detente/data/table.h>
#include <detente/losses/registry.h>
#include <detente/metrics/registry.h>
#include <detente/text/printable.h>
#include <detente/train/objective.h>
#include <detente/train/task_rules.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace detente::train {
namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& text) {
  fail(ErrorCode::kInvalidArgument, "{}: {}", where, text);
}

// They say how many classes, or labels, there are.
void take_class_names(TaskRecipe& task, const std::string& where) {
  const bool labels = task.head.kind == TaskKind::kLabels && task.columns.empty();
  if (!has_classes(task.head.kind) && task.head.kind != TaskKind::kSegmentation && !labels) {
    refuse(where,
           "task '" + task.name +
               "': 'class_names' is for class, ordinal and segmentation tasks, and labels in one "
               "column" +
               (task.columns.empty() ? "." : "; those in several have the columns' names."));
  }
  std::set<std::string> names;
  for (const std::string& name : task.class_names) {
    if (!names.insert(name).second) {
      refuse(where, "task '" + task.name + "': 'class_names' holds '" + name + "' twice.");
    }
  }
  if (task.class_names.size() < 2) {
    refuse(where, "task '" + task.name + "': 'class_names' holds one name; expected two or more.");
  }
  const auto count = static_cast<std::int64_t>(task.class_names.size());
  (labels ? task.head.outputs : task.head.classes) = count;
}

// A target of several numbers per row.
void take_columns(TaskRecipe& task, const std::string& where) {
  const std::string what = "task '" + task.name + "': ";
  const bool labels = task.head.kind == TaskKind::kLabels;
  if (!task.columns.empty()) {
    if (!labels && task.head.kind != TaskKind::kRegression) {
      refuse(where, what + "'columns' is for regression and labels tasks; expected 'column'.");
    }
    if (!task.column.empty()) {
      refuse(where, what + "'column' and 'columns' are both there; expected one of them.");
    }
    if (task.columns.size() < 2) {
      refuse(where, what + "'columns' holds one name; expected two or more, or 'column'.");
    }
    const std::set<std::string> names(task.columns.begin(), task.columns.end());
    if (names.size() < task.columns.size()) {
      refuse(where, what + "'columns' holds a name twice.");
    }
    if (!task.positive_from.empty()) {
      refuse(where, what + "'positive_from' is for one column.");
    }
    task.head.outputs = static_cast<std::int64_t>(task.columns.size());
  }
  if (!task.separator.empty() && (!labels || !task.columns.empty())) {
    refuse(where, what + "'separator' is for labels tasks with one 'column'.");
  }
  if (!labels || !task.columns.empty()) return;
  if (task.separator.size() != 1) {
    refuse(
        where,
        what +
            (task.separator.empty()
                 ? "labels are in several 'columns' of 0 and 1, or in one 'column' of words with "
                   "a 'separator' and 'class_names'; expected one of the two."
                 : "'separator' is '" + text::printable(task.separator) +
                       "'; expected one character of ASCII, e.g. '|'."));
  }
  if (task.class_names.empty()) {
    refuse(where, what + "'separator' needs the words it separates; expected 'class_names'.");
  }
  for (const std::string& word : task.class_names) {
    if (word.find(task.separator) != std::string::npos || trim(word) != word || word.empty()) {
      refuse(where,
             what + "no cell can hold the label '" + text::printable(word) +
                 "': labels have no separator in them and no blanks around them.");
    }
  }
}

void check_class_weights(const TaskRecipe& task, const std::string& where) {
  if (task.class_weights == "none") return;
  const bool binary = task.head.kind == TaskKind::kBinary;
  if (!binary && !has_classes(task.head.kind)) {
    refuse(where,
           "task '" + task.name + "': 'class_weights' is for binary, class and ordinal tasks" +
               (task.head.kind == TaskKind::kLabels ? "; labels have loss.positive_weight." : "."));
  }
  if (task.class_weights == "balanced") return;
  const auto expected = static_cast<std::size_t>(binary ? 2 : task.head.classes);
  const auto weights = task.weights_of_classes({});
  if (weights.size() != expected) {
    refuse(where,
           "task '" + task.name + "': 'class_weights' has " + std::to_string(weights.size()) +
               " numbers for " + std::to_string(expected) + " classes; expected one for each.");
  }
  if (std::all_of(weights.begin(), weights.end(), [](double w) { return w == 0; })) {
    refuse(where, "task '" + task.name + "': 'class_weights' are all 0; nothing would count.");
  }
}

// Every task is from a source, and every source has a task.
void check_sources(Recipe& recipe, const std::string& where) {
  std::vector<std::string> names;
  for (const data::NamedFiles& source : recipe.data.files.sources) names.push_back(source.name);
  std::set<std::string> used;
  for (TaskRecipe& task : recipe.tasks) {
    const std::string what = "task '" + task.name + "': ";
    if (names.empty()) {
      if (!task.source.empty()) {
        refuse(where, what + "'source' is '" + task.source + "', and there are no 'data.sources'.");
      }
      continue;
    }
    if (task.source.empty() && names.size() == 1) task.source = names.front();
    if (task.source.empty()) {
      refuse(where, what + "'source' is missing; expected one of: " + join_names(names) + ".");
    }
    if (std::find(names.begin(), names.end(), task.source) == names.end()) {
      refuse(where,
             what + "'source' is '" + text::printable(task.source) +
                 "', which is none of 'data.sources'; " + expected_one_of(task.source, names));
    }
    used.insert(task.source);
  }
  for (const std::string& name : names) {
    if (used.contains(name)) continue;
    refuse(
        where,
        "no task is from the source '" + name +
            "'; expected one at least (tasks[].source), for rows without targets teach nothing.");
  }
}

std::vector<TaskRecipe*> every_entry(Recipe& recipe) {
  std::vector<TaskRecipe*> entries;
  for (auto* list : {&recipe.tasks, &recipe.probes, &recipe.distill}) {
    for (TaskRecipe& task : *list) entries.push_back(&task);
  }
  return entries;
}

void check_tasks(Recipe& recipe, const std::string& where) {
  if (recipe.tasks.empty() && recipe.loop.objective->needs_tasks()) {
    refuse(where,
           "there is no task; expected a list 'tasks:' with at least one "
           "{name, column, head}.");
  }
  std::set<std::string> names;
  for (TaskRecipe* entry : every_entry(recipe)) {
    TaskRecipe& task = *entry;
    if (task.name.empty()) refuse(where, "a task has no 'name'.");
    if (task.name.find_first_of(".|/ ") != std::string::npos ||
        text::printable(task.name) != task.name) {
      refuse(where,
             "task name '" + task.name +
                 "' holds one of the characters . | / or a blank or a control character; "
                 "names go into file keys, so use letters, digits, '_' and '-'.");
    }
    if (!names.insert(task.name).second) {
      refuse(where, "two tasks are named '" + task.name + "'.");
    }
    if (task.kind == TaskRecipe::Kind::kDistill) continue;
    take_columns(task, where);
    if (task.column.empty() && task.columns.empty()) task.column = task.name;
    task.head.validate();
    const auto fitting = losses::loss_names(task.head.kind);
    if (std::find(fitting.begin(), fitting.end(), task.loss_name) == fitting.end()) {
      refuse(where,
             "task '" + task.name + "': loss '" + task.loss_name + "' does not fit a " +
                 name_of(task.head.kind) + " head; expected one of: " + join_names(fitting) + ".");
    }
    if (task.metrics.empty()) task.metrics = metrics::default_metrics(task.head.kind);
    for (const auto& metric : task.metrics) metrics::get_metric(metric, task.head.kind);
    const std::string what = where + ": task '" + task.name + "':";
    if (!task.threshold.empty()) {
      parse_number(task.threshold, what, "threshold");
      if (task.head.kind != TaskKind::kBinary) {
        refuse(where, "task '" + task.name + "': 'threshold' is for binary tasks.");
      }
    }
    if (!task.positive_from.empty()) {
      parse_number(task.positive_from, what, "positive_from");
      if (task.head.kind != TaskKind::kRegression) {
        refuse(where, "task '" + task.name + "': 'positive_from' is for regression tasks.");
      }
    }
    if (!task.class_names.empty()) take_class_names(task, where);
    check_class_weights(task, where);
    if (task.kind == TaskRecipe::Kind::kProbe && task.head.kind != TaskKind::kClasses &&
        task.head.kind != TaskKind::kBinary) {
      refuse(where,
             "task '" + task.name +
                 "': kind probe judges features by classes; expected head: "
                 "class or binary, got " +
                 name_of(task.head.kind) + ".");
    }
  }
}

// A teacher's answers are learned by the head of a task that is there.
void check_distill(Recipe& recipe, const std::string& where) {
  std::vector<std::string> names;
  for (const TaskRecipe& task : recipe.tasks) names.push_back(task.name);
  for (TaskRecipe& entry : recipe.distill) {
    const std::string what = "task '" + entry.name + "': ";
    DistillRecipe& distill = entry.distill;
    if (distill.teacher.empty()) {
      refuse(where,
             what +
                 "'teacher' is missing; expected a run's folder, or ema for the running average "
                 "of this model.");
    }
    if (distill.of.empty() && names.size() == 1) distill.of = names.front();
    const std::size_t of = task_index(recipe.tasks, distill.of);
    if (of == recipe.tasks.size()) {
      refuse(
          where,
          what +
              (distill.of.empty()
                   ? std::string("'of' is missing; ")
                   : "'of' is '" + text::printable(distill.of) + "', which is no task; ") +
              "expected the supervised task whose head learns" +
              (names.empty() ? std::string(", and there is none.")
                             : ": " + join_names(names) + "." + did_you_mean(distill.of, names)));
    }
    if (distill.teacher_task.empty()) distill.teacher_task = distill.of;
    const TaskKind kind = recipe.tasks[of].head.kind;
    if (is_map(kind) || kind == TaskKind::kOrdinal) {
      refuse(where,
             what + "a " + name_of(kind) +
                 " head cannot learn from a teacher yet; expected class, binary, labels or "
                 "regression.");
    }
    if ((distill.hard || distill.confidence > 0) && kind != TaskKind::kClasses) {
      refuse(where, what + "'hard' and 'confidence' are for tasks of classes.");
    }
  }
}

// Columns of a prediction file: two of one name would be one in JSON, and the reader's guess in a
// table.
void check_prediction_names(const Recipe& recipe, const std::string& where) {
  std::map<std::string, std::string> owners;
  for (const std::string& input : recipe.data.source->named_inputs()) {
    if (!owners.emplace(input, "an input column").second) {
      refuse(where, "the input column '" + input + "' is named twice; expected each one once.");
    }
  }
  for (const TaskRecipe& task : recipe.tasks) {
    for (const std::string& name : task.prediction_names()) {
      const auto [other, fresh] = owners.emplace(name, "task '" + task.name + "'");
      if (fresh) continue;
      refuse(where,
             "the predictions of task '" + task.name + "' have a column '" + name +
                 "', and so has " + other->second +
                 "; expected names that differ. Give the task another 'name' (its 'column' may "
                 "stay).");
    }
  }
}

void keep_chosen_tasks(Recipe& recipe, const std::string& where) {
  if (recipe.loop.tasks.empty()) return;
  std::vector<std::string> names;
  for (const auto& task : recipe.tasks) names.push_back(task.name);
  for (const auto& task : recipe.distill) names.push_back(task.name);
  for (const auto& wanted : recipe.loop.tasks) {
    if (std::find(names.begin(), names.end(), wanted) == names.end()) {
      refuse(where,
             "'train.tasks' names '" + wanted + "', which is no task; expected: " +
                 join_names(names) + "." + did_you_mean(wanted, names));
    }
  }
  std::vector<std::string> kept;
  std::vector<std::string> others;
  std::erase_if(recipe.tasks, [&](const TaskRecipe& task) {
    const bool chosen = std::find(recipe.loop.tasks.begin(), recipe.loop.tasks.end(), task.name) !=
                        recipe.loop.tasks.end();
    for (std::string& column : task.file_columns()) {
      (chosen ? kept : others).push_back(std::move(column));
    }
    return !chosen;
  });
  std::erase_if(recipe.distill, [&](const TaskRecipe& task) {
    return std::find(recipe.loop.tasks.begin(), recipe.loop.tasks.end(), task.name) ==
           recipe.loop.tasks.end();
  });
  // Rows that no task is left for would only be in the way.
  std::erase_if(recipe.data.files.sources, [&](const data::NamedFiles& source) {
    return std::none_of(recipe.tasks.begin(), recipe.tasks.end(), [&](const TaskRecipe& task) {
      return task.source == source.name;
    });
  });
  // An answer left out must not become a question.
  std::erase_if(others, [&](const std::string& column) {
    return std::find(kept.begin(), kept.end(), column) != kept.end();
  });
  recipe.data.source->leave_out(others);
}

}  // namespace

void check_class_counts(const config::Node& root) {
  const config::Node* tasks = root.find("tasks");
  if (tasks == nullptr) return;
  for (std::size_t i = 0; i < tasks->items.size(); ++i) {
    const config::Node* classes = tasks->items[i].find("classes");
    const config::Node* names = tasks->items[i].find("class_names");
    if (classes == nullptr || classes->kind != config::Node::Kind::kScalar) continue;
    if (names == nullptr || names->items.empty()) continue;
    const auto count = whole_number<std::size_t>(classes->scalar);
    DETENTE_CHECK(count == names->items.size(),
                  ErrorCode::kInvalidArgument,
                  "[train::load_recipe] {}: 'tasks[{}]' has classes: {} and {} class_names ({}); "
                  "expected as many. The names alone are enough: leave 'classes' out, or set it "
                  "to {} as well.",
                  classes->origin,
                  i,
                  classes->scalar,
                  names->items.size(),
                  names->origin,
                  names->items.size());
  }
}

void settle_tasks(Recipe& recipe, const std::string& where) {
  check_tasks(recipe, where);
  check_sources(recipe, where);
  keep_chosen_tasks(recipe, where);
  check_distill(recipe, where);
  check_prediction_names(recipe, where);
}

}  // namespace detente::train
