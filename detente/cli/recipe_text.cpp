// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/recipe_text.h>
#include <detente/config/tree.h>
#include <detente/core/fields.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

namespace detente::cli {
namespace {

using config::text_yaml;
using data::FileProposal;
using data::ProposedColumn;
using data::ProposedTask;
using data::RecipeProposal;

// Lines "# ..." that fit a page; names in it cannot end the comment.
std::string recipe_comment(const std::string& words, const std::string& indent) {
  constexpr std::size_t kWidth = 96;
  const std::string text = text::printable(words);
  std::string out;
  std::string line;
  const auto flush = [&] {
    if (!line.empty()) out += indent + "#" + line + "\n";
    line.clear();
  };
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (indent.size() + report::display_width(line + word) + 2 > kWidth) flush();
    line += " " + word;
    begin = end + 1;
  }
  flush();
  return out;
}

std::string recipe_list(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + text_yaml(word);
  return "[" + out + "]";
}

std::string recipe_task(const ProposedTask& task) {
  std::string out = recipe_comment(task.why, "  ");
  out += "  - name: " + text_yaml(task.name) + "\n";
  if (task.column != task.name) out += "    column: " + text_yaml(task.column) + "\n";
  out += std::string("    head: ") + name_of(task.kind) + "\n";
  if (task.threshold) out += "    threshold: " + text_yaml(number_text(*task.threshold)) + "\n";
  if (task.separator != '\0') {
    out += "    separator: " + text_yaml(std::string(1, task.separator)) + "\n";
  }
  if (!task.class_names.empty()) out += "    class_names: " + recipe_list(task.class_names) + "\n";
  if (task.classes > 0) out += fmt::format("    classes: {}\n", task.classes);
  if (task.range) {
    out += fmt::format("    output: scaled\n    low: {}\n    high: {}\n",
                       number_text(task.range->first),
                       number_text(task.range->second));
  }
  return out;
}

std::string recipe_numbers(const std::vector<std::int64_t>& numbers) {
  return fmt::format("[{}]", fmt::join(numbers, ", "));
}

// Of a proposal's split by shares: what the parts are for.
std::string split_comment(std::size_t rows, const char* what, bool test) {
  return recipe_comment(
      fmt::format("Of the {} {}, shares that choose the epoch (dev){}.",
                  rows,
                  what,
                  test ? " and that nothing sees before `detente eval RUN --part test` (test)"
                       : "; too few for a test part"),
      "  ");
}

std::string recipe_data(const RecipeProposal& proposal,
                        const std::string& train,
                        const std::string& format) {
  std::string out = "data:\n  kind: table\n  train: " + text_yaml(train) + "\n";
  if (format != "auto") out += "  format: " + format + "\n";
  out += split_comment(proposal.rows, "rows", proposal.test > 0);
  out += fmt::format("  split: {{dev: {}", number_text(proposal.dev));
  if (proposal.test > 0) out += fmt::format(", test: {}", number_text(proposal.test));
  if (!proposal.group.empty()) out += ", group: " + text_yaml(proposal.group);
  out += fmt::format(", seed: {}}}\n", proposal.split_seed);
  if (!proposal.time.empty()) {
    out += recipe_comment(
        "Where a model will be asked about later days than it has seen, split by "
        "time, in place of seed" +
            std::string(proposal.group.empty() ? "" : " and group") +
            ": time: " + text_yaml(proposal.time),
        "  ");
  }
  if (!proposal.ignored.empty()) {
    out += "  # Columns that are no inputs, and why:\n  ignore:\n";
    for (const ProposedColumn& column : proposal.ignored) {
      out += recipe_comment(column.why, "    ");
      out += "    - " + text_yaml(column.name) + "\n";
    }
  }
  if (!proposal.categories.empty()) {
    out += recipe_comment(
        "Taken for names, though cells look like numbers. Take out those that are amounts.", "  ");
    out += "  categories: " + recipe_list(proposal.categories) + "\n";
  }
  for (const ProposedColumn& column : proposal.remarks) {
    out += recipe_comment("Column '" + column.name + "': " + column.why + ".", "  ");
  }
  return out;
}

std::string recipe_split(const FileProposal& proposal, const char* what) {
  std::string out =
      proposal.own_test
          ? recipe_comment(
                fmt::format("Of the {} training {}, a share that chooses the epoch (dev). "
                            "The file's own test part is asked for with `detente eval "
                            "RUN --data FILE`.",
                            proposal.rows,
                            what),
                "  ")
          : split_comment(proposal.rows, what, proposal.test > 0);
  out += fmt::format("  split: {{dev: {}", number_text(proposal.dev));
  if (proposal.test > 0) out += fmt::format(", test: {}", number_text(proposal.test));
  return out + fmt::format(", seed: {}}}\n", proposal.split_seed);
}

std::string recipe_files(const FileProposal& proposal,
                         const std::string& train,
                         const std::string& format) {
  struct Words {
    const char* column;  // the setting, and its default
    const char* files;
    const char* changes;
  };
  const Words words =
      proposal.kind == "images"
          ? Words{"image",
                  "images",
                  "Random changes that keep what is shown, for more examples: augment: {flip: "
                  "true, "
                  "crop: 2}. Not flip where left and right differ, as in writing."}
      : proposal.kind == "video"
          ? Words{"video",
                  "clips",
                  "Random changes that keep what is shown, for more examples: augment: {temporal: "
                  "true, flip: true, crop: 2}. Not flip where left and right differ."}
          : Words{"audio",
                  "recordings",
                  "Random changes that keep what is said, for more examples: augment: {shift: 5, "
                  "time_masks: 1, mel_masks: 1}."};
  std::string out = "data:\n  kind: " + proposal.kind + "\n  train: " + text_yaml(train) + "\n";
  if (format != "auto") out += "  format: " + format + "\n";
  for (const std::string& note : proposal.notes) out += recipe_comment(note, "  ");
  if (!proposal.column.empty() && proposal.column != words.column) {
    out += fmt::format("  {}: {}\n", words.column, text_yaml(proposal.column));
  }
  if (!proposal.split_column.empty()) {
    out += recipe_comment("The column says which row is for training, validation and test.", "  ");
    out += "  split: {column: " + text_yaml(proposal.split_column) + "}\n";
  } else {
    out += recipe_split(proposal, words.files);
  }
  if (!proposal.size.empty()) {
    out += recipe_comment(proposal.why_size + ".", "  ");
    out += "  size: " + recipe_numbers(proposal.size) + "\n  resize: crop\n";
  }
  if (proposal.frames > 0) {
    out += recipe_comment(proposal.why_frames + ".", "  ");
    out += fmt::format("  frames: {}\n", proposal.frames);
  }
  if (proposal.stride > 1) out += fmt::format("  stride: {}\n", proposal.stride);
  if (proposal.kind == "audio") out += fmt::format("  mel: {{mels: {}}}\n", proposal.mels);
  return out + recipe_comment(words.changes, "  ");
}

std::string recipe_arrays(const FileProposal& proposal, const std::string& train) {
  std::string out = "data:\n  kind: arrays\n  train: " + text_yaml(train) + "\n";
  if (proposal.inputs != "X") out += "  inputs: " + text_yaml(proposal.inputs) + "\n";
  for (const std::string& note : proposal.notes) out += recipe_comment(note, "  ");
  if (!proposal.why_layout.empty()) out += recipe_comment(proposal.why_layout + ".", "  ");
  if (proposal.layout != "channels_first") out += "  layout: " + proposal.layout + "\n";
  if (proposal.why_parts.empty()) {
    out += recipe_split(proposal, "examples");
  } else {
    out += recipe_comment(proposal.why_parts + ".", "  ");
  }
  return out;
}

// Of one task there is nothing to balance.
std::string recipe_method(std::size_t tasks) {
  return std::string("\nbalance:\n  method: ") + (tasks > 1 ? "cagrad" : "ew") + "\n";
}

}  // namespace

std::string recipe_text(const FileProposal& proposal,
                        const std::string& name,
                        const std::string& train,
                        const std::string& format) {
  std::string out = recipe_comment(
      "A proposal by `detente new`, to be looked through. `detente recipe show` prints every "
      "setting, docs/recipe.md explains them.",
      "");
  out += "name: " + text_yaml(name) + "\nseed: 0\n\n";
  const bool arrays = proposal.kind == "arrays";
  out += arrays ? recipe_arrays(proposal, train) : recipe_files(proposal, train, format);
  out += "\nmodel:\n  kind: " + proposal.model + "\n";
  out += recipe_comment(fmt::format("Chosen by the {} {} and their size alone, as are the "
                                    "learning rate, epochs and batch size below.",
                                    proposal.rows,
                                    arrays ? "examples" : "files"),
                        "  ");
  if (proposal.model == "mlp") {
    out += "  widths: " + recipe_numbers(proposal.widths) +
           "\n  dropout: " + number_text(proposal.dropout) + "\n";
  } else {
    out += "  channels: " + recipe_numbers(proposal.channels) + "\n";
  }
  out += "\n" + recipe_comment("Targets: " + proposal.why_targets + ".", "") + "tasks:\n";
  for (const ProposedTask& task : proposal.tasks) out += recipe_task(task);
  out += recipe_method(proposal.tasks.size());
  out += "\noptimizer:\n  lr: " + number_text(proposal.lr) + "\n";
  out += fmt::format(
      "\ntrain:\n  epochs: {}\n  batch_size: {}\n", proposal.epochs, proposal.batch_size);
  return out;
}

std::string recipe_text(const RecipeProposal& proposal,
                        const std::string& name,
                        const std::string& train,
                        const std::string& format) {
  std::string out = recipe_comment(
      "A proposal by `detente new`, to be looked through. `detente data check` shows what the data "
      "hold, `detente recipe show` prints every setting, docs/recipe.md explains them.",
      "");
  out += "name: " + text_yaml(name) + "\nseed: 0\n\n";
  out += recipe_data(proposal, train, format);
  out += "\nmodel:\n  kind: mlp\n";
  out +=
      recipe_comment(fmt::format("Chosen by the {} rows and {} inputs alone, as are the learning "
                                 "rate, epochs and batch size below.",
                                 proposal.rows,
                                 proposal.inputs),
                     "  ");
  out += "  widths: " + recipe_numbers(proposal.widths) +
         "\n  dropout: " + number_text(proposal.dropout) + "\n";
  out += "\n" + recipe_comment("Targets: " + proposal.why_targets + ".", "") + "tasks:\n";
  for (const ProposedTask& task : proposal.tasks) out += recipe_task(task);
  out += recipe_method(proposal.tasks.size());
  out += "\noptimizer:\n  lr: " + number_text(proposal.lr) + "\n";
  out += fmt::format(
      "\ntrain:\n  epochs: {}\n  batch_size: {}\n", proposal.epochs, proposal.batch_size);
  return out;
}

}  // namespace detente::cli
