// SPDX-License-Identifier: Apache-2.0
// oob, tmc, beta, banzhaf, loo: by ridge models on frozen features, which are fitted in no time.
#include <detente/appraise/frozen_features.h>
#include <detente/valuation/data_oob.h>
#include <detente/valuation/game.h>

#include <functional>

namespace detente::appraise {
namespace {

using Play = std::function<valuation::GameValues(std::size_t players, const valuation::Utility&)>;

Appraisal of_game(const Subject& subject,
                  const Options& options,
                  const char* method,
                  const Play& play) {
  FrozenFeatures frozen(subject, options.rows);
  valuation::Ridge ridge(frozen.train, frozen.width, frozen.train_tasks());
  const valuation::Utility utility = valuation::utility_of(ridge, frozen.dev, frozen.dev_tasks());
  valuation::GameValues values = play(ridge.rows(), utility);
  Appraisal result = frozen.appraisal(method, std::move(values.outputs));
  result.notes.push_back(fmt::format("{} ridge models on frozen features were fitted (ended: {}).",
                                     values.evaluations,
                                     valuation::name_of(values.stop)));
  return result;
}

}  // namespace

Appraisal oob(const Subject& subject, const Options& options) {
  const FrozenFeatures frozen(subject, options.rows);
  valuation::Ridge ridge(frozen.train, frozen.width, frozen.train_tasks());
  return frozen.appraisal(
      "oob",
      valuation::data_oob(
          ridge.rows(),
          ridge.tasks(),
          valuation::oob_of(ridge),
          {.models = options.models, .seed = options.seed, .progress = options.progress}));
}

Appraisal tmc(const Subject& subject, const Options& options) {
  return of_game(subject, options, "tmc", [&](std::size_t n, const valuation::Utility& utility) {
    return valuation::permutation_values(n,
                                         utility,
                                         {.max_permutations = options.permutations,
                                          .seed = options.seed,
                                          .progress = options.progress});
  });
}

Appraisal beta(const Subject& subject, const Options& options) {
  return of_game(subject, options, "beta", [&](std::size_t n, const valuation::Utility& utility) {
    return valuation::permutation_values(
        n,
        utility,
        {.semivalue = valuation::Semivalue::beta(options.alpha, options.beta),
         .max_permutations = options.permutations,
         .seed = options.seed,
         .progress = options.progress});
  });
}

Appraisal banzhaf(const Subject& subject, const Options& options) {
  return of_game(
      subject, options, "banzhaf", [&](std::size_t n, const valuation::Utility& utility) {
        return valuation::banzhaf_values(
            n,
            utility,
            {.samples = options.samples, .seed = options.seed, .progress = options.progress});
      });
}

Appraisal loo(const Subject& subject, const Options& options) {
  return of_game(subject, options, "loo", [&](std::size_t n, const valuation::Utility& utility) {
    return valuation::leave_one_out(n, utility, 1, options.progress);
  });
}

}  // namespace detente::appraise
