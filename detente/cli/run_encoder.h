// SPDX-License-Identifier: Apache-2.0
// A run of texts or sentence pairs as the encoder of a search by likeness.
#pragma once

#include <detente/annotate/encoder.h>
#include <detente/cli/command.h>

#include <memory>
#include <string>

namespace CLI {
class Option;
}

namespace detente::cli {

// --encoder RUN
CLI::Option* add_encoder_flag(CLI::App& command, std::string& run);

// Throws as train::TextVectors; kUnsupported in a build without LibTorch.
std::unique_ptr<annotate::Encoder> run_encoder(const std::string& run);

}  // namespace detente::cli
