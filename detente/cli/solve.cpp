// SPDX-License-Identifier: Apache-2.0
// detente solve: what a method does with given gradients.
#include <detente/balance/gram.h>
#include <detente/balance/registry.h>
#include <detente/cli/command.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/core/npy.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct SolveFlags {
  std::string method;
  std::vector<std::string> settings;
  std::string jacobian;
  std::string gram;
  std::string losses;
  std::string out;
  std::uint64_t seed = 0;
  bool json = false;
};

struct Solution {
  Matrix gram;
  std::vector<double> losses;     // empty when not given
  std::vector<double> direction;  // empty without a Jacobian
  std::vector<double> alignment;  // ⟨g_i, d⟩
  double direction_norm = 0;
  Json options;
  balance::Result result;
};

void apply_settings(balance::Method& method, const std::vector<std::string>& settings) {
  for (const std::string& setting : settings) {
    const std::size_t equals = setting.find('=');
    DETENTE_CHECK(equals != std::string::npos && equals > 0,
                  ErrorCode::kInvalidArgument,
                  "[cli::solve] --set expects KEY=VALUE, got '{}'.",
                  setting);
    set_field([&](FieldVisitor& visitor) { method.describe(visitor); },
              setting.substr(0, equals),
              setting.substr(equals + 1),
              fmt::format("[cli::solve] method {}:", method.name()));
  }
}

bool gives_direction(const balance::Method& method) {
  return method.method_class() == balance::MethodClass::kCoordinates;
}

// The result, and the direction where the method writes it itself (class J).
void run_method(balance::Method& method,
                const Matrix& jacobian,
                std::uint64_t seed,
                Solution& solution) {
  Rng rng(seed);
  const balance::Problem problem = {
      .tasks = solution.gram.rows(), .gram = solution.gram, .losses = solution.losses, .rng = &rng};
  if (!gives_direction(method)) return method.solve(problem, solution.result);
  solution.direction.resize(jacobian.cols());
  method.direct(
      problem,
      balance::Rows<double>{jacobian.data(), jacobian.rows(), jacobian.cols(), jacobian.cols()},
      solution.direction,
      solution.result);
}

// d = Jᵀw from the rows themselves, which loses less than the Gram matrix does.
void combine_rows(const Matrix& jacobian, Solution& solution) {
  solution.direction.assign(jacobian.cols(), 0.0);
  for (std::size_t i = 0; i < jacobian.rows(); ++i) {
    for (std::size_t p = 0; p < jacobian.cols(); ++p) {
      solution.direction[p] += solution.result.weights[i] * jacobian(i, p);
    }
  }
}

// ‖d‖ and ⟨g_i, d⟩.
void measure_direction(const Matrix& jacobian, Solution& solution) {
  double squared = 0;
  for (const double x : solution.direction) squared += x * x;
  solution.direction_norm = std::sqrt(squared);
  for (std::size_t i = 0; i < jacobian.rows(); ++i) {
    for (std::size_t p = 0; p < jacobian.cols(); ++p) {
      solution.alignment[i] += jacobian(i, p) * solution.direction[p];
    }
  }
}

void solve_in_gram(Solution& solution) {
  double squared = 0;
  for (std::size_t i = 0; i < solution.gram.rows(); ++i) {
    for (std::size_t j = 0; j < solution.gram.cols(); ++j) {
      solution.alignment[i] += solution.gram(i, j) * solution.result.weights[j];
    }
    squared += solution.alignment[i] * solution.result.weights[i];
  }
  solution.direction_norm = std::sqrt(std::max(squared, 0.0));
}

Solution solve_problem(const SolveFlags& flags) {
  const auto method = balance::make_method(flags.method);
  apply_settings(*method, flags.settings);
  DETENTE_CHECK(flags.out.empty() || !flags.jacobian.empty(),
                ErrorCode::kInvalidArgument,
                "[cli::solve] --out writes the direction, which a Gram matrix does not determine; "
                "expected --jacobian with it.");
  DETENTE_CHECK(!gives_direction(*method) || !flags.jacobian.empty(),
                ErrorCode::kInvalidArgument,
                "[cli::solve] method '{}' needs the gradients themselves (class J), which a Gram "
                "matrix does not determine; expected --jacobian J.npy instead of --gram.",
                flags.method);
  Solution solution;
  Matrix jacobian;
  if (!flags.jacobian.empty()) {
    jacobian = read_npy_matrix(flags.jacobian);
    solution.gram = balance::gram_matrix(jacobian);
  } else {
    solution.gram = read_npy_matrix(flags.gram);
    balance::check_gram_matrix(solution.gram);
  }
  const std::size_t k = solution.gram.rows();
  DETENTE_CHECK(k > 0,
                ErrorCode::kShape,
                "[cli::solve] there is no task: '{}' has no rows; expected one for every task.",
                flags.jacobian.empty() ? flags.gram : flags.jacobian);
  if (!flags.losses.empty()) {
    solution.losses = read_npy_vector(flags.losses);
    DETENTE_CHECK(solution.losses.size() == k,
                  ErrorCode::kShape,
                  "[cli::solve] '{}' holds {} losses; expected one for each of the {} tasks.",
                  flags.losses,
                  solution.losses.size(),
                  k);
  }
  DETENTE_CHECK(!method->uses_losses() || !flags.losses.empty(),
                ErrorCode::kInvalidArgument,
                "[cli::solve] method '{}' needs the losses; give them with --losses L.npy.",
                flags.method);
  run_method(*method, jacobian, flags.seed, solution);
  solution.options = fields_to_json([&](FieldVisitor& visitor) { method->describe(visitor); });
  solution.alignment.assign(k, 0.0);
  if (!flags.jacobian.empty()) {
    if (!gives_direction(*method)) combine_rows(jacobian, solution);
    measure_direction(jacobian, solution);
    if (!flags.out.empty()) {
      write_npy(flags.out, {solution.direction.size()}, solution.direction.data());
    }
  } else {
    solve_in_gram(solution);
  }
  return solution;
}

Json solution_json(const SolveFlags& flags, const Solution& solution) {
  Json gram = Json::array();
  for (std::size_t i = 0; i < solution.gram.rows(); ++i) {
    Json row = Json::array();
    for (std::size_t j = 0; j < solution.gram.cols(); ++j) row.push_back(solution.gram(i, j));
    gram.push_back(std::move(row));
  }
  return {{"method", flags.method},
          {"options", solution.options},
          {"weights", solution.result.weights},
          {"gram", std::move(gram)},
          {"direction_norm", solution.direction_norm},
          {"alignment", solution.alignment},
          {"stop", balance::name_of(solution.result.stop)},
          {"iterations", solution.result.iterations},
          {"certificate", json_number(solution.result.certificate)},
          {"message", solution.result.message}};
}

void solution_text(std::ostream& out, const SolveFlags& flags, const Solution& solution) {
  const balance::Result& result = solution.result;
  const auto line = [&](const char* name, const std::string& value) {
    out << fmt::format("{:<12}{}\n", name, value);
  };
  std::string options;
  for (const auto& [name, value] : solution.options.items()) {
    options += fmt::format("{}{} = {}",
                           options.empty() ? "" : ", ",
                           name,
                           value.is_string() ? value.get<std::string>() : value.dump());
  }
  line("method", options.empty() ? flags.method : fmt::format("{} ({})", flags.method, options));
  std::string stop = balance::name_of(result.stop);
  if (result.iterations > 0) stop += fmt::format(", {} iterations", result.iterations);
  if (!std::isnan(result.certificate)) {
    stop += fmt::format(", certificate {:.1e}", result.certificate);
  }
  line("stop", stop);
  line("direction", fmt::format("norm {:.6g}", solution.direction_norm));
  if (!result.message.empty()) line("note", result.message);

  using report::Align;
  report::Table table({{"task", Align::kRight},
                       {"gradient norm", Align::kRight},
                       {"weight", Align::kRight},
                       {"<g, d>", Align::kRight},
                       {"cosine with d", Align::kRight},
                       {"effect", Align::kLeft}});
  for (std::size_t i = 0; i < result.weights.size(); ++i) {
    const double norm = std::sqrt(solution.gram(i, i));
    const double size = norm * solution.direction_norm;
    const double cosine = size > 0 ? solution.alignment[i] / size : 0.0;
    // Against rounding: an inner product is a sum of terms of this size.
    const bool neutral = std::abs(cosine) <= 1e-9;
    table.add_row({std::to_string(i),
                   fmt::format("{:.6g}", norm),
                   fmt::format("{:.6g}", result.weights[i]),
                   fmt::format("{:.6g}", solution.alignment[i]),
                   fmt::format("{:+.4f}", cosine),
                   neutral                     ? "unchanged"
                   : solution.alignment[i] > 0 ? "improves"
                                               : "gets worse"});
  }
  out << "\n" << table.text();
  if (!flags.out.empty())
    out << fmt::format("\nWrote the direction to '{}'.\n", text::printable(flags.out));
}

}  // namespace

void add_solve(CLI::App& app, Context& context) {
  auto flags = std::make_shared<SolveFlags>();
  CLI::App* command =
      app.add_subcommand("solve", "Show what a method does with given gradients (.npy files)");
  command->add_option("--method", flags->method, "The method; 'detente methods' lists them")
      ->required();
  command->add_option("--set", flags->settings, "An option of the method (may be repeated)")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  CLI::Option_group* input = command->add_option_group("input", "The gradients (one of the two)");
  input->add_option("--jacobian", flags->jacobian, "K x P: one gradient per row")
      ->type_name("J.npy");
  input->add_option("--gram", flags->gram, "K x K: the gradients' inner products")
      ->type_name("G.npy");
  input->require_option(1);
  command->add_option("--losses", flags->losses, "K losses, for methods that use them")
      ->type_name("L.npy");
  command->add_option("--seed", flags->seed, "For methods with random numbers")
      ->capture_default_str();
  command->add_option("--out", flags->out, "Write the direction d (J^T w but for class J)")
      ->type_name("D.npy");
  command->add_flag("--json", flags->json, "JSON instead of text");
  command->callback([flags, &context] {
    const Solution solution = solve_problem(*flags);
    if (flags->json) {
      context.out << json_text(solution_json(*flags, solution)) << "\n";
    } else {
      solution_text(context.out, *flags, solution);
    }
  });
}

}  // namespace detente::cli
