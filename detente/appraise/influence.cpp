// SPDX-License-Identifier: Apache-2.0
// influence: what a run's parameters would have become with more or less of an example, to first order
// (Koh and Liang, ICML 2017, arXiv 1703.04730):
//
//   V[i, k→m] = 1/n_k ⟨(G + λI)⁻¹ v_m, ∇ℓ_i^k⟩
//
// G the curvature of the whole training loss (training_curvature.h), n_k the training rows with a target of
// task k, v_m the gradient of task m's loss on validation rows, ∇ℓ_i^k that of example i's own loss. One
// solution for each judged task; the examples' gradients are never formed.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <detente/appraise/judged.h>
#include <detente/appraise/kronecker_curvature.h>
#include <detente/appraise/training_curvature.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/nn/image_layers.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace detente::appraise {
namespace {

// What is solved, and what there is to say about it.
struct Inverse {
  std::vector<TensorList> directions;  // (G + λI)⁻¹ v_m
  Json audit;
  std::vector<std::string> notes;
  bool stopped = false;
};

// Power iterations come from below.
constexpr double kScaleMargin = 1.1;

class Solver {
 public:
  Solver(const Judged& judged, const Subject& subject, const Options& options)
      : judged_(judged), options_(options), training_(judged, *subject.corpus.train) {}

  Inverse inverse() {
    Inverse found;
    const std::vector<TensorList> slopes = judged_.judge.gradients(training_.parameters());
    found.audit["solver"] = options_.solver;
    found.audit["parameters"] = training_.size();
    for (std::size_t m = 0; m < slopes.size(); ++m) {
      for (const double number : training_.flat(slopes[m])) {
        DETENTE_CHECK(
            std::isfinite(number),
            ErrorCode::kNumeric,
            "[appraise] the gradient of task {}'s validation loss is not finite: there is "
            "nothing to judge examples by. Look at the loss with detente eval.",
            judged_name(m));
      }
    }
    if (options_.solver == "ekfac") {
      by_factors(slopes, found);
    } else {
      by_products(slopes, found);
    }
    return found;
  }

  const TrainingCurvature& training() const { return training_; }

 private:
  const std::string& judged_name(std::size_t m) const {
    return judged_.recipe.tasks[judged_.judge.tasks()[m]].name;
  }

  void by_products(const std::vector<TensorList>& slopes, Inverse& found) {
    const std::size_t size = training_.size();
    const bool direct = options_.solver == "direct";
    DETENTE_CHECK(
        !direct || size <= kMostDirect,
        ErrorCode::kInvalidArgument,
        "[appraise] --solver direct forms a matrix of P × P numbers for P parameters; the "
        "model has {} and {} are the most. Use --solver cg, lissa or ekfac.",
        size,
        kMostDirect);
    const auto products = [this](std::span<const valuation::Vector> vectors) {
      return training_(vectors);
    };
    std::vector<valuation::Vector> rights;
    for (const TensorList& slope : slopes) rights.push_back(training_.flat(slope));
    valuation::SolveOptions how;
    how.damping = options_.damping
                      ? *options_.damping
                      : 0.1 * valuation::typical_eigenvalue(products, size, options_.seed);
    DETENTE_CHECK(
        options_.damping || how.damping > 0,
        ErrorCode::kNumeric,
        "[appraise] the training loss has no curvature by which a damping could be chosen (mae "
        "has none, and correlation bends either way). Give --damping a number above 0.");
    how.most = static_cast<std::int64_t>(options_.iterations);
    how.progress = [&](std::size_t done, std::size_t total) {
      const bool go_on = !options_.progress || options_.progress(done, total);
      found.stopped = found.stopped || !go_on;
      return go_on;
    };
    std::vector<valuation::Solution> solutions;
    if (options_.solver == "lissa") {
      const double most = valuation::largest_eigenvalue(products, size, options_.seed);
      const double scale = kScaleMargin * (most + how.damping);
      found.audit["scale"] = scale;
      solutions = scale > 0 ? valuation::solve_lissa(products, rights, scale, how)
                            : valuation::solve_cg(products, rights, how);
    } else {
      solutions = direct ? valuation::solve_direct(products, rights, how)
                         : valuation::solve_cg(products, rights, how);
    }
    found.audit["damping"] = how.damping;
    found.notes.push_back(
        fmt::format("Curvature: Gauss-Newton, of the training loss summed over {} in all {} "
                    "parameters; damping "
                    "{:.3g}{}; solver {}.",
                    judged_.recipe.tasks.size() == 1 ? "its one task" : "the tasks",
                    size,
                    how.damping,
                    options_.damping ? "" : " (a tenth of the typical curvature)",
                    options_.solver));
    for (std::size_t m = 0; m < solutions.size(); ++m) {
      const valuation::Solution& one = solutions[m];
      // Without damping a flat direction takes steps for ever, and what is left of it is noise.
      DETENTE_CHECK(one.reached || found.stopped || how.damping > 0,
                    ErrorCode::kNumeric,
                    "[appraise::influence] without damping the curvature could not be divided by "
                    "for task '{}': after {} steps {:.1e} of its gradient is left. Leave --damping "
                    "out, or ask for more than 0.",
                    judged_name(m),
                    one.steps,
                    one.residual);
      found.audit["tasks"][judged_name(m)] = {
          {"residual", one.residual}, {"steps", one.steps}, {"reached", one.reached}};
      found.notes.push_back(fmt::format("{}: residual {:.1e} of the gradient after {} {}{}",
                                        judged_name(m),
                                        one.residual,
                                        one.steps,
                                        one.steps == 1 ? "step" : "steps",
                                        one.reached ? "." : what_is_missing(found.stopped, how)));
      found.directions.push_back(training_.shaped(one.x));
    }
  }

  std::string what_is_missing(bool stopped, const valuation::SolveOptions& how) const {
    const std::string begin =
        fmt::format(": NOT down to {:.0e}, so the values are approximate. ", how.tolerance);
    if (stopped) return begin + "It was stopped.";
    if (options_.solver == "direct") {
      return begin + "The curvature is nearly singular: a larger --damping is needed.";
    }
    return begin + "More --iterations or a larger --damping bring it down.";
  }

  void by_factors(const std::vector<TensorList>& slopes, Inverse& found) {
    const KroneckerCurvature curvature(
        judged_, training_, options_.seed, [&](std::size_t done, std::size_t total) {
          const bool go_on = !options_.progress || options_.progress(done, total);
          found.stopped = found.stopped || !go_on;
          return go_on;
        });
    const std::vector<bool> covered = curvature.covered();
    const std::vector<std::string> names = judged_.parameter_names();
    std::vector<std::string> left_out;
    std::size_t count = 0;
    for (std::size_t p = 0; p < covered.size(); ++p) {
      if (covered[p]) continue;
      left_out.push_back(names[p]);
      count += static_cast<std::size_t>(training_.parameters()[p].numel());
    }
    DETENTE_CHECK(
        count < training_.size(),
        ErrorCode::kUnsupported,
        "[appraise] --solver ekfac knows linear layers and convolutions in two dimensions "
        "that are used once, and found none with any curvature in this network. Use "
        "--solver cg.");
    for (const TensorList& slope : slopes) {
      found.directions.push_back(curvature.solve(slope, options_.damping));
    }
    const std::vector<double> each = curvature.default_damping();
    const auto [least, most] = std::minmax_element(each.begin(), each.end());
    found.audit["seed"] = options_.seed;
    found.audit["left_out"] = left_out;
    if (options_.damping) {
      found.audit["damping"] = *options_.damping;
    } else {
      found.audit["damping"] = each;
    }
    found.notes.push_back(fmt::format(
        "Curvature: Kronecker factors of {} layers, from one draw of labels for each row (seed "
        "{}), "
        "nothing between layers; damping {}. It is an approximation without a residual.",
        each.size(),
        options_.seed,
        options_.damping
            ? fmt::format("{:.3g}", *options_.damping)
            : fmt::format("a tenth of each layer's mean, {:.3g} to {:.3g}", *least, *most)));
    if (left_out.empty()) return;
    const std::size_t shown = std::min<std::size_t>(left_out.size(), 8);
    found.notes.push_back(fmt::format(
        "Left out, taken for fixed: {} of {} parameters, which are not in linear layers or "
        "convolutions in two dimensions that are used once, or are without curvature: {}{}.",
        count,
        training_.size(),
        join_names(std::span(left_out).first(shown)),
        left_out.size() > shown ? fmt::format(" and {} more tensors", left_out.size() - shown)
                                : ""));
  }

  // P² numbers, and as many once more for the factors: a quarter of a gigabyte.
  static constexpr std::size_t kMostDirect = 4000;

  const Judged& judged_;
  const Options& options_;
  TrainingCurvature training_;
};

void say_what_counts(const Judged& judged, std::vector<std::string>& notes) {
  const train::Recipe& recipe = judged.recipe;
  std::vector<std::string> silent;
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    const auto& judges = judged.judge.tasks();
    if (std::find(judges.begin(), judges.end(), k) == judges.end()) {
      silent.push_back(recipe.tasks[k].name);
    }
  }
  if (!silent.empty()) {
    notes.push_back(
        "No validation row has a target, so nothing is judged by: " + join_names(silent) + ".");
  }
  if (recipe.tasks.size() > 1 && recipe.method != "ew") {
    notes.push_back(fmt::format(
        "The run weighed its tasks by {}; influence is that of training on their plain sum.",
        recipe.method));
  }
  if (!recipe.distill.empty()) {
    notes.push_back("Losses from teachers have no part in the curvature.");
  }
  if (!nn::running_statistics(judged.model.state()).empty()) {
    notes.push_back("Batch normalisation uses its running statistics, as in predictions.");
  }
}

}  // namespace

Appraisal influence(const Subject& subject, const Options& options) {
  check_options(options);
  // A residual of 1e-6 asks for more digits than float32 products have.
  const Judged judged(subject, options, tensor::DType::kFloat64);
  Solver solver(judged, subject, options);
  Inverse inverse = solver.inverse();
  Appraisal result{.table = {.method = "influence", .ids = valuation::all_ids(judged.n)},
                   .notes = std::move(inverse.notes),
                   .audit = std::move(inverse.audit)};
  say_what_counts(judged, result.notes);

  const std::size_t trained = judged.recipe.tasks.size();
  const std::vector<std::size_t>& judges = judged.judge.tasks();
  const auto n = static_cast<std::size_t>(judged.n);
  std::vector<std::vector<double>> values(
      trained * judges.size(), std::vector<double>(n, std::numeric_limits<double>::quiet_NaN()));
  judged.each_batch([&](const data::RowList& rows) {
    const at::Tensor products = own_products(
        judged, *subject.corpus.train, rows, solver.training().parameters(), inverse.directions);
    const auto product = products.accessor<double, 3>();
    for (std::size_t k = 0; k < trained; ++k) {
      for (std::size_t m = 0; m < judges.size(); ++m) {
        for (std::size_t i = 0; i < rows.size(); ++i) {
          const double own = product[static_cast<std::int64_t>(m)][static_cast<std::int64_t>(k)]
                                    [static_cast<std::int64_t>(i)];
          values[k * judges.size() + m][rows[i]] =
              solver.training().rows()[k] > 0 ? own / solver.training().rows()[k] : 0.0;
        }
      }
    }
    // Stopped while solving, what was reached is made use of.
    return inverse.stopped || !options.progress || options.progress(rows.back() + 1, n);
  });
  for (std::size_t k = 0; k < trained; ++k) {
    for (std::size_t m = 0; m < judges.size(); ++m) {
      result.table.series.push_back({judged.recipe.tasks[k].name,
                                     judged.recipe.tasks[judges[m]].name,
                                     valuation::kAll,
                                     std::move(values[k * judges.size() + m])});
    }
  }
  return result;
}

}  // namespace detente::appraise
