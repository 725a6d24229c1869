// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/nn/conv1d_trunk.h>
#include <detente/nn/conv3d_trunk.h>
#include <detente/nn/conv_trunk.h>
#include <detente/nn/graph_trunk.h>
#include <detente/nn/joined_trunk.h>
#include <detente/nn/mlp_trunk.h>
#include <detente/nn/mtan_trunk.h>
#include <detente/nn/pair_trunk.h>
#include <detente/nn/resnet_trunk.h>
#include <detente/nn/segnet_trunk.h>
#include <detente/nn/transformer_trunk.h>
#include <detente/nn/trunk.h>
#include <detente/nn/unet_trunk.h>
#include <detente/nn/vit_trunk.h>
#include <detente/nn/wide_resnet_trunk.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <type_traits>

namespace detente::nn {
namespace {

struct TrunkKind {
  const char* name;
  const char* data;  // the kinds it takes, between blanks; the first trunk of one is its default
  std::unique_ptr<Trunk> (*make)();
};

const auto& trunk_table() {
  static const std::array kinds = {
      TrunkKind{
          "pairs", "pairs", [] { return std::unique_ptr<Trunk>(std::make_unique<PairTrunk>()); }},
      TrunkKind{"mlp",
                "table arrays",
                [] { return std::unique_ptr<Trunk>(std::make_unique<MlpTrunk>()); }},
      TrunkKind{"transformer",
                "text",
                [] { return std::unique_ptr<Trunk>(std::make_unique<TransformerTrunk>()); }},
      TrunkKind{"convnet3d",
                "video arrays",
                [] { return std::unique_ptr<Trunk>(std::make_unique<Conv3dTrunk>()); }},
      TrunkKind{"convnet",
                "images slides audio arrays video",
                [] { return std::unique_ptr<Trunk>(std::make_unique<ConvTrunk>()); }},
      TrunkKind{"resnet",
                "images slides audio arrays video",
                [] { return std::unique_ptr<Trunk>(std::make_unique<ResNetTrunk>()); }},
      TrunkKind{"wide_resnet",
                "images slides audio arrays video",
                [] { return std::unique_ptr<Trunk>(std::make_unique<WideResNetTrunk>()); }},
      TrunkKind{"vit",
                "images slides audio arrays video",
                [] { return std::unique_ptr<Trunk>(std::make_unique<VitTrunk>()); }},
      TrunkKind{
          "gcn", "graph", [] { return std::unique_ptr<Trunk>(std::make_unique<GcnTrunk>()); }},
      TrunkKind{
          "gin", "graph", [] { return std::unique_ptr<Trunk>(std::make_unique<GinTrunk>()); }},
      TrunkKind{
          "unet", "dense", [] { return std::unique_ptr<Trunk>(std::make_unique<UNetTrunk>()); }},
      TrunkKind{"segnet",
                "dense",
                [] { return std::unique_ptr<Trunk>(std::make_unique<SegNetTrunk>()); }},
      TrunkKind{
          "mtan", "dense", [] { return std::unique_ptr<Trunk>(std::make_unique<MtanTrunk>()); }},
      TrunkKind{"convnet1d",
                "audio arrays",
                [] { return std::unique_ptr<Trunk>(std::make_unique<Conv1dTrunk>()); }},
      TrunkKind{"joined",
                "joined",
                [] { return std::unique_ptr<Trunk>(std::make_unique<JoinedTrunk>()); }},
  };
  return kinds;
}

bool takes(const TrunkKind& kind, std::string_view data) {
  for (std::string_view list = kind.data; !list.empty();) {
    const std::size_t end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == data) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

}  // namespace

TensorList Trunk::task_features(const data::Batch& batch, Rng* random) const {
  return {features(batch, random)};
}

TensorList Trunk::views(const data::Batch& batch) const { return {features(batch)}; }

void Trunk::to(tensor::Device device, tensor::DType dtype) {
  parameters_.to(device, dtype);
  for (Parameters& own : own_) own.to(device, dtype);
}

PortableInputs Trunk::portable_inputs(const data::Source& /*fitted*/) const {
  fail(ErrorCode::kUnsupported,
       "[nn::Trunk] a model of kind '{}' cannot leave Detente as a graph yet; expected --to "
       "safetensors, its parameters by name.",
       kind());
}

TensorList Trunk::portable_views(const TensorList& /*inputs*/, const data::Source& fitted) const {
  portable_inputs(fitted);
  return {};
}

std::vector<std::string> trunk_kinds() {
  std::vector<std::string> names;
  for (const TrunkKind& kind : trunk_table()) names.emplace_back(kind.name);
  return names;
}

std::vector<std::string> trunk_kinds(std::string_view source_kind) {
  std::vector<std::string> names;
  for (const TrunkKind& kind : trunk_table()) {
    if (takes(kind, source_kind)) names.emplace_back(kind.name);
  }
  return names;
}

const char* default_trunk(std::string_view source_kind) {
  for (const TrunkKind& kind : trunk_table()) {
    if (takes(kind, source_kind)) return kind.name;
  }
  fail(ErrorCode::kInternal, "[nn::default_trunk] no trunk takes data of kind '{}'.", source_kind);
}

std::unique_ptr<Trunk> make_trunk(std::string_view kind) {
  for (const TrunkKind& entry : trunk_table()) {
    if (entry.name == kind) return entry.make();
  }
  const auto names = trunk_kinds();
  fail(ErrorCode::kInvalidArgument,
       "[nn::make_trunk] '{}' is not a kind of model; {}",
       kind,
       expected_one_of(kind, names));
}

at::Tensor tensor_of(const data::Array& array) {
  const Sizes shape(array.shape.begin(), array.shape.end());
  return std::visit(
      [&](const auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        using Out = std::conditional_t<std::is_same_v<T, std::int32_t>, std::int64_t, T>;
        at::Tensor tensor = torch::empty(shape, torch::CppTypeToScalarType<Out>::value);
        DETENTE_DCHECK(static_cast<std::size_t>(tensor.numel()) == values.size());
        std::copy(values.begin(), values.end(), tensor.template data_ptr<Out>());
        return tensor;
      },
      array.values);
}

}  // namespace detente::nn
