// SPDX-License-Identifier: Apache-2.0
// The processes of a torch.distributed group as the engine sees them: each function asks an object of Python's
// (detente/_processes.py), which has the group and knows its backend. So the module needs nothing of c10d's C++
// interface, and every backend that Python has works. Exceptions of the object come through as they were raised.
#pragma once

#include <detente/tensor/group.h>
#include <pybind11/pybind11.h>

#include <span>

namespace detente::python {

// May be called without the interpreter's lock.
class PythonGroup final : public tensor::Group {
 public:
  explicit PythonGroup(pybind11::object processes);
  ~PythonGroup() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void sum(std::span<double> numbers) override;
  void sum(at::Tensor& values) override;
  void scatter_sum(const at::Tensor& rows, at::Tensor& own) override;
  void gather(const at::Tensor& own, at::Tensor& all) override;

 private:
  pybind11::object processes_;
  int rank_;
  int size_;
};

}  // namespace detente::python
