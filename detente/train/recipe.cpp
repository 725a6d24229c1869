// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/config/differences.h>
#include <detente/config/kinds.h>
#include <detente/config/tree.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/core/whole_number.h>
#include <detente/tensor/device.h>
#include <detente/text/shell_word.h>
#include <detente/text/unicode.h>
#include <detente/train/objective.h>
#include <detente/train/recipe.h>
#include <detente/train/run_fields.h>
#include <detente/train/selection.h>
#include <detente/train/step_rules.h>
#include <detente/train/task_rules.h>

#include <map>
#include <set>

namespace detente::train {
namespace {

constexpr NumberRule kCount{.min = 1, .max = 1e9};
constexpr NumberRule kCountOrZero{.min = 0, .max = 1e9};

Describe describe_of(Recipe& recipe) {
  return [&recipe](FieldVisitor& visitor) { recipe.describe(visitor); };
}

// Keys that had another name before; recipes and runs from then go on.
struct RenamedKey {
  const char* section;
  const char* before;
  const char* now;
};
constexpr RenamedKey kRenamedKeys[] = {{"engine", "surgery", "granularity"},
                                       {"engine", "surgery_groups", "groups"}};

// Where both names are there, the old one was said later (--set) and counts.
void take_old_names(config::Node& root, std::vector<std::string>& notes) {
  for (const RenamedKey& key : kRenamedKeys) {
    config::Node* section = root.find(key.section);
    config::Node* old = section == nullptr ? nullptr : section->find(key.before);
    if (old == nullptr) continue;
    notes.push_back(fmt::format("{}: '{}.{}' is called '{}.{}' now; the old name still works.",
                                old->origin,
                                key.section,
                                key.before,
                                key.section,
                                key.now));
    section->erase(key.now);
    for (auto& [name, value] : section->entries) {
      if (name == key.before) name = key.now;
    }
  }
}

// In a file there is no later.
void refuse_both_names(const config::Node& root, const std::string& source) {
  for (const RenamedKey& key : kRenamedKeys) {
    const config::Node* section = root.find(key.section);
    if (section == nullptr || section->find(key.before) == nullptr) continue;
    if (section->find(key.now) == nullptr) continue;
    fail(ErrorCode::kInvalidArgument,
         "[train::load_recipe] {}: '{}.{}' is the old name of '{}.{}'; leave it out.",
         source,
         key.section,
         key.before,
         key.section,
         key.now);
  }
}

}  // namespace

void DataRecipe::describe(FieldVisitor& visitor) {
  files.describe(visitor);
  visitor.kind(
      "kind",
      kind,
      data::source_kinds(),
      source,
      data::make_source,
      "What an example is: a pair of sentences, a row of a table, a text, an image, a graph or "
      "one of its nodes, an image with maps of its pixels, a recording, a row of NumPy's arrays, "
      "a clip, or several of these together (docs/data.md). Its options stand beside it.");
  sampler.describe(visitor);
  files.describe_split(visitor);
  files.describe_sources(visitor);
}

void ModelRecipe::describe(FieldVisitor& visitor, const data::Source& source) {
  if (kind.empty()) kind = nn::default_trunk(source.kind());
  visitor.kind(
      "kind",
      kind,
      nn::trunk_kinds(),
      trunk,
      [&source](const std::string& word) {
        auto made = nn::make_trunk(word);
        made->suit(source);
        return made;
      },
      "pairs: an encoder for sentence pairs; mlp: hidden layers over the columns of a "
      "table; transformer: BERT's encoder for texts and pairs; convnet: a small convolutional "
      "network for images, recordings and the frames of clips; resnet: a residual one; vit: a "
      "vision "
      "transformer; convnet3d: convolutions over space and time of clips; gcn and gin: over "
      "graphs; unet, segnet and mtan: networks with an answer for each pixel; convnet1d: a small "
      "one along time for recordings and series; joined: a network for each of data.parts. "
      "Default: the first for data.kind. Its options stand beside it.");
  visitor.kind(
      "sharing",
      sharing_kind,
      nn::sharing_kinds(),
      sharing,
      nn::make_sharing,
      "What stands between the model's features and the tasks' heads. hard: nothing; mmoe: "
      "experts and a gate per task; cgc and ple: also experts of each task's own; "
      "cross_stitch: a tower per task, mixed after each layer (docs/training.md). Its "
      "options stand beside it.");
}

std::int64_t LoopRecipe::kept_snapshots() const {
  if (keep == "all") return 0;
  const std::int64_t count = whole_number<std::int64_t>(keep).value_or(0);
  DETENTE_CHECK(count >= 1,
                ErrorCode::kInvalidArgument,
                "[train::recipe] 'train.keep' must be a number from 1 on, or 'all'; got '{}'.",
                keep);
  return count;
}

void LoopRecipe::describe(FieldVisitor& visitor) {
  visitor.kind("objective",
               objective_name,
               objective_names(),
               objective,
               make_objective,
               "What the model learns beside or instead of its tasks' labels (docs/distill.md). "
               "supervised: nothing. dino: that views of an image agree, without labels. ddgsd: "
               "from two distortions of an image at once. mutual: from peers that learn beside "
               "it. auxiliary: from turned and changed images, without labels. Its options stand "
               "beside it, in a section of its name.");
  visitor.file("start_from",
               start_from,
               "A run's folder, or its model.safetensors: the trunk begins with that one's "
               "parameters, heads as without.");
  visitor.integer("probe_every",
                  probe_every,
                  kCount,
                  "Tasks of the kind probe are measured after every so many epochs, and at the "
                  "end.");
  visitor.integer("epochs", epochs, kCount, "Passes over the training rows.");
  visitor.integer("batch_size", batches.batch_size, kCount, "Rows per step.");
  visitor.choice("head_start",
                 head_start,
                 {{"random", HeadStart::kRandom}, {"probe", HeadStart::kProbe}},
                 "How the heads begin. random: small random weights; probe: the best linear answer "
                 "to the features as they are before training (ridge regression on up to 10,000 "
                 "training rows), for models that start from a published one.");
  visitor.integer("micro_batches",
                  micro_batches,
                  kCount,
                  "A batch goes through the model in so many parts of nearly equal size, one after "
                  "the other, with the memory of one, and makes one step: the same as at once for "
                  "losses that are means over rows (all but correlation), dropout apart.");
  visitor.integer("min_batch",
                  batches.min_batch,
                  kCountOrZero,
                  "A last batch smaller than this joins the one before it.");
  visitor.integer("pool_batches",
                  batches.pool_batches,
                  kCount,
                  "Rows are sorted by length within pools of so many batches; 1: no sorting.");
  visitor.text("select",
               select,
               "'task.metric' on validation that chooses the epoch to keep; several with commas "
               "between them: their mean; mean: of every task the first metric that is 1 at best. "
               "Default: the first metric of the first task.");
  visitor.texts(
      "tasks", tasks, {}, "Train only these tasks (single-task baselines); default: all.");
  visitor.number("snapshot_minutes",
                 snapshot_minutes,
                 {.min = 0, .max = 1e6},
                 "Also snapshot within an epoch after so many minutes; 0: only after epochs.");
  visitor.text("keep",
               keep,
               "How many of the newest snapshots stay: a number from 1 on, or all (for what is "
               "measured along the run afterwards).");
  visitor.integer("curvature_every",
                  curvature_every,
                  {.min = 0},
                  "Every n-th step measures the curvature along the tasks' summed gradient for "
                  "`detente inspect`, at one forward and two backward passes; 0: never.");
}

void ValuationRecipe::describe(FieldVisitor& visitor) {
  visitor.choice(
      "method",
      method,
      {{"none", Method::kNone}, {"in_run", Method::kInRun}},
      "What each training example does to each task's validation loss while the model is "
      "trained (docs/value.md). in_run: its part in every step, by task trained, task judged "
      "and part of the network; the run then writes values.csv.");
  visitor.integer(
      "rows",
      rows,
      {.min = 1, .max = 1e9},
      "Validation rows that examples are judged by, evenly spread; no more than there are.");
  visitor.integer("every",
                  every,
                  {.min = 1, .max = 1e9},
                  "Steps between two looks at the validation loss's gradient, which is taken for "
                  "unchanged in between.");
  visitor.integer(
      "order",
      order,
      {.min = 1, .max = 2},
      "2: with the validation loss's curvature along the step, by a Hessian-vector product "
      "in every step for every task; every then is 1.");
  visitor.choice("groups",
                 groups,
                 {{"none", Groups::kNone}, {"parts", Groups::kParts}, {"layers", Groups::kLayers}},
                 "What values are told apart by within the network: the parts of joined data "
                 "(modalities), its layers, or nothing.");
}

void ParallelRecipe::describe(FieldVisitor& visitor) {
  visitor.choice(
      "mode",
      mode,
      {{"auto", Mode::kAuto},
       {"sharded", Mode::kSharded},
       {"naive", Mode::kNaive},
       {"features", Mode::kFeatures},
       {"ddp", Mode::kDdp}},
      "How several processes share the tasks' gradients (docs/parallel.md). sharded: each "
      "keeps its part of all K, and the direction is collected. naive: each gets all K. "
      "features: as engine.strategy features, with the traffic of plain training. ddp: "
      "plain training's sum of one gradient, for methods that look at losses alone. auto: "
      "ddp where the method allows it, else sharded. One process takes no notice.");
  visitor.integer(
      "zero",
      zero,
      {.min = 0, .max = 1},
      "1: each process keeps its share of the optimiser's moments alone (ZeRO stage 1); P "
      "more numbers are sent in each step.");
  visitor.number(
      "timeout_s",
      timeout_s,
      {.min = 0, .max = 1e6, .min_open = true},
      "Seconds that a process waits for the others before it says which of them does not "
      "answer and ends.");
}

void Recipe::describe(FieldVisitor& visitor) {
  visitor.text("name", name, "Shown in reports.");
  visitor.integer("seed",
                  seed,
                  {.min = 0, .max = 9e15},
                  "Decides initial weights, order of rows, dropout and random methods.");
  describe_machine(visitor, threads, device);
  visitor.choice_text("precision", precision, {"float32", "float64"}, "Type of all numbers.");
  const auto autocast_before = autocast;
  visitor.choice("autocast",
                 autocast,
                 {{"none", std::nullopt},
                  {"bf16", tensor::LowPrecision::kBFloat16},
                  {"fp16", tensor::LowPrecision::kFloat16}},
                 "Mixed precision: in training steps the model's large products are computed in "
                 "this type; parameters, losses, gradients and evaluation stay float32. fp16 sets "
                 "engine.loss_scaling to dynamic unless the recipe says otherwise.");
  if (autocast != autocast_before && autocast == tensor::LowPrecision::kFloat16) {
    engine.loss_scaling = engine::MultiTaskOptions::LossScaling::kDynamic;
  }
  visitor.flag("deterministic",
               deterministic,
               "Let LibTorch take only algorithms that give the same bits every time. For CUDA, "
               "where it costs time and operations without one are an error; on the CPU two runs "
               "of a recipe with one number of threads give the same bits anyway.");
  // A visitor may pass by the section, but what comes after it depends on the kind.
  if (data.source == nullptr) data.source = data::make_source(data.kind);
  visitor.section("data", "", [this](FieldVisitor& s) { data.describe(s); });
  data.source->describe_sections(visitor);
  visitor.section("model", "", [this](FieldVisitor& s) { model.describe(s, *data.source); });
  std::vector<TaskRecipe> entries = tasks;
  entries.insert(entries.end(), probes.begin(), probes.end());
  entries.insert(entries.end(), distill.begin(), distill.end());
  visitor.sections(
      "tasks",
      entries.size(),
      [&](std::size_t n) {
        TaskRecipe task;
        if (data.source->standard_targets()) {
          task.head.output = nn::HeadOptions::Output::kStandard;
        }
        entries.resize(n, task);
      },
      [&](std::size_t i, FieldVisitor& s) { entries[i].describe(s); },
      "One entry per task.");
  const auto take = [&entries](TaskRecipe::Kind kind) {
    std::vector<TaskRecipe> taken;
    for (const TaskRecipe& entry : entries) {
      if (entry.kind == kind) taken.push_back(entry);
    }
    return taken;
  };
  tasks = take(TaskRecipe::Kind::kSupervised);
  probes = take(TaskRecipe::Kind::kProbe);
  distill = take(TaskRecipe::Kind::kDistill);
  visitor.section("balance", "", [this](FieldVisitor& s) {
    s.kind("method",
           method,
           balance::method_names(),
           balance,
           balance::make_method,
           "How the tasks' gradients are reconciled; `detente methods` explains each. The method's "
           "options stand beside it.");
  });
  visitor.section("engine", "", [this](FieldVisitor& s) {
    engine.describe(s);
    granularity.describe(s);
    s.number("gram_rows",
             gram_rows,
             {.min = 0, .max = 1, .min_open = true},
             "Methods that need the Gram matrix get it from this share of the batch's rows, spread "
             "evenly: the passes per task are over those rows alone and the batch needs one. Steps "
             "that diagnose_every names stay exact and measure the estimate (estimate_floor). 1: "
             "always exact.");
    s.choice("gram_precision",
             gram_precision,
             {{"same", std::nullopt}, {"bf16", tensor::LowPrecision::kBFloat16}},
             "bf16: the Gram matrix is estimated likewise from a forward pass in bf16 (autocast) "
             "over gram_rows of the batch, all of it if that is 1.");
  });
  visitor.section("optimizer", "", [this](FieldVisitor& s) { optimizer.describe(s); });
  visitor.section("schedule", "", [this](FieldVisitor& s) { schedule.describe(s); });
  visitor.section("train", "", [this](FieldVisitor& s) { loop.describe(s); });
  visitor.section("parallel", "", [this](FieldVisitor& s) { parallel.describe(s); });
  visitor.section("valuation", "", [this](FieldVisitor& s) { valuation.describe(s); });
  describe_output(visitor, output, tensorboard);
}

std::string Recipe::to_yaml() const {
  Recipe copy = *this;
  return config::to_yaml(describe_of(copy));
}

void refuse_table(const std::filesystem::path& path) {
  std::filesystem::path name = path.filename();
  if (lower_ascii(name.extension().string()) == ".gz") name = name.stem();
  const std::string ending = lower_ascii(name.extension().string());
  if (ending != ".csv" && ending != ".tsv" && ending != ".tab" && ending != ".jsonl") return;
  const std::string recipe = text::shell_word(name.stem().string() + ".yaml");
  fail(ErrorCode::kInvalidArgument,
       "[train::load_recipe] '{}' is a table; expected a recipe, which says what is learned from "
       "it. "
       "One is proposed by\n  detente new --from {} --out {}\nand {} stands where the table was "
       "named.",
       path.string(),
       text::shell_word(path.string()),
       recipe,
       recipe);
}

Recipe load_recipe(const std::filesystem::path& path, const std::vector<std::string>& overrides) {
  refuse_table(path);
  config::Node root = config::load_yaml(path);
  DETENTE_CHECK(root.find("worlds") == nullptr,
                ErrorCode::kUnsupported,
                "[train::load_recipe] {} is the recipe of an agent (it has 'worlds' in place of "
                "'data'), and this is for runs that learn from data. Agents are trained by "
                "detente train, from a file that is no pipe; their runs are looked at with report, "
                "inspect and serve "
                "(docs/control.md).",
                path.string());
  std::vector<std::string> notes;
  refuse_both_names(root, path.string());
  take_old_names(root, notes);
  for (const auto& assignment : overrides) {
    Recipe pattern;
    config::drop_replaced_options(root, assignment, describe_of(pattern));
    config::apply_override(root, assignment);
    take_old_names(root, notes);
  }
  Recipe recipe;
  config::read_fields(root, describe_of(recipe));
  check_class_counts(root);
  if (recipe.threads > tensor::thread_bound()) {
    notes.push_back(fmt::format("'threads' is {}, far more than there are cores; {} are used.",
                                recipe.threads,
                                tensor::thread_bound()));
  }
  recipe.notes = std::move(notes);
  const std::string source = path.string();
  if (recipe.name.empty()) recipe.name = path.stem().string();
  const std::string where = "[train::load_recipe] " + source;
  DETENTE_CHECK(text::find_invalid_utf8(recipe.name) == std::string::npos,
                ErrorCode::kInvalidArgument,
                "{}: the file's name is not valid UTF-8 and cannot name the run; give it a 'name'.",
                where);
  recipe.data.files.own_parts = recipe.data.source->own_parts();
  DETENTE_CHECK(
      recipe.data.files.sources.empty() || recipe.data.source->takes_sources(),
      ErrorCode::kInvalidArgument,
      "{}: 'data.sources' is for tables, texts, pairs, images and audio; data.kind {} reads "
      "one file.",
      where,
      recipe.data.kind);
  recipe.data.files.validate(where);
  recipe.data.source->leave_out(recipe.data.files.split.columns());
  for (const data::NamedFiles& source : recipe.data.files.sources) {
    recipe.data.source->leave_out(source.files.split.columns());
  }
  settle_tasks(recipe, where);
  const auto folder = std::filesystem::absolute(path).parent_path();
  recipe.model.trunk->resolve_paths(folder);
  recipe.model.trunk->validate();
  recipe.model.sharing->validate();
  recipe.model.trunk->prepare(*recipe.data.source);
  parse_selection(recipe.loop.select, recipe.tasks);
  recipe.loop.objective->check(recipe, where);
  recipe.loop.kept_snapshots();
  if (const std::string conflict = step_conflict(recipe); !conflict.empty()) {
    fail(ErrorCode::kInvalidArgument, "{}: {}", where, conflict);
  }
  recipe.data.files.resolve_paths(folder);
  recipe.data.source->resolve_paths(folder);
  if (!recipe.loop.start_from.empty()) {
    recipe.loop.start_from = data::absolute_path(recipe.loop.start_from, folder);
  }
  for (TaskRecipe& task : recipe.distill) {
    std::string& teacher = task.distill.teacher;
    // A word, wherever it was typed.
    const bool word =
        std::filesystem::path(teacher).filename() == "ema" && !std::filesystem::exists(teacher);
    teacher = word ? "ema" : data::absolute_path(teacher, folder);
  }
  return recipe;
}

Recipe load_kept_recipe(const std::filesystem::path& copy) {
  try {
    return load_recipe(copy, {});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    const std::string file = text::shell_word(copy.string());
    fail(ErrorCode::kData,
         "{}\nThat file is the copy of the recipe that was kept in '{}' when training began, and "
         "it is "
         "damaged, or of another version. Bring it back from a copy of the folder, or write it "
         "again "
         "from the recipe and the --set that were trained:\n  detente recipe show RECIPE > {}",
         error.what(),
         copy.parent_path().string(),
         file);
  }
}

namespace {

// Keys that are younger than the recipe get the values that make no difference.
std::string with_all_keys(const std::string& yaml) {
  config::Node root = config::parse_yaml(yaml, "snapshot");
  std::vector<std::string> ignored;
  take_old_names(root, ignored);
  Recipe recipe;
  try {
    config::read_fields(root, describe_of(recipe));
  } catch (const Error&) {
    return yaml;  // has keys that are no more; they are among the differences
  }
  return recipe.to_yaml();
}

}  // namespace

std::vector<std::string> recipe_differences(const std::string& before, const std::string& now) {
  static const std::set<std::string> harmless = {"name",
                                                 "threads",
                                                 "device",
                                                 "data.cache",
                                                 "data.memory",
                                                 "output.dir",
                                                 "output.tensorboard",
                                                 "parallel.timeout_s",
                                                 "parallel.zero",
                                                 "train.curvature_every",
                                                 "train.epochs",
                                                 "train.keep",
                                                 "train.snapshot_minutes"};
  // A part of joined data has the options of its kind.
  const auto of_kind = [](const std::string& key) {
    const std::size_t end = key.starts_with("data.parts[") ? key.find("].") : std::string::npos;
    return end == std::string::npos ? key : "data." + key.substr(end + 2);
  };
  return config::differences(with_all_keys(before), now, [&](const std::string& key) {
    return harmless.contains(of_kind(key));
  });
}

std::string recipe_markdown() {
  Recipe recipe;
  std::string other_kinds;
  for (const std::string& kind : data::source_kinds()) {
    if (kind == DataRecipe{}.kind) continue;
    const auto source = data::make_source(kind);
    const auto sections = list_fields([&](FieldVisitor& v) { source->describe_sections(v); });
    const auto trunks = nn::trunk_kinds(kind);
    const auto trunk = nn::make_trunk(trunks.front());
    other_kinds +=
        "\n## With `data.kind: " + kind + "`\n\n" +
        "These stand in place of the sections of the same name but for their `kind`, "
        "`train`, `dev`, `format`, `max_rows`, `drop`, `split`, `sources`, `sampler` and "
        "`temperature`; " +
        (sections.empty() ? "there is no `tokenizer`.\n" : "`tokenizer` is the same.\n") +
        config::fields_markdown([&](FieldVisitor& visitor) {
          visitor.section("data", "", [&](FieldVisitor& s) { source->describe(s); });
          visitor.section("model", "", [&](FieldVisitor& s) { trunk->describe(s); });
        });
    for (std::size_t i = 1; i < trunks.size(); ++i) {
      const auto other = nn::make_trunk(trunks[i]);
      other_kinds += "\nWith `model.kind: " + trunks[i] + "` in place of its `model`:\n" +
                     config::fields_markdown([&](FieldVisitor& visitor) {
                       visitor.section("model", "", [&](FieldVisitor& s) { other->describe(s); });
                     });
    }
  }
  std::string ways;
  for (const std::string& kind : nn::sharing_kinds()) {
    const auto sharing = nn::make_sharing(kind);
    const auto options = [&](FieldVisitor& visitor) {
      visitor.section("model", "", [&](FieldVisitor& s) { sharing->describe(s); });
    };
    if (list_fields(options).empty()) continue;
    ways += "\nWith `model.sharing: " + kind + "` also:\n" + config::fields_markdown(options);
  }
  std::string objectives;
  for (const std::string& name : objective_names()) {
    const auto objective = make_objective(name);
    const auto options = [&](FieldVisitor& visitor) {
      visitor.section("train", "", [&](FieldVisitor& s) { objective->describe(s); });
    };
    if (list_fields(options).empty()) continue;
    objectives +=
        "\nWith `train.objective: " + name + "` also:\n" + config::fields_markdown(options);
  }
  TaskRecipe lesson;
  lesson.kind = TaskRecipe::Kind::kDistill;
  const std::string lessons = config::fields_markdown([&](FieldVisitor& visitor) {
    visitor.section("tasks[]", "", [&](FieldVisitor& s) { lesson.describe(s); });
  });
  return "# Recipe reference\n\n"
         "<!-- written by `detente recipe docs`; do not edit by hand -->\n\n"
         "Every key of a recipe, its type, default and allowed values. A recipe is read strictly: "
         "an unknown key, a wrong type or an impossible value is an error with file and line. "
         "`--set key=value` overrides a key on the command line, e.g. `--set train.epochs=3` or "
         "`--set tasks.score.weight=2`; a file named there is relative to the folder it is typed "
         "in, one named in a recipe to the recipe's. The options of the balancing method stand "
         "beside "
         "`balance.method` and those of a loss beside its `name`; the tables show the ones of the "
         "defaults, [docs/methods](methods/README.md) and [docs/losses.md](losses.md) show all.\n" +
         config::fields_markdown(describe_of(recipe)) + other_kinds + "\n## Ways of sharing\n" +
         ways + "\n## Objectives\n" + objectives + "\n## Tasks of the kind distill\n" + lessons;
}

}  // namespace detente::train
