// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/tensor/flatten.h>

namespace detente::tensor {

FlatLayout::FlatLayout(const TensorList& parameters) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& parameter = parameters[i];
    DETENTE_CHECK(
        parameter.scalar_type() == parameters[0].scalar_type() &&
            parameter.device() == parameters[0].device(),
        ErrorCode::kShape,
        "[tensor::FlatLayout] shared parameters must have one dtype and device; parameter "
        "{} is {} on {}, the first is {} on {}.",
        i,
        at::toString(parameter.scalar_type()),
        parameter.device().str(),
        at::toString(parameters[0].scalar_type()),
        parameters[0].device().str());
    offsets_.push_back(size_);
    shapes_.push_back(parameter.sizes().vec());
    size_ += parameter.numel();
  }
}

void FlatLayout::gather(const TensorList& gradients, const at::Tensor& row) const {
  DETENTE_DCHECK(gradients.size() == count() && row.numel() == size_);
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < count(); ++i) {
    at::Tensor piece = row.narrow(0, offsets_[i], c10::multiply_integers(shapes_[i]));
    if (gradients[i].defined()) {
      piece.view(shapes_[i]).copy_(gradients[i]);
    } else {
      piece.zero_();
    }
  }
}

void FlatLayout::share_as_gradients(const at::Tensor& flat, const TensorList& parameters) const {
  DETENTE_DCHECK(parameters.size() == count() && flat.numel() == size_ && flat.is_contiguous());
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < count(); ++i) {
    at::Tensor piece = at::empty({0}, flat.options());
    // Strides as for a fresh tensor of this shape.
    std::vector<std::int64_t> strides(shapes_[i].size(), 1);
    for (std::size_t d = strides.size(); d-- > 1;) strides[d - 1] = strides[d] * shapes_[i][d];
    piece.set_(flat.storage(), flat.storage_offset() + offsets_[i], shapes_[i], strides);
    parameters[i].mutable_grad() = piece;
  }
}

}  // namespace detente::tensor
