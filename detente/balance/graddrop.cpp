// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/graddrop.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/coordinates.h>
#include <detente/balance/method_info.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

using internal::Block;

class Graddrop final : public internal::CoordinateMethod<Graddrop> {
 public:
  const char* name() const override { return "graddrop"; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  template <class T>
  void combine(const Problem& problem, const Rows<T>& rows, std::span<T> d, Result& result) {
    read_leaks(problem);
    Rng& rng = internal::require_rng(problem, name());
    std::fill(result.weights.begin(), result.weights.end(), 1.0);
    if (rows.values.empty()) {
      at_parameters(rows, rng, d);
    } else {
      at_representation(rows, rng, d);
    }
    if (options_.keep_norm) restore_norm(rows, d);
  }

 private:
  void read_leaks(const Problem& problem) {
    const std::size_t given = options_.leak.size();
    DETENTE_CHECK(given == 0 || given == problem.total(),
                  ErrorCode::kInvalidArgument,
                  "[balance::graddrop] option 'leak' must be empty or have one entry per task; "
                  "expected {}, got {}.",
                  problem.total(),
                  given);
    leak_.resize(problem.tasks);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      leak_[i] = given == 0 ? 0.0 : options_.leak[problem.id(i)];
    }
  }

  // +1 or −1 per coordinate from Σh and Σ|h|. One number is drawn per coordinate whatever its
  // gradients, so that a change at one does not move the coins of the others.
  static void toss(const Block& sum, const Block& size, std::size_t n, Rng& rng, Block& kept) {
    for (std::size_t c = 0; c < n; ++c) {
      const double purity = size[c] > 0 ? 0.5 * (1.0 + sum[c] / size[c]) : 0.5;
      kept[c] = rng.uniform() < purity ? 1.0 : -1.0;
    }
  }

  template <class T>
  void at_parameters(const Rows<T>& rows, Rng& rng, std::span<T> d) const {
    Block sum, size, kept;
    internal::for_blocks(d.size(), [&](std::size_t begin, std::size_t n) {
      sum.fill(0.0);
      size.fill(0.0);
      for (std::size_t i = 0; i < rows.rows; ++i) {
        const T* row = rows[i].data() + begin;
        for (std::size_t c = 0; c < n; ++c) {
          const auto g = static_cast<double>(row[c]);
          sum[c] += g;
          size[c] += std::abs(g);
        }
      }
      toss(sum, size, n, rng, kept);
      sum.fill(0.0);
      for (std::size_t i = 0; i < rows.rows; ++i) {
        const T* row = rows[i].data() + begin;
        for (std::size_t c = 0; c < n; ++c) {
          const auto g = static_cast<double>(row[c]);
          sum[c] += g * (g * kept[c] > 0 ? 1.0 : leak_[i]);
        }
      }
      for (std::size_t c = 0; c < n; ++c) d[begin + c] = static_cast<T>(sum[c]);
    });
  }

  template <class T>
  void at_representation(const Rows<T>& rows, Rng& rng, std::span<T> d) {
    const std::size_t features = rows.cols / rows.samples;
    const auto sign = [](T z) { return z > 0 ? 1.0 : z < 0 ? -1.0 : 0.0; };
    Block sum, size, kept;
    signal_.resize(rows.rows * internal::kBlock);  // h, task by task
    internal::for_blocks(features, [&](std::size_t begin, std::size_t n) {
      sum.fill(0.0);
      size.fill(0.0);
      std::fill(signal_.begin(), signal_.end(), 0.0);
      for (std::size_t i = 0; i < rows.rows; ++i) {
        double* h = signal_.data() + i * internal::kBlock;
        for (std::size_t s = 0; s < rows.samples; ++s) {
          const T* row = rows[i].data() + s * features + begin;
          const T* z = rows.values.data() + s * features + begin;
          for (std::size_t c = 0; c < n; ++c) h[c] += sign(z[c]) * static_cast<double>(row[c]);
        }
        for (std::size_t c = 0; c < n; ++c) {
          sum[c] += h[c];
          size[c] += std::abs(h[c]);
        }
      }
      toss(sum, size, n, rng, kept);
      for (std::size_t i = 0; i < rows.rows; ++i) {
        double* h = signal_.data() + i * internal::kBlock;
        for (std::size_t c = 0; c < n; ++c) h[c] = h[c] * kept[c] > 0 ? 1.0 : leak_[i];
      }
      for (std::size_t s = 0; s < rows.samples; ++s) {
        sum.fill(0.0);
        const std::size_t at = s * features + begin;
        for (std::size_t i = 0; i < rows.rows; ++i) {
          const T* row = rows[i].data() + at;
          const double* pass = signal_.data() + i * internal::kBlock;
          for (std::size_t c = 0; c < n; ++c) sum[c] += pass[c] * static_cast<double>(row[c]);
        }
        for (std::size_t c = 0; c < n; ++c) d[at + c] = static_cast<T>(sum[c]);
      }
    });
  }

  template <class T>
  static void restore_norm(const Rows<T>& rows, std::span<T> d) {
    double wanted = 0;
    Block sum;
    internal::for_blocks(d.size(), [&](std::size_t begin, std::size_t n) {
      sum.fill(0.0);
      for (std::size_t i = 0; i < rows.rows; ++i) {
        const T* row = rows[i].data() + begin;
        for (std::size_t c = 0; c < n; ++c) sum[c] += static_cast<double>(row[c]);
      }
      wanted += internal::inner(sum.data(), sum.data(), n);
    });
    const double present = internal::inner(d.data(), d.data(), d.size());
    if (!(present > 0)) return;
    const double factor = std::sqrt(wanted) / std::sqrt(present);
    for (T& x : d) x = static_cast<T>(factor * static_cast<double>(x));
  }

  GraddropOptions options_;
  std::vector<double> leak_;
  std::vector<double> signal_;
};

}  // namespace

void GraddropOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor, preset, "official_code sets keep_norm; options given beside it win.")) {
    keep_norm = preset == Preset::kOfficialCode;
  }
  visitor.numbers("leak",
                  leak,
                  {.min = 0, .max = 1},
                  "How much of each task's gradient passes whatever the coin says, one number per "
                  "task; empty: 0 for all. 1 exempts a task.");
  visitor.flag("keep_norm", keep_norm, "Scale the direction to the norm of the plain sum.");
}

std::unique_ptr<Method> make_graddrop() { return std::make_unique<Graddrop>(); }

MethodInfo graddrop_info() {
  return {.name = "graddrop",
          .title = "Gradient sign dropout",
          .summary = "At each coordinate a loaded coin lets one sign of the gradients pass.",
          .when =
              "Many tasks that conflict coordinate by coordinate, with noise as a regulariser; at "
              "the shared representation, as published, or at the parameters.",
          .paper = "Chen et al., NeurIPS 2020, arXiv 2010.06808",
          .method_class = MethodClass::kCoordinates,
          .laws = kPermutation | kScaleInvariant | kMeanWhenAligned | kSingleTaskIdentity |
                  kZeroRowIgnored,
          .make = &make_graddrop};
}

}  // namespace detente::balance
