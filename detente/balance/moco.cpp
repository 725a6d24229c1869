// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/coordinates.h>
#include <detente/balance/internal/kept_rows.h>
#include <detente/balance/internal/simplex.h>
#include <detente/balance/internal/softmax.h>
#include <detente/balance/method_info.h>
#include <detente/balance/moco.h>

#include <cmath>

namespace detente::balance {
namespace {

constexpr const char* kInMoco = "[balance::moco]";

class Moco final : public internal::KeptRowsMethod<Moco> {
 public:
  Moco() : KeptRowsMethod({&average_}) {}

  const char* name() const override { return "moco"; }
  bool uses_losses() const override { return options_.normalize == MocoOptions::Normalize::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (tasks_ == 0) return nullptr;
    return Json{{"tasks", tasks_}, {"lambda", kept_.all()}, {"steps", steps_}, {"step", {step_}}};
  }
  void load_state(const Json& state) override {
    begin(0);
    average_.clear();
    if (state.is_null()) return;
    const std::size_t tasks = internal::state_size(state, "tasks", name());
    kept_.load(internal::state_list(state, "lambda", tasks, false, name()), kInMoco);
    steps_ = internal::state_list(state, "steps", tasks, true, name());
    step_ = internal::state_list(state, "step", 1, true, name()).front();
    tasks_ = tasks;
  }

  template <class T>
  void combine(const Problem& problem, const Rows<T>& rows, std::span<T> d, Result& result) {
    const std::size_t k = problem.tasks;
    if (uses_losses()) {
      internal::check_non_negative_losses(
          problem, name(), "normalize = loss gives each gradient the length of its loss");
    }
    average_.fit<T>(problem.total(), rows.cols, tasks_ != 0, name());
    if (tasks_ == 0) begin(problem.total());
    step_ += 1;
    auto& averages = pointers_.of<T>();
    averages.clear();
    for (std::size_t i = 0; i < k; ++i) {
      const std::size_t id = problem.id(i);
      steps_[id] += 1;
      follow(rows[i],
             row_factor(problem, rows[i], i),
             options_.beta / std::pow(steps_[id], options_.beta_decay),
             average_.row<T>(id));
      averages.push_back(average_.row<T>(id).data());
    }
    if (gram_.rows() != k) gram_ = Matrix(k, k);
    internal::gram_of_rows<T>(averages, d.size(), gram_);
    move_weights(problem, result.weights);
    internal::weighted_sum<T>(averages, result.weights, d);
  }

 private:
  void begin(std::size_t tasks) {
    tasks_ = tasks;
    step_ = 0;
    kept_.load({}, kInMoco);
    steps_.assign(tasks, 0.0);
  }

  template <class T>
  double row_factor(const Problem& problem, std::span<const T> row, std::size_t i) const {
    if (!uses_losses()) return 1.0;
    const double norm = std::sqrt(internal::inner(row.data(), row.data(), row.size()));
    return norm > 0 ? problem.losses[i] / norm : 0.0;
  }

  template <class T>
  static void follow(std::span<const T> row, double factor, double beta, std::span<T> average) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      const auto y = static_cast<double>(average[c]);
      average[c] = static_cast<T>(y - beta * (y - factor * static_cast<double>(row[c])));
    }
  }

  // The step of λ among the tasks present.
  void move_weights(const Problem& problem, std::vector<double>& w) {
    const std::size_t k = problem.tasks;
    kept_.take(problem, kInMoco, present_);
    const double gamma = options_.gamma / std::pow(step_, options_.gamma_decay);
    for (std::size_t i = 0; i < k; ++i) {
      double slope = options_.rho * present_[i];
      for (std::size_t j = 0; j < k; ++j) slope += gram_(i, j) * present_[j];
      w[i] = present_[i] - gamma * slope;
    }
    if (options_.simplex == MocoOptions::Simplex::kProjection) {
      internal::project_on_simplex(w, scratch_);
    } else {
      internal::softmax(w);
    }
    kept_.put(problem, w);
  }

  MocoOptions options_;
  double step_ = 0;
  std::vector<double> steps_;  // of each task
  internal::SimplexWeights kept_;
  internal::KeptRows average_{"average"};
  internal::RowPointers pointers_;
  std::vector<double> present_, scratch_;
  Matrix gram_;
};

}  // namespace

void MocoOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor,
                   preset,
                   "official_code sets beta = 0.5, both decays 0.5, rho = 0, simplex = softmax and "
                   "normalize = loss; options given beside it win.")) {
    const bool code = preset == Preset::kOfficialCode;
    beta = code ? 0.5 : 0.1;
    beta_decay = code ? 0.5 : 0.0;
    gamma = 0.1;
    gamma_decay = code ? 0.5 : 0.0;
    rho = code ? 0.0 : 0.1;
    simplex = code ? Simplex::kSoftmax : Simplex::kProjection;
    normalize = code ? Normalize::kLoss : Normalize::kNone;
  }
  visitor.number("beta",
                 beta,
                 {.min = 0, .max = 1, .min_open = true},
                 "How fast the averages follow the gradients; 1 takes the gradients themselves.");
  visitor.number("beta_decay",
                 beta_decay,
                 {.min = 0, .max = 10},
                 "beta is divided by step to this power; 0 keeps it.");
  visitor.number("gamma",
                 gamma,
                 {.min = 0, .max_open = true},
                 "Step of the weights, in units of 1 over a squared gradient norm; 0 keeps them.");
  visitor.number("gamma_decay",
                 gamma_decay,
                 {.min = 0, .max = 10},
                 "gamma is divided by step to this power; 0 keeps it.");
  visitor.number("rho",
                 rho,
                 {.min = 0, .max_open = true},
                 "Pull of the weights towards uniform; 0 tends to mgda's weights.");
  visitor.choice("simplex",
                 simplex,
                 {{"projection", Simplex::kProjection}, {"softmax", Simplex::kSoftmax}},
                 "How the weights come back to the simplex after their step.");
  visitor.choice("normalize",
                 normalize,
                 {{"none", Normalize::kNone}, {"loss", Normalize::kLoss}},
                 "loss: each gradient is first given the length of its loss.");
}

std::unique_ptr<Method> make_moco() { return std::make_unique<Moco>(); }

MethodInfo moco_info() {
  return {.name = "moco",
          .title = "Multi-objective gradient correction",
          .summary = "Slow multiple-gradient descent on running averages of the gradients.",
          .when =
              "As mgda, with batches so small that the least-norm weights of a single one are "
              "noise. Needs a copy of all gradients.",
          .paper = "Fernando et al., ICLR 2023, arXiv 2210.12624",
          .method_class = MethodClass::kCoordinates,
          .stateful = true,
          .laws = kPermutation | kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic |
                  kSimplex | kRotation,
          .make = &make_moco};
}

}  // namespace detente::balance
