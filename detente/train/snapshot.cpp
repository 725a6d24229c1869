// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/tensor/safetensors.h>
#include <detente/train/snapshot.h>

#include <set>

namespace detente::train {
namespace {

constexpr const char* kSnapshotFormat = "detente-snapshot-1";

}  // namespace

void write_snapshot(const std::filesystem::path& path,
                    const RunState& state,
                    const std::vector<StatePart>& parts,
                    const std::string& recipe_yaml) {
  NamedTensors tensors;
  for (const StatePart& part : parts) {
    for (auto& [name, tensor] : part.save()) tensors.emplace_back(part.prefix + name, tensor);
  }
  tensor::write_safetensors(
      path,
      tensors,
      {{"format", kSnapshotFormat}, {"state", state.to_json().dump()}, {"recipe", recipe_yaml}});
}

SnapshotHeader read_snapshot(const std::filesystem::path& path, NamedTensors* tensors) {
  tensor::Metadata metadata;
  NamedTensors read = tensor::read_safetensors(path, &metadata);
  DETENTE_CHECK(metadata["format"] == kSnapshotFormat,
                ErrorCode::kData,
                "[train::read_snapshot] '{}' is a safetensors file but no snapshot of this version "
                "(format '{}', expected '{}').",
                path.string(),
                metadata["format"],
                kSnapshotFormat);
  SnapshotHeader header;
  try {
    header.state = RunState::from_json(Json::parse(metadata["state"]));
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kData,
         "[train::read_snapshot] '{}': the state cannot be read ({}).",
         path.string(),
         error.what());
  }
  header.recipe_yaml = metadata["recipe"];
  if (tensors != nullptr) *tensors = std::move(read);
  return header;
}

void restore_snapshot(const NamedTensors& tensors, const std::vector<StatePart>& parts) {
  std::set<std::string> taken;
  for (const StatePart& part : parts) {
    NamedTensors own;
    for (const auto& [name, tensor] : tensors) {
      if (!name.starts_with(part.prefix)) continue;
      own.emplace_back(name.substr(part.prefix.size()), tensor);
      taken.insert(name);
    }
    part.load(own);
  }
  for (const auto& [name, tensor] : tensors) {
    DETENTE_CHECK(taken.contains(name),
                  ErrorCode::kData,
                  "[train::restore_snapshot] nothing in this run takes the snapshot's '{}'; it was "
                  "written by a run with other parts.",
                  name);
  }
}

}  // namespace detente::train
