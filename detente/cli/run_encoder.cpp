// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/run_encoder.h>
#include <detente/core/error.h>
#ifdef DETENTE_WITH_TORCH
#include <detente/train/text_vectors.h>
#endif

#include <CLI/CLI.hpp>

namespace detente::cli {
namespace {

#ifdef DETENTE_WITH_TORCH
class RunEncoder final : public annotate::Encoder {
 public:
  explicit RunEncoder(const std::string& run) : vectors_(run) {}
  std::string name() const override { return vectors_.name(); }
  annotate::Vectors encode(std::span<const std::string> texts, annotate::CallKey&) override {
    return vectors_.of(texts);
  }

 private:
  train::TextVectors vectors_;
};
#endif

}  // namespace

CLI::Option* add_encoder_flag(CLI::App& command, std::string& run) {
  return command.add_option(
      "--encoder",
      run,
      "Folder of a run on texts or sentence pairs: compare texts by its network's vectors");
}

std::unique_ptr<annotate::Encoder> run_encoder(const std::string& run) {
#ifdef DETENTE_WITH_TORCH
  return std::make_unique<RunEncoder>(run);
#else
  fail(ErrorCode::kUnsupported,
       "[cli::run_encoder] '{}' is a run, which needs LibTorch; this program was built without it. "
       "Leave --encoder out to search by words.",
       run);
#endif
}

}  // namespace detente::cli
