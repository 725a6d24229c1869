// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <cstdio>

int main() {
  using namespace detente::balance;
  const double gram[] = {1.0, -0.5, -0.5, 4.0};  // two gradients that disagree
  auto method = make_method("cagrad");
  Result result;
  method->solve({.tasks = 2, .gram = {gram, 2, 2}}, result);
  std::printf("%f %f\n", result.weights[0], result.weights[1]);
}
