// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/coordinates.h>
#include <detente/balance/internal/equal_angle.h>
#include <detente/balance/internal/kept_rows.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/m_config.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

using internal::Block;

class MConfig final : public internal::KeptRowsMethod<MConfig> {
 public:
  MConfig() : KeptRowsMethod({&momentum_, &product_, &root_}) {}

  const char* name() const override { return "m_config"; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (tasks_ == 0) return nullptr;
    return Json{{"tasks", tasks_}, {"steps", steps_}, {"updates", {updates_}}};
  }
  void load_state(const Json& state) override {
    begin(0);
    momentum_.clear();
    product_.clear();
    root_.clear();
    if (state.is_null()) return;
    const std::size_t tasks = internal::state_size(state, "tasks", name());
    steps_ = internal::state_list(state, "steps", tasks, true, name());
    updates_ = internal::state_list(state, "updates", 1, true, name()).front();
    tasks_ = tasks;
  }

  template <class T>
  void combine(const Problem& problem, const Rows<T>& rows, std::span<T> d, Result& result) {
    momentum_.fit<T>(problem.total(), rows.cols, tasks_ != 0, name());
    product_.fit<T>(1, rows.cols, tasks_ != 0, name());
    root_.fit<T>(1, rows.cols, tasks_ != 0, name());
    if (tasks_ == 0) begin(problem.total());
    std::fill(result.weights.begin(), result.weights.end(), 1.0);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      follow(rows[i], momentum_.row<T>(problem.id(i)));
      steps_[problem.id(i)] += 1;
    }
    if (std::count(steps_.begin(), steps_.end(), 0.0) > 0) {
      std::fill(d.begin(), d.end(), T(0));
      result.stop = StopReason::kDegenerate;
      result.message = "Some task has had no gradient yet; the direction is zero until all have.";
      return;
    }
    updates_ += 1;
    weigh_momenta<T>(d.size(), result);
    divide_by_second_moment(d);
  }

 private:
  void begin(std::size_t tasks) {
    tasks_ = tasks;
    steps_.assign(tasks, 0.0);
    updates_ = 0;
  }

  template <class T>
  void follow(std::span<const T> row, std::span<T> momentum) const {
    const double beta = options_.beta1;
    for (std::size_t c = 0; c < row.size(); ++c) {
      momentum[c] = static_cast<T>(beta * static_cast<double>(momentum[c]) +
                                   (1.0 - beta) * static_cast<double>(row[c]));
    }
  }

  // The weights of the momenta in g, their bias towards zero included.
  template <class T>
  void weigh_momenta(std::size_t size, Result& result) {
    auto& momenta = pointers_.of<T>();
    momenta.clear();
    for (std::size_t i = 0; i < tasks_; ++i) momenta.push_back(momentum_.row<T>(i).data());
    if (gram_.rows() != tasks_) gram_ = Matrix(tasks_, tasks_);
    internal::gram_of_rows<T>(momenta, size, gram_);
    bias_.resize(tasks_);
    for (std::size_t i = 0; i < tasks_; ++i) {
      bias_[i] = 1.0 / (1.0 - std::pow(options_.beta1, steps_[i]));
    }
    for (std::size_t i = 0; i < tasks_; ++i) {
      for (std::size_t j = 0; j < tasks_; ++j) gram_(i, j) *= bias_[i] * bias_[j];
    }
    weight_.assign(tasks_, 0.0);
    unit_.assign(gram_);
    if (unit_.size() == 0) {
      result.stop = StopReason::kDegenerate;
      result.message = "All momenta are zero.";
      return;
    }
    angle_.solve(unit_);
    if (!angle_.equal()) {
      result.stop = StopReason::kDegenerate;
      result.message =
          "The momenta depend on each other, so no direction has the same angle to all; the "
          "least-squares one is taken.";
    }
    for (std::size_t i = 0; i < unit_.size(); ++i) {
      const std::size_t row = unit_.rows[i];
      weight_[row] = bias_[row] * angle_.length_factor() * angle_.a()[i];
    }
  }

  template <class T>
  void divide_by_second_moment(std::span<T> d) {
    const auto& momenta = pointers_.of<T>();
    const double beta1 = options_.beta1;
    const double beta2 = options_.beta2;
    const double filled1 = 1.0 - std::pow(beta1, updates_);
    const double filled2 = std::sqrt(1.0 - std::pow(beta2, updates_));
    T* product = product_.row<T>(0).data();
    T* root = root_.row<T>(0).data();
    Block sum;
    internal::for_blocks(d.size(), [&](std::size_t begin, std::size_t n) {
      sum.fill(0.0);
      for (std::size_t i = 0; i < tasks_; ++i) {
        const T* momentum = momenta[i] + begin;
        for (std::size_t c = 0; c < n; ++c) {
          sum[c] += weight_[i] * static_cast<double>(momentum[c]);
        }
      }
      for (std::size_t c = 0; c < n; ++c) {
        const double now = filled1 * sum[c];
        const double u = (now - beta1 * static_cast<double>(product[begin + c])) / (1.0 - beta1);
        // The root of s rather than s keeps the range of float32 from underflowing.
        const auto r = static_cast<double>(root[begin + c]);
        const double moment = std::sqrt(beta2 * r * r + (1.0 - beta2) * u * u);
        const double size = moment / filled2 + options_.epsilon;
        product[begin + c] = static_cast<T>(now);
        root[begin + c] = static_cast<T>(moment);
        d[begin + c] = static_cast<T>(size > 0 ? sum[c] / size : 0.0);
      }
    });
  }

  MConfigOptions options_;
  std::vector<double> steps_;  // of each task
  double updates_ = 0;         // steps with a direction
  std::vector<double> bias_;
  std::vector<double> weight_;
  internal::KeptRows momentum_{"momentum"};
  internal::KeptRows product_{"product"};
  internal::KeptRows root_{"root"};
  internal::RowPointers pointers_;
  Matrix gram_;
  internal::UnitGram unit_;
  internal::EqualAngle angle_;
};

}  // namespace

void MConfigOptions::describe(FieldVisitor& visitor) {
  visitor.number("beta1",
                 beta1,
                 {.min = 0, .max = 1, .max_open = true},
                 "How slowly each task's momentum follows its gradients.");
  visitor.number("beta2",
                 beta2,
                 {.min = 0, .max = 1, .max_open = true},
                 "How slowly the second moment follows.");
  visitor.number(
      "epsilon", epsilon, {.min = 0, .max_open = true}, "Added to the root of the second moment.");
}

std::unique_ptr<Method> make_m_config() { return std::make_unique<MConfig>(); }

MethodInfo m_config_info() {
  return {
      .name = "m_config",
      .title = "ConFIG with momentum",
      .summary = "config on the tasks' momenta, so that one task's gradient per step is enough.",
      .when =
          "As config, when a backward pass per task and step is too dear: give it one task a "
          "step. Use plain SGD with it; the step already has Adam's form.",
      .paper = "Liu, Chu, Thuerey, ICLR 2025, arXiv 2408.11104",
      .method_class = MethodClass::kCoordinates,
      .stateful = true,
      .laws = kPermutation | kDeterministic | kZeroRowIgnored,
      .make = &make_m_config};
}

}  // namespace detente::balance
