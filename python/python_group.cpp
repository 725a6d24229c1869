// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <python/python_group.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>
#include <utility>

namespace py = pybind11;

namespace detente::python {

PythonGroup::PythonGroup(py::object processes)
    : processes_(std::move(processes)),
      rank_(processes_.attr("rank").cast<int>()),
      size_(processes_.attr("size").cast<int>()) {}

PythonGroup::~PythonGroup() {
  const py::gil_scoped_acquire gil;
  processes_ = py::object();
}

void PythonGroup::sum(std::span<double> numbers) {
  // Of its own memory: Python may keep the tensor longer than the span lives.
  const at::Tensor copy = at::empty({static_cast<std::int64_t>(numbers.size())}, at::kDouble);
  std::copy(numbers.begin(), numbers.end(), copy.data_ptr<double>());
  {
    const py::gil_scoped_acquire gil;
    processes_.attr("sum_numbers")(copy);
  }
  std::copy_n(copy.data_ptr<double>(), numbers.size(), numbers.begin());
}

void PythonGroup::sum(at::Tensor& values) {
  const py::gil_scoped_acquire gil;
  processes_.attr("sum_tensor")(values);
}

void PythonGroup::scatter_sum(const at::Tensor& rows, at::Tensor& own) {
  const py::gil_scoped_acquire gil;
  processes_.attr("scatter_sum")(rows, own);
}

void PythonGroup::gather(const at::Tensor& own, at::Tensor& all) {
  const py::gil_scoped_acquire gil;
  processes_.attr("gather")(own, all);
}

}  // namespace detente::python
