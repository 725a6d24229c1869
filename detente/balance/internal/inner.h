// SPDX-License-Identifier: Apache-2.0
// The method inside a wrapper (arml, cr_mogm, every_n), chosen by name in the nested section `inner`, and
// what the wrapper has from it.
#pragma once

#include <detente/balance/method.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace detente::balance::internal {

class InnerMethod {
 public:
  // What it is as long as nobody chooses. Made by the caller, not by name: the registry holds the
  // wrappers too and may be under construction.
  InnerMethod(std::string name, std::unique_ptr<Method> method)
      : name_(std::move(name)), method_(std::move(method)) {}

  Method* operator->() { return method_.get(); }
  const Method* operator->() const { return method_.get(); }

  // The section `inner`: `method`, which may be any but wrappers and class J, and its options.
  void describe(FieldVisitor& visitor);

  // {"method", "state"}. Throws kData, its message opened by `where`, for the state of another
  // method.
  Json state() const;
  void load_state(const Json& state, const std::string& where);

 private:
  std::string name_;
  std::unique_ptr<Method> method_;
};

// A method around another: it is and needs what the one inside is and needs, whose arrays are all
// it has.
class Wrapper : public Method {
 public:
  MethodClass method_class() const override { return inner_->method_class(); }
  MethodClass needs() const override { return inner_->needs(); }
  bool uses_losses() const override { return inner_->uses_losses(); }
  bool at_features() const override { return inner_->at_features(); }
  bool wants_losses_after_step() const override { return inner_->wants_losses_after_step(); }

  std::vector<StateArray> state_arrays() const override { return inner_->state_arrays(); }
  void load_state_arrays(std::vector<StateArray> arrays) override {
    inner_->load_state_arrays(std::move(arrays));
  }

 protected:
  Wrapper(std::string name, std::unique_ptr<Method> method)
      : inner_(std::move(name), std::move(method)) {}

  void compute_after_step(const Problem& problem) override { inner_->losses_after_step(problem); }

  InnerMethod inner_;
};

}  // namespace detente::balance::internal
