// SPDX-License-Identifier: Apache-2.0
// Named tensors of one part of a network, and what such parts share: drawing initial weights, the
// layers that read them by name, dropout.
//
//   Parameters p;
//   Draw draw(rng);
//   p.add_linear(draw, "hidden", 8, 4);               // "hidden.weight" [4, 8], "hidden.bias" [4]
//   const at::Tensor y = p.linear(x, "hidden");
#pragma once

#include <detente/core/rng.h>
#include <detente/tensor/device.h>
#include <detente/tensor/fwd.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::nn {

using Sizes = std::vector<std::int64_t>;

// Numbers for initialisation, float32 on the host, from the caller's generator alone.
class Draw {
 public:
  explicit Draw(Rng& rng) : rng_(rng) {}

  at::Tensor uniform(const Sizes& shape, double bound);  // in [-bound, bound)
  at::Tensor normal(const Sizes& shape, double deviation);

 private:
  Rng& rng_;
};

// Dropout whose masks come from one generator of ours, drawn on the host whatever the device: the
// same on every engine, and none of LibTorch's global state.
class Dropout {
 public:
  // Takes one number from `rng`; off when there is none.
  explicit Dropout(Rng* rng);

  bool on() const { return rng_.has_value(); }
  // Shaped and typed like `like`: 1 with probability `keep` (to 1/65536), else 0.
  at::Tensor mask(const at::Tensor& like, double keep);
  // x with a share of its entries 0 and the others scaled so that the mean stays.
  at::Tensor operator()(const at::Tensor& x, double share);

 private:
  std::optional<Rng> rng_;
};

// A copy holds tensors of its own.
class Parameters {
 public:
  Parameters();
  ~Parameters();
  Parameters(const Parameters& other);
  Parameters(Parameters&&) noexcept;
  Parameters& operator=(const Parameters& other);
  Parameters& operator=(Parameters&&) noexcept;

  void add(const std::string& name, const at::Tensor& value);        // trained
  void add_fixed(const std::string& name, const at::Tensor& value);  // saved, not trained
  // Fixed and always float64: numbers of the data, which float32 may not hold.
  void add_exact(const std::string& name, const at::Tensor& value);
  // name.weight uniform within scale/√in, name.bias within 1/√in.
  void add_linear(
      Draw& draw, const std::string& name, std::int64_t in, std::int64_t out, double scale = 1.0);
  // Those of `other` themselves, no copies, under names begun with `prefix`.
  void adopt(const std::string& prefix, const Parameters& other);
  // Layer normalisation that changes nothing yet.
  void add_norm(const std::string& name, std::int64_t width);

  bool has(const std::string& name) const { return places_.contains(name); }
  // kInternal for a name that is not there.
  const at::Tensor& operator()(const std::string& name) const;
  at::Tensor linear(const at::Tensor& x, const std::string& name) const;
  at::Tensor norm(const at::Tensor& x, const std::string& name) const;  // over the last dimension

  const NamedTensors& trained() const { return trained_; }
  const NamedTensors& fixed() const { return fixed_; }
  TensorList trained_tensors() const;
  std::vector<std::string> trained_names() const;
  std::int64_t trained_count() const;  // numbers in trained()

  // Overwrites a tensor with as many numbers.
  void assign(const std::string& name, std::span<const double> values);
  // Makes new tensors; lists taken before no longer hold these.
  void to(tensor::Device device, tensor::DType dtype);

 private:
  struct Place {
    bool trained = true;
    std::size_t index = 0;
    bool exact = false;
  };

  NamedTensors trained_;
  NamedTensors fixed_;
  std::map<std::string, Place> places_;
};

// Copies `state` into `own` by name, "module." before every name left out (PyTorch's data-parallel
// wrappers put it there); throws kData for a name that is missing or unknown or a
// tensor of another shape.
void load_named(const NamedTensors& state, const NamedTensors& own);

// The same tensors under names begun with `prefix`; and those whose names begin so, without it.
NamedTensors with_prefix(const NamedTensors& named, std::string_view prefix);
NamedTensors without_prefix(const NamedTensors& named, std::string_view prefix);

}  // namespace detente::nn
