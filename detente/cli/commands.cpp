// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/commands.h>

#include <vector>

namespace detente::cli {

// Each is defined in its own file, <name>.cpp, and shown by --help in the order of the table.
void add_doctor(CLI::App& app, Context& context);
void add_inspect(CLI::App& app, Context& context);
void add_methods(CLI::App& app, Context& context);
void add_new(CLI::App& app, Context& context);
void add_slide(CLI::App& app, Context& context);
void add_solve(CLI::App& app, Context& context);
void add_toy(CLI::App& app, Context& context);
void add_bench(CLI::App& app, Context& context);
#ifdef DETENTE_WITH_SERVE
void add_serve(CLI::App& app, Context& context);
#endif
#ifdef DETENTE_WITH_ANNOTATE
void add_annotate(CLI::App& app, Context& context);
void add_ask(CLI::App& app, Context& context);
void add_search(CLI::App& app, Context& context);
#endif
#ifdef DETENTE_WITH_TORCH
void add_train(CLI::App& app, Context& context);
void add_eval(CLI::App& app, Context& context);
void add_predict(CLI::App& app, Context& context);
void add_features(CLI::App& app, Context& context);
void add_value(CLI::App& app, Context& context);
void add_export(CLI::App& app, Context& context);
void add_compare(CLI::App& app, Context& context);
void add_report(CLI::App& app, Context& context);
void add_study_task(CLI::App& app, Context& context);
void add_recipe(CLI::App& app, Context& context);
void add_data(CLI::App& app, Context& context);
#endif

std::span<const AddCommand> commands() {
  static const std::vector<AddCommand> table = {
#ifdef DETENTE_WITH_TORCH
      add_train,    add_eval,    add_predict,    add_features, add_value, add_export,
      add_compare,  add_report,  add_study_task, add_recipe,   add_data,
#endif
#ifdef DETENTE_WITH_SERVE
      add_serve,
#endif
#ifdef DETENTE_WITH_ANNOTATE
      add_annotate, add_ask,     add_search,
#endif
      add_new,      add_inspect, add_methods,    add_slide,    add_solve, add_toy,
      add_bench,    add_doctor,
  };
  return table;
}

}  // namespace detente::cli
