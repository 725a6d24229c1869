// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/citations.h>
#include <detente/annotate/react.h>
#include <detente/annotate/row_runner.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace detente::annotate {
namespace {

ToolContext tools_of(const RowContext& context, const Row& row) {
  return {context.documents, context.retriever, row.others};
}

Values values_of(const Task& task) {
  std::string labels;
  for (const std::string& label : task.labels) labels += (labels.empty() ? "- " : "\n- ") + label;
  return {{"task", task.name},
          {"about", task.about.empty() ? "" : " " + task.about},
          {"labels", labels}};
}

// One chain: what it gave, or why nothing.
struct Chain {
  Ballot ballot;
  bool not_found = false;
  std::string note;
  std::optional<Failure> failure;
};

Chain failed(const Failure& failure) {
  Chain chain;
  chain.failure = failure;
  return chain;
}

class RowRun {
 public:
  RowRun(const RowContext& context,
         const Task& task,
         std::size_t task_index,
         const Row& row,
         Client& client)
      : context_(context), pattern_(*context.pattern), task_(task), row_(row), client_(client) {
    key_ = {row.index, task.name, 0};
    request_ = first_request(context, task, task_index, row, hits_, key_);
  }

  Chain chain(std::int64_t sample) {
    if (request_.seed) request_.seed = context_.seed + sample;
    if (!pattern_.tools.empty()) return react();
    const Reply first = ask(request_);
    if (!first.answer) return failed(first.failure);
    Chain chain = judged(first.answer->text, pattern_.form());
    chain.ballot.logprob = first.answer->logprob;
    const bool extract =
        pattern_.extract == "always" || (pattern_.extract == "missing" && !chain.ballot.label);
    if (!extract) {
      if (!chain.ballot.label && first.answer->finish == "length") {
        chain.note += "; it was cut at max_tokens";
      }
      return chain;
    }
    ChatRequest second = request_;
    second.messages.push_back({"assistant", defused(first.answer->text)});
    second.messages.push_back(
        {"user", fill(pattern_.extract_prompt, values_of(task_), "[annotate::run_row]")});
    second.max_tokens = pattern_.extract_tokens;
    const Reply last = ask(second);
    if (!last.answer) return failed(last.failure);
    chain = judged(last.answer->text, AnswerForm::kLabel);
    chain.ballot.logprob = last.answer->logprob;
    return chain;
  }

 private:
  Reply ask(const ChatRequest& request) {
    const Reply reply = client_.chat(key_, request);
    ++key_.call;
    return reply;
  }

  Chain react() {
    const ReactResult result = run_react(request_.messages,
                                         pattern_.tools,
                                         tools_of(context_, row_),
                                         {pattern_.max_steps, pattern_.row_tokens},
                                         key_,
                                         [&](const std::vector<Message>& messages) {
                                           ChatRequest request = request_;
                                           request.messages = messages;
                                           return ask(request);
                                         });
    if (!result.answer) return failed(result.failure);
    Chain chain = judged(*result.answer, AnswerForm::kLabel);
    if (!chain.ballot.label) chain.note += " (ended: " + result.why + ")";
    return chain;
  }

  Chain judged(const std::string& text, AnswerForm form) const {
    Chain chain;
    if (pattern_.sources > 0) {
      if (says_not_found(text, pattern_.not_found)) {
        chain.not_found = true;
        chain.note = "the sources do not settle it";
        return chain;
      }
      if (pattern_.cite) {
        const Citations citations = citations_of(text, hits_.size());
        if (!citations.foreign.empty()) {
          chain.note = fmt::format(
              "it cites {}, of {} passages", join_names(citations.foreign), hits_.size());
          return chain;
        }
        if (citations.cited.empty()) {
          chain.note = "it cites no passage";
          return chain;
        }
      }
    }
    chain.ballot.label =
        parse_label(pattern_.sources > 0 ? without_citations(text) : text, task_.labels, form);
    if (!chain.ballot.label) {
      chain.note =
          fmt::format("no label in \"{}\"{}", text.substr(0, 80), text.size() > 80 ? " ..." : "");
    }
    return chain;
  }

  const RowContext& context_;
  const Pattern& pattern_;
  const Task& task_;
  const Row& row_;
  Client& client_;
  CallKey key_;
  std::vector<Hit> hits_;
  ChatRequest request_;
};

}  // namespace

Task parse_task(const std::string& text) {
  const std::size_t colon = text.find(':');
  Task task;
  task.name = std::string(trim(std::string_view(text).substr(0, colon), " \t"));
  std::string_view rest;
  if (colon != std::string::npos) rest = std::string_view(text).substr(colon + 1);
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    task.labels.emplace_back(trim(rest.substr(0, comma), " \t"));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  const auto demand = [&](bool good, const char* what) {
    DETENTE_CHECK(good,
                  ErrorCode::kInvalidArgument,
                  "[annotate::parse_task] --task '{}' {}; expected NAME:label,label, e.g. "
                  "mood:negative,neutral,positive.",
                  text,
                  what);
  };
  demand(!task.name.empty(), "has no name");
  demand(!task.name.starts_with('@'), "has a name that begins with @");
  demand(task.labels.size() >= 2, "has fewer than two labels");
  demand(std::none_of(text.begin(),
                      text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }),
         "holds control characters");
  std::set<std::string> words;
  for (const std::string& label : task.labels) {
    const std::string word = normalized(label);
    demand(!word.empty(), "has an empty label");
    demand(words.insert(word).second, "has labels that differ in case or signs alone");
  }
  return task;
}

std::string shown_text(const Cells& cells) {
  if (cells.size() == 1) return fenced("text", cells[0].second);
  std::string text;
  for (const auto& [column, cell] : cells) {
    text += fmt::format("{}{}:\n{}",
                        text.empty() ? "" : "\n",
                        defused(text::printable(column)),
                        fenced("text", cell));
  }
  return text;
}

std::string plain_text(const Cells& cells) {
  std::string text;
  for (const auto& [column, cell] : cells) text += (text.empty() ? "" : "\n") + cell;
  return text;
}

ChatRequest first_request(const RowContext& context,
                          const Task& task,
                          std::size_t task_index,
                          const Row& row,
                          std::vector<Hit>& hits,
                          CallKey& key) {
  const Pattern& pattern = *context.pattern;
  const std::string where = "[annotate::run_row]";
  ChatRequest request;
  request.model = context.model;
  request.temperature = pattern.temperature;
  request.max_tokens = pattern.max_tokens;
  request.stop = pattern.stop;
  request.logprobs = pattern.logprobs;
  if (pattern.temperature > 0) request.seed = context.seed;
  Values system = values_of(task);
  system.emplace_back("tools", tools_text(pattern.tools, tools_of(context, row)));
  if (!pattern.system.empty())
    request.messages.push_back({"system", fill(pattern.system, system, where)});
  const std::string plain = plain_text(row.shown);
  if (pattern.examples > 0 && context.examples != nullptr) {
    const auto count = static_cast<std::size_t>(pattern.examples);
    const std::vector<std::size_t> chosen =
        pattern.choose == "nearest" && !row.vector.empty()
            ? context.examples->nearest(task_index, count, plain, row.vector)
            : context.examples->first(task_index, count, plain);
    for (const std::size_t i : chosen) {
      const Example& example = (*context.examples)[i];
      Values answer = values_of(task);
      answer.emplace_back("label", task.labels[*example.labels[task_index]]);
      request.messages.push_back({"user", example.text});
      request.messages.push_back({"assistant", fill(pattern.example_answer, answer, where)});
    }
  }
  Values user = values_of(task);
  user.emplace_back("text", shown_text(row.shown));
  if (pattern.sources > 0) {
    hits = context.retriever->search(plain, static_cast<std::size_t>(pattern.sources), key);
    user.emplace_back("sources", sources_text(*context.documents, hits));
  }
  request.messages.push_back({"user", fill(pattern.user, user, where)});
  return request;
}

RowResult run_row(const RowContext& context,
                  const Task& task,
                  std::size_t task_index,
                  const Row& row,
                  Client& client) {
  RowResult result;
  if (trim(plain_text(row.shown), " \t\r\n").empty()) {
    result.status = RowStatus::kNoLabel;
    result.note = "the row has no text";
    return result;
  }
  std::vector<Ballot> ballots;
  bool not_found = false;
  try {
    RowRun run(context, task, task_index, row, client);
    for (std::int64_t sample = 0; sample < context.pattern->samples; ++sample) {
      const Chain chain = run.chain(sample);
      if (chain.failure) {
        result.failure = *chain.failure;
        return result;
      }
      ballots.push_back(chain.ballot);
      not_found = not_found || chain.not_found;
      if (!chain.note.empty()) result.note = chain.note;
    }
  } catch (const CallFailed& failed) {  // a search by vectors
    result.failure = failed.failure();
    return result;
  }
  const Vote vote = count_votes(ballots);
  result.label = vote.label;
  result.share = vote.share;
  result.status = vote.label  ? RowStatus::kLabelled
                  : not_found ? RowStatus::kNotInSources
                              : RowStatus::kNoLabel;
  return result;
}

}  // namespace detente::annotate
