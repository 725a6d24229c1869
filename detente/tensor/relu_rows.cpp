// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/simd/relu_rows.h>
#include <detente/tensor/relu_rows.h>

namespace detente::tensor {

void relu_backward_rows(const at::Tensor& out,
                        const at::Tensor& saved,
                        at::Tensor& in,
                        at::Tensor& sum) {
  bool fit = sum.dim() == 1 && sum.is_contiguous() && sum.is_cpu();
  for (const at::Tensor* t : {&out, &saved, static_cast<const at::Tensor*>(&in)}) {
    fit = fit && t->dim() == 2 && t->sizes() == out.sizes() && t->size(1) == sum.size(0) &&
          (t->size(1) < 2 || t->stride(1) == 1) && t->scalar_type() == sum.scalar_type();
  }
  fit = fit && (sum.scalar_type() == at::kFloat || sum.scalar_type() == at::kDouble);
  DETENTE_CHECK(fit,
                ErrorCode::kShape,
                "[tensor::relu_backward_rows] expected three matrices [R, n] with the numbers of a "
                "row next to each other and a sum [n], all float or all double on the CPU.");
  const auto run = [&]<class T>(T) {
    simd::relu_backward_rows(simd::ReluRows<T>{out.data_ptr<T>(),
                                               saved.data_ptr<T>(),
                                               in.data_ptr<T>(),
                                               sum.data_ptr<T>(),
                                               out.stride(0),
                                               saved.stride(0),
                                               in.stride(0),
                                               out.size(0),
                                               out.size(1)});
  };
  if (sum.scalar_type() == at::kFloat) {
    run(float{});
  } else {
    run(double{});
  }
}

}  // namespace detente::tensor
