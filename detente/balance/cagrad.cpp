// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cagrad.h>
#include <detente/balance/internal/conflict_averse.h>
#include <detente/balance/method_info.h>

namespace detente::balance {
namespace {

class Cagrad final : public Method {
 public:
  Cagrad() = default;
  explicit Cagrad(const CagradOptions& options) : options_(options) {}

  const char* name() const override { return "cagrad"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const auto k = static_cast<double>(problem.tasks);
    mean_.assign(problem.tasks, 1.0 / k);
    solver_.solve(problem, mean_, options_.c, result);
    const double scale =
        rescale_factor(options_.rescale, options_.c) * (options_.times_k ? k : 1.0);
    for (double& w : result.weights) w *= scale;
  }

 private:
  CagradOptions options_;
  internal::ConflictAverse solver_;
  std::vector<double> mean_;
};

}  // namespace

double rescale_factor(CagradOptions::Rescale rescale, double c) {
  switch (rescale) {
    case CagradOptions::Rescale::kNone:
      break;
    case CagradOptions::Rescale::kOnePlusC:
      return 1.0 / (1.0 + c);
    case CagradOptions::Rescale::kOnePlusC2:
      return 1.0 / (1.0 + c * c);
  }
  return 1.0;
}

void visit_cagrad_radius(FieldVisitor& visitor, double& c, CagradOptions::Rescale& rescale) {
  // Beyond the upper bound c² exceeds what double separates; mgda is that limit.
  visitor.number("c",
                 c,
                 {.min = 0, .max = 1e9},
                 "Radius of the ball around the mean gradient, in units of its norm; 0 gives the "
                 "mean, >= 1 lets no task get worse, large values tend to mgda.");
  visitor.choice("rescale",
                 rescale,
                 {{"none", CagradOptions::Rescale::kNone},
                  {"one_plus_c", CagradOptions::Rescale::kOnePlusC},
                  {"one_plus_c2", CagradOptions::Rescale::kOnePlusC2}},
                 "Divide the direction by 1, 1 + c or 1 + c^2 (paper; toy and CAGrad-Fast code; "
                 "vision code).");
}

void CagradOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor,
                   preset,
                   "paper: d as in the paper; official_code: rescale one_plus_c2 and times_k, as "
                   "in the authors' vision code.")) {
    rescale = preset == Preset::kPaper ? Rescale::kNone : Rescale::kOnePlusC2;
    times_k = preset == Preset::kOfficialCode;
  }
  visit_cagrad_radius(visitor, c, rescale);
  visitor.flag("times_k", times_k, "Multiply the direction by k, the scale of the summed loss.");
}

Result cagrad(MatrixView gram, const CagradOptions& options) {
  Cagrad method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::cagrad]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_cagrad() { return std::make_unique<Cagrad>(); }

MethodInfo cagrad_info() {
  return {.name = "cagrad",
          .title = "Conflict-averse gradient descent",
          .summary = "The direction near the mean gradient that helps the worst task most.",
          .when =
              "The mean loss is what counts, but no task should be sacrificed on the way; c in "
              "[0.2, 0.8] is a good start.",
          .paper = "Liu et al., NeurIPS 2021, arXiv 2110.14048",
          .method_class = MethodClass::kGram,
          .laws = kCommonLaws | kZeroRowIgnored,
          .make = &make_cagrad};
}

}  // namespace detente::balance
