// SPDX-License-Identifier: Apache-2.0
// Experts E_i (hidden layers with relu) and gates that mix them for each task k, from the features x:
//
//   mmoe  y_k = Σ_i softmax(W_k x)_i E_i(x)              Ma et al., KDD 2018
//   cgc   the same, where E_i are the shared experts and the task's own      Tang et al., RecSys 2020
//   ple   cgc in levels: a level's experts and gates of task k take the level below's y_k, the shared
//         experts its y_shared, mixed by a shared gate from all its experts      the same
//
// Gates have no bias, as in the papers. With one shared expert and none of their own tasks share hard.
//
// Own is what reaches one task alone: the gates of mmoe, and of the last level a task's experts and
// gate. One level below, a task's gate feeds nothing but what is its own above and is its own, too; its
// experts there feed the shared gate and are shared.
#pragma once

#include <detente/nn/sharing.h>

#include <string>
#include <vector>

namespace detente::nn {

class ExpertSharing final : public Sharing {
 public:
  enum class Form { kMmoe, kCgc, kPle };

  explicit ExpertSharing(Form form);

  const char* kind() const override;
  void describe(FieldVisitor& model) override;
  void validate() const override;
  std::unique_ptr<Sharing> clone() const override { return std::make_unique<ExpertSharing>(*this); }
  std::int64_t width(std::int64_t features) const override;
  TensorList operator()(const at::Tensor& features) const override;

 protected:
  void make(std::int64_t width, const std::vector<std::string>& tasks, Draw& draw) override;

 private:
  std::int64_t levels() const { return form_ == Form::kPle ? levels_ : 1; }
  std::int64_t task_experts() const { return form_ == Form::kMmoe ? 0 : task_experts_; }
  // Where the parameters of a level's experts, and of its gates, of a task lie.
  const Parameters& experts_of(std::int64_t level, std::size_t task) const;
  const Parameters& gate_of(std::int64_t level, std::size_t task) const;
  Parameters& experts_of(std::int64_t level, std::size_t task);
  Parameters& gate_of(std::int64_t level, std::size_t task);

  void make_expert(Parameters& into, const std::string& name, std::int64_t in, Draw& draw) const;
  at::Tensor expert(const Parameters& from, const std::string& name, const at::Tensor& x) const;

  Form form_;
  std::int64_t experts_ = 4;
  std::int64_t task_experts_ = 1;
  std::int64_t levels_ = 2;
  std::vector<double> widths_ = {64};
  std::vector<std::string> tasks_;
};

}  // namespace detente::nn
