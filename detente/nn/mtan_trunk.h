// SPDX-License-Identifier: Apache-2.0
// Multi-task attention network (Liu et al. 2019): SegNet, and for each task masks that choose among its
// features. E_j, E'_j: the first and last map of encoder stage j, U_j, D_j: what decoder stage j begins with
// and its last map (nn/segnet.h); α: σ(norm(conv_1(relu(norm(conv_1(x)))))), a task's own.
//
//   encoder j = 0..4  e_j = pool₂(block_j(α_j([E_j, e_{j−1}]) ⊙ E'_j)), block_j: f_j → f_{j+1} (f_4 → f_4)
//   decoder j = 4..0  d_j = α'_j([U_j, block'_j(up(d_{j+1}))]) ⊙ D_j, d_5 = e_4; up: bilinear to the size of
//                     D_j, block'_j: f_j → f_{j−1} (j = 4: f_4 → f_4; j = 0: f_0 → f_0)
//
// A task's features are its d_0. SegNet and the blocks belong to all tasks and get the balanced gradient,
// the attention α to one task alone. With width 64 and the heads for 13 classes, depth and normals
// 44,229,073 parameters; published code counts 3 more, the uncertainties of its losses.
#pragma once

#include <detente/nn/segnet_trunk.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace detente::nn {

class MtanTrunk final : public SegNetTrunk {
 public:
  const char* kind() const override { return "mtan"; }
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<MtanTrunk>(*this); }
  bool per_task() const override { return true; }
  void set_tasks(const std::vector<std::string>& names) override { tasks_ = names; }

 protected:
  void add_layers(Draw& draw) override;
  TensorList forward(const at::Tensor& images, BatchStatistics statistics) const override;

 private:
  at::Tensor task_map(std::size_t task, const SegNetMaps& maps, BatchStatistics statistics) const;

  std::vector<std::string> tasks_;
};

}  // namespace detente::nn
