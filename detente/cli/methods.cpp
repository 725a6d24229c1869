// SPDX-License-Identifier: Apache-2.0
// detente methods [NAME]: the registry, for people, programs and the documentation.
#include <detente/balance/registry.h>
#include <detente/cli/command.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/core/suggest.h>
#include <detente/report/table.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

using balance::MethodInfo;

struct MethodsFlags {
  std::string name;
  bool json = false;
  bool markdown = false;
};

std::vector<FieldInfo> methods_options(const MethodInfo& info) {
  const auto method = info.make();
  return list_fields([&](FieldVisitor& visitor) { method->describe(visitor); });
}

// A field's value by its name, dotted where it belongs to a nested group.
const Json& methods_value(const Json& fields, const std::string& name) {
  const std::size_t dot = name.find('.');
  if (dot == std::string::npos) return fields.at(name);
  return methods_value(fields.at(name.substr(0, dot)), name.substr(dot + 1));
}

Json methods_json(const MethodInfo& info) {
  const auto method = info.make();
  const Json defaults = fields_to_json([&](FieldVisitor& visitor) { method->describe(visitor); });
  Json options = Json::array();
  for (const FieldInfo& field : methods_options(info)) {
    options.push_back({{"name", field.name},
                       {"type", field.type},
                       {"default", methods_value(defaults, field.name)},
                       {"rule", field.rule},
                       {"doc", field.doc}});
  }
  return {{"name", info.name},
          {"title", info.title},
          {"class", balance::name_of(info.method_class)},
          {"summary", info.summary},
          {"when", info.when},
          {"paper", info.paper},
          {"stateful", info.stateful},
          {"laws", balance::law_names(info.laws)},
          {"options", options}};
}

const char* methods_needs(balance::MethodClass method_class) {
  switch (method_class) {
    case balance::MethodClass::kLoss:
      return "the losses only";
    case balance::MethodClass::kGram:
      return "the inner products of the gradients";
    case balance::MethodClass::kGramLoss:
      return "the inner products of the gradients and the losses";
    case balance::MethodClass::kCross:
      return "the inner products of two batches' gradients";
    case balance::MethodClass::kCoordinates:
      return "the gradients themselves, coordinate by coordinate";
  }
  return "?";
}

void methods_list(std::ostream& out) {
  report::Table table({{"name"}, {"class"}, {"options"}, {"what it does"}});
  for (const MethodInfo& info : balance::registry()) {
    std::vector<std::string> options;
    for (const FieldInfo& field : methods_options(info)) options.push_back(field.name);
    table.add_row(
        {info.name, balance::name_of(info.method_class), join_names(options), info.summary});
  }
  out << table.text()
      << "\nClass L needs the losses only, G the gradients' inner products, G+L both, X those of "
         "two\nbatches' gradients, J the gradients themselves, coordinate by coordinate.\n"
         "'detente methods NAME' explains one.\n";
}

void methods_page(std::ostream& out, const MethodInfo& info) {
  out << fmt::format("{}: {}\n\n{}\n\n", info.name, info.title, info.summary);
  out << fmt::format("When   {}\n", info.when);
  out << fmt::format("Paper  {}\n", info.paper);
  out << fmt::format("Class  {}: needs {}{}\n",
                     balance::name_of(info.method_class),
                     methods_needs(info.method_class),
                     info.stateful ? "; keeps a state between steps" : "");
  out << fmt::format("Laws   {}\n", join_names(balance::law_names(info.laws)));
  const auto options = methods_options(info);
  out << (options.empty() ? "\nNo options.\n" : "\nOptions\n");
  for (const FieldInfo& field : options) {
    out << fmt::format("  {} = {}{}\n      {}\n",
                       field.name,
                       field.default_value,
                       field.rule.empty() ? "" : fmt::format("   ({}: {})", field.type, field.rule),
                       field.doc);
  }
}

// docs/methods/README.md; a test compares.
void methods_markdown(std::ostream& out) {
  out << "# Methods\n\n"
         "<!-- Written by `detente methods --markdown`; do not edit. -->\n\n"
         "Class L needs the losses only (one backward pass), G the K×K inner products of the "
         "tasks'\ngradients (a backward pass per task), G+L both, X the inner products of the "
         "gradients of two\nindependent batches, J the gradients themselves, coordinate by "
         "coordinate. Every method is tested\nagainst the laws it claims (`detente methods NAME` "
         "lists them).\n\n";
  report::Table table({{"Method"}, {"Class"}, {"What it does"}, {"When to choose it"}, {"Paper"}});
  for (const MethodInfo& info : balance::registry()) {
    table.add_row({fmt::format("[{}]({}.md)", info.name, info.name),
                   balance::name_of(info.method_class),
                   info.summary,
                   info.when,
                   info.paper});
  }
  out << table.markdown();
}

const MethodInfo& methods_named(const std::string& name) {
  if (const MethodInfo* info = balance::find_method(name)) return *info;
  const auto names = balance::method_names();
  fail(ErrorCode::kInvalidArgument,
       "[cli::methods] '{}' is not a method; {}",
       name,
       expected_one_of(name, names));
}

}  // namespace

void add_methods(CLI::App& app, Context& context) {
  auto flags = std::make_shared<MethodsFlags>();
  CLI::App* command = app.add_subcommand("methods", "List the balancing methods or explain one");
  command->add_option("NAME", flags->name, "Explain this method");
  auto* json = command->add_flag("--json", flags->json, "A list of objects instead of text");
  command->add_flag("--markdown", flags->markdown, "The index of docs/methods")->excludes(json);
  command->callback([flags, &context] {
    if (flags->json) {
      Json list = Json::array();
      if (!flags->name.empty()) {
        list.push_back(methods_json(methods_named(flags->name)));
      } else {
        for (const MethodInfo& info : balance::registry()) list.push_back(methods_json(info));
      }
      context.out << json_text(list) << "\n";
    } else if (!flags->name.empty()) {
      methods_page(context.out, methods_named(flags->name));
    } else if (flags->markdown) {
      methods_markdown(context.out);
    } else {
      methods_list(context.out);
    }
  });
}

}  // namespace detente::cli
