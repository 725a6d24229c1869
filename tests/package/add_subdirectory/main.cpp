// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>

#include <cstdio>

int main() {
  const double gram[] = {1.0, -0.5, -0.5, 1.0};
  detente::balance::Result result;
  detente::balance::make_method("ew")->solve({.tasks = 2, .gram = {gram, 2, 2}}, result);
  std::printf("weights %g %g\n", result.weights[0], result.weights[1]);
  return result.weights[0] == result.weights[1] ? 0 : 1;
}
