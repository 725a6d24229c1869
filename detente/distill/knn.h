// SPDX-License-Identifier: Apache-2.0
// What frozen features are worth, without training anything: each test row gets the class that the
// most similar training rows vote for (Wu et al., CVPR 2018; Caron et al., ICCV 2021). Similarity
// is the cosine, a vote is worth exp(cosine / temperature). Of equal similarities the earlier row
// comes first, of equal votes the lower class.
//
// Work goes in blocks of rows of both: beside a copy of the features, memory stays below some 100
// MiB for any number of rows. O(n m d) on the features' device, selection on the host;
// deterministic.
#pragma once

#include <detente/tensor/fwd.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace detente::distill {

// features [n, d] and [m, d], of any length (a zero row is similar to nothing: cosine 0); labels
// one per row, any integers. The share of test rows whose class is right, for each k of `ks` (any
// order; one above n counts as n). Throws kInvalidArgument: no rows, widths or numbers of labels
// that do not fit, no ks, k < 1, temperature <= 0; kNumeric: features that are not finite.
std::vector<double> knn_accuracy(const at::Tensor& train_features,
                                 std::span<const std::int64_t> train_labels,
                                 const at::Tensor& test_features,
                                 std::span<const std::int64_t> test_labels,
                                 std::span<const std::int64_t> ks,
                                 double temperature = 0.07);

// The min(k, n) most similar training rows of each test row, the most similar first. Throws as
// above.
std::vector<std::vector<std::size_t>> nearest(const at::Tensor& train,
                                              const at::Tensor& test,
                                              std::int64_t k);

}  // namespace detente::distill
