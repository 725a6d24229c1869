// SPDX-License-Identifier: Apache-2.0
// The table of all losses: recipes, tests and documentation read it.
#pragma once

#include <detente/losses/loss.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::losses {

struct LossEntry {
  std::string name;             // "correlation"
  std::string summary;          // one sentence
  std::vector<HeadKind> heads;  // the kinds it fits
  std::unique_ptr<Loss> (*make)() = nullptr;
};

std::span<const LossEntry> registry();
std::vector<std::string> loss_names();
std::vector<std::string> loss_names(HeadKind head);

// A loss with its default options; throws kInvalidArgument with the nearest name.
std::unique_ptr<Loss> make_loss(std::string_view name);
// The same, refusing a loss that does not fit the head.
std::unique_ptr<Loss> make_loss(std::string_view name, HeadKind head);

// What a recipe that names none gets: mse, bce, cross_entropy; of maps cross_entropy, mae, cosine.
const char* default_loss(HeadKind head);

}  // namespace detente::losses
