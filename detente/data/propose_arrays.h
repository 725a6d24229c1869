// SPDX-License-Identifier: Apache-2.0
// A recipe for NumPy's arrays, as data/propose_files.h has it for images and recordings: which array
// holds the inputs, how its dimensions are meant, what to predict, and why.
#pragma once

#include <detente/data/propose_files.h>

#include <optional>
#include <string>
#include <vector>

namespace detente::data {

// Nothing for what is neither a .npz or .npy file nor a folder of .npy files without images and
// recordings. Inputs are the array called X, inputs, images, features or data (or that with _train behind
// it), else the one with the most numbers for an example; targets all others with up to 20 numbers for
// each, or `targets`. Throws kIo and kData: no array that can be inputs, or targets, fewer than 2
// examples, a target that is asked for and is not there or can be none.
std::optional<FileProposal> propose_arrays(const std::string& path,
                                           const std::vector<std::string>& targets);

}  // namespace detente::data
