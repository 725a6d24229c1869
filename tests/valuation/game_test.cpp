// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/valuation/game.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/valuation/made_values.h"
#include "tests/valuation/subsets.h"

namespace detente::valuation {
namespace {

using testing::HasSubstr;
using List = std::vector<double>;
using Members = std::span<const std::size_t>;

unsigned mask_of(Members members) {
  unsigned mask = 0;
  for (const std::size_t i : members) mask |= 1U << i;
  return mask;
}

// Any numbers for all sets, with as many outputs as tables.
struct Game {
  std::size_t n;
  std::vector<List> tables;

  Game(std::uint64_t seed, std::size_t players, std::size_t outputs) : n(players) {
    Rng rng(seed);
    tables.assign(outputs, List(std::size_t{1} << n));
    for (List& table : tables) {
      for (double& value : table) value = rng.normal();
    }
  }
  Utility utility() const {
    return [this](Members members) {
      EXPECT_TRUE(std::is_sorted(members.begin(), members.end()));
      List values;
      for (const List& table : tables) values.push_back(table[mask_of(members)]);
      return values;
    };
  }
  std::function<double(unsigned)> output(std::size_t o) const {
    return [this, o](unsigned mask) { return tables[o][mask]; };
  }
};

double beta_function(double a, double b) {
  return std::tgamma(a) * std::tgamma(b) / std::tgamma(a + b);
}

// ---- Semivalues.

TEST(Semivalue, MassesSumToOneForAnyNumberOfPlayers) {
  for (const std::size_t n : {1UL, 2UL, 7UL, 1000UL, 200000UL}) {
    for (const Semivalue& one : {Semivalue::shapley(),
                                 Semivalue::beta(16, 1),
                                 Semivalue::beta(1, 16),
                                 Semivalue::beta(0.5, 4),
                                 Semivalue::banzhaf(),
                                 Semivalue::leave_one_out()}) {
      double sum = 0.0;
      for (const double mass : one.log_masses(n)) sum += std::exp(mass);
      EXPECT_NEAR(sum, 1.0, n > 1000 ? 1e-7 : 1e-11) << n;
    }
  }
  EXPECT_TRUE(Semivalue().log_masses(0).empty());
}

TEST(Semivalue, BetaLooksAtSmallOrAtLargeSets) {
  const List small = Semivalue::beta(16, 1).log_masses(5);
  const List large = Semivalue::beta(1, 16).log_masses(5);
  EXPECT_NEAR(std::exp(small[0]), 0.8, 1e-13);
  for (std::size_t k = 0; k < 5; ++k) EXPECT_NEAR(small[k], large[4 - k], 1e-12);
  EXPECT_EQ(test::error_of([] { Semivalue::beta(0, 1); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(test::error_of([] { Semivalue::beta(1, std::nan("")); }).code(),
            ErrorCode::kInvalidArgument);
}

// ---- Exact.

TEST(ExactValues, AgreeWithTheDefinitions) {
  for (std::size_t n = 1; n <= 8; ++n) {
    const Game game(n, n, 2);
    const auto sum = [&](const Semivalue& semivalue, const std::function<double(std::size_t)>& w) {
      const GameValues got = exact_values(n, game.utility(), semivalue);
      EXPECT_EQ(got.stop, GameStop::kExact);
      EXPECT_EQ(got.evaluations, std::size_t{1} << n);
      ASSERT_EQ(got.outputs.size(), 2u);
      for (std::size_t o = 0; o < 2; ++o) {
        test::expect_near(
            got.outputs[o].values, test::values_by_subsets(n, game.output(o), w), 1e-13);
        EXPECT_EQ(got.outputs[o].standard_errors, List(n, 0.0));
        EXPECT_EQ(got.outputs[o].counts[0], std::int64_t{1} << (n - 1));
      }
    };
    const auto players = static_cast<double>(n);
    sum(Semivalue::shapley(), [&](std::size_t size) { return test::shapley_weight(n, size); });
    sum(Semivalue::banzhaf(), [&](std::size_t) { return std::pow(0.5, players - 1); });
    sum(Semivalue::leave_one_out(), [&](std::size_t size) { return size + 1 == n ? 1.0 : 0.0; });
    for (const auto& [alpha, beta] : {std::pair{1.0, 1.0}, {16.0, 1.0}, {1.0, 4.0}, {0.5, 2.5}}) {
      sum(Semivalue::beta(alpha, beta), [&, a = alpha, b = beta](std::size_t size) {
        const auto j = static_cast<double>(size + 1);
        return beta_function(j + b - 1, players - j + a) / beta_function(a, b);
      });
    }
  }
}

TEST(ExactValues, HaveTheAxioms) {
  // Player 4 never changes anything, 0 and 1 are interchangeable.
  const auto v = [](Members members) {
    const unsigned set = mask_of(members) & 15U;
    const int twins = std::popcount(set & 3U);
    return List{twins * 1.5 + (twins > 0 && (set & 4U) != 0 ? 2 : 0) + (set == 15 ? 1 : 0) + 3};
  };
  const List shapley = exact_values(5, v).outputs[0].values;
  EXPECT_EQ(shapley[4], 0.0);
  EXPECT_NEAR(shapley[0], shapley[1], 1e-15);
  EXPECT_NEAR(std::accumulate(shapley.begin(), shapley.end(), 0.0), 6, 1e-14);
  const List beta = exact_values(5, v, Semivalue::beta(4, 1)).outputs[0].values;
  EXPECT_EQ(beta[4], 0.0);
  EXPECT_NEAR(beta[0], beta[1], 1e-15);
}

// Littlechild and Owen, 1973: those who need the longer runway share what is longer.
TEST(ExactValues, ShareTheAirport) {
  const List costs{1, 4, 4, 10, 13};
  const auto v = [&](Members members) {
    double longest = 0;
    for (const std::size_t i : members) longest = std::max(longest, costs[i]);
    return List{longest};
  };
  const List expected{1.0 / 5, 0.2 + 3.0 / 4, 0.2 + 3.0 / 4, 0.95 + 6.0 / 2, 3.95 + 3};
  test::expect_near(exact_values(5, v).outputs[0].values, expected, 1e-14);
}

TEST(ExactValues, KnowNothingWhenInterrupted) {
  const Game game(1, 4, 1);
  const GameValues got =
      exact_values(4, game.utility(), {}, [](std::size_t done, std::size_t) { return done < 5; });
  EXPECT_EQ(got.stop, GameStop::kInterrupted);
  EXPECT_TRUE(std::isnan(got.outputs[0].values[0]));
  EXPECT_EQ(got.outputs[0].counts[0], 0);
}

// ---- Random orders.

// Values stay within their standard errors of the exact ones: over many seeds, two of them hold
// about 95 % of the time.
void expect_covered(const Game& game,
                    const Semivalue& semivalue,
                    const std::function<GameValues(std::uint64_t)>& sample) {
  const GameValues exact = exact_values(game.n, game.utility(), semivalue);
  int inside = 0;
  int all = 0;
  List means(game.n, 0.0);
  constexpr int kSeeds = 150;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const GameValues got = sample(seed);
    for (std::size_t o = 0; o < got.outputs.size(); ++o) {
      for (std::size_t i = 0; i < game.n; ++i) {
        const double off = got.outputs[o].values[i] - exact.outputs[o].values[i];
        const double error = got.outputs[o].standard_errors[i];
        inside += std::abs(off) <= 2 * error ? 1 : 0;
        ++all;
        if (o == 0) means[i] += off / error / std::sqrt(kSeeds);
      }
    }
  }
  EXPECT_GT(inside, 0.92 * all);
  EXPECT_LT(inside, 0.985 * all);
  // Without bias the mean of the offs, in standard errors of its own, is about 1.
  for (const double mean : means) EXPECT_LT(std::abs(mean), 4);
}

TEST(PermutationValues, AreWithinTheirStandardErrorsOfShapley) {
  const Game game(11, 5, 2);
  expect_covered(game, {}, [&](std::uint64_t seed) {
    return permutation_values(5, game.utility(), {{}, 0, 120, 0, 100, seed});
  });
}

TEST(PermutationValues, AreWithinTheirStandardErrorsOfBetaShapley) {
  const Game game(12, 5, 1);
  const Semivalue semivalue = Semivalue::beta(4, 1);
  expect_covered(game, semivalue, [&](std::uint64_t seed) {
    return permutation_values(5, game.utility(), {semivalue, 0, 200, 0, 100, seed});
  });
}

TEST(PermutationValues, SumToWhatAllWinWithoutTruncation) {
  const Game game(13, 7, 2);
  const GameValues got = permutation_values(7, game.utility(), {{}, 0, 9});
  for (std::size_t o = 0; o < 2; ++o) {
    const List& values = got.outputs[o].values;
    EXPECT_NEAR(
        std::accumulate(values.begin(), values.end(), 0.0), got.all[o] - got.none[o], 1e-13);
    EXPECT_EQ(got.none[o], game.tables[o].front());
    EXPECT_EQ(got.all[o], game.tables[o].back());
    EXPECT_EQ(got.outputs[o].counts, std::vector<std::int64_t>(7, 9));
  }
  EXPECT_EQ(got.stop, GameStop::kBudget);
  EXPECT_EQ(got.evaluations, 2u + 9 * 6);
}

// An additive game of one output that saturates: the rest of an order is not asked for.
TEST(PermutationValues, TruncationSavesEvaluationsAndIsOffByItsShareAtMost) {
  const auto v = [](Members members) {
    const auto size = static_cast<double>(members.size());
    return List{100 + 5 * (1 - std::exp(-size)), size > 0 ? 1.0 : 0.0};
  };
  PermutationOptions options{{}, 0.04, 200, 0};
  const GameValues cut = permutation_values(30, v, options);
  options.truncation = 0;
  const GameValues whole = permutation_values(30, v, options);
  EXPECT_EQ(cut.evaluations, 2u + 200 * 4);  // e^-3 > 0.04 > e^-4
  EXPECT_EQ(whole.evaluations, 2u + 200 * 29);
  double sum = 0.0;
  for (const double value : cut.outputs[0].values) sum += value;
  EXPECT_NEAR(sum, 5, 0.04 * 5);
  EXPECT_LT(sum, 5 - 1e-3);
}

TEST(PermutationValues, PlacesWithoutMassAreNotVisited) {
  std::set<std::size_t> sizes;
  const auto v = [&](Members members) {
    sizes.insert(members.size());
    return List{static_cast<double>(members.size() % 7)};
  };
  permutation_values(400, v, {Semivalue::beta(300, 1), 0, 3, 0});
  EXPECT_LT(sizes.size(), 60u);
  sizes.erase(400);
  EXPECT_LT(*sizes.rbegin(), 60u);
}

TEST(PermutationValues, StopWhenTheyChangeLittle) {
  const auto additive = [](Members members) {
    double sum = 0;
    for (const std::size_t i : members) sum += static_cast<double>(i + 1);
    return List{sum};
  };
  const GameValues sure = permutation_values(6, additive, {{}, 0, 5000});
  EXPECT_EQ(sure.stop, GameStop::kConverged);
  EXPECT_EQ(sure.outputs[0].counts[0], 200);  // nothing to compare with before
  test::expect_near(sure.outputs[0].values, {1, 2, 3, 4, 5, 6}, 1e-12);
  const Game game(14, 6, 2);
  const GameValues noisy = permutation_values(6, game.utility(), {{}, 0, 5000});
  EXPECT_EQ(noisy.stop, GameStop::kConverged);
  EXPECT_GT(noisy.outputs[0].counts[0], 200);
  EXPECT_EQ(noisy.outputs[0].counts[0] % 100, 0);
}

TEST(PermutationValues, AreTheSameForASeedAndStopWhenTold) {
  const Game game(15, 6, 1);
  const auto values = [&](std::uint64_t seed, std::size_t permutations) {
    return permutation_values(6, game.utility(), {{}, 0.01, permutations, 0, 100, seed})
        .outputs[0]
        .values;
  };
  EXPECT_EQ(values(3, 50), values(3, 50));
  EXPECT_NE(values(3, 50), values(4, 50));
  PermutationOptions options{{}, 0.01, 50, 0, 100, 3};
  options.progress = [](std::size_t done, std::size_t total) { return done < 20 && total == 50; };
  const GameValues part = permutation_values(6, game.utility(), options);
  EXPECT_EQ(part.stop, GameStop::kInterrupted);
  EXPECT_EQ(part.outputs[0].values, values(3, 20));
}

// ---- Banzhaf.

TEST(BanzhafValues, AreWithinTheirStandardErrors) {
  const Game game(21, 5, 2);
  expect_covered(game, Semivalue::banzhaf(), [&](std::uint64_t seed) {
    return banzhaf_values(5, game.utility(), {200, seed});
  });
}

TEST(BanzhafValues, TellOfEveryPlayerWithEverySet) {
  const Game game(22, 6, 1);
  const GameValues got = banzhaf_values(6, game.utility(), {64, 5});
  EXPECT_EQ(got.outputs[0].counts, std::vector<std::int64_t>(6, 64));
  EXPECT_LE(got.evaluations, 66u);
  EXPECT_EQ(got.outputs[0].values, banzhaf_values(6, game.utility(), {64, 5}).outputs[0].values);
  const GameValues one = banzhaf_values(6, game.utility(), {1, 5});
  EXPECT_TRUE(std::isnan(one.outputs[0].values[0]));
  // More players than a word has bits.
  const auto size = [](Members members) { return List{static_cast<double>(members.size())}; };
  const GameValues many = banzhaf_values(150, size, {400, 1});
  double mean = 0.0;
  for (const double value : many.outputs[0].values) mean += value / 150;
  EXPECT_NEAR(mean, 1, 0.5);
}

// ---- Leave one out.

TEST(LeaveOneOut, IsWhatTheLastPlayerAdds) {
  const Game game(31, 6, 2);
  const GameValues got = leave_one_out(6, game.utility());
  const GameValues exact = exact_values(6, game.utility(), Semivalue::leave_one_out());
  for (std::size_t o = 0; o < 2; ++o) {
    test::expect_near(got.outputs[o].values, exact.outputs[o].values, 1e-14);
    EXPECT_TRUE(std::isnan(got.outputs[o].standard_errors[0]));
    EXPECT_EQ(got.outputs[o].counts[3], 1);
  }
  EXPECT_EQ(got.evaluations, 8u);
}

TEST(LeaveOneOut, RepeatsTellTheNoise) {
  Rng rng(1);
  const auto noisy = [&](Members members) {
    return List{static_cast<double>(members.size()) + 0.5 * rng.normal()};
  };
  const GameValues got = leave_one_out(4, noisy, 2000);
  for (std::size_t i = 0; i < 4; ++i) {
    // Two evaluations' noise in each difference.
    EXPECT_NEAR(got.outputs[0].standard_errors[i], 0.5 * std::sqrt(2.0 / 2000), 1e-3);
    EXPECT_NEAR(got.outputs[0].values[i], 1, 0.07);
    EXPECT_EQ(got.outputs[0].counts[i], 2000);
  }
  const GameValues part = leave_one_out(
      4, noisy, 1, [](std::size_t done, std::size_t total) { return done < 2 && total == 4; });
  EXPECT_EQ(part.stop, GameStop::kInterrupted);
  EXPECT_EQ(part.outputs[0].counts, (std::vector<std::int64_t>{1, 1, 0, 0}));
  EXPECT_TRUE(std::isnan(part.outputs[0].values[3]));
}

// ---- Errors.

TEST(Games, NameTheSetWhoseAnswerIsWrong) {
  const auto fine = [](Members) { return List{1.0}; };
  const auto code = [](const std::function<void()>& body) { return test::error_of(body).code(); };
  EXPECT_EQ(code([&] { exact_values(0, fine); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([&] { exact_values(21, fine); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([&] { permutation_values(2, fine, {{}, -1}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([&] { permutation_values(2, fine, {{}, 0, 0}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([&] {
              permutation_values(2, fine, {{}, 0, 9, 0, 0});
            }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([&] { banzhaf_values(2, fine, {0}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([&] { leave_one_out(2, fine, 0); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([] { exact_values(2, [](Members) { return List{}; }); }), ErrorCode::kShape);
  EXPECT_EQ(code([] { exact_values(2, [](Members m) { return List(1 + m.size(), 0.0); }); }),
            ErrorCode::kShape);
  const Error error = test::error_of([] {
    exact_values(3, [](Members m) { return List{0.0, m.size() == 2 ? std::nan("") : 1.0}; });
  });
  EXPECT_EQ(error.code(), ErrorCode::kNumeric);
  EXPECT_THAT(error.what(), HasSubstr("output 1 is nan for the 2 members 0,1;"));
}

}  // namespace
}  // namespace detente::valuation
