// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/tensor/group.h>

#include <vector>

namespace detente::tensor {

void sum_all(Group& group, const TensorList& values) {
  constexpr std::int64_t kBucket = std::int64_t{4} << 20;  // numbers
  const at::NoGradGuard no_grad;
  for (std::size_t first = 0; first < values.size();) {
    const at::TensorOptions options = values[first].options();
    std::int64_t numbers = values[first].numel();
    std::size_t end = first + 1;
    for (; end < values.size() && values[end].options().type_equal(options); ++end) {
      if (numbers + values[end].numel() > kBucket) break;
      numbers += values[end].numel();
    }
    if (end == first + 1) {
      at::Tensor alone = values[first];
      group.sum(alone);
    } else {
      TensorList flat;
      for (std::size_t i = first; i < end; ++i) flat.push_back(values[i].reshape({-1}));
      at::Tensor together = at::cat(flat);
      group.sum(together);
      std::int64_t begin = 0;
      for (std::size_t i = first; i < end; ++i) {
        at::Tensor target = values[i];
        target.copy_(together.narrow(0, begin, target.numel()).view(target.sizes()));
        begin += target.numel();
      }
    }
    first = end;
  }
}

bool any(Group& group, bool here) {
  double count = here ? 1.0 : 0.0;
  group.sum(std::span(&count, 1));
  return count > 0;
}

void check_same(Group& group, const std::string& what, const std::string& text) {
  if (group.size() == 1) return;
  const std::string first = group.from_first(text);
  std::vector<double> differs(static_cast<std::size_t>(group.size()), 0.0);
  differs[static_cast<std::size_t>(group.rank())] = first == text ? 0.0 : 1.0;
  group.sum(differs);
  std::string ranks;
  for (std::size_t r = 0; r < differs.size(); ++r) {
    if (differs[r] > 0) ranks += fmt::format("{}{}", ranks.empty() ? "" : ", ", r);
  }
  DETENTE_CHECK(
      ranks.empty(),
      ErrorCode::kInvalidArgument,
      "[tensor::check_same] the processes of the run have different {}: rank {} not those "
      "of rank 0. Give all of them the same recipe, data and version.",
      what,
      ranks);
}

}  // namespace detente::tensor
