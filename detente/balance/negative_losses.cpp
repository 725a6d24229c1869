// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/negative_losses.h>
#include <detente/core/error.h>

namespace detente::balance {

bool refuses_negative_losses(Method& scratch) {
  if (!scratch.uses_losses()) return false;
  const double losses[] = {-1.0, -2.0};
  const double identity[] = {1.0, 0.0, 0.0, 1.0};  // the rows, and so their Gram matrix
  Rng rng(0);
  Problem problem;
  problem.tasks = 2;
  problem.gram = MatrixView{identity, 2, 2};
  problem.losses = losses;
  problem.rng = &rng;
  Result result;
  try {
    if (scratch.method_class() == MethodClass::kCoordinates) {
      double d[2];
      scratch.direct(problem, Rows<double>{identity, 2, 2, 2}, std::span<double>(d), result);
    } else {
      scratch.solve(problem, result);
    }
    return false;
  } catch (const Error& error) {
    return error.code() == ErrorCode::kNumeric;
  }
}

}  // namespace detente::balance
