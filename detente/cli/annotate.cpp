// SPDX-License-Identifier: Apache-2.0
// detente annotate DATA --task NAME:label,label --pattern P --endpoint URL --model M --out FILE
#include <detente/annotate/annotator.h>
#include <detente/cli/annotate_results.h>
#include <detente/cli/command.h>
#include <detente/cli/endpoint_flags.h>
#include <detente/cli/output_file.h>
#include <detente/cli/progress_line.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/interrupt.h>
#include <detente/core/json_text.h>
#include <detente/core/suggest.h>
#include <detente/data/table.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace detente::cli {
namespace {

namespace fs = std::filesystem;

struct AnnotateFlags {
  std::string data;
  std::vector<std::string> tasks;
  std::vector<std::string> about;
  std::string pattern = "zero_shot";
  std::string out;
  std::vector<std::string> text;
  std::vector<std::string> hidden;
  std::string examples;
  bool nearest = false;
  std::int64_t samples = 0;
  double temperature = -1;
  std::int64_t seed = 0;
  std::size_t rows = 0;
  std::size_t concurrency = 4;
  bool resume = false;
  bool force = false;
  bool show_prompt = false;
  std::string show_pattern;
  bool json = false;
  EndpointFlags endpoint;
};

std::vector<annotate::Task> tasks_of(const AnnotateFlags& flags, const data::Table& table) {
  std::vector<annotate::Task> tasks;
  std::set<std::string> taken(table.column_names().begin(), table.column_names().end());
  for (const std::string& text : flags.tasks) {
    annotate::Task task = annotate::parse_task(text);
    for (const std::string& column : {task.name, task.name + "_confidence"}) {
      DETENTE_CHECK(taken.insert(column).second,
                    ErrorCode::kInvalidArgument,
                    "[cli::annotate] there would be two columns called '{}'; give the task of "
                    "--task another name.",
                    column);
    }
    tasks.push_back(std::move(task));
  }
  for (const std::string& text : flags.about) {
    const std::size_t colon = text.find(':');
    const auto found = std::find_if(tasks.begin(), tasks.end(), [&](const annotate::Task& task) {
      return task.name == text.substr(0, colon);
    });
    DETENTE_CHECK(colon != std::string::npos && found != tasks.end(),
                  ErrorCode::kInvalidArgument,
                  "[cli::annotate] --about '{}' names no task; expected NAME:words for a NAME of "
                  "--task.",
                  text);
    found->about = text.substr(colon + 1);
  }
  return tasks;
}

// Columns in which some cell is there and is no number.
std::vector<std::string> text_columns(const data::Table& table) {
  std::vector<std::string> names;
  for (std::size_t c = 0; c < table.columns(); ++c) {
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const std::string_view cell = table.cell(row, c);
      if (data::is_missing(cell) || data::parse_cell(cell)) continue;
      names.push_back(table.column_names()[c]);
      break;
    }
  }
  return names;
}

annotate::Cells cells_of(const data::Table& table,
                         std::size_t row,
                         const std::vector<std::string>& columns) {
  annotate::Cells cells;
  for (const std::string& column : columns) {
    cells.emplace_back(column, std::string(table.cell(row, table.column_index(column))));
  }
  return cells;
}

std::vector<annotate::Example> read_examples(const std::string& file,
                                             const std::vector<annotate::Task>& tasks,
                                             const std::vector<std::string>& columns) {
  const data::Table table = data::Table::read(file);
  std::vector<annotate::Example> examples;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const annotate::Cells cells = cells_of(table, row, columns);
    annotate::Example example{annotate::shown_text(cells), annotate::plain_text(cells), {}};
    for (const annotate::Task& task : tasks) {
      const std::string_view cell = table.cell(row, table.column_index(task.name));
      const auto label = annotate::parse_label(cell, task.labels, annotate::AnswerForm::kLabel);
      DETENTE_CHECK(label || data::is_missing(cell),
                    ErrorCode::kData,
                    "[cli::annotate] line {} of '{}' has '{}' in column '{}'; {}",
                    table.line(row),
                    file,
                    cell,
                    task.name,
                    expected_one_of(std::string(cell), task.labels));
      example.labels.push_back(label);
    }
    examples.push_back(std::move(example));
  }
  return examples;
}

annotate::Pattern pattern_of(const AnnotateFlags& flags) {
  annotate::Pattern pattern = annotate::load_pattern(flags.pattern);
  if (flags.temperature >= 0) pattern.temperature = flags.temperature;
  if (flags.samples > 0) pattern.samples = flags.samples;
  if (flags.nearest) pattern.choose = "nearest";
  pattern.check();
  DETENTE_CHECK(
      pattern.examples == 0 || !flags.examples.empty(),
      ErrorCode::kInvalidArgument,
      "[cli::annotate] pattern '{}' shows examples: expected --examples FILE, a table with "
      "the text columns and a column of labels for each task.",
      pattern.name);
  DETENTE_CHECK(pattern.examples > 0 || (flags.examples.empty() && !flags.nearest),
                ErrorCode::kInvalidArgument,
                "[cli::annotate] pattern '{}' shows no examples; --examples and --nearest go with "
                "few_shot.",
                pattern.name);
  DETENTE_CHECK(pattern.sources == 0 || !flags.endpoint.docs.empty(),
                ErrorCode::kInvalidArgument,
                "[cli::annotate] pattern '{}' shows passages: expected --docs FOLDER with .txt or "
                ".md files.",
                pattern.name);
  return pattern;
}

std::string transcript_of(const std::string& out) { return out + ".transcript.jsonl"; }

// Before anything is paid for.
void check_output(const AnnotateFlags& flags) {
  labelled_format(flags.out);
  const std::string transcript = transcript_of(flags.out);
  for (const std::string& file : {flags.out, transcript}) {
    demand_harmless("annotate", file, {flags.data, flags.examples, flags.endpoint.replay});
    std::error_code ignored;
    const fs::file_status status = fs::symlink_status(file, ignored);
    if (!fs::exists(status)) continue;
    DETENTE_CHECK(fs::is_regular_file(status),
                  ErrorCode::kInvalidArgument,
                  "[cli::annotate] '{}' is there already and is no plain file; name another --out.",
                  file);
    DETENTE_CHECK(flags.force || (flags.resume && fs::exists(transcript)),
                  ErrorCode::kInvalidArgument,
                  "[cli::annotate] '{}' is there already. --resume goes on where an earlier run "
                  "stopped and asks nothing twice; --force begins anew and throws both away.",
                  file);
  }
  const fs::path folder = fs::path(flags.out).parent_path();
  DETENTE_CHECK(folder.empty() || fs::is_directory(folder),
                ErrorCode::kIo,
                "[cli::annotate] the folder of --out '{}' does not exist.",
                flags.out);
}

std::vector<annotate::Row> rows_of(const data::Table& table,
                                   const AnnotateFlags& flags,
                                   const std::vector<std::string>& shown) {
  std::vector<std::string> others;
  for (const std::string& name : table.column_names()) {
    const auto in = [&](const std::vector<std::string>& list) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    if (!in(shown) && !in(flags.hidden)) others.push_back(name);
  }
  std::vector<annotate::Row> rows;
  // A recorded request for vectors holds the texts of all rows.
  const bool first = flags.show_prompt && flags.endpoint.replay.empty();
  const std::size_t most = first ? 1 : flags.rows;
  const std::size_t count = most == 0 ? table.rows() : std::min(most, table.rows());
  for (std::size_t i = 0; i < count; ++i) {
    rows.push_back(
        {static_cast<std::int64_t>(i), cells_of(table, i, shown), cells_of(table, i, others), {}});
  }
  return rows;
}

void print_prompt(const annotate::ChatRequest& request, std::ostream& out) {
  for (const annotate::Message& message : request.messages) {
    out << "--- " << message.role << "\n" << text::printable_lines(message.content);
    if (!message.content.ends_with('\n')) out << "\n";
  }
  out << "--- about " << annotate::estimated_tokens(request) << " tokens, answer at most "
      << request.max_tokens << "\n";
}

void run_annotate(const AnnotateFlags& flags, Context& context) {
  if (!flags.show_pattern.empty()) {
    annotate::load_pattern(flags.show_pattern);
    for (const auto& [name, text] : annotate::built_in_patterns()) {
      if (name == flags.show_pattern) context.out << text;
    }
    return;
  }
  DETENTE_CHECK(!flags.data.empty() && !flags.tasks.empty() && !flags.endpoint.model.empty(),
                ErrorCode::kInvalidArgument,
                "[cli::annotate] expected DATA, --task NAME:label,label and --model M; `detente "
                "annotate --help` has an example.");
  std::string content = read_file(flags.data);
  const std::vector<std::string> kept = kept_lines(content, flags.data, flags.out);
  const data::Table table =
      data::Table::parse(std::move(content), flags.data, data::TableFormat::kAuto);
  const std::vector<annotate::Task> tasks = tasks_of(flags, table);
  const annotate::Pattern pattern = pattern_of(flags);
  std::vector<std::string> shown = flags.text;
  if (shown.empty()) {
    for (const std::string& name : text_columns(table)) {
      if (std::find(flags.hidden.begin(), flags.hidden.end(), name) == flags.hidden.end()) {
        shown.push_back(name);
      }
    }
  }
  for (const std::string& name : flags.text) {
    DETENTE_CHECK(
        std::find(flags.hidden.begin(), flags.hidden.end(), name) == flags.hidden.end(),
        ErrorCode::kInvalidArgument,
        "[cli::annotate] column '{}' is to be shown (--text) and hidden (--hide). Leave one out.",
        name);
  }
  for (const auto& list : {flags.text, flags.hidden}) {
    for (const std::string& column : list) table.column_index(column);
  }
  DETENTE_CHECK(!shown.empty(),
                ErrorCode::kData,
                "[cli::annotate] no column of '{}' holds text; name those to show with --text.",
                flags.data);
  DETENTE_CHECK(flags.show_prompt || !flags.out.empty(),
                ErrorCode::kInvalidArgument,
                "[cli::annotate] expected --out FILE (.csv, .tsv or .jsonl).");
  if (!flags.show_prompt) check_output(flags);
  std::vector<annotate::Row> rows = rows_of(table, flags, shown);

  const InterruptGuard interrupt;
  const bool resume = flags.resume && !flags.show_prompt;
  EndpointSession session(
      flags.endpoint,
      "annotate",
      flags.show_prompt ? "" : transcript_of(flags.out),
      resume,
      [&] { return interrupt.interrupted(); },
      context);
  annotate::Annotations annotations;
  annotate::Examples examples;
  annotate::RowContext row_context{&pattern, flags.endpoint.model, flags.seed, &examples};
  const bool tools_search =
      std::find(pattern.tools.begin(), pattern.tools.end(), "search") != pattern.tools.end();
  try {
    if (pattern.sources > 0 || (tools_search && !flags.endpoint.docs.empty())) {
      row_context.retriever = &session.retriever();
      row_context.documents = &session.documents();
    }
    if (pattern.examples > 0) {
      const bool nearest = pattern.choose == "nearest";
      examples = annotate::Examples(read_examples(flags.examples, tasks, shown),
                                    nearest ? &session.encoder() : nullptr);
      if (nearest) {
        std::vector<std::string> texts;
        for (const annotate::Row& row : rows) texts.push_back(annotate::plain_text(row.shown));
        annotate::CallKey key{-1, "@rows", 0};
        annotate::Vectors vectors =
            annotate::encode_all(session.encoder(), texts, key, progress_line(context));
        for (std::size_t i = 0; i < rows.size(); ++i) rows[i].vector = std::move(vectors[i]);
      }
    }
    if (flags.show_prompt) {
      std::vector<annotate::Hit> hits;
      annotate::CallKey key{0, tasks[0].name, 0};
      print_prompt(annotate::first_request(row_context, tasks[0], 0, rows[0], hits, key),
                   context.out);
      return;
    }
    const auto progress = progress_line(interrupt, context);
    annotations =
        annotate::annotate_rows(row_context,
                                tasks,
                                rows,
                                session.client(),
                                {.concurrency = session.replays() ? 1 : flags.concurrency},
                                progress);
  } catch (const Error&) {
    if (!interrupt.interrupted()) {
      session.transcript().finish();
      throw;
    }
    annotations.results.assign(tasks.size(), {});
  }
  for (auto& results : annotations.results) results.resize(table.rows());
  session.transcript().finish();
  const std::vector<TaskCounts> counts = count_results(tasks, annotations);
  const bool any = std::any_of(counts.begin(), counts.end(), [&](const TaskCounts& c) {
    return c.not_reached + c.failed < table.rows();
  });
  const bool useless =
      annotations.ended && annotations.ended->kind != annotate::FailureKind::kStopped;
  if (any) {
    write_file_atomic(flags.out,
                      labelled_table(table, kept, tasks, annotations, labelled_format(flags.out)));
  } else if (useless && !flags.resume && session.transcript().answers() == 0) {
    std::error_code ignored;  // nothing in it to go on with
    fs::remove(transcript_of(flags.out), ignored);
  }
  if (is_on_terminal(context) && annotations.ended) context.err << "\r\033[K";
  if (flags.json) {
    const annotate::Spent spent = session.budget().spent();
    Json result{{"rows", table.rows()},
                {"tasks", counts_json(tasks, counts)},
                {"calls", session.client().exchanges()},
                {"from_transcript", session.client().served()},
                {"prompt_tokens", spent.prompt_tokens},
                {"answer_tokens", spent.answer_tokens},
                {"cost", json_number(session.budget().cost())},
                {"ended", annotations.ended ? Json(annotations.ended->message) : Json(nullptr)},
                {"files", {flags.out, transcript_of(flags.out)}}};
    context.out << json_text(result) << "\n";
  } else {
    print_counts(tasks, counts, annotations, context.out);
    context.out << fmt::format("{} calls, {} answers from the transcript; {}.\n",
                               session.client().exchanges(),
                               session.client().served(),
                               spent_text(session.budget()));
    if (any) {
      context.out << "Labels: " << text::printable(flags.out)
                  << "  Transcript: " << text::printable(transcript_of(flags.out)) << "\n";
    }
  }
  DETENTE_CHECK(!useless,
                ErrorCode::kIo,
                "[cli::annotate] stopped: {}.{}",
                annotations.ended->message,
                any ? " What was answered is kept; the same command with --resume goes on." : "");
  if (interrupt.interrupted()) {
    tell(context,
         "warning",
         "interrupted; the same command with --resume goes on and asks nothing twice.");
    context.exit_code = 130;
  } else if (annotations.ended) {
    tell(context,
         "warning",
         annotations.ended->message + "; the same command with --resume and a larger one goes on.");
    context.exit_code = 5;
  } else if (std::any_of(
                 counts.begin(), counts.end(), [](const auto& c) { return c.failed > 0; })) {
    tell(context, "warning", "some rows failed; the same command with --resume tries those again.");
    context.exit_code = 5;
  }
}

}  // namespace

void add_annotate(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("annotate", "Label a table's rows by asking a language model");
  auto flags = std::make_shared<AnnotateFlags>();
  command->add_option("DATA", flags->data, "CSV, TSV or JSON lines with columns of text");
  command
      ->add_option("--task",
                   flags->tasks,
                   "NAME:label,label,...: a column NAME is added with one of the labels, and "
                   "NAME_confidence with the share of the votes; may be given several times")
      ->allow_extra_args(false);
  command->add_option("--about", flags->about, "NAME:words: tells the model what a task is about")
      ->allow_extra_args(false);
  std::string patterns =
      "How the model is asked, or a file (--show-pattern prints one to begin with):";
  for (const auto& [name, text] : annotate::built_in_patterns()) {
    patterns += fmt::format("\n{}: {}", name, annotate::about_of(text));
  }
  command->add_option("--pattern", flags->pattern, patterns)->capture_default_str();
  command->add_option("--out",
                      flags->out,
                      "File to write: .csv, .tsv or .jsonl; beside it FILE.transcript.jsonl has "
                      "every call");
  command
      ->add_option(
          "--text", flags->text, "Column to show; several are allowed (default: all with text)")
      ->allow_extra_args(false);
  command
      ->add_option(
          "--hide", flags->hidden, "Column that the model must not see, e.g. labels you have")
      ->allow_extra_args(false);
  command->add_option(
      "--examples", flags->examples, "few_shot: a table with the text and the labels");
  command->add_flag(
      "--nearest", flags->nearest, "few_shot: the most similar examples, not the first");
  command->add_option("--samples", flags->samples, "Answers of which the majority counts")
      ->check(CLI::Range(1, 1000));
  command->add_option("--temperature", flags->temperature)->check(CLI::Range(0.0, 2.0));
  command->add_option("--seed", flags->seed, "Of samples at a temperature above 0")
      ->capture_default_str();
  command->add_option(
      "--rows", flags->rows, "Label the first rows only, to try; --resume does the rest");
  command->add_option("--concurrency", flags->concurrency, "Rows asked at a time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_flag("--resume", flags->resume, "Go on with the transcript of an earlier run")
      ->excludes(command->add_flag(
          "--force", flags->force, "Write over an earlier output and transcript"));
  command->add_flag("--show-prompt",
                    flags->show_prompt,
                    "Print what would be sent for the first row; ask nothing");
  command->add_option("--show-pattern", flags->show_pattern, "Print a pattern's file");
  command->add_flag("--json", flags->json, "Print the counts as JSON");
  add_endpoint_flags(*command, flags->endpoint);
  command->get_option("--model")->required(false);
  command->footer(
      "Example, with a model served on this machine:\n"
      "  llama-server -m model.gguf --port 8080 &\n"
      "  detente annotate reviews.csv --text review --task mood:negative,neutral,positive \\\n"
      "    --endpoint http://127.0.0.1:8080 --model any --rows 20 --out labelled.csv\n"
      "Look at the labels, then the same with --resume and without --rows. Exit code 5: rows are "
      "left\n"
      "without an answer (budget, failures); 3: the endpoint is of no use. docs/annotate.md has "
      "the rest.");
  command->callback([flags, &context] { run_annotate(*flags, context); });
}

}  // namespace detente::cli
