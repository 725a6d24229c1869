// SPDX-License-Identifier: Apache-2.0
#include <detente/distill/ddgsd.h>
#include <detente/distill/mutual.h>
#include <gmock/gmock.h>

#include "distill_support.h"
#include "tests/support/error_of.h"
#include "tests/support/tolerances.h"

namespace detente::distill {
namespace {

using test::error_of;
using test::kRounding;

TEST(MutualTerm, IsTheMeanDivergenceFromThePeers) {
  const at::Tensor own = noise({5, 3}, 1);
  const std::vector<at::Tensor> peers = {noise({5, 3}, 2), noise({5, 3}, 3), noise({5, 3}, 4)};
  double expected = 0;
  for (const at::Tensor& peer : peers) expected += kl_divergence(peer, own, 1).item<double>() / 3;
  EXPECT_NEAR(mutual_term(own, peers).item<double>(), expected, kRounding);
  double other_way_round = 0;
  for (const at::Tensor& peer : peers) {
    other_way_round += kl_divergence(own, peer, 1).item<double>() / 3;
  }
  EXPECT_GT(std::abs(other_way_round - expected), 1e-3);
  EXPECT_EQ(mutual_term(own, {own}).item<double>(), 0);
}

TEST(MutualTerm, GradientIsTheClosedFormAndNoneGoesIntoPeers) {
  const at::Tensor own = noise({5, 3}, 1).requires_grad_();
  const std::vector<at::Tensor> peers = {noise({5, 3}, 2).requires_grad_(),
                                         noise({5, 3}, 3).requires_grad_()};
  mutual_term(own, peers).backward();
  const at::Tensor mean = (torch::softmax(peers[0], 1) + torch::softmax(peers[1], 1)) / 2;
  EXPECT_LT(distance(own.grad(), (torch::softmax(own, 1) - mean).detach() / 5), kRounding);
  for (const at::Tensor& peer : peers) EXPECT_FALSE(peer.grad().defined());
}

TEST(MutualTerm, DoesNotMindTheOrderOfPeers) {
  const at::Tensor own = noise({5, 3}, 1), a = noise({5, 3}, 2), b = noise({5, 3}, 3);
  EXPECT_NEAR(
      mutual_term(own, {a, b}).item<double>(), mutual_term(own, {b, a}).item<double>(), kRounding);
}

TEST(MutualTerm, SaysWhatIsWrong) {
  const at::Tensor z = torch::zeros({3, 4});
  for (const Error& error : {error_of([&] { mutual_term(z, {}); }),
                             error_of([&] {
                               mutual_term(z, {z, torch::zeros({3, 5})});
                             }),
                             error_of([&] {
                               mutual_term(torch::zeros({0, 4}), {z});
                             })}) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::HasSubstr("[distill::mutual_term]"));
  }
}

}  // namespace
}  // namespace detente::distill
