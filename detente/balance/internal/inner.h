// SPDX-License-Identifier: Apache-2.0
// The method inside a wrapper (cr_mogm, every_n), chosen by name in the nested section `inner`.
#pragma once

#include <detente/balance/method.h>

#include <memory>
#include <string>

namespace detente::balance::internal {

class InnerMethod {
 public:
  InnerMethod();  // mgda

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

}  // namespace detente::balance::internal
