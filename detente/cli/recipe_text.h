// SPDX-License-Identifier: Apache-2.0
// A proposed recipe as YAML with its reasons as comments.
#pragma once

#include <detente/data/propose.h>
#include <detente/data/propose_files.h>

#include <string>

namespace detente::cli {

// `train`: the data file as the recipe names it; `format`: "auto", "tsv" or "csv"; `name`: of the
// recipe. Reads back to the proposal whatever the names hold.
std::string recipe_text(const data::RecipeProposal& proposal,
                        const std::string& name,
                        const std::string& train,
                        const std::string& format);

// The same for images, recordings and arrays.
std::string recipe_text(const data::FileProposal& proposal,
                        const std::string& name,
                        const std::string& train,
                        const std::string& format);

}  // namespace detente::cli
