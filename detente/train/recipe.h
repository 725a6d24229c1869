// SPDX-License-Identifier: Apache-2.0
// A recipe: everything that decides a training run, read strictly from YAML.
// `describe` is the one source of the parser, `--set`, `detente recipe show` and docs/recipe.md.
#pragma once

#include <detente/balance/method.h>
#include <detente/core/fields.h>
#include <detente/data/batches.h>
#include <detente/data/epoch_plan.h>
#include <detente/data/source.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/losses/loss.h>
#include <detente/nn/options.h>
#include <detente/nn/sharing.h>
#include <detente/nn/trunk.h>
#include <detente/tensor/autocast.h>
#include <detente/train/adamw.h>
#include <detente/train/granularity.h>
#include <detente/train/schedule.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::train {

class Objective;

struct DataRecipe {
  std::string kind = "pairs";
  data::SourceFiles files;
  std::shared_ptr<data::Source> source;  // the options of the kind; never read
  data::Sampler sampler;                 // of files.sources

  void describe(FieldVisitor& visitor);
};

// A loss that takes another model's answers, or features, for targets.
struct DistillRecipe {
  enum class What { kAnswers, kFeatures };
  enum class Rows { kAll, kLabelled, kUnlabelled };

  std::string of;            // the task whose head learns
  std::string teacher;       // a run's folder, its model.safetensors, or "ema"
  std::string teacher_task;  // empty: called as here
  What what = What::kAnswers;
  double temperature = 4;
  bool hard = false;
  double confidence = 0;
  Rows rows = Rows::kAll;
  double decay = 0.999;  // of the teacher ema

  void describe(FieldVisitor& visitor);
};

struct TaskRecipe {
  enum class Kind {
    kSupervised,  // has a head that is trained on a column
    kProbe,       // a column that features are judged by and nothing is trained on
    kDistill,     // has no head of its own
  };

  std::string name;
  Kind kind = Kind::kSupervised;
  DistillRecipe distill;             // kDistill; with name and weight all there is of it
  std::string source;                // one of data.files.sources; empty: there are none
  std::string column;                // empty where there are several
  std::vector<std::string> columns;  // regression, labels
  std::string separator;             // labels in one column: a character, or empty
  std::string threshold;             // binary only: text of a number, or empty
  std::string positive_from;         // regression only: text of a number, or empty
  std::vector<std::string> class_names;
  std::string class_weights = "none";  // balanced, or numbers as text
  nn::HeadOptions head;
  std::string loss_name;  // empty: the default of the head
  std::shared_ptr<losses::Loss> loss;
  std::vector<std::string> metrics;
  double weight = 1.0;

  void describe(FieldVisitor& visitor);
  data::TargetColumn target() const;
  std::optional<double> positive_threshold() const;
  // The columns of the files that hold its targets.
  std::vector<std::string> file_columns() const { return target().file_columns(); }
  // Names of its classes, labels or several values; empty where they have none.
  const std::vector<std::string>& answer_names() const;
  // What `detente predict` calls the task's predictions. One column: the value, label or class by the
  // task's name; then its probability, where it has one. Several values: each by its column's name behind
  // the task's. Labels: those predicted by the task's name, then the probability of each.
  std::vector<std::string> prediction_names() const;
  // Of class_weights: one per class (binary: of 0 and 1), empty for none. `targets`: those of the training
  // rows. Balanced: n / (classes n_c), 1 where n_c is 0.
  std::vector<double> weights_of_classes(std::span<const double> targets) const;
};

struct ModelRecipe {
  std::string kind;                  // empty: the default of the kind of data
  std::shared_ptr<nn::Trunk> trunk;  // the options of the kind; never built
  std::string sharing_kind = "hard";
  std::shared_ptr<nn::Sharing> sharing;  // the same

  void describe(FieldVisitor& visitor, const data::Source& source);
};

// How the heads begin.
enum class HeadStart { kRandom, kProbe };

struct LoopRecipe {
  std::int64_t epochs = 5;
  data::BatchOptions batches;
  HeadStart head_start = HeadStart::kRandom;
  std::int64_t micro_batches = 1;  // parts of a batch that go through the model one by one
  std::string select;              // which metrics choose the epoch to keep (selection.h)
  std::vector<std::string> tasks;  // names of the tasks to train; empty: all
  std::string objective_name = "supervised";
  std::shared_ptr<Objective> objective;  // its options
  std::string start_from;                // empty: nothing
  std::int64_t probe_every = 1;          // epochs
  double snapshot_minutes = 10;
  std::string keep = "2";  // snapshots: a number, or "all"
  std::int64_t curvature_every = 0;

  // 0: all. Throws kInvalidArgument for what is neither "all" nor a number from 1 on.
  std::int64_t kept_snapshots() const;
  void describe(FieldVisitor& visitor);
};

// Where in the list the task of this name is; its size where there is none.
std::size_t task_index(std::span<const TaskRecipe> tasks, std::string_view name);

// A run of several processes.
struct ParallelRecipe {
  // How the tasks' gradients are shared: see docs/parallel.md.
  enum class Mode { kAuto, kSharded, kNaive, kFeatures, kDdp };

  Mode mode = Mode::kAuto;
  std::int64_t zero = 0;
  double timeout_s = 60;

  engine::Exchange exchange() const {
    return mode == Mode::kNaive ? engine::Exchange::kReplicated : engine::Exchange::kSharded;
  }
  void describe(FieldVisitor& visitor);
};

// What training examples are worth, found while the model is trained (in_run_values.h).
struct ValuationRecipe {
  enum class Method { kNone, kInRun };
  enum class Groups { kNone, kParts, kLayers };

  Method method = Method::kNone;
  std::int64_t rows = 256;  // of validation
  std::int64_t every = 10;  // steps
  std::int64_t order = 1;
  Groups groups = Groups::kParts;

  void describe(FieldVisitor& visitor);
};

struct Recipe {
  std::string name;
  std::int64_t seed = 0;
  std::int64_t threads = 0;
  std::string device = "auto";
  std::string precision = "float32";
  std::optional<tensor::LowPrecision> autocast;  // of a training step's forward passes
  bool deterministic = false;
  DataRecipe data;
  ModelRecipe model;
  std::vector<TaskRecipe> tasks;    // kSupervised; each has a head of the model
  std::vector<TaskRecipe> probes;   // kProbe
  std::vector<TaskRecipe> distill;  // kDistill
  std::string method = "cagrad";
  std::shared_ptr<balance::Method> balance;
  engine::MultiTaskOptions engine;
  GranularityOptions granularity;
  double gram_rows = 1.0;  // share of a batch's rows the Gram matrix is formed from; 1: all
  std::optional<tensor::LowPrecision> gram_precision;  // nothing: as the step
  AdamWOptions optimizer;
  ScheduleOptions schedule;
  LoopRecipe loop;
  ParallelRecipe parallel;
  ValuationRecipe valuation;
  std::string output;
  bool tensorboard = true;

  void describe(FieldVisitor& visitor);

  std::string to_yaml() const;

  // What a person should know about the text it was read from: keys under an old name.
  std::vector<std::string> notes;
};

// Reads a recipe file, applies `overrides` ("a.b=c") and checks what one field alone cannot show:
// tasks present and named once, losses and metrics that fit their heads, the selection. Paths are
// relative to the recipe's folder, those of overrides to the current one, and become absolute. Overriding a word that has its options beside
// it (balance.method, tasks.<name>.loss.name, ...) drops those of the file's word. Throws
// kInvalidArgument with file and line where there is one.
Recipe load_recipe(const std::filesystem::path& path, const std::vector<std::string>& overrides);

// The copy of its recipe that a run or a study keeps in its folder. Throws kData where it is damaged, with file,
// line and how to bring it back.
Recipe load_kept_recipe(const std::filesystem::path& copy);

// Throws kInvalidArgument, with the command that proposes a recipe, where a file's ending says that it is a table.
void refuse_table(const std::filesystem::path& path);

// What keeps a run started with `before` from going on with `now`, one line per key
// ("optimizer.lr: 0.001 -> 0.01"); keys that do not change the result do not count, nor does a
// larger number of epochs.
std::vector<std::string> recipe_differences(const std::string& before, const std::string& now);

// docs/recipe.md: every key, from describe().
std::string recipe_markdown();

}  // namespace detente::train
