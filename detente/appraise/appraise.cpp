// SPDX-License-Identifier: Apache-2.0
#include <detente/appraise/appraise.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

namespace detente::appraise {

std::span<const Method> methods() {
  static constexpr std::array<Method, 12> kTable = {{
      {"in_run",
       "what each example did in every step of the run, by task trained and judged",
       in_run},
      {"tracin",
       "the same at the run's snapshots alone (train.keep: all), for plain descent",
       tracin},
      {"influence",
       "what the trained model would lose without it, by the curvature of its training loss",
       influence},
      {"loss", "minus the trained model's loss on the example: the free baseline", loss},
      {"modality",
       "of joined data: what each part of an example adds to the answer about it",
       modality},
      {"knn_shapley",
       "exact Shapley values of a nearest-neighbour classifier on features",
       knn_shapley},
      {"lava", "what optimal transport to the validation rows charges for the example", lava},
      {"oob", "how ridge models that did not draw the example do on it", oob},
      {"tmc", "Shapley values of ridge models on features, by random orders", tmc},
      {"beta", "the same with more weight on small sets: Beta(16, 1)", beta},
      {"banzhaf", "Banzhaf values of ridge models on features, by random sets", banzhaf},
      {"loo", "what ridge models on features lose without the example", loo},
  }};
  return kTable;
}

const Method& method_of(std::string_view name) {
  std::vector<std::string> names;
  for (const Method& method : methods()) {
    if (method.name == name) return method;
    names.emplace_back(method.name);
  }
  fail(ErrorCode::kInvalidArgument,
       "[appraise] there is no method '{}'; {}",
       name,
       expected_one_of(name, names));
}

std::span<const std::string> influence_solvers() {
  static const std::array<std::string, 4> kNames = {"cg", "ekfac", "direct", "lissa"};
  return kNames;
}

void check_options(const Options& options) {
  const auto solvers = influence_solvers();
  DETENTE_CHECK(std::find(solvers.begin(), solvers.end(), options.solver) != solvers.end(),
                ErrorCode::kInvalidArgument,
                "[appraise] there is no solver '{}'; {}",
                options.solver,
                expected_one_of(options.solver, solvers));
  DETENTE_CHECK(!options.damping || (std::isfinite(*options.damping) && *options.damping >= 0),
                ErrorCode::kInvalidArgument,
                "[appraise] the damping must be a number of at least 0; got {}.",
                options.damping.value_or(0));
  DETENTE_CHECK(
      !(options.self && options.cosine),
      ErrorCode::kInvalidArgument,
      "[appraise] the cosine of a gradient with itself is 1 for every example; give --self "
      "or --cosine.");
}

}  // namespace detente::appraise
