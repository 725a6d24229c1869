// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/nn/cross_stitch.h>
#include <detente/nn/expert_sharing.h>
#include <detente/nn/sharing.h>
#include <torch/types.h>

#include <array>

namespace detente::nn {
namespace {

class HardSharing final : public Sharing {
 public:
  const char* kind() const override { return "hard"; }
  std::unique_ptr<Sharing> clone() const override { return std::make_unique<HardSharing>(*this); }
  std::int64_t width(std::int64_t features) const override { return features; }
  TensorList operator()(const at::Tensor& features) const override {
    return TensorList(own_.size(), features);
  }

 protected:
  void make(std::int64_t /*width*/,
            const std::vector<std::string>& /*tasks*/,
            Draw& /*draw*/) override {}
};

template <ExpertSharing::Form form>
std::unique_ptr<Sharing> make_experts() {
  return std::make_unique<ExpertSharing>(form);
}

struct SharingKind {
  const char* name;
  std::unique_ptr<Sharing> (*make)();
};

const auto& sharing_table() {
  using Form = ExpertSharing::Form;
  static const std::array kinds = {
      SharingKind{"hard", [] { return std::unique_ptr<Sharing>(std::make_unique<HardSharing>()); }},
      SharingKind{"mmoe", &make_experts<Form::kMmoe>},
      SharingKind{"cgc", &make_experts<Form::kCgc>},
      SharingKind{"ple", &make_experts<Form::kPle>},
      SharingKind{"cross_stitch",
                  [] { return std::unique_ptr<Sharing>(std::make_unique<CrossStitch>()); }},
  };
  return kinds;
}

}  // namespace

void Sharing::build(std::int64_t width, const std::vector<std::string>& tasks, Draw& draw) {
  validate();
  shared_ = Parameters();
  own_ = std::vector<Parameters>(tasks.size());
  make(width, tasks, draw);
}

void Sharing::to(tensor::Device device, tensor::DType dtype) {
  shared_.to(device, dtype);
  for (Parameters& own : own_) own.to(device, dtype);
}

std::vector<std::string> sharing_kinds() {
  std::vector<std::string> names;
  for (const SharingKind& kind : sharing_table()) names.emplace_back(kind.name);
  return names;
}

std::unique_ptr<Sharing> make_sharing(std::string_view kind) {
  for (const SharingKind& entry : sharing_table()) {
    if (entry.name == kind) return entry.make();
  }
  const auto names = sharing_kinds();
  fail(ErrorCode::kInvalidArgument,
       "[nn::make_sharing] '{}' is no way of sharing; {}",
       kind,
       expected_one_of(kind, names));
}

}  // namespace detente::nn
