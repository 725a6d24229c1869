// SPDX-License-Identifier: Apache-2.0
// Student's t distribution.
#pragma once

namespace detente::metrics {

// I_x(a, b), the regularised incomplete beta function; a, b > 0, x in [0, 1].
double incomplete_beta(double a, double b, double x);

// P(T <= t) with `freedom` > 0 degrees of freedom.
double student_t_cdf(double t, double freedom);

// P(|T| >= |t|), the p-value of a two-sided test; small ones keep their digits.
double student_t_two_sided(double t, double freedom);

// t with P(T <= t) = p; 0 < p < 1.
double student_t_quantile(double p, double freedom);

}  // namespace detente::metrics
