// SPDX-License-Identifier: Apache-2.0
// What a study found, in sentences.
#pragma once

#include <detente/study/results.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace detente::study {

// Whether a difference is called one: p_holm at most 0.05.
bool is_found(const Verdict& verdict);

// A metric's value or a difference of two: "0.8134", "0.00012", "1.2e+06", "0"; "undefined" for NaN.
std::string score_text(double value);

// A mean and half the width of its interval: the half with two digits that count, the mean to the same place
// ("0.6123", "0.0045"; "1234", "57"). Of one value alone the half is empty; of values that are all the same
// it is "0".
struct SpreadText {
  std::string mean;
  std::string half;
};
SpreadText spread_text(double mean, double half);
// "0.6123 ± 0.0045", "0.5 ± 0 (all seeds the same)"; the mean alone where there is no half.
std::string estimate_text(double mean, double half);

// One comparison; `family`: how many there are that p_holm is corrected for.
std::string verdict_text(const Verdict& verdict, std::size_t family);

// From the verdicts and their texts, and the methods' times: first what is better on the whole, then each
// difference that was found, then what was not found (of many methods together), then what a step costs.
std::vector<std::string> sentences_of(const Analysis& analysis);

// Where the chosen setting has the smallest or the largest number that was tried: the best may lie beyond.
// A note for each end of each key of the grid, with the methods' names.
std::vector<std::string> edge_notes(std::span<const Variant> variants,
                                    std::span<const std::size_t> chosen);

}  // namespace detente::study
