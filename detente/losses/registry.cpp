// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/losses/bce.h>
#include <detente/losses/correlation.h>
#include <detente/losses/cosine.h>
#include <detente/losses/cross_entropy.h>
#include <detente/losses/focal.h>
#include <detente/losses/huber.h>
#include <detente/losses/mae.h>
#include <detente/losses/mse.h>
#include <detente/losses/registry.h>

#include <algorithm>
#include <array>

namespace detente::losses {
namespace {

// An explicit table, for the same reason as that of the methods.
const auto& loss_table() {
  static const std::array losses = {
      LossEntry{"mse", "Mean squared error.", {HeadKind::kRegression, HeadKind::kDepth}, &make_mse},
      LossEntry{
          "mae", "Mean absolute error.", {HeadKind::kRegression, HeadKind::kDepth}, &make_mae},
      LossEntry{"huber",
                "Squared error near the target, absolute error far from it.",
                {HeadKind::kRegression, HeadKind::kDepth},
                &make_huber},
      LossEntry{"correlation",
                "1 - Pearson correlation of the batch, plus a share of absolute error.",
                {HeadKind::kRegression},
                &make_correlation},
      LossEntry{"bce", "Binary cross-entropy.", {HeadKind::kBinary}, &make_bce},
      LossEntry{"focal",
                "Binary cross-entropy that counts well-classified rows less.",
                {HeadKind::kBinary},
                &make_focal},
      LossEntry{"cross_entropy",
                "Multi-class cross-entropy.",
                {HeadKind::kClasses, HeadKind::kSegmentation},
                &make_cross_entropy},
      LossEntry{"cosine",
                "1 - cosine of the angle between prediction and target.",
                {HeadKind::kNormals},
                &make_cosine},
  };
  return losses;
}

}  // namespace

std::span<const LossEntry> registry() { return loss_table(); }

std::vector<std::string> loss_names() {
  std::vector<std::string> names;
  for (const auto& entry : loss_table()) names.push_back(entry.name);
  return names;
}

std::vector<std::string> loss_names(HeadKind head) {
  std::vector<std::string> names;
  for (const auto& entry : loss_table()) {
    if (std::find(entry.heads.begin(), entry.heads.end(), head) != entry.heads.end()) {
      names.push_back(entry.name);
    }
  }
  return names;
}

std::unique_ptr<Loss> make_loss(std::string_view name) {
  for (const auto& entry : loss_table()) {
    if (entry.name == name) return entry.make();
  }
  const auto names = loss_names();
  fail(ErrorCode::kInvalidArgument,
       "[losses::make_loss] '{}' is not a loss; {}",
       name,
       expected_one_of(name, names));
}

std::unique_ptr<Loss> make_loss(std::string_view name, HeadKind head) {
  auto loss = make_loss(name);
  const auto fitting = loss_names(head);
  DETENTE_CHECK(std::find(fitting.begin(), fitting.end(), name) != fitting.end(),
                ErrorCode::kInvalidArgument,
                "[losses::make_loss] loss '{}' does not fit a {} head; expected one of: {}.",
                name,
                detente::name_of(head),
                join_names(fitting));
  return loss;
}

const char* default_loss(HeadKind head) {
  switch (head) {
    case HeadKind::kRegression:
      return "mse";
    case HeadKind::kBinary:
      return "bce";
    case HeadKind::kClasses:
      return "cross_entropy";
    case HeadKind::kSegmentation:
      return "cross_entropy";
    case HeadKind::kDepth:
      return "mae";
    case HeadKind::kNormals:
      return "cosine";
  }
  return "mse";
}

}  // namespace detente::losses
