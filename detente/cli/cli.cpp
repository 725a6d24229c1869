// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/cli.h>
#include <detente/cli/command.h>
#include <detente/cli/commands.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/core/version.h>
#include <detente/simd/caches.h>
#include <detente/simd/target.h>
#include <detente/text/printable.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ios>
#include <iostream>
#include <vector>

namespace detente::cli {
namespace {

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!sub->get_group().empty()) names.push_back(sub->get_name());
  }
  return names;
}

// "--metod" → " Did you mean '--method'?", over the flags of the command that was being parsed.
std::string flag_suggestion(const CLI::App& app, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::vector<std::string> commands = command_names(app);
  names.insert(names.end(), commands.begin(), commands.end());
  const std::string near = did_you_mean(word, names);
  // Most of what can be set is no flag.
  const bool sets = std::find(names.begin(), names.end(), "--set") != names.end();
  if (!near.empty() || !sets || !word.starts_with("--")) return near;
  return " What a recipe holds is set by --set KEY=VALUE, as in --set train.epochs=3; "
         "'detente recipe docs' lists the keys.";
}

const CLI::App& deepest(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().back();
  return *at;
}

bool is_flag(const std::string& word) { return word.size() > 1 && word.front() == '-'; }

// The words that the parser could not place.
std::vector<std::string> unknown_words(const CLI::App& app, const CLI::App& command) {
  std::vector<std::string> words = command.remaining();
  return words.empty() ? app.remaining(true) : words;
}

// The first that is, or is not, a flag; "" where there is none.
std::string first_word(const std::vector<std::string>& words, bool flag) {
  const auto found = std::find_if(
      words.begin(), words.end(), [&](const auto& word) { return is_flag(word) == flag; });
  return found == words.end() ? "" : *found;
}

// What the parser complains about first need not be what was typed wrongly: after "--dat FILE" it
// misses --data, and where a command is missing it says so of "sovle" as well.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = deepest(app);
  std::string text = error.what();
  const bool extras = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  const bool required = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  const std::vector<std::string> unknown =
      extras || required ? unknown_words(app, command) : std::vector<std::string>();
  const std::string flag = first_word(unknown, true);
  const std::string other = first_word(unknown, false);
  if (command.get_require_subcommand_min() > 0 && !other.empty()) {
    text = "'" + other + "' is not a command." + flag_suggestion(command, other);
  } else if (!flag.empty()) {
    text = "'" + flag + "' is not known here." +
           flag_suggestion(command, flag.substr(0, flag.find('=')));
  } else if (extras) {
    text = "'" + other + "' is not known here." + flag_suggestion(command, other);
  } else if (required && command.get_require_subcommand_min() > 0) {
    text = "no command given; expected one of: " + join_names(command_names(command)) + ".";
  }
  std::string name;
  for (const CLI::App* at = &command; at->get_parent() != nullptr; at = at->get_parent()) {
    name = " " + at->get_name() + name;
  }
  return text + "\nTry 'detente" + name + " --help'.";
}

// Results that did not arrive are no results. While it lives a stream throws where a write fails,
// because the reason is known there and nowhere later.
class ThrowWhenLost {
 public:
  explicit ThrowWhenLost(std::ostream& out) : out_(out), before_(out.exceptions()) {
    out_.exceptions(before_ | std::ios::badbit);
  }
  ~ThrowWhenLost() {
    const std::ios::iostate state = out_.rdstate();
    out_.clear();
    out_.exceptions(before_);
    if ((state & before_) == 0) out_.setstate(state);  // or it would throw
  }
  ThrowWhenLost(const ThrowWhenLost&) = delete;
  ThrowWhenLost& operator=(const ThrowWhenLost&) = delete;

 private:
  std::ostream& out_;
  std::ios::iostate before_;
};

int run_command(std::span<const std::string> args, Context& context) {
  CLI::App app("Train one network on several tasks at once without the tasks fighting.", "detente");
  app.set_version_flag("--version", DETENTE_VERSION);
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help for every command");
  try {
    for (const AddCommand add : commands()) add(app, context);
    // Wrong variables are refused before a command does anything.
    app.parse_complete_callback([] {
      simd::target();
      simd::caches();
    });
    std::vector<std::string> words(args.begin(), args.end());
    std::reverse(words.begin(), words.end());
    app.parse(words);
    return context.exit_code;
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success, context.out, context.err) == 0 ? 0 : 2;
  } catch (const CLI::ParseError& error) {
    tell(context, "error", usage_message(app, error));
    return 2;
  }
}

}  // namespace

void tell(Context& context, const char* word, std::string_view text) {
  context.err << word << ": " << text::printable_lines(text) << "\n";
}

bool shown_on_terminal(const Context& context) {
  return &context.out == &std::cout && ::isatty(STDOUT_FILENO) == 1;
}

int run(std::span<const std::string> args, std::ostream& out, std::ostream& err) {
  Context context{out, err};
  context.arguments.assign(args.begin(), args.end());
  try {
    const ThrowWhenLost watch(out);
    const int code = run_command(args, context);
    out.flush();
    return code;
  } catch (const std::ios::failure&) {
    const int error = errno;
    tell(context,
         "error",
         fmt::format("[cli::run] the output could not be written ({}); what arrived is cut short.",
                     std::strerror(error)));
    return exit_code(ErrorCode::kIo);
  } catch (const Error& error) {
    tell(context, "error", error.what());
    return exit_code(error.code());
  } catch (const std::exception& error) {
    if (const auto known = known_error(error, "[cli::run]")) {
      tell(context, "error", known->what());
      return exit_code(known->code());
    }
    tell(context, "error", std::string("[internal] ") + error.what());
    err << "This is a defect of Detente; please report it with the command you ran.\n";
    return 1;
  }
}

}  // namespace detente::cli
